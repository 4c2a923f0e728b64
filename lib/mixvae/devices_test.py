"""Training over seven devices, an image of the batch on each, is training on one."""

import os
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

from mixvae import Trainer
from mixvae.ensemble import advance_together
from mixvae.example_runs import STAGES, tiny_config, tiny_dataset
from mixvae.step import over_devices


def trained(together: bool) -> dict[str, np.ndarray]:
    """Terms, averaged weights and tau counts of two seeds after two epochs, with an unlock between them."""
    data, states, found = tiny_dataset(), [], {}
    labels = np.where(np.arange(len(data.y_train)) < 6, data.y_train, -1)
    configs = [tiny_config(**STAGES, **{"objective.w_label": 5.0, "train.seed": seed}) for seed in (0, 5)]
    first = Trainer(configs[0], data.x_train, labels, 3, data.x_val)
    trainers = [first, Trainer(configs[1], first.x_train, labels, 3, data.x_val)]
    states = [trainer.init() for trainer in trainers]
    for epoch in range(2):
        if together:
            states, columns = advance_together(trainers, states)
        else:
            both = [trainer.advance(state) for trainer, state in zip(trainers, states, strict=True)]
            states, columns = zip(*both, strict=True)
        for seed, terms in enumerate(columns):
            found |= {f"seed {seed}, epoch {epoch}, {name}": column for name, column in terms.items()}
    for seed, state in enumerate(states):
        found |= {f"seed {seed}, weights {i}": leaf for i, leaf in enumerate(jax.tree.leaves(state.average))}
        found[f"seed {seed}, tau counts"] = state.tau_counts
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What a process with seven devices wrote: its numbers, and the steps as they were compiled."""
    path = tmp_path_factory.mktemp("seven")
    flags = "--xla_force_host_platform_device_count=7 --xla_dump_hlo_module_re=.*run_steps.* --xla_dump_to="
    environment = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "true", "XLA_FLAGS": f"{flags}{path}"}
    command = [sys.executable, "-W", "error", __file__, path]
    subprocess.run(command, env=os.environ | environment, check=True, timeout=300)
    return path


def test_seven_devices_reach_what_one_reaches(folder):
    one = trained(together=False)
    with np.load(folder / "numbers.npz") as seven:
        assert set(seven) == set(one)
        for name, expected in one.items():
            np.testing.assert_allclose(seven[name], expected, rtol=1e-4, atol=1e-5, err_msg=name)


def test_the_gradients_are_summed_over_the_devices(folder):
    (compiled,) = folder.glob("*run_steps*after_optimizations.txt")
    assert "num_partitions=7" in compiled.read_text() and "all-reduce(" in compiled.read_text()


def test_a_batch_without_equal_parts_trains_on_one_device_and_says_so(monkeypatch):
    assert over_devices(7) is None
    monkeypatch.setattr(jax, "devices", lambda: [None] * 3)
    with pytest.warns(UserWarning, match=r"train\.batch_size=7 has no equal parts for 3 devices; one of them trains"):
        assert over_devices(7) is None


def test_several_processes_refuse_a_batch_without_equal_parts(monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: [None] * 4)
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    with pytest.raises(ValueError, match=r"train\.batch_size=7 has no equal parts for 4 devices; set a multiple of 4"):
        over_devices(7)


if __name__ == "__main__":
    np.savez(Path(sys.argv[1]) / "numbers.npz", **trained(together=True))
