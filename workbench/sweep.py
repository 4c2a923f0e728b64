"""An experiment as a list of jobs, arms x seeds: each a process of its own and, once finished, a row of results."""

import hashlib
import io
import os
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, NamedTuple

import jax
import polars as pl

from mixvae import Config, Dataset, load_dataset
from mixvae.config_file import dump_config
from mixvae.ensemble import fit_together
from mixvae.runs import Snapshot, fit, save, write_atomically
from workbench.cache import use_compilation_cache
from workbench.details import Details
from workbench.experiments import EXPERIMENTS
from workbench.scores import scores

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

    @property
    def named(self) -> dict[str, Any]:
        """What tells its rows from those of every other job of the experiment."""
        return {"arm": self.arm, "seed": self.config.train.seed, "config_hash": self.config_hash}


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
                details = EXPERIMENTS[group[0].experiment].details
                reached = process.submit(reach, [job.config for job in group], runs, details).result()
        except Exception as error:
            yield from ((job, error) for job in group)
            continue
        spent = {"seconds": round(time.perf_counter() - start, 1), "together": len(group)}
        for job, known, (figures, details) in zip(group, about, reached, strict=True):
            row = {**known, **spent, **figures}
            append(folder / f"{job.experiment}_details.csv", *({**job.named, **detail} for detail in details))
            append(folder / f"{job.experiment}.csv", row)
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


def reach(
    configs: list[Config], runs: Path, details: Callable[[Snapshot, Dataset], Details] | None
) -> list[tuple[dict[str, Any], Details]]:
    """Train configs that differ in their seed to the last epoch and keep the runs.

    Of each its device and its scores, and the details that its experiment asks for.
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
    return [
        ({"device": device, **scores(snapshot, dataset)}, details(snapshot, dataset) if details else [])
        for snapshot in last
    ]


def described(job: Job) -> dict[str, Any]:
    """What a row says of its run beside the scores."""
    config = job.config
    return {
        "experiment": job.experiment,
        **job.named,
        "dataset": config.data.name,
        "labels": config.data.labels,
        "epochs": config.train.epochs,
        "starts": config.train.starts,
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
    path, hashed = folder / f"{experiment}.csv", {"config_hash": pl.String}  # one of digits alone is no number
    return pl.read_csv(path, infer_schema_length=None, schema_overrides=hashed) if path.exists() else pl.DataFrame()


def finished(job: Job, folder: Path) -> bool:
    """Whether a job's row is there."""
    rows = read(job.experiment, folder)
    same = (pl.col("arm") == job.arm) & (pl.col("config_hash") == job.config_hash)
    return not rows.is_empty() and not rows.filter(same).is_empty()


def append(path: Path, *new: dict[str, Any]):
    """More rows, by rename, in place of those of the same job; a figure that other rows lack is empty there."""
    if not new:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    rows, added, content = read(path.stem, path.parent), pl.DataFrame(new), io.BytesIO()
    if not rows.is_empty():
        rows = rows.join(added, on=["arm", "config_hash"], how="anti")
    pl.concat([rows, added], how="diagonal_relaxed").write_csv(content, float_precision=5)
    write_atomically(path, content.getvalue())
