"""A sweep on a Dask cluster: a scheduler and two worker processes on this machine, one of which is killed."""

import os
import signal
import threading
from functools import partial
from pathlib import Path

import pytest

from mixvae import Config
from workbench import sweep
from workbench.cluster import connect, on_cluster
from workbench.experiments import EXPERIMENTS, Arm, Experiment
from workbench.rows import read

Dask = pytest.importorskip("distributed", reason="Dask is not installed: pip install -e '.[cluster]'")
HERE = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}


def trained(folder: Path, configs: list[Config], details) -> list[sweep.Reached]:
    """Stands for a training; the first to begin names its worker and waits for that one's end."""
    try:
        (folder / "begun").mkdir()
    except FileExistsError:
        seed = configs[0].train.seed
        if seed == 2:
            raise FloatingPointError("recon is no longer finite") from None
        return [sweep.Reached({"mse": seed / 4}, [], {"note": b"x" * seed})]
    (folder / "worker").write_text(str(os.getppid()))
    threading.Event().wait()
    raise AssertionError("waits for ever")


def test_a_killed_worker_takes_no_job_with_it(monkeypatch, tmp_path):
    monkeypatch.setitem(EXPERIMENTS, "small", Experiment("?", 3, {"film": Arm("plain")}, ("mse",)))
    monkeypatch.setattr(sweep, "train_and_score", partial(trained, tmp_path))
    os.mkfifo(tmp_path / "worker")
    with Dask.LocalCluster(2, **HERE) as two, connect(two.scheduler_address) as client:
        outcomes = sweep.sweep(sweep.jobs("small"), tmp_path, tmp_path / "runs", client=client)
        found = [next(outcomes)]  # of the other worker
        os.kill(int((tmp_path / "worker").read_text()), signal.SIGKILL)
        found += outcomes
    assert sorted(job.config.train.seed for job, _ in found) == [0, 1, 2]
    rows = read("small", tmp_path)
    assert sorted(zip(rows["seed"], rows["mse"], strict=True)) == [(0, 0), (1, 0.25)]
    assert read("small_failures", tmp_path)["seed"].to_list() == [2]
    for job, row in found:
        if job.config.train.seed < 2:
            assert row["mse"] == job.config.train.seed / 4 and row["seconds"] > 0
            assert (tmp_path / "runs" / job.config_hash / "note").read_bytes() == b"x" * job.config.train.seed


def test_a_lost_scheduler_ends_the_sweep_with_words():
    with Dask.LocalCluster(0, **HERE) as lost, connect(lost.scheduler_address) as client:

        def last(*call):
            future = type(client).submit(client, *call)
            lost.close()
            return future

        client.submit = last
        with pytest.raises(OSError, match="the Dask scheduler was lost; the same command goes on"):
            next(on_cluster(client, abs, [(-1,)]))
