"""What the steps of an epoch read: all of it at once, or of images on disk the part that comes next."""

import jax.numpy as jnp
import numpy as np

from mixvae.step import Data

WINDOW = 64  # steps; a call maps XLA's memory anew, and two windows of small images weigh less than what a step holds


class Epoch:
    """The Data of an epoch, in one part."""

    def __init__(self, data: Data):
        self.data, self.longest = data, len(data.order)

    def end(self, step: int) -> int:
        """The step after the last of the part that `step` is in; no part has more than `longest`."""
        return int(self.data.first) + len(self.data.order)

    def at(self, step: int) -> Data:
        """The part that `step` is in."""
        return self.data

    def read_ahead(self, step: int):
        """Make the part after that of `step` ready."""


class EpochOnDisk(Epoch):
    """An epoch whose images are `OnDisk`, in windows of WINDOW steps, each with its own images alone."""

    def __init__(self, data: Data):
        super().__init__(data)
        self.longest = min(WINDOW, self.longest)
        self.order, self.drawn = np.asarray(data.order), np.asarray(data.drawn)
        self.ready = {}  # windows by their first step

    def window(self, step: int) -> int:
        """The first step of the window that `step` is in."""
        return step - (step - int(self.data.first)) % WINDOW

    def end(self, step: int) -> int:
        """The step after the last of the window that `step` is in."""
        return min(self.window(step) + WINDOW, super().end(step))

    def at(self, step: int) -> Data:
        """The window that `step` is in, as it was read ahead, or read now."""
        first = self.window(step)
        self.ready = {at: window for at, window in self.ready.items() if at >= first}
        if first not in self.ready:
            self.ready[first] = self.read(first)
        return self.ready[first]

    def read_ahead(self, step: int):
        """Read the window after that of `step`."""
        first = self.window(step) + WINDOW
        if first not in self.ready and first < super().end(step):
            self.ready[first] = self.read(first)

    def read(self, first: int) -> Data:
        """The window of step `first` on; what an epoch's last has too little is filled up, and never run."""
        steps = np.minimum(first - int(self.data.first) + np.arange(self.longest), len(self.order) - 1)
        rows = np.concatenate([self.order[steps], self.drawn[steps]], 1)
        places, batch = jnp.arange(rows.size, dtype=jnp.int32).reshape(rows.shape), self.order.shape[1]
        return self.data._replace(
            first=np.int32(first),
            x=jnp.asarray(self.data.x[rows.ravel()]),
            self_labels=self.data.self_labels[rows.ravel()],
            order=places[:, :batch],
            drawn=places[:, batch:],
            labels=self.data.labels[steps],
        )
