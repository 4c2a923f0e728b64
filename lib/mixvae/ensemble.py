"""Several seeds of one config trained at once, their steps under one `vmap`: what small nets leave idle of a GPU."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from mixvae.config import Config
from mixvae.data import Dataset
from mixvae.on_disk import OnDisk
from mixvae.runs import Snapshot, build_trainer, epoch_row
from mixvae.state import State
from mixvae.step import replicate, run_steps
from mixvae.trainer import Trainer


def fit_together(configs: list[Config], dataset: Dataset) -> Iterator[list[Snapshot]]:
    """Train configs that differ in their seed alone to their last epoch, one Snapshot each an epoch.

    Each is what `runs.fit` gives of its config, up to rounding. Raises ValueError where another setting differs, or
    where the images stay on disk.
    """
    if len({replace(config, train=replace(config.train, seed=0)) for config in configs}) != 1:
        raise ValueError("runs that are trained together differ in train.seed alone; train the others one by one")
    if isinstance(dataset.x_train, OnDisk):
        raise ValueError(f"{dataset.name} stays on disk; runs that are trained together share it on the device")
    on_device = replace(dataset, x_train=build_trainer(configs[0], dataset).x_train)
    trainers = [build_trainer(config, on_device) for config in configs]
    states, histories = [trainer.init() for trainer in trainers], [[] for _ in trainers]
    for _ in range(configs[0].train.epochs):
        states, columns = advance_together(trainers, states)
        for trainer, state, column, history in zip(trainers, states, columns, histories, strict=True):
            history.append(epoch_row(trainer, state, column))
        yield [Snapshot(*run) for run in zip(trainers, states, map(list, histories), strict=True)]


def advance_together(
    trainers: list[Trainer], states: list[State], steps: int | None = None
) -> tuple[list[State], list[dict[str, np.ndarray]]]:
    """`Trainer.advance` for every State, all at the same step."""
    coming = [trainer.coming(state, steps) for trainer, state in zip(trainers, states, strict=True)]
    first = trainers[0]
    run = partial(run_steps, first.objective, first.optimiser, sharding=first.sharding)
    stacked, axes = together(coming)
    stacked = replicate(stacked, first.sharding)
    each = apart(jax.vmap(run, in_axes=(axes,), axis_size=len(trainers))(stacked), len(trainers))
    done = [
        trainer.done(state, now, *result)
        for trainer, state, now, result in zip(trainers, states, coming, each, strict=True)
    ]
    return [state for state, _ in done], [columns for _, columns in done]


def together(trees: list[Any]) -> tuple[Any, Any]:
    """Trees of one shape as one: leaves that all share stay as they are, axis None; the others are stacked, axis 0."""

    def same(leaves: tuple) -> bool:
        return all(
            leaf is leaves[0] or (isinstance(leaf, np.ndarray | np.generic) and np.array_equal(leaf, leaves[0]))
            for leaf in leaves
        )

    columns = list(zip(*(jax.tree.leaves(tree) for tree in trees), strict=True))
    structure = jax.tree.structure(trees[0])
    shared = [same(leaves) for leaves in columns]
    stacked = [leaves[0] if one else jnp.stack(leaves) for leaves, one in zip(columns, shared, strict=True)]
    axes = [None if one else 0 for one in shared]
    return jax.tree.unflatten(structure, stacked), jax.tree.unflatten(structure, axes)


@partial(jax.jit, static_argnums=1)
def apart(stacked: Any, count: int) -> list[Any]:
    """The `count` trees that a stacked one is made of."""
    return [jax.tree.map(lambda leaf, i=i: leaf[i], stacked) for i in range(count)]
