"""Result rows -> the tables of the documents, between `<!-- results: EXPERIMENT -->` and `<!-- end -->`."""

import re

import polars as pl

from workbench.experiments import EXPERIMENTS
from workbench.sweep import RESULTS, read

BLOCK = re.compile(r"(<!-- results: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
HIGHER_IS_WORSE = ("nats", "mse", "kl_z", "seconds")
DIGITS = {"active_channels": 1, "effective_channels": 2, "nats": 1, "kl_z": 2, "seconds": 0}
MISSING = " "


def filled(document: str, folder=RESULTS) -> str:
    """The document with every table made anew from the rows."""
    return BLOCK.sub(lambda block: block[1] + table(block[2], read(block[2], folder)) + block[3], document)


def table(experiment: str, rows: pl.DataFrame) -> str:
    """Markdown: an arm a row; a figure is its mean, +- its standard deviation over the seeds, and the worst seed.

    A figure without rows stays empty, and the command that fills it stands below.
    """
    plan = EXPERIMENTS[experiment]
    head = ["", "seeds", *(figure.replace("_", " ") for figure in plan.figures)]
    lines = [head, ["---"] * len(head)]
    short = False
    for arm in plan.arms:
        mine = rows.filter(pl.col("arm") == arm) if not rows.is_empty() else rows
        short |= len(mine) < plan.seeds
        lines.append([arm, f"{len(mine)} of {plan.seeds}", *(cell(mine, figure) for figure in plan.figures)])
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    legend = "\nMean ± standard deviation over seeds (worst seed)."
    command = f" `python -m workbench sweep {experiment}` fills the seeds that are missing." if short else ""
    return f"{text}{legend}{command}\n"


def cell(rows: pl.DataFrame, figure: str) -> str:
    """mean ± deviation (worst) of one figure, or empty."""
    values = rows[figure].drop_nulls() if figure in rows.columns else pl.Series([], dtype=pl.Float64)
    if values.is_empty():
        return MISSING
    digits = DIGITS.get(figure, 4)
    worst = values.max() if figure in HIGHER_IS_WORSE else values.min()
    if len(values) == 1:
        return f"{values[0]:.{digits}f}"
    return f"{values.mean():.{digits}f} ± {values.std():.{digits}f} ({worst:.{digits}f})"
