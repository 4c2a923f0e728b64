"""Pictures in files: a folder of PNG or JPEG, or a Parquet column; each reader returns a `Source`, as stored."""

import io
import math
import subprocess
import sys
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from PIL import Image, ImageOps

from mixvae.sources import Source

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
GREY_MODES = ("1", "L", "LA")
RGB_MODES = ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr")
COLUMNS = ("image", "label")
PROBE = """import sys, polars
table = polars.scan_parquet(sys.argv[1], glob=False)
names = table.collect_schema().names()
wanted = [name for name in names if name in sys.argv[2:]]
frame = table.select(wanted).collect() if "image" in names else polars.DataFrame(schema=names)
frame.write_ipc_stream(sys.stdout.buffer)"""


def read_parquet(path: Path) -> Source:
    """A column `image` (encoded bytes, struct{bytes, path}, or numbers) and perhaps `label`; others are not read.

    A process of its own reads them: on some damage polars asks for so much memory that its process is ended.
    """
    probe = subprocess.run([sys.executable, "-c", PROBE, str(path), *COLUMNS], capture_output=True)
    if probe.returncode:
        found = (probe.stderr.decode(errors="replace").strip() or "nothing").splitlines()[-1]
        raise ValueError(f"{path}: expected a sound Parquet file; polars found: {found}")
    frame = pl.read_ipc_stream(probe.stdout)
    if "image" not in frame.columns:
        raise ValueError(f"{path}: expected a column image, found {', '.join(frame.columns) or 'none'}")
    labels = _label_column(frame["label"]) if "label" in frame.columns else None
    return Source(_image_column(frame["image"], f"{path}: image"), labels)


def _image_column(column: pl.Series, where: str) -> np.ndarray:
    if isinstance(column.dtype, pl.Struct) and "bytes" in column.struct.fields:
        column = column.struct.field("bytes")
    if column.null_count():
        raise ValueError(f"{where}: expected an image in every row, found none in row {column.is_null().arg_max()}")
    if column.dtype == pl.Binary:
        names = [f"{where}, row {row}" for row in range(len(column))]
        return _stack(names, map(decode_image, column, names))
    if not isinstance(column.dtype, pl.List | pl.Array):
        raise ValueError(f"{where}: expected encoded bytes, struct{{bytes, path}} or numbers, found {column.dtype}")
    x = _numbers(column, where)
    if x.ndim > 2:
        return x
    side = math.isqrt(x.shape[1])
    if side * side != x.shape[1]:
        raise ValueError(f"{where}: expected flat square images, found {x.shape[1]} numbers a row, which is no square")
    return x.reshape(len(x), side, side)


def _numbers(column: pl.Series, where: str) -> np.ndarray:
    """The array of a column of numbers, or of lists, nested or not, that have one length at each depth."""
    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    if not isinstance(column.dtype, pl.List):
        return column.to_numpy()
    sizes = column.list.len()
    if sizes.n_unique() > 1:
        raise ValueError(f"{where}: expected rows of one length, found {sizes.min()} to {sizes.max()} numbers")
    inner = _numbers(column.explode(), where)
    return inner.reshape(len(column), sizes.max() or 0, *inner.shape[1:])


def _label_column(column: pl.Series) -> np.ndarray | None:
    """Integers or strings with -1 or "" for null; other types as they are, for the caller to refuse."""
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        return np.array(column.cast(pl.String).fill_null("").to_list(), dtype=str)
    if column.null_count() == len(column):
        return None
    if column.null_count() and column.dtype.is_integer():
        column = column.cast(pl.Int64).fill_null(-1)
    return column.to_numpy()


def read_image_folder(folder: Path) -> Source:
    """PNG and JPEG files, with a subfolder a class, perhaps under train/ and test/.

    Hidden files and those with other endings are left out. Raises ValueError.
    """
    names = [entry.name for entries in _visible(folder) for entry in entries]
    if not {"train", "test"} & set(names):
        return Source(*_read_split(folder))
    if names not in (["train"], ["test", "train"]):
        raise ValueError(f"{folder}: expected train/, perhaps test/, and nothing else, found {', '.join(names)}")
    return Source(*(part for name in reversed(names) for part in _read_split(folder / name)))


def _read_split(folder: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The images of one folder, and as labels the names of its subfolders, if it has any."""
    files, classes = _visible(folder)
    if files and classes:
        found = f"both ({files[0].name} beside {classes[0].name}/)"
        raise ValueError(f"{folder}: expected either images or one subfolder a class, found {found}")
    labels = [] if classes else None
    for each in classes:
        images, deeper = _visible(each)
        if deeper or not images:
            found = f"a folder {deeper[0].name}/" if deeper else "none"
            raise ValueError(f"{each}: expected images of one class, found {found}")
        files += images
        labels += [each.name] * len(images)
    if not files:
        raise ValueError(f"{folder}: expected {', '.join(IMAGE_SUFFIXES)} files, found none")
    names = list(map(str, files))
    x = _stack(names, (decode_image(file.read_bytes(), name) for file, name in zip(files, names, strict=True)))
    return x, None if labels is None else np.array(labels)


def _visible(folder: Path) -> tuple[list[Path], list[Path]]:
    """The images and the subfolders of a folder, each in the order of their names."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    files = [entry for entry in entries if entry.suffix.lower() in IMAGE_SUFFIXES and entry.is_file()]
    return files, [entry for entry in entries if entry.is_dir()]


def decode_image(encoded: bytes, where: str) -> np.ndarray:
    """uint8 [H, W, 1] or [H, W, 3] from a PNG or JPEG of 8 bits a channel, opaque. Raises ValueError."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = ImageOps.exif_transpose(Image.open(io.BytesIO(encoded), formats=("PNG", "JPEG")))  # as it is seen
            image.load()
    except Exception as error:  # Pillow's decoders raise many unrelated kinds
        raise ValueError(f"{where}: expected a sound PNG or JPEG, found {type(error).__name__}: {error}") from None
    if image.mode not in GREY_MODES + RGB_MODES:
        raise ValueError(f"{where}: expected 8 bits a channel, grey or RGB, found Pillow's mode {image.mode}")
    if image.has_transparency_data and image.convert("RGBA").getextrema()[3][0] < 255:
        raise ValueError(f"{where}: expected an opaque image, found transparent pixels; lay it on a background first")
    pixels = np.asarray(image.convert("L" if image.mode in GREY_MODES else "RGB"))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def _stack(names: Sequence[str], images: Iterable[np.ndarray]) -> np.ndarray:
    """[N, H, W, C] from images that must agree in size."""
    stacked = np.empty(0, np.uint8)
    for row, image in enumerate(images):
        if row == 0:
            stacked = np.empty((len(names), *image.shape), np.uint8)
        if image.shape != stacked.shape[1:]:
            found, first = (" x ".join(map(str, shape)) for shape in (image.shape, stacked.shape[1:]))
            expected = f"{first} (height x width x channels) as in {names[0]}"
            raise ValueError(f"{names[row]}: expected {expected}, found {found}")
        stacked[row] = image
    return stacked
