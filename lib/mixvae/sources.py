"""Arrays in files (IDX, NPZ, NPY): each reader turns a file or folder into a `Source`, as stored.

What the numbers may be is checked once for every format, in `data.py`. Nothing is unpickled, and a size that a header
announces is compared with the bytes that are there before memory is asked for.
"""

import hashlib
import math
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple, TypeVar

import numpy as np

from mixvae.on_disk import OnDisk
from mixvae.settings import did_you_mean

IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)
IDX_MAGIC = (bytes([0, 0, 8, 1]), bytes([0, 0, 8, 3]))  # unsigned bytes, one axis or three
NPZ_KEYS = {
    **{key: key for key in ("x_train", "y_train", "x_test", "y_test")},
    **{"x": "x_train", "images": "x_train", "y": "y_train", "labels": "y_train"},
}
NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
DEFLATE_LIMIT = 1032  # deflate packs at most so many bytes into one
T = TypeVar("T")


class Source(NamedTuple):
    """As stored: images [N, H, W] or [N, H, W, C] of any dtype; labels [N], integers or strings ("": unlabelled)."""

    x_train: np.ndarray | OnDisk
    y_train: np.ndarray | None = None
    x_test: np.ndarray | None = None
    y_test: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None


def read_idx(packed: bytes, where: str, sha256: str | None = None) -> np.ndarray:
    """The uint8 array in a gzip IDX file, images [N, H, W] or labels [N]; `where` names the file in errors.

    `sha256`, where given, is that of the unpacked bytes. Raises ValueError.
    """
    unpacker = zlib.decompressobj(wbits=31)  # 31: gzip, with its own checksum
    try:
        magic = unpacker.decompress(packed, 4)
        if magic not in IDX_MAGIC:
            expected = " or ".join(magic.hex(" ") for magic in IDX_MAGIC)
            found = f"{magic.hex(' ') or 'nothing'}, in a file of {len(packed)} bytes"
            raise ValueError(f"{where}: expected a gzip IDX file that begins {expected}, found {found}")
        sizes = unpacker.decompress(unpacker.unconsumed_tail, 4 * magic[3])
        if len(sizes) < 4 * magic[3]:
            raise ValueError(f"{where}: expected the sizes of {magic[3]} axes, found a file cut off before them")
        shape = np.frombuffer(sizes, ">u4").tolist()
        announced = math.prod(shape)
        expected = f"the {' x '.join(map(str, shape))} bytes that its header announces"
        if announced > DEFLATE_LIMIT * len(packed):
            raise ValueError(f"{where}: expected {expected}, found {len(packed)} packed ones, which cannot hold them")
        body = unpacker.decompress(unpacker.unconsumed_tail, announced + 1)
    except zlib.error as error:
        raise ValueError(f"{where}: expected a sound gzip file, found a corrupt one ({error})") from None
    if len(body) != announced or not unpacker.eof:
        found = "more" if len(body) > announced else f"{len(body)} before the file breaks off"
        raise ValueError(f"{where}: expected {expected}, found {found}")
    digest = hashlib.sha256(magic + sizes)
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
    with path.open("rb") as file, _archive(file, path) as archive:
        members = _named(path, archive.infolist(), lambda member: member.filename)
        return Source(**{key: _read_member(archive, member, path) for key, member in members.items()})


def _archive(file: BinaryIO, path: Path) -> zipfile.ZipFile:
    """The archive in an open file. Raises ValueError where its directory cannot be read."""
    try:
        return zipfile.ZipFile(file)
    except Exception as error:  # zipfile raises many unrelated kinds
        raise ValueError(f"{path}: expected a .npz archive, found something else ({error})") from None


def read_npy_folder(folder: Path) -> Source:
    """Files named as the arrays of an .npz, such as x_train.npy; the training images stay where they are."""
    files = _named(folder, sorted(folder.glob("*.npy")), lambda path: path.name)
    return Source(**{key: _read_file(path, stays=key == "x_train") for key, path in files.items()})


def _named(where: Path, files: Iterable[T], name_of: Callable[[T], str]) -> dict[str, T]:
    """The arrays of a Source, and the file of each."""
    named: dict[str, T] = {}
    for file in files:
        key = name_of(file).removesuffix(".npy")
        if key not in NPZ_KEYS:
            found = f"found {key!r}{did_you_mean(key, NPZ_KEYS)}"
            raise ValueError(f"{where}: expected arrays named {', '.join(NPZ_KEYS)}; {found}")
        if NPZ_KEYS[key] in named:
            raise ValueError(f"{where}: expected one array of {NPZ_KEYS[key]}, found {key!r} as well")
        named[NPZ_KEYS[key]] = file
    if "x_train" not in named or ("y_test" in named and "x_test" not in named):
        wanted = "x_test beside y_test" if "x_train" in named else "x_train, x or images"
        raise ValueError(f"{where}: expected an array {wanted}, found {', '.join(named) or 'none'}")
    return named


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> np.ndarray:
    """One array, as np.load with allow_pickle=False reads it, but with its size compared before it is allocated."""
    try:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("another compression than np.savez and np.savez_compressed use")
        if member.file_size > DEFLATE_LIMIT * max(member.compress_size, 1):
            raise ValueError(f"{member.compress_size} packed bytes, which cannot hold the {member.file_size} announced")
        with archive.open(member) as file:
            shape, order, dtype = _header(file, member.file_size)
            return np.ndarray(shape, dtype, file.read(), order=order)
    except Exception as error:  # the readers of zip files and of NumPy's headers raise many unrelated kinds
        key = member.filename.removesuffix(".npy")
        raise ValueError(f"{path}: {key}: expected a sound array, found {error}") from None


def _read_file(path: Path, stays: bool) -> np.ndarray | OnDisk:
    """The array of a `.npy` file, or the images that stay in it."""
    try:
        if not path.is_file():  # opening a pipe would wait for whoever writes into it
            raise ValueError("something that is no file")
        with path.open("rb") as file:
            shape, order, dtype = _header(file, path.stat().st_size)
            if not stays:
                return np.ndarray(shape, dtype, file.read(), order=order)
            if dtype != np.uint8 or order != "C":
                wanted = "images that stay on disk are uint8, in C order; save them so, or all arrays as an .npz"
                raise ValueError(f"{dtype} in {order} order; {wanted}")
            return OnDisk(path, file.tell(), (*shape, 1) if len(shape) == 3 else shape)
    except Exception as error:  # the readers of NumPy's headers raise many unrelated kinds
        raise ValueError(f"{path}: expected a sound array, found {error}") from None


def _header(file: IO[bytes], size: int) -> tuple[tuple[int, ...], str, np.dtype]:
    """Shape, order and type of an array in a file of `size` bytes, which are compared. Raises ValueError."""
    shape, fortran, dtype = NPY_HEADERS[np.lib.format.read_magic(file)](file)
    announced, found = math.prod(shape) * dtype.itemsize, size - file.tell()
    if dtype.hasobject:
        raise ValueError("Python objects, which are never unpickled; save numbers or strings")
    if not dtype.itemsize:
        raise ValueError(f"{dtype}, whose values have no bytes")  # by their number NumPy may divide
    if announced != found or max(shape[:1], default=0) > size:
        raise ValueError(f"{found} bytes where its header announces {announced} (shape {shape}, {dtype})")
    return shape, "F" if fortran else "C", dtype
