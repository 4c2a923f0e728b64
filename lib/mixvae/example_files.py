"""Small data sets in every format that `load_dataset` reads, for the tests beside this file."""

import gzip
import io
import struct

import numpy as np
import polars as pl
import pytest
from PIL import Image

from mixvae.data import load_dataset
from mixvae.sources import IDX_FILES

N, H, W = 18, 20, 30


def images(n=N, h=H, w=W, channels=()):
    """uint8 images, all different, that carry their number in every pixel's high digits: i * 10 + noise."""
    noise = np.random.RandomState(0).randint(0, 10, (n, h, w, *channels))
    return (noise + 10 * np.arange(n).reshape(n, *[1] * (2 + len(channels)))).astype(np.uint8)


def number_of(x):
    """Which of `images` each one is, from its first pixel."""
    return x[:, 0, 0, 0].astype(int) // 10


def idx(array):
    """The bytes of a gzip IDX file."""
    header = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


def idx_arrays(h=H, w=W):
    """Training images and labels, test images and labels, in the order of IDX_FILES."""
    return images(N, h, w), np.arange(N) % 3, images(7, h, w)[::-1], np.arange(7) % 3


def write_idx_folder(folder, h=H, w=W):
    """A folder in MNIST's format."""
    folder.mkdir(exist_ok=True)
    for name, array in zip(IDX_FILES, idx_arrays(h, w), strict=True):
        (folder / name).write_bytes(idx(array))
    return folder


def save_npz(path, **arrays):
    """np.savez that returns its path."""
    np.savez(path, **arrays)
    return path


def save_npy_folder(folder, **arrays):
    """A folder with a `.npy` file an array."""
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def save_images(folder, arrays, suffix=".png"):
    """00.png, 01.png, ... in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, array in enumerate(arrays):
        Image.fromarray(array).save(folder / f"{i:02}{suffix}")
    return folder


def png(array):
    """The bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return buffer.getvalue()


def refuses(path, *parts, error=ValueError):
    """Loading raises `error`, whose text names the file and has every part."""
    with pytest.raises(error) as caught:
        load_dataset(path)
    for part in (path.name, *parts):
        assert part in str(caught.value)


def save_parquet(path, **columns):
    """A Parquet file, by its columns."""
    pl.DataFrame(columns).write_parquet(path)
    return path
