"""Data sets: `load_dataset` turns a name, a file or a folder into uint8 images and int32 labels, split once.

Letters: N images, H W their size in pixels, C image channels (1 grey, 3 RGB).
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, Int32, UInt8

from mixvae.catalogue import NAMED
from mixvae.modules.decoders import MIN_SIDE
from mixvae.on_disk import OnDisk
from mixvae.pictures import read_image_folder, read_parquet
from mixvae.settings import did_you_mean
from mixvae.sources import IDX_FILES, Source, read_idx_folder, read_npy_folder, read_npz
from mixvae.tau_classifier import UNLABELLED

READERS = {".npz": read_npz, ".parquet": read_parquet}
MAX_CLASSES = 65_536  # above it, a label is surely an identifier


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images and labels, split once. Label -1 is unlabelled; an empty split keeps its trailing shape.

    Where the training images stay on disk, an index chooses among them, and `np.asarray` reads those chosen.
    """

    name: str
    x_train: UInt8[np.ndarray | OnDisk, "n h w c"]
    y_train: Int32[np.ndarray, "n"]
    x_val: UInt8[np.ndarray, "v h w c"]
    y_val: Int32[np.ndarray, "v"]
    x_test: UInt8[np.ndarray, "t h w c"]
    y_test: Int32[np.ndarray, "t"]
    class_names: tuple[str, ...]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(H, W, C)."""
        return self.x_train.shape[1:]

    @property
    def num_classes(self) -> int:
        """The number of classes that the labels tell apart; 0 when nothing is labelled."""
        return len(self.class_names)

    def __repr__(self) -> str:
        sizes = f"{len(self.x_train)} train, {len(self.x_val)} val, {len(self.x_test)} test"
        return f"Dataset({self.name}: {sizes}, images {self.image_shape}, {self.num_classes} classes)"


def load_dataset(name_or_path: str | os.PathLike[str], *, validation: int = 0) -> Dataset:
    """A built-in data set by its name, or your own images by their path.

    Names: `mnist`, `fashion_mnist` (from data/fashion_mnist, Debian's package or a checked download), and `digits`
    (scikit-learn's 8 x 8 images, for quick trials).

    Paths:
    - `.npz`: x_train, y_train, x_test, y_test, or x (or images) and y (or labels); all but the images optional;
    - `.parquet`: a column `image` (PNG or JPEG bytes, struct{bytes, path}, or numbers) and perhaps `label`;
    - a folder of PNG or JPEG files, with a subfolder a class, perhaps under train/ and test/;
    - a folder of the four gzip IDX files in which MNIST and its relatives come;
    - a folder of `.npy` files, named as the arrays of an .npz: for data that do not fit in memory. The training images,
      which must be uint8, stay on disk and are read as training needs them; all else is read at once.

    Images are grey [N, H, W] or RGB [N, H, W, 3] with H, W >= 8. Integers must lie in 0..255 and are kept; floats
    must lie in [0, 1] and are scaled by 255 and rounded; booleans become 0 and 255. Labels are whole numbers or
    strings; those that occur are numbered in sorted order. -1, "" and null mean unlabelled.

    Where there is no test set, one sixth of the images is held out as one. `validation` counts the images that are
    then taken from the training images, never from the test set. Both follow a fixed permutation, so files sorted by
    class are safe, and the same call always gives the same split.

    Raises ValueError that names the file, what was expected and what was found; FileNotFoundError for what is missing.
    """
    where, source = _read(name_or_path)
    x_train = as_images(source.x_train, f"{where}: training images")
    y_train = as_labels(source.y_train, len(x_train), f"{where}: training labels")
    if source.x_test is None:
        sixth = max(1, round(len(x_train) / 6))
        (x_train, y_train), (x_test, y_test) = _hold_out(x_train, y_train, sixth, f"{where}: test images")
    else:
        x_test = as_images(source.x_test, f"{where}: test images")
        y_test = as_labels(source.y_test, len(x_test), f"{where}: test labels")
    if x_test.shape[1:] != x_train.shape[1:]:
        raise ValueError(f"{where}: expected test images {x_train.shape[1:]} as in training, found {x_test.shape[1:]}")
    class_names = source.class_names
    if class_names is None:
        y_train, y_test, class_names = number_classes(y_train, y_test, where)
    (x_train, y_train), (x_val, y_val) = _hold_out(x_train, y_train, validation, f"{where}: validation images")
    name = Path(where).absolute().name
    return Dataset(name, x_train, y_train, x_val, y_val, x_test, y_test, class_names)


def sample(count: int, most: int) -> Int[np.ndarray, "m"]:
    """Numbers below `count` in their order, all of them or `most`: always the same ones, drawn at random.

    At equal distances they would be of one class where images are stored class by class in turn.
    """
    return np.sort(np.random.RandomState(0).permutation(count)[:most])


def draw_labels(y: Int[np.ndarray, "n"], count: int, num_classes: int, seed: int) -> Int32[np.ndarray, "n"]:
    """The labels of `count` images chosen by `seed`, and -1 elsewhere: the labelled set of a semi-supervised run.

    Every class gives count // num_classes of them; the rest is dealt one each to classes in random order, so count=10
    with ten classes is one random image of each. With one seed, a larger draw contains the smaller.

    Raises ValueError when `y` (-1: no label to give) cannot give so many.
    """
    largest = y.max(initial=-1)
    if count < 0 or num_classes <= max(largest, 0):
        found = f"count={count}, num_classes={num_classes}, largest label {largest}"
        raise ValueError(f"draw_labels: expected count >= 0 and num_classes above every label, found {found}")
    random = np.random.RandomState(seed)  # unlike Generator, the same numbers in every version of NumPy
    share, rest = divmod(count, num_classes)
    available = np.bincount(y[y >= 0], minlength=num_classes)
    if count and not available.any():
        raise ValueError(f"draw_labels: count={count} asks for labels, found none: no training image has one")
    spare = [c for c in random.permutation(num_classes) if available[c] > share]
    if available.min() < share or len(spare) < rest:
        asked = f"{share} from each of {num_classes} classes and one more from {rest} of them"
        raise ValueError(f"draw_labels: count={count} asks for {asked}, found {available.tolist()} labels a class")
    drawn = np.full(len(y), UNLABELLED, np.int32)
    for c in range(num_classes):
        members = random.permutation(np.flatnonzero(y == c))
        drawn[members[: share + (c in spare[:rest])]] = c
    return drawn


def as_images(x: np.ndarray | OnDisk, where: str) -> UInt8[np.ndarray | OnDisk, "n h w c"]:
    """Checked and brought to uint8 as `load_dataset` says; `where` names them in errors. Raises ValueError."""
    if x.dtype.kind not in "buif":
        raise ValueError(f"{where}: expected numbers, found {x.dtype}")
    x = x[..., None] if len(x.shape) == 3 else x
    if len(x.shape) != 4 or x.shape[3] not in (1, 3):
        raise ValueError(f"{where}: expected grey [N, H, W] or RGB [N, H, W, 3], found shape {x.shape}")
    if not len(x) or min(x.shape[1:3]) < MIN_SIDE:
        raise ValueError(f"{where}: expected at least one, and H, W >= {MIN_SIDE}, found shape {x.shape}")
    if x.dtype.kind in "ui" and not isinstance(x, OnDisk) and x.max() <= 1:
        raise ValueError(f"{where}: expected {x.dtype} pixels from 0 to 255, found none above 1; masks are bool")
    if x.dtype == np.uint8:
        return x
    if x.dtype == bool:
        return x * np.uint8(255)
    low, high, top = x.min(), x.max(), 1 if x.dtype.kind == "f" else 255
    if not (low >= 0 and high <= top):  # so written, NaN is refused too
        found = "missing pixels (NaN)" if np.isnan(low) else f"{low:g} to {high:g}"
        raise ValueError(f"{where}: expected {x.dtype} pixels from 0 to {top}, found {found}")
    return (x if top == 255 else np.rint(x * 255)).astype(np.uint8)


def as_labels(y: np.ndarray | None, n: int, where: str) -> np.ndarray:
    """int32 [n] with -1 for unlabelled (None: all of them), or strings [n] as they are. Raises ValueError."""
    if y is None:
        return np.full(n, UNLABELLED, np.int32)
    if y.shape != (n,):
        raise ValueError(f"{where}: expected one for each of the {n} images, found shape {y.shape}")
    if y.dtype.kind == "U":
        return y
    if y.dtype.kind not in "iu":
        raise ValueError(f"{where}: expected integers (-1: unlabelled) or strings, found {y.dtype}")
    if y.min() < -1 or y.max() >= MAX_CLASSES:
        raise ValueError(f"{where}: expected -1 (unlabelled) to {MAX_CLASSES - 1}, found {y.min()} to {y.max()}")
    return y.astype(np.int32)


def number_classes(
    y_train: np.ndarray, y_test: np.ndarray, where: str
) -> tuple[Int32[np.ndarray, "n"], Int32[np.ndarray, "t"], tuple[str, ...]]:
    """Both label arrays as int32, and the class names: the sorted labels that occur, as text."""
    texts = [y.dtype.kind == "U" for y in (y_train, y_test)]
    if any(texts) and any(y.max() >= 0 for y, text in zip((y_train, y_test), texts, strict=True) if not text):
        raise ValueError(f"{where}: expected all labels to be strings, or none, found strings and numbers")
    occurring = {label for y in (y_train, y_test) for label in np.unique(y).tolist()} - {-1, "", "-1"}
    number = {label: i for i, label in enumerate(sorted(occurring))}

    def numbered(y: np.ndarray) -> Int32[np.ndarray, "n"]:
        labels, which = np.unique(y, return_inverse=True)
        return np.array([number.get(label, UNLABELLED) for label in labels.tolist()], np.int32)[which]

    return numbered(y_train), numbered(y_test), tuple(map(str, number))


def _hold_out(x: np.ndarray | OnDisk, y: np.ndarray, count: int, what: str) -> tuple[tuple, tuple]:
    """(x, y) of those kept and of the `count` held out by a fixed permutation, each in stored order."""
    n = len(x)
    if not isinstance(count, int | np.integer) or not 0 <= count < n:
        raise ValueError(f"{what}: {count!r} of {n} training images cannot be held out; expected 0 to {n - 1}")
    if count == 0:
        return (x, y), (np.asarray(x[:0]), y[:0])
    order = np.random.RandomState(0).permutation(n)
    held, kept = np.sort(order[:count]), np.sort(order[count:])
    return (x[kept], y[kept]), (np.asarray(x[held]), y[held])


def _read(name_or_path: str | os.PathLike[str]) -> tuple[str, Source]:
    """What error messages call it, and what is in it."""
    if name_or_path in NAMED:
        return str(name_or_path), NAMED[name_or_path]()
    try:
        path = Path(name_or_path).expanduser()
        missing = name_or_path == "" or not path.exists()
    except (OSError, RuntimeError) as error:  # a home that nobody has, a name too long, a folder that is closed
        raise ValueError(f"{name_or_path}: expected something readable, found {error}") from None
    if missing:
        raise _not_found(name_or_path)
    try:
        if path.is_file() and path.suffix.lower() in READERS:
            return str(path), READERS[path.suffix.lower()](path)
        if path.is_dir():
            return str(path), _folder_reader(path)(path)
    except PermissionError as error:
        raise ValueError(f"{path}: expected something readable, found {error}") from None
    raise ValueError(f"{path}: expected a folder or a file ending in {' or '.join(READERS)}, found neither")


def _folder_reader(path: Path) -> Callable[[Path], Source]:
    """What reads a folder: it goes by the files that lie in it."""
    if any((path / name).exists() for name in IDX_FILES):
        return read_idx_folder
    return read_npy_folder if any(path.glob("*.npy")) else read_image_folder


def _not_found(asked: str | os.PathLike[str]) -> Exception:
    """A misspelt name is a ValueError, a missing path a FileNotFoundError."""
    name = str(asked)
    known = f"the names are {', '.join(NAMED)}; a path may lead to a folder, .npz or .parquet"
    if not isinstance(asked, str) or Path(name).name != name or Path(name).suffix:
        return FileNotFoundError(f"{name}: no such file or folder; {known}")
    return ValueError(f"unknown data set {name!r}{did_you_mean(name, NAMED)} ({known})")
