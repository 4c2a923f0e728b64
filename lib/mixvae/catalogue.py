"""The data sets that have names: where they lie, what they must be, and how the missing one is fetched."""

from http.client import HTTPException, IncompleteRead
from pathlib import Path
from urllib.request import urlopen

import numpy as np
from tqdm import tqdm

from mixvae.folder import write_atomically
from mixvae.sources import IDX_FILES, Source, read_idx, read_idx_folder

DATA = Path(__file__).resolve().parents[2] / "data"
DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
FASHION_MNIST_URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
FASHION_MNIST_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)

# SHA-256 of the unpacked files, in the order of IDX_FILES: Debian's gzip files differ from the official ones in
# their headers, but what is in them is the same.
MNIST_SHA256 = (
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
)
FASHION_MNIST_SHA256 = (
    "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
)


def mnist() -> Source:
    """70 000 handwritten digits of 28 x 28, from the project's own data folder."""
    return read_idx_folder(_project_folder("mnist"), MNIST_SHA256)


def fashion_mnist() -> Source:
    """70 000 articles of clothing of 28 x 28: from data/fashion_mnist, else Debian's package, else downloaded."""
    for folder in (DATA / "fashion_mnist", DEBIAN_FASHION_MNIST):
        if all((folder / name).is_file() for name in IDX_FILES):
            break
    else:
        folder = _project_folder("fashion_mnist")
        for name, sha256 in zip(IDX_FILES, FASHION_MNIST_SHA256, strict=True):
            if not (folder / name).is_file():
                download(FASHION_MNIST_URL + name, folder / name, sha256)
    return read_idx_folder(folder, FASHION_MNIST_SHA256)._replace(class_names=FASHION_MNIST_CLASSES)


def digits() -> Source:
    """scikit-learn's 1797 handwritten digits of 8 x 8, 0..16 scaled to 0..255: 1437 for training, 360 for the test."""
    from sklearn.datasets import load_digits  # here: it takes a second

    stored = load_digits()
    x = np.rint(stored.images * (255 / 16)).astype(np.uint8)
    train, test = np.split(np.random.RandomState(0).permutation(len(x)), [1437])
    return Source(x[train], stored.target[train], x[test], stored.target[test])


NAMED = {"mnist": mnist, "fashion_mnist": fashion_mnist, "digits": digits}


def download(url: str, path: Path, sha256: str) -> None:
    """Fetch a gzip IDX file, check it, write it by rename: `path` is whole and right, or not there at all.

    Raises FileNotFoundError when the network or the disk fails, ValueError when the file is not the one meant.
    """
    try:
        body = _fetch(url, path.name)
        read_idx(body, url, sha256)
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, body)
    except (OSError, HTTPException) as error:
        remedy = f"install Debian's dataset-fashion-mnist, or put {', '.join(IDX_FILES)} into {path.parent}"
        raise FileNotFoundError(f"{path} is not there, and fetching {url} failed: {error}; {remedy}") from None


def _fetch(url: str, label: str) -> bytes:
    body = bytearray()
    with urlopen(url, timeout=30) as response:
        size = int(response.headers.get("Content-Length") or 0)
        with tqdm(desc=label, total=size or None, unit="B", unit_scale=True) as bar:
            while chunk := response.read(1 << 16):
                body += chunk
                bar.update(len(chunk))
    if len(body) < size:
        raise IncompleteRead(bytes(body), size - len(body))
    return bytes(body)


def _project_folder(name: str) -> Path:
    if not DATA.is_dir():
        remedy = "work in a checkout of the project (pip install -e .), or pass the path of a folder that holds them"
        raise FileNotFoundError(f"{name}: expected {', '.join(IDX_FILES)} in {DATA / name}, found no {DATA}; {remedy}")
    return DATA / name
