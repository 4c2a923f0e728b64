"""What the steps of an epoch read: all of it at once, or of images on disk the part that comes next."""

import numpy as np

from mixvae.step import Data

WINDOW = 64  # steps; a call maps XLA's memory anew, and two windows of bytes weigh less than what a step holds


class Epoch:
    """The Data of an epoch whose first step is number `first`, in one part."""

    def __init__(self, data: Data, first: int):
        self.data, self.first, self.longest = data, first, len(data.order)

    def end(self, step: int) -> int:
        """The step after the last of the part that `step` is in; no part has more than `longest`."""
        return self.first + len(self.data.order)

    def at(self, step: int) -> Data:
        """The part that `step` is in."""
        return self.data

    def read_ahead(self, step: int):
        """Make the part after that of `step` ready."""


class EpochOnDisk(Epoch):
    """An epoch whose images are `OnDisk`, in windows of WINDOW steps, each with its own images alone."""

    def __init__(self, data: Data, first: int):
        super().__init__(data, first)
        self.longest = min(WINDOW, self.longest)
        self.order, self.drawn = np.asarray(data.order), np.asarray(data.drawn)
        self.ready = {}  # windows by their number

    def end(self, step: int) -> int:
        """The step after the last of the window that `step` is in."""
        return min((step // WINDOW + 1) * WINDOW, super().end(step))

    def at(self, step: int) -> Data:
        """The window that `step` is in, as it was read ahead, or read now."""
        number = step // WINDOW
        self.ready = {number: self.ready.get(number) or self.read(number)}
        return self.ready[number]

    def read_ahead(self, step: int):
        """Read the window after that of `step`."""
        number = step // WINDOW + 1
        if number not in self.ready and number * WINDOW < super().end(step):
            self.ready = self.ready | {number: self.read(number)}

    def read(self, number: int) -> Data:
        """A window; step s stands at s modulo WINDOW, as `draw` looks for it."""
        steps = number * WINDOW + np.arange(WINDOW) - self.first
        steps = np.clip(steps, 0, len(self.order) - 1)  # what the epoch cuts off is filled up, and never run
        rows = np.concatenate([self.order[steps], self.drawn[steps]], 1)
        places = np.arange(rows.size, dtype=np.int32).reshape(rows.shape)
        batch = self.order.shape[1]
        return self.data._replace(
            x=np.asarray(self.data.x[rows.ravel()]),
            self_labels=np.asarray(self.data.self_labels)[rows.ravel()],
            order=places[:, :batch],
            drawn=places[:, batch:],
            labels=np.asarray(self.data.labels)[steps],
        )
