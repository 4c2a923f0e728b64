"""The terms of a run over time, thinned while it trains."""

import math
from collections.abc import Sequence

import numpy as np

from mixvae.checkpoint import Row

POINTS_PER_EPOCH = 40


def with_chunk(curves: Sequence[Row], epoch: float, columns: dict[str, np.ndarray]) -> list[Row]:
    """`curves` with a chunk of steps that ended at `epoch`: one row, their mean, for each part of an epoch."""
    steps = len(columns["loss"])
    row = {"epoch": epoch, "steps": steps} | {name: column.mean(0) for name, column in columns.items()}
    last = curves[-1] if curves else {}
    if "steps" not in last or part(last["epoch"]) != part(epoch):
        return [*curves, row]
    share = steps / (steps + last["steps"])
    mixed = {name: (1 - share) * last[name] + share * row[name] for name in columns if name in last}
    return [*curves[:-1], row | mixed | {"steps": steps + last["steps"]}]


def part(epoch: float) -> int:
    """Which of the parts of all epochs a chunk ended in; an epoch's end is in its last one."""
    return math.ceil(round(epoch * POINTS_PER_EPOCH, 6))
