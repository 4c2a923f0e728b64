"""IDX and NPZ files that are cut off, altered, or announce what they do not hold."""

import gzip
import io
import re
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from mixvae.example_files import H, N, W, idx, images, refuses, save_npy_folder, save_npz, write_idx_folder
from mixvae.sources import IDX_FILES, read_idx

TRILLION = 10**12


def test_npz_cut_off_or_something_else(tmp_path):
    whole = save_npz(tmp_path / "own.npz", x=images()).read_bytes()
    version = whole.index(b"PK\1\2") + 6  # of zip that a reader of the archive must know
    newer = whole[:version] + b"\xff" + whole[version + 1 :]
    for content in (b"", b"text", whole[:1000], whole[1000:], whole[:500] + b"\xff" + whole[501:], newer):
        (tmp_path / "own.npz").write_bytes(content)
        refuses(tmp_path / "own.npz", "expected", "found")


def npy_announcing(*shape, dtype="|u1", order="C"):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": dtype, "fortran_order": order == "F", "shape": shape})
    return header.getvalue()


def peak_of(call):
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_trillion_announced_images_are_not_allocated(tmp_path):
    npz, folder = tmp_path / "own.npz", write_idx_folder(tmp_path / "mine")
    with zipfile.ZipFile(npz, "w") as archive:
        archive.writestr("x.npy", npy_announcing(TRILLION, H, W) + bytes(H * W))
    header = struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1)
    (folder / IDX_FILES[0]).write_bytes(gzip.compress(header + bytes(H * W)))

    assert peak_of(lambda: refuses(npz, "600 bytes where its header announces 600000000000000")) < 1e6
    assert peak_of(lambda: refuses(folder, IDX_FILES[0], "4294967295 x 4294967295", "cannot hold them")) < 1e6


def test_images_without_a_pixel_are_not_counted_and_values_without_a_byte_not_divided(tmp_path):
    folder = save_npy_folder(tmp_path / "own", x=images())
    (folder / "y.npy").write_bytes(npy_announcing(-1, dtype="|S0", order="F"))
    refuses(folder, "y.npy", "|S0, whose values have no bytes")
    (folder / "x.npy").write_bytes(npy_announcing(TRILLION, 0, W))
    assert peak_of(lambda: refuses(folder, "x.npy", "0 bytes where its header announces 0 (shape (1000000000000")) < 1e6


def test_what_unpacks_to_more_than_announced_is_not_unpacked(tmp_path):
    bomb = gzip.compress(struct.pack(">4B3I", 0, 0, 8, 3, 1, H, W) + bytes(20_000_000))

    def read():
        with pytest.raises(ValueError, match="expected the 1 x 20 x 30 bytes that its header announces, found more"):
            read_idx(bomb, "bomb.gz")

    assert peak_of(read) < 1e6


def test_idx_cut_off_anywhere_or_with_any_bit_wrong_is_refused_or_the_same():
    array = images(3, 8, 9)
    packed = idx(array)
    assert (read_idx(packed, "x.gz") == array).all()
    for end in range(len(packed)):
        with pytest.raises(ValueError, match=r"x\.gz: expected .*found"):
            read_idx(packed[:end], "x.gz")
    for at in range(len(packed)):
        wrong = packed[:at] + bytes([packed[at] ^ 16]) + packed[at + 1 :]
        try:
            same = read_idx(wrong, "x.gz")
        except ValueError as error:
            assert re.match(r"x\.gz: expected .*found", str(error))
        else:
            assert (same == array).all()  # the date in gzip's header, and its like


@pytest.mark.parametrize(
    ("at", "content", "parts"),
    [
        (0, b"", ("begins 00 00 08 01 or 00 00 08 03, found nothing, in a file of 0 bytes",)),
        (0, gzip.compress(b"\0\0\x0d\x03" + bytes(100), mtime=0), ("found 00 00 0d 03",)),
        (0, gzip.compress(b"\0\0\x08\x03" + bytes(5), mtime=0), ("sizes of 3 axes", "cut off")),
        (0, b"P5 20 30 255", ("expected a sound gzip file",)),
        (0, idx(np.arange(N)), ("training images: expected grey [N, H, W]", "(18,)")),
        (1, idx(np.arange(5)), ("training labels: expected one for each of the 18 images, found shape (5,)",)),
        (2, idx(images(7, 20, 31)), ("expected test images (20, 30, 1) as in training, found (20, 31, 1)",)),
    ],
)
def test_idx_folder_faults(tmp_path, at, content, parts):
    folder = write_idx_folder(tmp_path / "mine")
    (folder / IDX_FILES[at]).write_bytes(content)
    refuses(folder, *parts)


def test_idx_folder_with_a_file_missing(tmp_path):
    folder = write_idx_folder(tmp_path / "mine")
    (folder / IDX_FILES[3]).unlink()
    refuses(folder, f"missing {IDX_FILES[3]}", error=FileNotFoundError)
