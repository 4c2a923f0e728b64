"""Training on images that stay on disk is training on the same images in memory."""

from itertools import cycle

import numpy as np
import pytest

from mixvae import Trainer, epochs, load_dataset
from mixvae.ensemble import fit_together
from mixvae.example_files import save_npy_folder, save_npz
from mixvae.example_runs import same, tiny_config, tiny_images
from mixvae.on_disk import OnDisk
from mixvae.runs import build_trainer


def both(folder) -> tuple[Trainer, Trainer]:
    """Trainers on 59 images, with 31 for validation, in memory and on disk."""
    arrays = {"x_train": tiny_images(90, 0), "y_train": np.arange(90) % 3, "x_test": tiny_images(5, 1)}
    config = tiny_config(**{"data.validation": 31, "objective.w_label": 5.0, "train.self_label_epochs": 1})
    paths = save_npz(folder / "own.npz", **arrays), save_npy_folder(folder / "own", **arrays)
    return tuple(build_trainer(config, load_dataset(path, validation=31)) for path in paths)


def test_on_disk_and_in_memory_train_to_equal_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(epochs, "WINDOW", 3)  # of eight steps an epoch
    memory, disk = both(tmp_path)
    assert isinstance(disk.x_train, OnDisk) and not isinstance(memory.x_train, OnDisk)
    expected, found, sizes = memory.init(), disk.init(), cycle([1, 5, 2, None])
    for _ in range(2):
        expected, columns = memory.advance(expected)
        parts = []
        while found.step < expected.step:
            found, part = disk.advance(found, next(sizes))
            parts.append(part)
        for name, column in columns.items():
            assert np.array_equal(np.concatenate([p[name] for p in parts if name in p]), column), name
    assert same(found, expected)


def test_no_more_than_a_window_is_read_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(epochs, "WINDOW", 3)
    _, trainer = both(tmp_path)
    state, read, announce = trainer.init(), [], OnDisk._announce
    monkeypatch.setattr(OnDisk, "_announce", lambda self: (read.append(self.rows.tolist()), announce(self)))
    for _ in range(7):  # a step at a time
        state, _ = trainer.advance(state, 1)
    data = trainer.reading(state).data
    steps = [np.concatenate([data.order, data.drawn], 1)[part].ravel() for part in ([0, 1, 2], [3, 4, 5], [6, 7, 7])]
    assert read == [trainer.x_train.rows[rows].tolist() for rows in steps]


def test_what_is_on_disk_is_not_trained_together(tmp_path):
    path = save_npy_folder(tmp_path / "own", x=tiny_images(20, 0))
    with pytest.raises(ValueError, match="own stays on disk"):
        next(fit_together([tiny_config(**{"data.validation": 0})], load_dataset(path)))
