"""A run's checkpoints: all that changes, written whole or not at all, and damage named.

A folder holds `config.yaml`, `run.msgpack` and, where there was an earlier epoch, `previous.msgpack`. A checkpoint is a
line with the format's version and the SHA-256 of what follows, then msgpack of the config, the digest of the training
images, the state and the history.
"""

import hashlib
import os
import warnings
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import serialization

from mixvae.config_file import differences, dump_config, parse_config
from mixvae.folder import write_atomically
from mixvae.state import State
from mixvae.trainer import Trainer

MAGIC = "mixvae-run"
VERSION = 6
CHECKPOINT, PREVIOUS, CONFIG = "run.msgpack", "previous.msgpack", "config.yaml"
OWN_IMAGES = "bring the run's own images back, or choose another folder"

Row = dict[str, Any]


def save(folder: str | Path, trainer: Trainer, state: State, history: list[Row], light: bool = False):
    """Write a run, replacing what `folder` held of it; `light` keeps the averaged weights alone, in half precision."""
    folder, config = Path(folder), dump_config(trainer.config)
    folder.mkdir(parents=True, exist_ok=True)
    tree = serialization.to_state_dict(jax.tree.map(np.asarray, state))
    if light:
        tree["average"] = jax.tree.map(lambda a: a.astype(np.float16), tree["average"])
        tree = {name: tree[name] for name in ("average", "key", "step", "knobs", "held", "tau_counts", "curriculum")}
    content = {"config": config, "images": trainer.digest, "state": tree, "history": history}
    payload = serialization.msgpack_serialize(content)
    header = f"{MAGIC} {VERSION} {hashlib.sha256(payload).hexdigest()}\n".encode()
    write_atomically(folder / CONFIG, config.encode())
    if readable(folder / CHECKPOINT):
        os.replace(folder / CHECKPOINT, folder / PREVIOUS)
    write_atomically(folder / CHECKPOINT, header + payload)
    if light:
        (folder / PREVIOUS).unlink(missing_ok=True)


def load(folder: str | Path, trainer: Trainer) -> tuple[State, list[Row], str]:
    """The state and the history of a run, and in words what was wrong with its newest checkpoint, if anything was.

    Raises FileNotFoundError where there is no checkpoint, ValueError where none can be read, or where what was read is
    of another config, or of other images.
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
            state = restore(trainer, tree["state"])
            if tree["images"] != trainer.digest:
                raise ValueError(f"the checkpoint is of other training images; {OWN_IMAGES}")
            return state, tree["history"], "; ".join(faults)
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
    kinds = {"config": str, "images": str, "state": dict, "history": list}
    if not isinstance(tree, dict) or [*map(type, map(tree.get, kinds))] != [*kinds.values()]:
        raise ValueError("its content is no run: expected config, images, state and history")
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
        raise ValueError(f"the checkpoint is of images of another shape than {trainer.x_train.shape[1:]}; {OWN_IMAGES}")
    fresh = trainer.init(average)
    complete = {**serialization.to_state_dict(fresh), "params": average, **tree, "average": average}
    try:
        state = serialization.from_state_dict(fresh, complete)
    except Exception as error:  # flax raises many unrelated kinds for other trees
        raise ValueError(f"the arrays of the checkpoint are not those of this config's run ({error})") from None
    before, now = np.shape(state.self_labels), np.shape(fresh.self_labels)
    if len(before) == 1 and before != now:
        found = f"{before[0]} training images, and there are {now[0]}"
        raise ValueError(f"the checkpoint is of {found}; {OWN_IMAGES}")
    if jax.tree.map(described, state) != jax.tree.map(described, fresh):
        raise ValueError("the arrays of the checkpoint are not those of this config's run")
    return state


def described(leaf: Any) -> tuple:
    """Shape and type of an array."""
    return np.shape(leaf), np.asarray(leaf).dtype
