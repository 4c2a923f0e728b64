"""Folders of images and Parquet columns: what is read, and a row for every fault."""

import numpy as np
import polars as pl
import pytest
from PIL import Image

from mixvae.data import load_dataset
from mixvae.example_files import H, N, W, images, number_of, png, refuses, save_images, save_parquet

SQUARE = images(h=9, w=9)
FLAT = SQUARE.reshape(N, 81)
COLUMNS = {
    "bytes": pl.Series([png(x) for x in images()]),
    "struct": pl.Series([{"bytes": png(x), "path": f"{i}.png"} for i, x in enumerate(images())]),
    "list": pl.Series(FLAT.tolist(), dtype=pl.List(pl.UInt8)),
    "list of floats": pl.Series((FLAT / 255).tolist()),
    "array": pl.Series(FLAT.tolist(), dtype=pl.Array(pl.Int64, 81)),
    "lists of lists": pl.Series(images().tolist(), dtype=pl.List(pl.List(pl.UInt8))),
    "arrays of lists": pl.Series(images(channels=(3,)).tolist(), dtype=pl.Array(pl.List(pl.List(pl.UInt8)), H)),
    "array with axes": pl.Series(images(channels=(3,)), dtype=pl.Array(pl.UInt8, (H, W, 3))),
}
EXPECTED = dict.fromkeys(("bytes", "struct", "lists of lists"), images()) | dict.fromkeys(
    ("array with axes", "arrays of lists"), images(channels=(3,))
)


@pytest.mark.parametrize("kind", COLUMNS)
def test_parquet_images(tmp_path, kind):
    y = [None, *np.arange(1, N) % 5]
    data = load_dataset(save_parquet(tmp_path / "own[1].parquet", image=COLUMNS[kind], label=y, id=range(N)))
    expected = EXPECTED.get(kind, SQUARE).reshape(N, *data.image_shape)
    for x, labels in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert (x == expected[number_of(x)]).all()
        assert (labels == np.where(number_of(x) == 0, -1, number_of(x) % 5)).all()
    assert len(data.x_test) == 3 and data.class_names == tuple("01234")


@pytest.mark.parametrize("dtype", [pl.String, pl.Categorical])
def test_parquet_labels_in_words(tmp_path, dtype):
    label = pl.Series(["cat", None, "ant"] * 6, dtype=dtype)
    data = load_dataset(save_parquet(tmp_path / "own.parquet", image=COLUMNS["list"], label=label))
    assert data.class_names == ("ant", "cat")
    assert data.y_train.tolist() == [(1, -1, 0)[i % 3] for i in number_of(data.x_train)]


PARQUET_FAULTS = {
    "no column": ({"img": [b""]}, "expected a column image, found img"),
    "no rows": ({"image": pl.Series([], dtype=pl.Binary)}, "found shape (0,)"),
    "null": ({"image": [png(SQUARE[0]), None]}, "image: expected an image in every row, found none in row 1"),
    "null bytes": ({"image": [{"bytes": None, "path": "a.png"}]}, "none in row 0"),
    "not an image": ({"image": [png(SQUARE[0]), b"text"]}, "image, row 1: expected a sound PNG or JPEG"),
    "sizes": ({"image": [png(SQUARE[0]), png(images()[0])]}, "row 1", "9 x 9 x 1", "row 0, found 20 x 30 x 1"),
    "ragged inside": ({"image": [[[0] * 9] * 8 + [[0] * 8]]}, "rows of one length, found 8 to 9"),
    "ragged": ({"image": [[0] * 81, [0] * 64]}, "rows of one length, found 64 to 81"),
    "no square": ({"image": [[0] * 80] * 2}, "80 numbers a row, which is no square"),
    "empty lists": ({"image": pl.Series([[], []], dtype=pl.List(pl.UInt8))}, "H, W >= 8"),
    "missing pixel": ({"image": [[0] * 80 + [None]] * 2}, "NaN"),
    "words": ({"image": [["a"] * 81] * 2}, "expected numbers, found object"),
    "numbers": ({"image": [1, 2]}, "encoded bytes, struct{bytes, path} or numbers, found Int64"),
    "float labels": ({"image": [[9] * 81] * 2, "label": [0.5, 1.0]}, "integers (-1: unlabelled) or strings"),
}


@pytest.mark.parametrize("fault", PARQUET_FAULTS)
def test_parquet_faults(tmp_path, fault):
    columns, *parts = PARQUET_FAULTS[fault]
    refuses(save_parquet(tmp_path / "own.parquet", **columns), *parts)


def test_a_parquet_file_is_read_by_a_process_of_its_own_alone(tmp_path, monkeypatch):
    path = save_parquet(tmp_path / "own.parquet", image=COLUMNS["list"])
    monkeypatch.setattr(pl, "scan_parquet", None)
    assert len(load_dataset(path).x_train) == 15


@pytest.mark.parametrize("content", [b"", b"text", b"PAR1" * 9])
def test_something_else_than_parquet(tmp_path, content):
    (tmp_path / "own.parquet").write_bytes(content)
    refuses(tmp_path / "own.parquet", "expected a sound Parquet file")


def test_folder_of_images(tmp_path):
    folder = save_images(tmp_path / "flat", images())
    (folder / "notes.txt").write_text("not an image")
    (folder / ".hidden").mkdir()
    data = load_dataset(folder)
    assert data.name == "flat" and (len(data.x_train), len(data.x_test)) == (15, 3) and (data.y_train == -1).all()
    assert (data.x_train[..., 0] == images()[number_of(data.x_train)]).all()


def test_folder_with_classes_and_a_test_set(tmp_path):
    x = images(channels=(3,))
    save_images(tmp_path / "train" / "b", x[:4])
    save_images(tmp_path / "train" / "a", x[4:9])
    save_images(tmp_path / "test" / "c", x[9:12])
    data = load_dataset(tmp_path)
    assert data.class_names == ("a", "b", "c") and data.y_test.tolist() == [2, 2, 2]
    assert data.y_train.tolist() == [0] * 5 + [1] * 4
    assert (data.x_train == np.concatenate([x[4:9], x[:4]])).all() and (data.x_test == x[9:12]).all()


def test_folder_of_classes_without_a_test_set(tmp_path):
    for i in range(3):
        save_images(tmp_path / f"class {i}", images()[6 * i : 6 * i + 6])
    data = load_dataset(tmp_path)
    assert data.class_names == ("class 0", "class 1", "class 2") and len(data.x_test) == 3
    assert (data.y_train == number_of(data.x_train) // 6).all() and (data.y_test == number_of(data.x_test) // 6).all()


def test_jpeg_palette_and_opaque_alpha(tmp_path):
    grey = np.full((H, W), 100, np.uint8)
    rgb = Image.fromarray(np.stack([grey, grey // 2, grey], -1))
    for name, image in (("a.jpg", rgb), ("b.JPEG", rgb), ("c.png", rgb.convert("P")), ("d.png", rgb.convert("RGBA"))):
        image.save(tmp_path / name, quality=100)
    data = load_dataset(tmp_path)
    assert data.image_shape == (H, W, 3)
    assert np.abs(data.x_train - np.array([100.0, 50, 100])).max() <= 3


def test_a_photograph_stands_as_it_is_seen(tmp_path):
    upright, turned = Image.fromarray(images()[0]), Image.Exif()
    turned[0x0112] = 6  # its camera lay on its side: a quarter turn clockwise shows it as it was
    for i in range(3):
        upright.rotate(90, expand=True).save(tmp_path / f"{i}.png", exif=turned)
    np.testing.assert_array_equal(load_dataset(tmp_path).x_train[0, ..., 0], images()[0])


def spoil_nothing(folder):
    for file in folder.iterdir():
        file.unlink()
    return ("found none",)


def spoil_size(folder):
    Image.fromarray(np.zeros((H, 31), np.uint8)).save(folder / "05.png")
    return f"{folder / '05.png'}: expected 20 x 30 x 1", f"as in {folder / '00.png'}, found 20 x 31 x 1"


def spoil_colour(folder):
    Image.fromarray(np.zeros((H, W, 3), np.uint8)).save(folder / "05.png")
    return "05.png", "found 20 x 30 x 3"


def spoil_bytes(folder):
    (folder / "05.png").write_bytes((folder / "05.png").read_bytes()[:100])
    return "05.png", "expected a sound PNG or JPEG"


def spoil_content(folder):
    (folder / "05.png").write_text("text")
    return "05.png", "expected a sound PNG or JPEG"


def spoil_depth(folder):
    Image.fromarray(np.zeros((H, W), np.uint16)).save(folder / "05.png")
    return "05.png", "expected 8 bits a channel", "I;16"


def spoil_alpha(folder):
    Image.fromarray(np.zeros((H, W, 4), np.uint8)).save(folder / "05.png")
    return "05.png", "transparent"


def spoil_both(folder):
    save_images(folder / "cats", images(2))
    return "found both", "00.png beside cats/"


def spoil_splits(folder):
    save_images(folder / "train", images(2))
    return "expected train/, perhaps test/, and nothing else", "00.png"


def spoil_train(folder):
    spoil_nothing(folder)
    save_images(folder / "test", images(2))
    return ("expected train/, perhaps test/, and nothing else, found test",)


def spoil_deeper(folder):
    spoil_nothing(folder)
    save_images(folder / "cats" / "big", images(2))
    return ("cats: expected images of one class, found a folder big/",)


def spoil_class(folder):
    spoil_nothing(folder)
    (folder / "cats").mkdir()
    return ("expected images of one class, found none",)


@pytest.mark.parametrize("spoil", [f for name, f in list(globals().items()) if name.startswith("spoil_")])
def test_folder_faults(tmp_path, spoil):
    folder = save_images(tmp_path / "own", images(7))
    refuses(folder, *spoil(folder))


@pytest.mark.parametrize("limit", [H * W - 1, H * W // 2 - 1], ids=["warned of", "refused"])
def test_a_decompression_bomb_is_an_error(tmp_path, monkeypatch, limit):
    folder = save_images(tmp_path / "own", images(7))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    refuses(folder, "00.png", "decompression bomb")
