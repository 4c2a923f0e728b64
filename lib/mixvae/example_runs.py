"""A small config and a small data set that tests train on: equal shapes everywhere, so that code is compiled once."""

import os

import jax
import numpy as np

from mixvae.config import Config
from mixvae.config_file import override
from mixvae.data import Dataset

SHAPE = (48, 12, 9, 1)
TINY = {
    "data.validation": 120,
    "model.num_components": 5,
    "model.encoder": "dense",
    "model.decoder": "dense",
    "model.hidden_dims": [6],
    "train.batch_size": 7,
    "train.epochs": 3,
    "objective.w_inv": 10.0,
    "objective.w_mi": 10.0,
    "objective.beta_c": 0.5,
}
UNLABELLED = {"data.labels": 0, "objective.use_tau_classifier": False}
LABELS = {"data.labels": 6, "objective.use_tau_classifier": True}
STAGES = {"curriculum.enabled": True, "curriculum.k_active_schedule": [2, 5], "curriculum.unlock_epochs": [0, 1]}
CLASSES = ("round", "square", "other")


def tiny_config(**settings) -> Config:
    """TINY with six labels, and with `settings` by their path."""
    return override(Config(), TINY | LABELS | settings)


def tiny_images(count: int, seed: int) -> np.ndarray:
    """uint8 noise over a bright bar whose place follows from the image's number modulo 3."""
    x = np.random.default_rng(seed).integers(0, 60, (count, *SHAPE[1:]), dtype=np.uint8)
    for label in range(3):
        x[label::3, 4 * label : 4 * label + 4] += np.uint8(190)
    return x


def tiny_dataset() -> Dataset:
    """48 training, 120 validation and 130 test images of 12 x 9 pixels in three classes."""
    sizes = {"train": SHAPE[0], "val": 120, "test": 130}
    images = {f"x_{split}": tiny_images(n, seed) for seed, (split, n) in enumerate(sizes.items())}
    labels = {f"y_{split}": (np.arange(n) % 3).astype(np.int32) for split, n in sizes.items()}
    return Dataset("tiny", **images, **labels, class_names=CLASSES)


def same(a, b) -> bool:
    """Two trees of equal structure whose arrays hold the same numbers, bit by bit."""
    return all(np.array_equal(x, y) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def files(folder) -> set[str]:
    """The names of what a folder holds."""
    return set(os.listdir(folder))
