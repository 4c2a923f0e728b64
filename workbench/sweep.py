"""An experiment as a list of jobs, arms x seeds: each a process of its own and, once finished, a row of results."""

import hashlib
import io
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, NamedTuple

import jax
import polars as pl

from mixvae import Config, load_dataset
from mixvae.config_file import dump_config
from mixvae.ensemble import fit_together
from mixvae.runs import fit, save, write_atomically
from workbench.cache import use_compilation_cache
from workbench.experiments import EXPERIMENTS
from workbench.scores import placed, scores

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "data" / "results"
RUNS = ROOT / "data" / "runs"


class Job(NamedTuple):
    """One run of an experiment."""

    experiment: str
    arm: str
    config: Config

    @property
    def config_hash(self) -> str:
        """What tells its config from every other."""
        return config_hash(self.config)


def config_hash(config: Config) -> str:
    """Twelve hexadecimal digits of the whole config, seed included."""
    return hashlib.sha256(dump_config(config).encode()).hexdigest()[:12]


def jobs(experiment: str, arms: list[str] | None = None, seeds: list[int] | None = None) -> list[Job]:
    """Seed by seed, so that a sweep cut short has compared all arms on its first seeds."""
    plan = EXPERIMENTS[experiment]
    return [
        Job(experiment, arm, plan.arms[arm].config(seed))
        for seed in (range(plan.seeds) if seeds is None else seeds)
        for arm in (arms or plan.arms)
    ]


def sweep(
    todo: list[Job], folder: Path = RESULTS, runs: Path = RUNS, together: int = 1
) -> Iterator[tuple[Job, dict[str, Any] | Exception | None]]:
    """Every job, with its row, the error that ended it, or None where its row was there already.

    Seeds of an arm are trained `together` at once. `seconds` is from the start of their process to its last score. A
    light copy of every run stays in `runs`, under its config's hash.
    """
    for group in groups(todo, together):
        for job in group:
            if finished(job, folder):
                yield job, None
        group = [job for job in group if not finished(job, folder)]
        if not group:
            continue
        about, start = [described(job) for job in group], time.perf_counter()
        try:
            with ProcessPoolExecutor(1, get_context("spawn"), end_with_parent) as process:
                reached = process.submit(reach, [job.config for job in group], runs).result()
        except Exception as error:
            yield from ((job, error) for job in group)
            continue
        spent = {"seconds": round(time.perf_counter() - start, 1), "together": len(group)}
        for job, known, (figures, points) in zip(group, about, reached, strict=True):
            row = {**known, **spent, **figures}
            append(folder / f"{job.experiment}.csv", row)
            if EXPERIMENTS[job.experiment].planes and job.config.train.seed == 0:
                append(folder / f"{job.experiment}_planes.csv", *({"arm": job.arm, **point} for point in points))
            yield job, row


def groups(todo: list[Job], together: int) -> list[list[Job]]:
    """At most `together` jobs of an arm at a time, in the order in which their first ones come."""
    found: dict[tuple[str, int], list[Job]] = {}
    before = Counter()
    for job in todo:
        found.setdefault((job.arm, before[job.arm] // together), []).append(job)
        before[job.arm] += 1
    return list(found.values())


def end_with_parent():
    """Let this process end where the one that started it was killed; else a run would go on for nobody."""

    def watch():
        parent_process().join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def reach(configs: list[Config], runs: Path) -> list[tuple[dict[str, Any], list[dict[str, float]]]]:
    """Train configs that differ in their seed to the last epoch and keep the runs.

    Of each its device and its scores, and some test images in its planes.
    """
    use_compilation_cache()
    config = configs[0]
    dataset = load_dataset(config.data.name, validation=config.data.validation)
    if len(configs) > 1:
        *_, last = fit_together(configs, dataset)
    else:
        *_, alone = fit(config, dataset)
        last = [alone]
    for snapshot in last:
        config = snapshot.trainer.config
        save(runs / config_hash(config), config, snapshot.state, snapshot.history, light=True)
    device = jax.devices()[0].device_kind
    return [({"device": device, **scores(snapshot, dataset)}, placed(snapshot, dataset)) for snapshot in last]


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
