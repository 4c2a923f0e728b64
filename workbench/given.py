"""Labels that a user gives to training images, with a way back."""

import io
from collections.abc import Sequence

import numpy as np
import polars as pl
from jaxtyping import Int

from mixvae.tau_classifier import UNLABELLED

COLUMNS = ["image", "label"]


class GivenLabels:
    """One label an image, -1 where none was given, and every state before."""

    def __init__(self, images: int):
        self.labels = np.full(images, UNLABELLED, np.int32)
        self.before: list[tuple[np.ndarray, np.ndarray]] = []  # of every change, its images and their labels until then

    def label(self, images: Sequence[int], labels: Sequence[int], classes: int):
        """Give labels, or take them back by -1. Raises ValueError for an image or a label that does not exist."""
        if wrong := [i for i in (*images, *labels) if not isinstance(i, int | np.integer) or isinstance(i, bool)]:
            raise ValueError(f"{wrong[0]!r} is no whole number, as images and labels are")
        if wrong := [int(i) for i in images if not 0 <= i < len(self.labels)]:
            raise ValueError(f"there is no training image {wrong[0]}; they are 0 to {len(self.labels) - 1}")
        if wrong := [int(y) for y in labels if not UNLABELLED <= y < classes]:
            raise ValueError(f"there is no label {wrong[0]}; they are 0 to {classes - 1}, and -1 for none")
        self._change(np.asarray(images, int), np.asarray(labels, np.int32))

    def any(self) -> bool:
        """Whether there is a label."""
        return bool((self.labels != UNLABELLED).any())

    def over(self, drawn: Int[np.ndarray, "n"]) -> Int[np.ndarray, "n"]:
        """`drawn` labels with the given ones in their place."""
        return np.where(self.labels == UNLABELLED, drawn, self.labels)

    def told(self, shown: Int[np.ndarray, "points"]) -> tuple[list[int], list[int], list[int]]:
        """The images with a label, their labels, and which of the images `shown` as points each is (-1: none)."""
        images = np.flatnonzero(self.labels != UNLABELLED)
        place = {int(image): point for point, image in enumerate(shown)}
        return images.tolist(), self.labels[images].tolist(), [place.get(int(image), -1) for image in images]

    def forget(self):
        """Take all labels back."""
        self._change(np.flatnonzero(self.labels != UNLABELLED), np.int32(UNLABELLED))

    def undo(self):
        """Take the last change back, if there was one."""
        if self.before:
            images, labels = self.before.pop()
            self.labels[images] = labels

    def _change(self, images: Int[np.ndarray, "n"], labels: Int[np.ndarray, "*n"]):
        before = self.labels[images]
        self.labels[images] = labels
        if (self.labels[images] != before).any():
            self.before.append((images, before))

    def table(self, class_names: Sequence[str]) -> str:
        """The labels as CSV, as `read` takes them."""
        images = np.flatnonzero(self.labels != UNLABELLED)
        return pl.DataFrame({"image": images, "label": [class_names[y] for y in self.labels[images]]}).write_csv()

    def read(self, table: str, class_names: Sequence[str]):
        """Labels from CSV with the columns `image`, its place in the training set, and `label`, a class's name.

        Raises ValueError where the table is another one, or names an image or a class that does not exist.
        """
        try:
            rows = pl.read_csv(io.StringIO(table), schema_overrides={"label": pl.String})
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError) as error:
            raise ValueError(f"no labels were read: {error}") from None
        if rows.columns != COLUMNS:
            raise ValueError(f"no labels were read: expected the columns {COLUMNS}, found {rows.columns}")
        if not rows["image"].dtype.is_integer() or rows["image"].null_count():
            raise ValueError("no labels were read: the column image holds something that is no whole number")
        if not class_names:
            raise ValueError("no labels were read: the data set has no class names that a label could be")
        names = {name: label for label, name in enumerate(class_names)}
        if unknown := set(rows["label"]) - set(names):
            raise ValueError(f"no labels were read: {min(map(str, unknown))} is none of {', '.join(names)}")
        self.label(rows["image"], [names[name] for name in rows["label"]], len(names))
