"""What `load_dataset` makes of numbers, labels and splits, and how `draw_labels` deals."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixvae.data import draw_labels, load_dataset, sample
from mixvae.example_files import H, N, W, images, number_of, refuses, save_npz, write_idx_folder


def test_splits_divide_the_images_and_keep_their_labels(tmp_path):
    n = 25
    path = save_npz(tmp_path / "own.npz", x=images(n), y=np.arange(n) // 5)  # sorted by class
    for validation in (0, 4, 9):
        data = load_dataset(path, validation=validation)
        parts = [(data.x_train, data.y_train), (data.x_val, data.y_val), (data.x_test, data.y_test)]
        assert [len(x) for x, _ in parts] == [21 - validation, validation, 4]
        assert sorted(np.concatenate([number_of(x) for x, _ in parts])) == list(range(n))
        for x, y in parts:
            assert x.shape[1:] == (H, W, 1) and (number_of(x) // 5 == y).all()
    assert data.name == "own.npz" and data.class_names == tuple("01234")
    assert len(set(data.y_val)) >= 3 and len(set(data.y_test)) >= 2  # a block off a sorted file has 2 and 1


def test_test_set_does_not_depend_on_validation_and_larger_contains_smaller(tmp_path):
    path = save_npz(tmp_path / "own.npz", images=images())
    few, many = load_dataset(path, validation=3), load_dataset(str(path), validation=8)
    assert (few.x_test == many.x_test).all()
    assert set(number_of(few.x_val)) < set(number_of(many.x_val))


def test_validation_is_taken_from_training_where_there_is_a_test_set(tmp_path):
    path = write_idx_folder(tmp_path / "mine")
    data = load_dataset(path, validation=5)
    assert (data.x_test[..., 0] == images(7)[::-1]).all() and len(data.x_train) == N - 5
    assert sorted(np.concatenate([number_of(data.x_train), number_of(data.x_val)])) == list(range(N))


@pytest.mark.parametrize("validation", [-1, 15])
def test_validation_must_leave_training_images(tmp_path, validation):
    path = save_npz(tmp_path / "own.npz", x=images())
    with pytest.raises(ValueError, match=rf"own\.npz: validation images: {validation} of 15 .* expected 0 to 14"):
        load_dataset(path, validation=validation)


@pytest.mark.parametrize("validation", [2.0, "3", None])
def test_validation_is_a_whole_number(tmp_path, validation):
    path = save_npz(tmp_path / "own.npz", x=images())
    with pytest.raises((ValueError, TypeError), match="validation"):  # TypeError where annotations are checked
        load_dataset(path, validation=validation)


@pytest.mark.parametrize("channels", [(), (1,), (3,)])
@pytest.mark.parametrize("kind", ["uint8", "int64", "float32", "float64", "float16"])
def test_pixels_survive_exactly(tmp_path, channels, kind):
    x = images(channels=channels)
    stored = (x / 255).astype(kind) if kind.startswith("float") else x.astype(kind)
    data = load_dataset(save_npz(tmp_path / "own.npz", x_train=np.asfortranarray(stored), x_test=stored[:2]))
    assert data.x_train.dtype == np.uint8 and (data.x_train == x.reshape(N, H, W, -1)).all()
    assert (data.x_test == data.x_train[:2]).all()


def test_floats_are_rounded_to_the_nearest_level(tmp_path):
    x = np.full((N, H, W), 0.999, np.float32)
    x[:, :, 1:] = [0.001] * 10 + [0.003] * (W - 11)
    data = load_dataset(save_npz(tmp_path / "own.npz", x_train=x, x_test=x))
    assert data.x_train[2, 3, :, 0].tolist() == [255] + [0] * 10 + [1] * (W - 11)


def test_booleans_become_black_and_white(tmp_path):
    x = images() % 2 == 0
    data = load_dataset(save_npz(tmp_path / "own.npz", x_train=x, x_test=x))
    assert (data.x_train[..., 0] == np.where(x, 255, 0)).all()


def test_strings_are_numbered_in_sorted_order(tmp_path):
    y = np.array(["pear", "fig", "", "apple"])
    x = images(4)
    data = load_dataset(save_npz(tmp_path / "own.npz", x_train=x, y_train=y, x_test=x[:1], y_test=np.array(["date"])))
    assert data.class_names == ("apple", "date", "fig", "pear")
    assert data.y_train.tolist() == [3, 2, -1, 0] and data.y_test.tolist() == [1] and data.y_train.dtype == np.int32


@pytest.mark.parametrize(
    "y, names",
    [
        (np.array(["cat", "-1", "", "ant"]), ("ant", "cat")),
        (np.array([10, -1, -1, 1]), ("1", "10")),
        (np.array([49, -1, -1, 7]), ("7", "49")),
    ],
)
def test_only_labels_that_occur_are_classes_and_minus_one_is_none(tmp_path, y, names):
    data = load_dataset(save_npz(tmp_path / "own.npz", x_train=images(4), y_train=y, x_test=images(1), y_test=y[:1]))
    assert data.class_names == names
    assert data.y_train.tolist() == [1, -1, -1, 0] and data.y_test.tolist() == [1] and data.y_train.dtype == np.int32


def test_a_path_that_is_missing_is_no_misspelt_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match="mnist: no such file or folder"):
        load_dataset(Path("mnist"))


@pytest.mark.parametrize("y", [{}, {"y": np.full(N, -1)}, {"labels": np.full(N, "")}], ids=["none", "-1", "empty"])
def test_unlabelled(tmp_path, y):
    data = load_dataset(save_npz(tmp_path / "own.npz", x=images(), **y))
    assert (data.y_train == -1).all() and (data.y_test == -1).all() and len(data.y_test) == 3
    assert data.num_classes == 0 and data.class_names == ()


NAN = images() / 255
NAN[3, 2, 1] = np.nan
FAULTS = {
    "not [N, H, W]": ({"x": np.zeros((N, 784), np.uint8)}, "grey [N, H, W] or RGB [N, H, W, 3]", "(18, 784)"),
    "channels first": ({"x": np.zeros((N, 3, H, W), np.uint8)}, "RGB [N, H, W, 3]", "(18, 3, 20, 30)"),
    "scalar": ({"x": np.uint8(3)}, "found shape ()"),
    "too small": ({"x": images(h=7)}, "H, W >= 8", "(18, 7, 30, 1)"),
    "no images": ({"x": images(0)}, "at least one", "(0, 20, 30, 1)"),
    "one image": ({"x": images(1)}, "test images", "1 of 1 training images cannot be held out"),
    "a mask in bytes": (
        {"x": (images() > 90).astype("u1")},
        "expected uint8 pixels from 0 to 255, found none above 1; masks are bool",
    ),
    "NaN": ({"x": NAN}, "float64 pixels from 0 to 1", "NaN"),
    "float 0..255": ({"x": images().astype("f4")}, "float32 pixels from 0 to 1, found 0 to 179"),
    "infinite": ({"x": np.where(NAN < 2, NAN, np.inf)}, "from 0 to 1, found 0 to inf"),
    "negative": ({"x": images().astype(int) - 1}, "int64 pixels from 0 to 255, found -1 to 178"),
    "16 bit": ({"x": images().astype("u2") * 9}, "uint16 pixels from 0 to 255, found 0 to 1611"),
    "text": ({"x": np.array(["a"])}, "expected numbers, found <U1"),
    "complex": ({"x": images().astype(complex)}, "expected numbers, found complex128"),
    "fewer labels": ({"x": images(), "y": np.arange(N - 1)}, "one for each of the 18 images", "(17,)"),
    "one-hot": ({"x": images(), "y": np.eye(N)}, "one for each of the 18 images", "(18, 18)"),
    "float labels": ({"x": images(), "y": np.ones(N)}, "integers (-1: unlabelled) or strings, found float64"),
    "label -2": ({"x": images(), "y": np.arange(N) - 2}, "expected -1 (unlabelled) to 65535, found -2 to 15"),
    "identifiers": ({"x": images(), "y": np.arange(N) + 10**12}, "found 1000000000000 to"),
    "mixed labels": (
        {"x_train": images(), "y_train": np.full(N, "a"), "x_test": images(), "y_test": np.arange(N)},
        "strings and numbers",
    ),
    "other test size": ({"x_train": images(), "x_test": images(h=21)}, "(20, 30, 1) as in training, found (21, 30, 1)"),
    "typing error": ({"x": images(), "lables": np.arange(N)}, "found 'lables'; did you mean 'labels'?"),
    "twice": ({"x": images(), "images": images()}, "expected one array of x_train, found 'images' as well"),
    "no array": ({}, "x_train, x or images, found none"),
    "labels alone": ({"y": np.arange(N)}, "x_train, x or images, found y_train"),
    "no x_test": ({"x_train": images(), "y_test": np.arange(N)}, "x_test beside y_test"),
    "pickles": ({"x": np.array([{}, None])}, ": x: ", "never unpickled"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults(tmp_path, fault):
    arrays, *parts = FAULTS[fault]
    refuses(save_npz(tmp_path / "own.npz", **arrays), *parts)


@pytest.mark.parametrize(
    ("wrong", "near"), [("mnits", "mnist"), ("MNIST", "mnist"), ("fashion-mnist", "fashion_mnist")]
)
def test_a_misspelt_name_is_answered_with_the_nearest(wrong, near):
    with pytest.raises(ValueError, match=f"unknown data set '{wrong}'; did you mean '{near}'"):
        load_dataset(wrong)


def test_a_path_that_cannot_be_looked_up_is_said_to_be_unreadable():
    name = "a" * 300 + ".npz"
    with pytest.raises(ValueError, match=f"{name}: expected something readable, found"):
        load_dataset(name)


@pytest.mark.parametrize("missing", ["no/such/folder", "missing.npz"])
def test_a_missing_path_is_not_found(missing):
    with pytest.raises(FileNotFoundError, match=f"{missing}: no such file or folder"):
        load_dataset(missing)


def test_other_endings_and_no_name_are_refused(tmp_path):
    (tmp_path / "x.csv").write_text("1,2")
    refuses(tmp_path / "x.csv", ".npz or .parquet")
    with pytest.raises(ValueError, match="unknown data set ''"):
        load_dataset("")


Y = np.random.RandomState(0).permutation(np.repeat(np.arange(10), 30)).astype(np.int32)


@pytest.mark.parametrize(("count", "most"), [(0, 3), (7, 7), (7, 9), (6000, 500)])
def test_a_sample_is_in_order_always_the_same_and_of_classes_in_turn_as_many_of_each(count, most):
    some = sample(count, most)
    assert len(some) == min(count, most) and (np.diff(some) > 0).all() and (sample(count, most) == some).all()
    if len(some) == 500:
        assert np.bincount(some % 10, minlength=10).min() > 30


def test_ten_labels_of_ten_classes_are_one_each():
    draws = [draw_labels(Y, 10, 10, seed) for seed in range(5)]
    for drawn in draws:
        assert drawn.dtype == np.int32 and drawn.shape == Y.shape
        assert sorted(drawn[drawn >= 0]) == list(range(10))
    assert len({drawn.tobytes() for drawn in draws}) == 5
    assert (draws[2] == draw_labels(Y, 10, 10, 2)).all()


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 300), st.integers(0, 300), st.integers(0, 9))
def test_draws_are_even_true_and_nested(fewer, more, seed):
    fewer, more = sorted((fewer, more))
    small, large = draw_labels(Y, fewer, 10, seed), draw_labels(Y, more, 10, seed)
    assert (small >= 0).sum() == fewer and (large >= 0).sum() == more
    assert ((large == Y) | (large == -1)).all() and ((small == large) | (small == -1)).all()
    assert np.ptp(np.bincount(large[large >= 0], minlength=10)) <= 1


def test_the_rest_goes_to_random_classes_that_have_one_more():
    chosen = {frozenset(drawn[drawn >= 0]) for drawn in (draw_labels(Y, 3, 10, seed) for seed in range(20))}
    assert len(chosen) > 10 and {len(classes) for classes in chosen} == {3}
    y = np.array([-1, 0, 1, 1, 2, 2, -1], np.int32)
    for seed in range(9):
        assert (draw_labels(y, 5, 3, seed) == y).all()


@pytest.mark.parametrize(
    ("y", "count", "num_classes", "message"),
    [
        (Y, 301, 10, "count=301 asks for 30 from each of 10 classes and one more from 1"),
        (Y[Y > 0], 10, 10, r"count=10 asks for 1 from each.*found \[0, 30,"),
        (np.full(5, -1), 1, 2, "found none: no training image has one"),
        (Y, -1, 10, "count=-1"),
        (Y, 10, 9, "num_classes=9, largest label 9"),
        (np.full(5, -1), 1, 0, "num_classes=0"),
    ],
)
def test_draws_that_cannot_be(y, count, num_classes, message):
    with pytest.raises(ValueError, match=f"draw_labels: .*{message}"):
        draw_labels(y, count, num_classes, seed=0)
