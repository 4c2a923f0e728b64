"""A run on disk: its config, and a checkpoint of all that changes, written whole or not at all.

A folder holds `config.yaml`, `run.msgpack` and, where there was an earlier epoch, `previous.msgpack`. A checkpoint is a
line with the format's version and the SHA-256 of what follows, then msgpack of the config, the state and the history.
"""

import hashlib
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import serialization

from mixvae.config import Config, Knobs
from mixvae.config_file import differences, dump_config, load_config, parse_config
from mixvae.data import Dataset, draw_labels, load_dataset
from mixvae.lock import locked, partial_name, sweep_partials
from mixvae.metrics import effective_channels
from mixvae.state import State
from mixvae.step import agreed
from mixvae.trainer import Trainer, joined

MAGIC = "mixvae-run"
VERSION = 3
PARTS = 20
CHECKPOINT, PREVIOUS, CONFIG = "run.msgpack", "previous.msgpack", "config.yaml"

Row = dict[str, Any]


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

    `dataset` defaults to the one that the config names; `progress` hears of the steps done, PARTS times an epoch,
    `resumed` of the Snapshot that a folder's run goes on from.
    Of several processes that train together the first reads and writes the folder. Raises ValueError where the folder
    holds a run of another config, or another process trains that run.
    """
    dataset = dataset or load_dataset(config.data.name, validation=config.data.validation)
    trainer = build_trainer(config, dataset)
    folder = folder if jax.process_index() == 0 else None
    with locked(folder) if folder else nullcontext():
        state, history = resume(trainer, folder) if folder else (trainer.init(), [])
        state, done = agreed((state, len(history)))
        if resumed and history:
            resumed(Snapshot(trainer, state, history))
        for _ in range(done, config.train.epochs):
            state, columns = train_epoch(trainer, state, progress)
            history = [*history, epoch_row(trainer, state, columns)]
            if folder:
                save(folder, config, state, history)
            yield Snapshot(trainer, state, history)


def train_epoch(
    trainer: Trainer, state: State, progress: Callable[[int], Any] | None
) -> tuple[State, dict[str, np.ndarray]]:
    """`Trainer.advance` to the end of the epoch, in parts where somebody listens."""
    if progress is None:
        return trainer.advance(state)
    parts, goal = [], int(state.step) + trainer.steps_per_epoch
    while state.step < goal:
        state, columns = trainer.advance(state, max(1, trainer.steps_per_epoch // PARTS))
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
    """The last complete epoch in `folder`, or a fresh start where it holds none; what was half written is deleted."""
    sweep_partials(folder)
    if not any((Path(folder) / name).exists() for name in (CHECKPOINT, PREVIOUS)):
        return trainer.init(), []
    return load_aloud(folder, trainer)


def save(folder: str | Path, config: Config, state: State, history: list[Row], light: bool = False):
    """Write a run, replacing what `folder` held of it; `light` keeps the averaged weights alone, in half precision."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tree = serialization.to_state_dict(jax.tree.map(np.asarray, state))
    if light:
        tree["average"] = jax.tree.map(lambda a: a.astype(np.float16), tree["average"])
        tree = {name: tree[name] for name in ("average", "key", "step", "knobs", "held", "tau_counts", "curriculum")}
    payload = serialization.msgpack_serialize({"config": dump_config(config), "state": tree, "history": history})
    header = f"{MAGIC} {VERSION} {hashlib.sha256(payload).hexdigest()}\n".encode()
    write_atomically(folder / CONFIG, dump_config(config).encode())
    if readable(folder / CHECKPOINT):
        os.replace(folder / CHECKPOINT, folder / PREVIOUS)
    write_atomically(folder / CHECKPOINT, header + payload)
    if light:
        (folder / PREVIOUS).unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes):
    """Write a file by rename, so that a reader finds the old content or the new; an OSError names the file."""
    partial = partial_name(path)
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise OSError(error.errno, error.strerror or str(error), str(path)) from error
        raise


def load(folder: str | Path, trainer: Trainer) -> tuple[State, list[Row], str]:
    """The state and the history of a run, and in words what was wrong with its newest checkpoint, if anything was.

    Raises FileNotFoundError where there is no checkpoint, ValueError where none can be read, or where what was read is
    of another config or of other images.
    """
    folder, faults = Path(folder), []
    for name in (CHECKPOINT, PREVIOUS):
        try:
            tree = read_checkpoint(folder / name)
        except FileNotFoundError:
            continue
        except ValueError as error:
            faults.append(f"{folder / name}: {error}")
            continue
        try:
            if (config := parse_config(tree["config"])) != trainer.config:
                both = differences(config, trainer.config)
                found = ", ".join(f"{path}={a!r} where {b!r} was asked for" for path, a, b in both)
                raise ValueError(f"holds a run of another config, {found}; choose another folder, or load its {CONFIG}")
            return restore(trainer, tree["state"]), tree["history"], "; ".join(faults)
        except (ValueError, TypeError, AttributeError, KeyError) as error:  # as flax finds other trees
            raise ValueError(f"{folder / name}: {error}") from None
    if faults:
        raise ValueError("; ".join(faults))
    raise FileNotFoundError(f"{folder} holds no {CHECKPOINT}")


def load_aloud(folder: str | Path, trainer: Trainer) -> tuple[State, list[Row]]:
    """`load`, with a warning where the newest checkpoint could not be read and the one before it was."""
    state, history, fault = load(folder, trainer)
    if fault:
        warnings.warn(f"{fault}; using the checkpoint before it, of epoch {len(history)}", stacklevel=3)
    return state, history


def readable(path: Path) -> bool:
    """Whether there is a whole checkpoint; a damaged one must not take the place of a good one."""
    try:
        read_checkpoint(path)
    except (FileNotFoundError, ValueError):
        return False
    return True


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The checked content of a checkpoint. Raises ValueError for another format, another version, or damage."""
    header, _, payload = path.read_bytes().partition(b"\n")
    magic, version, digest = (header[:200].decode("ascii", "replace").split() + ["?"] * 3)[:3]
    if magic != MAGIC:
        raise ValueError("not a checkpoint of this project")
    if version != str(VERSION):
        raise ValueError(f"checkpoint format {version}; this version reads format {VERSION}")
    if hashlib.sha256(payload).hexdigest() != digest:
        raise ValueError("damaged: its content does not match its checksum")
    return checked(payload)


def checked(payload: bytes) -> dict[str, Any]:
    """The config, state and history that a checkpoint holds. Raises ValueError where it holds something else."""
    try:
        tree = serialization.msgpack_restore(payload)
    except Exception as error:  # msgpack's, NumPy's and flax's readers raise many unrelated kinds
        raise ValueError(f"its content cannot be read ({type(error).__name__}: {error})") from None
    kinds = {"config": str, "state": dict, "history": list}
    if not isinstance(tree, dict) or [*map(type, map(tree.get, kinds))] != [*kinds.values()]:
        raise ValueError("its content is no run: expected config, state and history")
    if not all(isinstance(row, dict) for row in tree["history"]):
        raise ValueError("its history is no list of rows")
    return tree


def restore(trainer: Trainer, tree: dict[str, Any]) -> State:
    """A State from a checkpoint's tree; what a light one left out is as at a start, with the averaged weights.

    Raises ValueError where its arrays are not those of this trainer's State.
    """
    average = jax.tree.map(lambda a: np.asarray(a, np.float32), tree.get("average"))
    expected = jax.eval_shape(trainer.first, jax.random.PRNGKey(0)).params  # its weights would only be thrown away
    if jax.tree.map(np.shape, average) != jax.tree.map(np.shape, expected):
        raise ValueError(f"the checkpoint is of images of another shape than {trainer.x_train.shape[1:]}")
    fresh = trainer.init(average)
    complete = {**serialization.to_state_dict(fresh), "params": average, **tree, "average": average}
    try:
        state = serialization.from_state_dict(fresh, complete)
    except Exception as error:  # flax raises many unrelated kinds for other trees
        raise ValueError(f"the arrays of the checkpoint are not those of this config's run ({error})") from None
    if jax.tree.map(described, state) != jax.tree.map(described, fresh):
        raise ValueError("the arrays of the checkpoint are not those of this config's run")
    return state


def described(leaf: Any) -> tuple:
    """Shape and type of an array."""
    return np.shape(leaf), np.asarray(leaf).dtype
