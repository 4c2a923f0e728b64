"""A run that was begun on one device and goes on over two processes, as `train --hosts` starts them."""

import os
import shutil
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest

from mixvae import load_config, load_dataset
from mixvae.runs import fit, open_run
from workbench.__main__ import main

CONFIG = """
data: {name: digits, labels: 50}
model: {num_components: 3, encoder: dense, decoder: dense, hidden_dims: [6]}
objective: {use_tau_classifier: true, w_label: 2.0, w_inv: 3.0, w_mi: 3.0}
train: {epochs: 3, batch_size: 124, self_label_epochs: 2}
"""


def test_two_processes_go_on_as_one_would(tmp_path):
    config, whole, begun, nowhere = (tmp_path / name for name in ("config.yaml", "whole", "begun", "nowhere"))
    config.write_text(CONFIG)
    dataset = load_dataset("digits")
    epochs = fit(load_config(config), dataset, whole)
    next(epochs)
    shutil.copytree(whole, begun)
    *_, last = epochs

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    environment = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "true", "XDG_CACHE_HOME": str(tmp_path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "workbench", "train", config, "--hosts", f"127.0.0.1:{port},2,{i}", "--out", folder],
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for i, folder in enumerate((begun, nowhere))
    ]
    try:
        told = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0]
    assert "clustering_accuracy" in told[0] and "clustering_accuracy" not in told[1] and not nowhere.exists()

    both = open_run(begun, dataset)
    assert [row["loss"] for row in both.history] == pytest.approx([row["loss"] for row in last.history], rel=1e-5)
    assert both.state.step == last.state.step == 33 and (last.state.self_labels >= 0).all()
    for a, b in zip(jax.tree.leaves(both.state), jax.tree.leaves(last.state), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("hosts", ["10.0.0.1:1234", "10.0.0.1:1234,2,two", "nowhere,2,0", "127.0.0.1:1234,2,2"])
def test_hosts_that_do_not_say_which_process_this_is_are_a_fault(hosts, capsys):
    assert main(["train", "fast", "--hosts", hosts]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: --hosts {hosts}: expected HOST:PORT,N,ID with ID below N, as in")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no address"), "--hosts auto: found neither Slurm"),
        (RuntimeError("no port"), "--hosts auto: no port"),
    ],
)
def test_processes_that_cannot_meet_are_a_fault(error, words, monkeypatch, capsys):
    def fails():
        raise error

    monkeypatch.setattr(jax.distributed, "initialize", fails)
    assert main(["train", "fast", "--hosts", "auto"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {words}")
