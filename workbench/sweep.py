"""An experiment as a list of jobs, arms x seeds: each a process of its own and, once finished, a row of results."""

import hashlib
import subprocess
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import jax
import polars as pl

from mixvae import Config, Dataset, load_dataset
from mixvae.checkpoint import save
from mixvae.config_file import dump_config
from mixvae.ensemble import fit_together
from mixvae.folder import locked, write_atomically
from mixvae.runs import Snapshot, fit
from workbench.cache import use_compilation_cache
from workbench.cluster import on_cluster
from workbench.details import Details
from workbench.experiments import EXPERIMENTS
from workbench.presets import RUNS
from workbench.process import one_by_one
from workbench.rows import NAMED, RESULTS, of, put, read
from workbench.scores import scores

ROOT = Path(__file__).parent.parent


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


class Reached(NamedTuple):
    """What comes back of a run: figures of its row, the details that its experiment keeps, its light copy's files."""

    figures: dict[str, Any]
    details: Details
    files: dict[str, bytes]


def config_hash(config: Config) -> str:
    """Twelve hexadecimal digits of the whole config, seed included."""
    return hashlib.sha256(dump_config(config).encode()).hexdigest()[:12]


def jobs(experiment: str, arms: list[str] | None = None, seeds: list[int] | None = None) -> list[Job]:
    """Seed by seed, so that a sweep cut short has compared all arms on its first seeds."""
    plan = EXPERIMENTS[experiment]
    return [
        Job(experiment, arm, plan.arms[arm].config(seed))
        for seed in dict.fromkeys(range(plan.seeds) if seeds is None else seeds)
        for arm in dict.fromkeys(arms or plan.arms)
    ]


def sweep(
    todo: list[Job], folder: Path = RESULTS, runs: Path = RUNS, together: int = 1, client: Any = None
) -> Iterator[tuple[Job, dict[str, Any] | Exception | None]]:
    """Every job, with its row, the error that ended it, or None where its row was there already.

    Seeds of an arm are trained `together` at once, in a process of their own: here, one such process after another, or
    on the workers of a Dask `client`, as they end; where that fails, one by one. `seconds` is from the start of that
    process to its last score. A light copy of every run stays in `runs`, under its config's hash; an error stays among
    the failures in `folder` until its job succeeds.
    """
    left = missing(todo, folder)
    for place in (folder, runs) if left else ():
        with locked(place, wait=True):  # told before hours of training, not after
            pass
    yield from ((job, None) for job in todo if job not in left)
    trained, again = groups(left, together), []
    calls = [([job.config for job in group], EXPERIMENTS[group[0].experiment].details) for group in trained]
    outcomes = one_by_one(train_and_score, calls) if client is None else on_cluster(client, train_and_score, calls)
    for i, outcome in outcomes:
        if isinstance(outcome, Exception) and len(trained[i]) > 1:  # one seed of them took the others with it
            again += trained[i]
        elif isinstance(outcome, Exception):
            yield from ((job, failed(job, outcome, folder)) for job in trained[i])
        else:
            reached, seconds = outcome
            spent = {"seconds": round(seconds, 1), "together": len(reached)}
            for job, run in zip(trained[i], reached, strict=True):
                yield job, kept(job, run, spent, folder, runs)
    if again:
        yield from sweep(again, folder, runs, client=client)


def kept(job: Job, run: Reached, spent: dict[str, Any], folder: Path, runs: Path) -> dict[str, Any]:
    """The row of a run that ended well, written after its files and its details."""
    (runs / job.config_hash).mkdir(parents=True, exist_ok=True)
    for name, content in run.files.items():
        write_atomically(runs / job.config_hash / name, content)
    row = {**described(job), **spent, **run.figures}
    put(folder / f"{job.experiment}_details.csv", job.named, *run.details)
    put(folder / f"{job.experiment}_failures.csv", job.named)
    put(folder / f"{job.experiment}.csv", job.named, row)
    return row


def failed(job: Job, error: Exception, folder: Path) -> Exception:
    """The error, after it was written among the failures."""
    words = " ".join(f"{type(error).__name__}: {error}".split())
    put(folder / f"{job.experiment}_failures.csv", job.named, {"error": words})
    return error


def missing(todo: list[Job], folder: Path = RESULTS) -> list[Job]:
    """The jobs that have no row yet."""
    rows = {experiment: read(experiment, folder) for experiment in {job.experiment for job in todo}}
    return [job for job in todo if (mine := rows[job.experiment]).is_empty() or mine.filter(of(job.named)).is_empty()]


def results(experiment: str, kind: str = "", folder: Path = RESULTS) -> pl.DataFrame:
    """The rows of an experiment, or its `_details`, whose config is that of their arm and seed today.

    Those of an earlier config are left out: they are of something else, and a sweep will replace them.
    """
    rows, arms = read(f"{experiment}{kind}", folder), EXPERIMENTS[experiment].arms
    if rows.is_empty():
        return rows
    found = rows.select(NAMED).unique().filter(pl.col("arm").is_in([*arms]))
    todays = [config_hash(arms[arm].config(seed)) for arm, seed in found.select("arm", "seed").iter_rows()]
    return rows.join(found.filter(pl.col("config_hash") == pl.Series(todays, dtype=pl.String)), on=NAMED, how="semi")


def groups(todo: list[Job], together: int) -> list[list[Job]]:
    """At most `together` jobs of an arm at a time, in the order in which their first ones come."""
    found: dict[tuple[str, str, int], list[Job]] = {}
    before = Counter()
    for job in todo:
        found.setdefault((job.experiment, job.arm, before[job.experiment, job.arm] // together), []).append(job)
        before[job.experiment, job.arm] += 1
    return list(found.values())


def train_and_score(configs: list[Config], details: Callable[[Snapshot, Dataset], Details] | None) -> list[Reached]:
    """Train configs that differ in their seed to the last epoch, and score them; nothing is written on this machine."""
    made_by = {"commit": commit(), "device": jax.devices()[0].device_kind}
    use_compilation_cache()
    config = configs[0]
    dataset = load_dataset(config.data.name, validation=config.data.validation)
    if len(configs) > 1:
        [last] = deque(fit_together(configs, dataset), 1)  # no other epoch's weights are kept
    else:
        last = deque(fit(config, dataset), 1)
    return [
        Reached({**made_by, **scores(run, dataset)}, details(run, dataset) if details else [], light(run))
        for run in last
    ]


def light(run: Snapshot) -> dict[str, bytes]:
    """The files of a run's light copy, some megabytes."""
    with TemporaryDirectory() as folder:
        save(folder, *run, light=True)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


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
