"""File formats: each reader turns a file or folder into a `Source`, as stored.

What the numbers may be is checked once for every format, in `data.py`. Nothing is unpickled, and a size that a header
announces is compared with the bytes that are there before memory is asked for.
"""

import hashlib
import io
import lzma
import math
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from PIL import Image

IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
NPZ_KEYS = {
    **{key: key for key in ("x_train", "y_train", "x_test", "y_test")},
    **{"x": "x_train", "images": "x_train", "y": "y_train", "labels": "y_train"},
}
NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")
GREY_MODES = ("1", "L", "LA")
RGB_MODES = ("RGB", "RGBA", "P", "PA", "CMYK", "YCbCr")
DEFLATE_LIMIT = 1032  # deflate packs at most so many bytes into one


class Source(NamedTuple):
    """As stored: images [N, H, W] or [N, H, W, C] of any dtype; labels [N], integers or strings ("": unlabelled)."""

    x_train: np.ndarray
    y_train: np.ndarray | None = None
    x_test: np.ndarray | None = None
    y_test: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None


def read_idx(packed: bytes, where: str, sha256: str | None = None) -> np.ndarray:
    """The uint8 array in a gzip IDX file; `where` ends in its name, and idx3 or idx1 there says images or labels.

    `sha256`, where given, is that of the unpacked bytes. Raises ValueError.
    """
    ndim = 3 if "idx3" in where else 1
    unpacker = zlib.decompressobj(wbits=31)  # 31: gzip, with its own checksum
    try:
        header = unpacker.decompress(packed, 4 + 4 * ndim)
        if len(header) < 4 + 4 * ndim:
            raise ValueError(f"{where}: expected a gzip IDX file, found one that ends after {len(packed)} bytes")
        if header[:4] != bytes([0, 0, 8, ndim]):
            raise ValueError(f"{where}: expected the IDX magic 00 00 08 0{ndim}, found {header[:4].hex(' ')}")
        shape = np.frombuffer(header, ">u4", offset=4).tolist()
        size = math.prod(shape)
        expected = f"{where}: expected the {' x '.join(map(str, shape))} bytes that its header announces"
        if size > DEFLATE_LIMIT * len(packed):
            raise ValueError(f"{expected}, found a file of {len(packed)} bytes, which cannot hold them")
        body = unpacker.decompress(unpacker.unconsumed_tail, size + 1)
    except zlib.error as error:
        raise ValueError(f"{where}: expected a sound gzip file, found a corrupt one ({error})") from None
    if len(body) != size or not unpacker.eof:
        raise ValueError(f"{expected}, found {'more' if len(body) > size else f'only {len(body)}: it is cut off'}")
    digest = hashlib.sha256(header)
    digest.update(body)
    if sha256 not in (None, digest.hexdigest()):
        raise ValueError(f"{where}: expected unpacked bytes with SHA-256 {sha256}, found {digest.hexdigest()}")
    return np.frombuffer(body, np.uint8).reshape(shape)


def read_idx_folder(folder: Path, sha256: Sequence[str | None] = (None,) * 4) -> Source:
    """The four files `IDX_FILES`, in which MNIST and its relatives come. Raises ValueError or FileNotFoundError."""
    paths = [folder / name for name in IDX_FILES]
    if missing := [path.name for path in paths if not path.is_file()]:
        raise FileNotFoundError(f"{folder}: expected {', '.join(IDX_FILES)}; missing {', '.join(missing)}")
    return Source(*(read_idx(p.read_bytes(), str(p), digest) for p, digest in zip(paths, sha256, strict=True)))


def read_npz(path: Path) -> Source:
    """Arrays named as in `NPZ_KEYS`: x_train, y_train, x_test, y_test, or x (images) and y (labels)."""
    arrays: dict[str, np.ndarray] = {}
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise ValueError(f"{path}: expected a .npz archive, found something else ({error})") from None
    with archive:
        for member in archive.infolist():
            key = member.filename.removesuffix(".npy")
            if key not in NPZ_KEYS:
                near = "".join(f"; did you mean {name!r}?" for name in get_close_matches(key, NPZ_KEYS, n=1))
                raise ValueError(f"{path}: expected arrays named {', '.join(NPZ_KEYS)}; found {key!r}{near}")
            if NPZ_KEYS[key] in arrays:
                raise ValueError(f"{path}: expected one array of {NPZ_KEYS[key]}, found {key!r} as well")
            arrays[NPZ_KEYS[key]] = _read_npy(archive, member, f"{path}: {key}")
    if "x_train" not in arrays or ("y_test" in arrays and "x_test" not in arrays):
        wanted = "x_test beside y_test" if "x_train" in arrays else "x_train, x or images"
        raise ValueError(f"{path}: expected an array {wanted}, found {', '.join(arrays) or 'none'}")
    return Source(**arrays)


def _read_npy(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> np.ndarray:
    """One array, as np.load with allow_pickle=False reads it, but with its size compared before it is allocated."""
    try:
        with archive.open(member) as file:
            shape, fortran, dtype = NPY_HEADERS[np.lib.format.read_magic(file)](file)
            size, found = math.prod(shape) * dtype.itemsize, member.file_size - file.tell()
            if dtype.hasobject:
                raise ValueError("Python objects, which are never unpickled; save numbers or strings")
            if size != found:
                raise ValueError(f"{found} bytes where its header announces {size} (shape {shape}, {dtype})")
            return np.ndarray(shape, dtype, file.read(), order="F" if fortran else "C")
    except (ValueError, TypeError, KeyError, RuntimeError, EOFError, OSError, zipfile.BadZipFile, zlib.error,
            lzma.LZMAError) as error:  # fmt: skip
        raise ValueError(f"{where}: expected a sound array, found {error}") from None


def read_parquet(path: Path) -> Source:
    """A column `image` (encoded bytes, struct{bytes, path}, or numbers) and perhaps `label`; others are not read."""
    try:
        columns = pl.read_parquet_schema(path)
        frame = pl.read_parquet(path, columns=[c for c in ("image", "label") if c in columns], glob=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise ValueError(f"{path}: expected a sound Parquet file; polars found: {error}") from None
    if "image" not in columns:
        raise ValueError(f"{path}: expected a column image, found {', '.join(columns) or 'none'}")
    labels = _label_column(frame["label"]) if "label" in columns else None
    return Source(_image_column(frame["image"], f"{path}: image"), labels)


def _image_column(column: pl.Series, where: str) -> np.ndarray:
    if isinstance(column.dtype, pl.Struct) and "bytes" in column.struct.fields:
        column = column.struct.field("bytes")
    if column.null_count():
        raise ValueError(f"{where}: expected an image in every row, found none in row {column.is_null().arg_max()}")
    if column.dtype == pl.Binary:
        names = [f"{where}, row {row}" for row in range(len(column))]
        return _stack(names, map(decode_image, column, names))
    if isinstance(column.dtype, pl.List):
        sizes = column.list.len()
        if sizes.n_unique() > 1:
            raise ValueError(f"{where}: expected rows of one length, found {sizes.min()} to {sizes.max()} numbers")
        column = column.list.to_array(sizes.max() or 0)
    if not isinstance(column.dtype, pl.Array):
        raise ValueError(f"{where}: expected encoded bytes, struct{{bytes, path}} or numbers, found {column.dtype}")
    x = column.to_numpy()
    if x.ndim > 2:
        return x
    side = math.isqrt(x.shape[1])
    if side * side != x.shape[1]:
        raise ValueError(f"{where}: expected flat square images, found {x.shape[1]} numbers a row, which is no square")
    return x.reshape(-1, side, side)


def _label_column(column: pl.Series) -> np.ndarray | None:
    """Integers or strings with -1 or "" for null; other types as they are, for the caller to refuse."""
    if column.dtype in (pl.String, pl.Categorical, pl.Enum):
        return np.array(column.cast(pl.String).fill_null("").to_list(), dtype=str)
    if column.null_count() == len(column):
        return None
    return column.cast(pl.Int64).fill_null(-1).to_numpy() if column.dtype.is_integer() else column.to_numpy()


def read_image_folder(folder: Path) -> Source:
    """PNG and JPEG files, with a subfolder a class, perhaps under train/ and test/; hidden and other files are left out."""
    if not (folder / "train").is_dir():
        return Source(*_read_split(folder))
    files, folders = _visible(folder)
    if extra := [entry.name for entry in (*files, *folders) if entry.name not in ("train", "test")]:
        raise ValueError(f"{folder}: expected nothing beside train/ and test/, found {', '.join(extra)}")
    test = _read_split(folder / "test") if len(folders) == 2 else ()
    return Source(*_read_split(folder / "train"), *test)


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
            image = Image.open(io.BytesIO(encoded), formats=("PNG", "JPEG"))
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
            raise ValueError(f"{names[row]}: expected height x width x channels {first} as in {names[0]}, found {found}")
        stacked[row] = image
    return stacked


READERS = {".npz": read_npz, ".parquet": read_parquet}
