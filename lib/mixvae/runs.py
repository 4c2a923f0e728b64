"""Runs: trained epoch by epoch, saved and gone on with where they stopped."""

import math
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from mixvae.checkpoint import CHECKPOINT, CONFIG, PREVIOUS, Row, load_aloud, save
from mixvae.config import Config, Knobs
from mixvae.config_file import dump_config, load_config
from mixvae.data import Dataset, draw_labels, load_dataset
from mixvae.folder import locked, sweep_partials
from mixvae.metrics import effective_channels
from mixvae.state import State
from mixvae.step import broadcast
from mixvae.trainer import Trainer, joined

PARTS = 20


class Snapshot(NamedTuple):
    """A run at the end of an epoch: `history` has one row an epoch, the last one this one's."""

    trainer: Trainer
    state: State
    history: list[Row]


def build_trainer(config: Config, dataset: Dataset) -> Trainer:
    """A Trainer on the dataset's training images, with as many labels as the config asks for.

    Raises ValueError where the dataset was split otherwise than the config says.
    """
    if len(dataset.x_val) != config.data.validation:
        raise ValueError(
            f"data.validation={config.data.validation}, and the dataset holds out {len(dataset.x_val)} images; "
            "load it with load_dataset(config.data.name, validation=config.data.validation)"
        )
    classes = max(dataset.num_classes, 1)  # where nothing is labelled, a table of one column
    labels = draw_labels(dataset.y_train, config.data.labels, classes, config.train.seed)
    return Trainer(config, dataset.x_train, labels, classes, dataset.x_val)


def fit(
    config: Config,
    dataset: Dataset | None = None,
    folder: str | Path | None = None,
    progress: Callable[[int], Any] | None = None,
    resumed: Callable[[Snapshot], Any] | None = None,
) -> Iterator[Snapshot]:
    """Train to the config's last epoch, one Snapshot an epoch; with a folder, save each and go on from the last one.

    `dataset` defaults to the one that the config names; `progress` hears of the steps done, PARTS times an epoch at
    most, `resumed` of the Snapshot that a folder's run goes on from.
    Of several processes that train together the first reads and writes the folder. Raises ValueError where the folder
    holds a run of another config, or another process trains that run.
    """
    dataset = dataset or load_dataset(config.data.name, validation=config.data.validation)
    trainer = build_trainer(config, dataset)
    folder = folder if jax.process_index() == 0 else None
    with locked(folder) if folder else nullcontext():
        state, history = resume(trainer, folder) if folder else (trainer.init(), [])
        state, done = broadcast((state, len(history)))
        if resumed and history:
            resumed(Snapshot(trainer, state, history))
        for _ in range(done, config.train.epochs):
            state, columns = train_epoch(trainer, state, progress)
            history = [*history, epoch_row(trainer, state, columns)]
            if folder:
                save(folder, trainer, state, history)
            yield Snapshot(trainer, state, history)


def train_epoch(
    trainer: Trainer, state: State, progress: Callable[[int], Any] | None
) -> tuple[State, dict[str, np.ndarray]]:
    """`Trainer.advance` to the end of the epoch, in parts where somebody listens."""
    if progress is None:
        return trainer.advance(state)
    parts, goal = [], int(state.step) + trainer.steps_per_epoch
    while state.step < goal:
        state, columns = trainer.advance(state, math.ceil(trainer.steps_per_epoch / PARTS))
        parts.append(columns)
        progress(len(columns["loss"]))
    return state, joined(parts)


def open_run(folder: str | Path, dataset: Dataset) -> Snapshot:
    """A saved run, on the dataset it was trained on."""
    trainer = build_trainer(load_config(Path(folder) / CONFIG), dataset)
    return Snapshot(trainer, *load_aloud(folder, trainer))


def epoch_row(trainer: Trainer, state: State, columns: dict[str, np.ndarray]) -> Row:
    """Means of the terms and of the usage over an epoch's columns, and the knobs of its last step."""
    row = {"epoch": int(state.step) // trainer.steps_per_epoch, "step": int(state.step)}
    row |= {name: float(column.mean()) for name, column in columns.items() if column.ndim == 1}
    usage = columns["usage"].mean(0, dtype=np.float64)
    row |= {"usage": usage.tolist(), "effective_channels": effective_channels(usage / usage.sum())}
    return row | {name: float(columns[name][-1]) for name in Knobs._fields}


def resume(trainer: Trainer, folder: str | Path) -> tuple[State, list[Row]]:
    """The last complete epoch in `folder`, or a fresh start where it holds none; what was half written is deleted.

    Raises ValueError rather than replace a config that somebody else wrote there.
    """
    folder = Path(folder)
    sweep_partials(folder)
    if not any((folder / name).exists() for name in (CHECKPOINT, PREVIOUS)):
        mine = folder / CONFIG
        if mine.exists() and mine.read_text(encoding="utf-8") != dump_config(trainer.config):
            raise ValueError(f"{mine} is not of this run, which would replace it; choose another folder")
        return trainer.init(), []
    return load_aloud(folder, trainer)
