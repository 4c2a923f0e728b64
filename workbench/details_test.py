"""The details of runs on a small data set."""

from functools import lru_cache

import numpy as np
import pytest

from mixvae import fit, predict
from mixvae.example_runs import tiny_config, tiny_dataset
from mixvae.metrics import calibration
from mixvae.runs import Snapshot
from workbench import details
from workbench.scores import scores


@lru_cache
def run(output: str = "standard", seed: int = 0) -> Snapshot:
    *_, last = fit(tiny_config(**{"model.output": output, "train.seed": seed}), tiny_dataset())
    return last


def test_points_are_kept_of_the_first_seed_alone():
    points = details.placed(run(), tiny_dataset())
    assert len(points) == 130 and set(points[0]) == {"channel", "z1", "z2", "label"}
    channel = predict(run().trainer.model, run().state, tiny_dataset().x_test).channel
    assert [point["channel"] for point in points] == channel.tolist()
    assert details.placed(run(seed=1), tiny_dataset()) == []


def test_every_epoch_says_which_channels_were_unlocked_and_used():
    rows = details.by_epoch(run(), tiny_dataset())
    assert [row["epoch"] for row in rows] == [1, 2, 3] and {row["k_active"] for row in rows} == {5}
    assert all(1 <= row["effective_channels"] <= 5 and row["recon"] > 0 for row in rows)


def test_every_large_channel_has_its_calibration_as_trained_and_scaled(monkeypatch):
    monkeypatch.setattr(details, "MINIMUM", 1)
    monkeypatch.setattr("mixvae.metrics.MINIMUM", 1)
    data, snapshot = tiny_dataset(), run("heteroscedastic")
    rows = details.by_channel(snapshot, data)
    trained, scaled = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    assert sum(row["images"] for row in trained) == 130 and {row["scalar"] for row in trained} == {1.0}
    held_out = predict(snapshot.trainer.model, snapshot.state, data.x_val)
    fitted = calibration(data.x_val / 255, held_out.mean, held_out.sigma, 0.05, 0.5).mean_z2 ** 0.5
    for before, after in zip(trained, scaled, strict=True):
        assert after["channel"] == before["channel"] and after["scalar"] == pytest.approx(fitted, rel=1e-4)
        assert after["mean_z2"] == pytest.approx(before["mean_z2"] / fitted**2, rel=1e-3)
    whole = scores(snapshot, data)
    together = np.average([row["share_low"] for row in trained], weights=[row["images"] for row in trained])
    assert whole["share_low"] == pytest.approx(together, rel=1e-4)


def test_a_head_without_a_sigma_has_no_calibration():
    assert details.by_channel(run(), tiny_dataset()) == [] and "mean_z2" not in scores(run(), tiny_dataset())


def test_gradients_are_measured_for_every_estimator_at_every_temperature(monkeypatch):
    monkeypatch.setattr(details, "DRAWS", 20)
    rows = details.gradients(run(), tiny_dataset())
    assert [(row["tau"], row["estimator"]) for row in rows] == [
        (tau, name) for tau in details.TEMPERATURES for name in ("straight_through", "gumbel", "exact")
    ]
    assert all(row["relative"] == 0 and row["noise"] == 0 for row in rows if row["estimator"] == "exact")
