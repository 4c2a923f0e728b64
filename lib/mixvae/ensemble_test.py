"""Seeds trained together are the seeds trained one by one."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from mixvae import Config, load_dataset
from mixvae.config_file import override
from mixvae.ensemble import fit_together, together
from mixvae.runs import fit

SMALL = override(
    Config(),
    {
        "data.name": "digits",
        "data.labels": 30,
        "model.encoder": "dense",
        "model.decoder": "dense",
        "model.hidden_dims": [12, 8],
        "objective.w_inv": 3.0,
        "objective.w_mi": 2.0,
        "objective.w_label": 4.0,
        "objective.use_tau_classifier": True,
        "train.epochs": 5,
        "train.starts": 2,
        "train.regroups": 1,
        "train.start_epochs": 1,
        "train.self_label_epochs": 1,
    },
)


def seeds(*numbers, config=SMALL):
    return [replace(config, train=replace(config.train, seed=number)) for number in numbers]


def test_seeds_trained_together_are_the_seeds_trained_one_by_one():
    dataset = load_dataset("digits")
    *_, last = fit_together(seeds(0, 5, 7), dataset)
    for config, snapshot in zip(seeds(0, 5, 7), last, strict=True):
        *_, alone = fit(config, dataset)
        assert snapshot.trainer.config == config and snapshot.state.step == alone.state.step
        assert [row["loss"] for row in snapshot.history] == pytest.approx([r["loss"] for r in alone.history], rel=1e-4)
        for a, b in zip(jax.tree.leaves(snapshot.state.average), jax.tree.leaves(alone.state.average), strict=True):
            np.testing.assert_allclose(a, b, atol=2e-3)
        np.testing.assert_allclose(snapshot.state.tau_counts, alone.state.tau_counts, atol=0.02)


def test_only_seeds_are_trained_together():
    with pytest.raises(ValueError, match=r"differ in train\.seed alone"):
        next(fit_together([SMALL, override(SMALL, {"train.epochs": 6})], load_dataset("digits")))


def test_what_all_share_is_not_stacked():
    images, order = np.arange(6), [jax.numpy.arange(4), jax.numpy.arange(4)]
    (x, step, mine), axes = together([(images, np.int32(3), order[0]), (images, np.int32(3), order[1])])
    assert x is images and step == 3 and mine.shape == (2, 4) and axes == (None, None, 0)
