"""The named data sets: what they hold, where they are looked for, and downloads that go wrong (on loopback)."""

import gzip
import hashlib
import http.server
import re
import threading

import numpy as np
import pytest

from mixvae import catalogue
from mixvae.data import load_dataset
from mixvae.example_files import idx, idx_arrays, images, write_idx_folder
from mixvae.sources import IDX_FILES


def test_mnist_is_the_canonical_one():
    data = load_dataset("mnist")
    assert data.x_train.shape == (60_000, 28, 28, 1) and data.x_test.shape == (10_000, 28, 28, 1)
    assert data.x_train.dtype == np.uint8 and data.y_train.dtype == np.int32
    assert data.x_train.mean() == pytest.approx(33.3184, abs=1e-4)
    assert np.bincount(data.y_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert (data.image_shape, data.num_classes, data.class_names) == ((28, 28, 1), 10, tuple("0123456789"))
    assert data.x_val.shape == (0, 28, 28, 1) and data.y_val.shape == (0,)
    assert repr(data) == "Dataset(mnist: 60000 train, 0 val, 10000 test, images (28, 28, 1), 10 classes)"


def test_checksums_in_the_readme_are_those_of_the_shipped_files():
    readme = (catalogue.DATA / "README.md").read_text()
    for name in IDX_FILES:
        digest = hashlib.sha256((catalogue.DATA / "mnist" / name).read_bytes()).hexdigest()
        assert f"{digest}  {name}\n" in readme
    for digest in catalogue.MNIST_SHA256 + catalogue.FASHION_MNIST_SHA256:
        assert digest in readme


@pytest.mark.skipif(not catalogue.DEBIAN_FASHION_MNIST.is_dir(), reason="needs Debian's dataset-fashion-mnist")
def test_fashion_mnist_from_debian(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "DATA", tmp_path)
    data = load_dataset("fashion_mnist", validation=10_000)
    assert [len(x) for x in (data.x_train, data.x_val, data.x_test)] == [50_000, 10_000, 10_000]
    assert np.bincount(np.concatenate([data.y_train, data.y_val])).tolist() == [6000] * 10
    assert data.x_test.mean() == pytest.approx(73.1466, abs=1e-4)
    assert data.class_names[9] == "Ankle boot" and data.name == "fashion_mnist"


def test_digits_have_a_fixed_split():
    data, again = load_dataset("digits"), load_dataset("digits")
    assert data.x_train.shape == (1437, 8, 8, 1) and data.x_test.shape == (360, 8, 8, 1)
    assert data.x_train.max() == 255 and set(np.unique(data.x_train)) == {round(v * 255 / 16) for v in range(17)}
    assert np.bincount(data.y_test, minlength=10).min() > 20
    assert (data.x_train == again.x_train).all() and (data.y_test == again.y_test).all()


def test_a_wheel_without_the_data_folder_says_where_it_looked(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "DATA", tmp_path / "nowhere")
    monkeypatch.setattr(catalogue, "DEBIAN_FASHION_MNIST", tmp_path / "nor here")
    for name in ("mnist", "fashion_mnist"):
        with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "nowhere" / name)) + ".*pip install -e"):
            load_dataset(name)


def test_other_bytes_under_the_right_names_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(catalogue, "DATA", tmp_path)
    write_idx_folder(tmp_path / "mnist")
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz.*SHA-256 ba891046.*found"):
        load_dataset("mnist")


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Four small files on loopback in place of the official address; `files` may be spoilt before a load."""
    files = {name: idx(array) for name, array in zip(IDX_FILES, idx_arrays(), strict=True)}
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path[1:])
            body = files.get(self.path[1:])
            if body is None:
                self.send_error(404)
                return
            size, body = body if isinstance(body, tuple) else (len(body), body)
            self.send_response(200)
            self.send_header("Content-Length", str(size))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        monkeypatch.setattr(catalogue, "DATA", tmp_path)
        monkeypatch.setattr(catalogue, "DEBIAN_FASHION_MNIST", tmp_path / "no package")
        monkeypatch.setattr(catalogue, "FASHION_MNIST_URL", f"http://127.0.0.1:{server.server_port}/")
        unpacked = tuple(hashlib.sha256(gzip.decompress(body)).hexdigest() for body in files.values())
        monkeypatch.setattr(catalogue, "FASHION_MNIST_SHA256", unpacked)
        yield files, asked, tmp_path / "fashion_mnist"
        server.shutdown()


def test_download_fetches_once_and_leaves_four_files(server, capsys):
    files, asked, folder = server
    data = load_dataset("fashion_mnist")
    assert (data.x_train[..., 0] == images()).all() and data.class_names[0] == "T-shirt/top"
    assert sorted(p.name for p in folder.iterdir()) == sorted(files)
    assert IDX_FILES[0] in capsys.readouterr().err  # the progress bar
    assert (load_dataset("fashion_mnist").y_test == data.y_test).all()
    assert asked == list(IDX_FILES)


def test_download_goes_on_where_it_was_interrupted(server):
    files, asked, _ = server
    good, files[IDX_FILES[2]] = files[IDX_FILES[2]], None
    with pytest.raises(FileNotFoundError, match=r"t10k-images.*HTTP Error 404.*install Debian's dataset-fashion-mnist"):
        load_dataset("fashion_mnist")
    files[IDX_FILES[2]] = good
    asked.clear()
    load_dataset("fashion_mnist")
    assert asked == list(IDX_FILES[2:])


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda good: (len(good), good[:-50]), FileNotFoundError, r"50 more expected"),
        (lambda good: good[:-50], ValueError, r"breaks off"),
        (lambda good: idx(images() + 1), ValueError, r"SHA-256 \w{64}, found \w{64}"),
        (lambda good: b"<html>moved</html>", ValueError, r"expected a sound gzip file"),
    ],
    ids=["connection lost", "truncated", "wrong checksum", "another page"],
)
def test_a_bad_download_is_never_kept(server, spoil, error, message):
    files, _, folder = server
    files[IDX_FILES[0]] = spoil(files[IDX_FILES[0]])
    with pytest.raises(error, match=f"127.0.0.1.*{IDX_FILES[0]}.*{message}"):
        load_dataset("fashion_mnist")
    assert not folder.exists() or not list(folder.iterdir())
