"""Images that stay in their file, and a folder of such files."""

import os

import numpy as np
import pytest

from mixvae import load_dataset
from mixvae.example_files import H, N, W, images, number_of, refuses, save_npy_folder, save_npz
from mixvae.example_runs import UNLABELLED, tiny_config, tiny_images
from mixvae.inference import responsibilities
from mixvae.on_disk import OnDisk
from mixvae.runs import build_trainer


def test_an_index_chooses_and_an_array_is_what_was_chosen(tmp_path):
    path, x = tmp_path / "images", images(channels=(3,))
    path.write_bytes(b"header" + x.tobytes())
    stored = OnDisk(path, len(b"header"), x.shape)
    odd = stored[1::2]
    assert stored.shape == x.shape and odd.shape == (N // 2, H, W, 3) and len(odd[:4]) == 4
    assert np.array_equal(stored, x) and np.array_equal(odd, x[1::2])
    assert np.array_equal(odd[[5, 0, 0]], x[[11, 1, 1]]) and np.array_equal(odd[:0], x[:0])
    assert np.array_equal(odd[np.arange(6).reshape(2, 3)], x[1:13:2].reshape(2, 3, H, W, 3))


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
@pytest.mark.parametrize("test", [False, True])
def test_a_folder_of_arrays_is_the_archive_of_them(tmp_path, channels, test):
    arrays = {"x": images(channels=channels), "labels": np.array(["fig", "", "pear"] * (N // 3))}
    if test:
        arrays |= {"x_test": images(4, channels=channels), "y_test": np.array(["fig"] * 4)}
    archive = load_dataset(save_npz(tmp_path / "own.npz", **arrays), validation=5)
    folder = load_dataset(save_npy_folder(tmp_path / "own", **arrays), validation=5)
    assert isinstance(folder.x_train, OnDisk) and (folder.name, repr(folder)) == (
        "own",
        repr(archive).replace(".npz", ""),
    )
    for name in ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test"):
        assert np.array_equal(getattr(folder, name), getattr(archive, name)), name
    assert folder.class_names == archive.class_names == ("fig", "pear")
    assert type(folder.x_val) is type(folder.x_test) is np.ndarray


def test_other_files_in_the_folder_do_not_matter(tmp_path):
    folder = save_npy_folder(tmp_path / "own", images=images())
    (folder / "README.md").write_text("where they are from")
    assert len(number_of(np.asarray(load_dataset(folder).x_train))) == N - N // 6


WRONG = {
    "another name": ({"x": images(), "y_tset": np.arange(N)}, ["'y_tset'; did you mean 'y_test'?"]),
    "two of one": ({"x": images(), "images": images()}, ["one array of x_train, found 'x' as well"]),
    "labels alone": ({"y": np.arange(N)}, ["an array x_train, x or images, found y_train"]),
    "floats": ({"x": images() / 255}, ["x.npy", "float64 in C order; images that stay on disk are uint8"]),
    "columns first": ({"x": np.asfortranarray(images())}, ["x.npy", "uint8 in F order"]),
    "one axis": ({"x": images()[:, 0, 0]}, ["grey [N, H, W] or RGB [N, H, W, 3]"]),
    "no images": ({"x": images()[:0]}, ["at least one"]),
    "too few labels": ({"x": images(), "y": np.arange(3)}, [f"one for each of the {N} images, found shape (3,)"]),
    "objects": ({"x": images(), "y": np.array([None] * N)}, ["y.npy", "never unpickled"]),
}


@pytest.mark.parametrize(("arrays", "parts"), WRONG.values(), ids=WRONG)
def test_errors_name_the_file_and_what_was_found(tmp_path, arrays, parts):
    refuses(save_npy_folder(tmp_path / "own", **arrays), *parts)


def test_a_file_that_is_cut_off_is_refused(tmp_path):
    folder = save_npy_folder(tmp_path / "own", x=images())
    whole = (folder / "x.npy").read_bytes()
    for content in (b"", b"text", whole[:50], whole[:-1], whole + b"0"):
        (folder / "x.npy").write_bytes(content)
        refuses(folder, "x.npy", "expected a sound array, found")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes")
def test_a_pipe_is_not_waited_for(tmp_path):
    folder = save_npy_folder(tmp_path / "own", x=images())
    os.mkfifo(folder / "y.npy")
    refuses(folder, "y.npy", "something that is no file")


def test_inference_reads_a_batch_at_a_time(tmp_path, monkeypatch):
    x = tiny_images(1203, 0)
    folder = save_npy_folder(tmp_path / "own", x_train=x, x_test=x[:1])
    trainer = build_trainer(tiny_config(**UNLABELLED | {"data.validation": 0}), load_dataset(folder))
    state, read, announce = trainer.init(), [], OnDisk._announce
    monkeypatch.setattr(OnDisk, "_announce", lambda self: (read.append(len(self)), announce(self)))
    found = responsibilities(trainer.model, state.average, trainer.x_train, state.knobs.k_active)
    assert read == [500, 500, 203]
    assert np.array_equal(found, responsibilities(trainer.model, state.average, x, state.knobs.k_active))
