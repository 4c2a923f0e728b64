"""An experiment as a list of jobs, arms x seeds: each a process of its own and, once finished, a row of results."""

import hashlib
import io
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import jax
import polars as pl

from mixvae import Config, load_dataset
from mixvae.config_file import dump_config
from mixvae.runs import fit, save, write_atomically
from workbench.cache import use_compilation_cache
from workbench.experiments import EXPERIMENTS
from workbench.scores import placed, scores

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "data" / "results"
RUNS = ROOT / "data" / "runs"


class Job(NamedTuple):
    """One run of an experiment; `config_hash` tells it from every other config."""

    experiment: str
    arm: str
    config: Config

    @property
    def config_hash(self) -> str:
        """Twelve hexadecimal digits of the whole config, seed included."""
        return hashlib.sha256(dump_config(self.config).encode()).hexdigest()[:12]


def jobs(experiment: str, arms: list[str] | None = None, seeds: list[int] | None = None) -> list[Job]:
    """Seed by seed, so that a sweep cut short has compared all arms on its first seeds."""
    plan = EXPERIMENTS[experiment]
    return [
        Job(experiment, arm, plan.arms[arm].config(seed))
        for seed in (range(plan.seeds) if seeds is None else seeds)
        for arm in (arms or plan.arms)
    ]


def sweep(
    todo: list[Job], folder: Path = RESULTS, runs: Path = RUNS
) -> Iterator[tuple[Job, dict[str, Any] | Exception | None]]:
    """Every job, with its row, the error that ended it, or None where its row was there already.

    `seconds` is from the start of the job's process to its last score. A light copy of the run stays in `runs`, under
    its config's hash.
    """
    for job in todo:
        if finished(job, folder):
            yield job, None
            continue
        about, start = described(job), time.perf_counter()
        try:
            with ProcessPoolExecutor(1, get_context("spawn")) as process:
                reached, points = process.submit(reach, job.config, runs / job.config_hash).result()
        except Exception as error:
            yield job, error
            continue
        row = {**about, "seconds": round(time.perf_counter() - start, 1), **reached}
        append(folder / f"{job.experiment}.csv", row)
        if EXPERIMENTS[job.experiment].planes and job.config.train.seed == 0:
            append(folder / f"{job.experiment}_planes.csv", *({"arm": job.arm, **point} for point in points))
        yield job, row


def reach(config: Config, folder: Path) -> tuple[dict[str, Any], list[dict[str, float]]]:
    """Train to the last epoch and keep the run; its device and its scores, and some test images in its planes."""
    use_compilation_cache()
    dataset = load_dataset(config.data.name, validation=config.data.validation)
    *_, last = fit(config, dataset)
    save(folder, config, last.state, last.history, light=True)
    return {"device": jax.devices()[0].device_kind, **scores(last, dataset)}, placed(last, dataset)


def described(job: Job) -> dict[str, Any]:
    """What a row says of its run beside the scores."""
    config = job.config
    return {
        "experiment": job.experiment,
        "arm": job.arm,
        "dataset": config.data.name,
        "labels": config.data.labels,
        "seed": config.train.seed,
        "epochs": config.train.epochs,
        "starts": config.train.starts,
        "config_hash": job.config_hash,
        "commit": commit(),
    }


def commit() -> str:
    """The commit of the code and the presets, marked where they differ from it; empty where there is no Git."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", "*.py", "data/configs")
        return git("rev-parse", "--short=12", "HEAD") + ("-changed" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def read(experiment: str, folder: Path = RESULTS) -> pl.DataFrame:
    """The rows of an experiment; none where it was never run."""
    path = folder / f"{experiment}.csv"
    return pl.read_csv(path, infer_schema_length=None) if path.exists() else pl.DataFrame()


def finished(job: Job, folder: Path) -> bool:
    """Whether a job's row is there."""
    rows = read(job.experiment, folder)
    same = (pl.col("arm") == job.arm) & (pl.col("config_hash").cast(pl.String) == job.config_hash)
    return not rows.is_empty() and not rows.filter(same).is_empty()


def append(path: Path, *new: dict[str, Any]):
    """More rows, by rename; a figure that other rows lack becomes a column that is empty there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, content = read(path.stem, path.parent), io.BytesIO()
    pl.concat([rows, pl.DataFrame(new)], how="diagonal_relaxed").write_csv(content, float_precision=5)
    write_atomically(path, content.getvalue())
