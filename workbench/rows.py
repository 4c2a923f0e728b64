"""Result rows on disk: CSV files, read whole and replaced whole, by one process at a time: another one waits."""

import io
from pathlib import Path
from typing import Any

import polars as pl

from mixvae.folder import locked, write_atomically

RESULTS = Path(__file__).parent.parent / "data" / "results"
NAMED = ("arm", "seed", "config_hash")  # which job a row is of


def read(name: str, folder: Path = RESULTS) -> pl.DataFrame:
    """The rows of an experiment, or its `_details` or `_failures`; none where it has none, and null for a NaN.

    Raises ValueError where the file holds something else.
    """
    path, named = folder / f"{name}.csv", dict.fromkeys(("arm", "config_hash", "commit"), pl.String)  # also of digits
    if not path.exists():
        return pl.DataFrame()
    try:
        rows = pl.read_csv(path, infer_schema_length=None, schema_overrides=named).fill_nan(None)
    except pl.exceptions.PolarsError as error:
        raise ValueError(f"{path} is no table of results ({error}); restore it, or delete it to begin anew") from None
    if missing := [column for column in NAMED if column not in rows.columns]:
        raise ValueError(f"{path} has no column {', '.join(missing)}; restore it, or delete it to begin anew")
    return rows


def of(job: dict[str, Any]) -> pl.Expr:
    """Whether a row is of the job that `arm` and `config_hash` name."""
    return (pl.col("arm") == job["arm"]) & (pl.col("config_hash") == job["config_hash"])


def put(path: Path, job: dict[str, Any], *rows: dict[str, Any]):
    """These rows in place of those of the same arm and seed; a figure that other rows lack is empty there.

    Rows of an earlier config of the arm go with them. The file is replaced by rename, and deleted with its last row.
    """
    with locked(path.parent, wait=True):
        before = read(path.stem, path.parent)
        after = before
        if not before.is_empty():
            after = before.filter((pl.col("arm") != job["arm"]) | (pl.col("seed") != job["seed"]))
        if rows:
            after = pl.concat([after, pl.DataFrame([job | row for row in rows])], how="diagonal_relaxed")
        if after.is_empty():
            path.unlink(missing_ok=True)
        elif rows or after.height < before.height:
            content = io.BytesIO()
            after.write_csv(content, float_precision=5)
            write_atomically(path, content.getvalue())
