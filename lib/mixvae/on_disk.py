"""Images that stay in their file, and are read where an array of them is asked for."""

import mmap
from pathlib import Path
from typing import Any

import numpy as np


class OnDisk:
    """uint8 images [N, H, W, C] in a file: an index chooses among them, `np.asarray` reads those chosen.

    The file must not change while it is in use.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, path: Path, offset: int, shape: tuple[int, ...]):
        with path.open("rb") as file:
            self.bytes = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if hasattr(mmap, "MADV_RANDOM"):  # Windows has none
            self.bytes.madvise(mmap.MADV_RANDOM)  # else every image brings its neighbours along
        self.offset, self.file = offset, np.ndarray(shape, np.uint8, self.bytes, offset)
        self.rows = np.arange(len(self.file))

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C) of those chosen."""
        return *self.rows.shape, *self.file.shape[1:]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> "OnDisk":
        chosen = object.__new__(OnDisk)
        chosen.bytes, chosen.offset, chosen.file, chosen.rows = self.bytes, self.offset, self.file, self.rows[index]
        return chosen

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        self._announce()
        return self.file[self.rows].astype(dtype or np.uint8, copy=False)

    def _announce(self):
        """Ask for all pages at once; one after another, each would be waited for."""
        if not hasattr(mmap, "MADV_WILLNEED"):
            return
        size = self.file.strides[0]
        for start in (self.offset + self.rows.ravel() * size).tolist():
            page = start - start % mmap.PAGESIZE
            self.bytes.madvise(mmap.MADV_WILLNEED, page, start + size - page)
