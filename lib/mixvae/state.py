"""All that changes while training."""

from typing import Any, NamedTuple

from jaxtyping import Array

from mixvae.config import Knobs
from mixvae.schedules import Curriculum


class Start(NamedTuple):
    """Weights and optimiser at the end of a start's epoch, and what they are compared by."""

    params: Any
    average: Any
    optimiser: Any
    label_free: Array  # float32, nats: lower is better


class State(NamedTuple):
    """All that changes while training, and all that is saved; continuing from a copy gives the same numbers."""

    params: Any
    average: Any  # exponential moving average of params: what is shown and evaluated
    optimiser: Any
    key: Array  # uint32 [2]: every random number follows from it and the step
    step: Array  # int32
    knobs: Knobs  # of the last step, or where an epoch begins of the next, without an unlock's boost; float32
    held: Knobs  # bool: taken off its schedule
    tau_counts: Array  # float32 [K, Y]
    self_labels: Array  # int32 [N]: the channel that regrouping gave each training image, -1 where none
    curriculum: Curriculum
    best: Start | tuple[()]  # of the starts so far; empty where train.starts is 0
