"""Every format that is read: a context that gives a function which makes one case of it and has it read."""

import gzip
import io
import os
import random
import shutil
import string
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl
from flax import serialization

from mixvae.checkpoint import CHECKPOINT, CONFIG, MAGIC, VERSION, load, save
from mixvae.config_file import load_config
from mixvae.data import load_dataset
from mixvae.example_files import images, png, save_npz, write_idx_folder
from mixvae.example_runs import tiny_config, tiny_dataset
from mixvae.runs import build_trainer
from mixvae.sources import IDX_FILES
from reliability.probes import Probes
from workbench import __main__ as command
from workbench.example_screen import Screen, make
from workbench.film import FILE, Film, Moment, load_film
from workbench.given import GivenLabels
from workbench.presets import CONFIGS

NAMES = [
    *("config", "idx", "npz", "npy", "parquet", "pictures", "checkpoint", "film", "labels", "messages", "command_line")
]
WORDS = [
    *("model", "num_components", "data", "name", "train", "epochs", "use_film_decoder", "prior_type", "k_active"),
    *("!!int ", "!!float ", "!!timestamp ", "!!binary ", "!!set ", "!!python/object/apply:os.system ", "&a ", "*a"),
    *("\n", "\n  ", ": ", ", ", "- ", "? ", "{", "}", "[", "]", "<<: ", "|", '"', "'", "%", "---", "#", "\t", "\0"),
    *("1e3", "1e999", ".nan", "-.inf", "0x" + "f" * 99, "9" * 5000, "1:30", "2020-13-45", "~", "true", "é", "\ud800"),
    *("../../etc/passwd", "/dev/zero", "x" * 300, "[" * 500, "film", "digits"),
]
TABLE = [
    "image",
    "label",
    ",",
    ",",
    "\n",
    "\n",
    "0",
    "3",
    "6",
    "-1",
    "7",
    "1e3",
    "9" * 30,
    "round",
    "square",
    '"',
    "\0",
]
TABLE += ["image,label\n", "other", "", "é", "NaN", "null", "\r\n", "\ufeff", "<script>", "x" * 300]
SIZES = (0, 1, 3, 8, 9, 28, 10**9, 10**12, 2**63, 10**30, -1)
DTYPES = [
    *["|u1"] * 9,
    "|b1",
    "<f8",
    "<i4",
    "<U3",
    "|S0",
    "|V0",
    "|O",
    "<M8[ns]",
    [("a", "|u1")],
    "<U999999999999",
    "x" * 300,
]
CRASHING = ("Traceback", "panicked")


class Refused(Exception):
    """An error for whoever made the mistake; `where` is what it must name."""

    def __init__(self, error: Exception, where: str):
        super().__init__(str(error))
        self.where = where


def read(reading: Callable[[], Any], where: str):
    """Read a case; what is refused as it should be becomes Refused."""
    try:
        reading()
    except (ValueError, OSError) as error:
        raise Refused(error, where) from error


def spoilt(content: bytes, chance: random.Random) -> bytes:
    """Bytes of which one to four places are wrong, missing, doubled or very large."""
    spoiling = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at, size = chance.randrange(len(spoiling) + 1), chance.randint(1, 8)
        match chance.randrange(6):
            case 0 if at < len(spoiling):
                spoiling[at] ^= 1 << chance.randrange(8)
            case 1:
                del spoiling[at:]
            case 2:
                spoiling[at : at + size] = chance.choice((b"\xff", b"\0", b"\x7f", b"9")) * size
            case 3:
                spoiling[at:at] = chance.randbytes(size)
            case 4:
                del spoiling[at : at + size]
            case _:
                spoiling[at:at] = spoiling[at // 2 : at // 2 + 40]
    return bytes(spoiling)


def words(among: list[str], chance: random.Random) -> str:
    """Some words in a row."""
    return "".join(chance.choice(among) for _ in range(chance.randrange(14)))


@contextmanager
def config(folder: Path) -> Iterator[Callable]:
    """Presets with a few bytes changed, and words of YAML in any order."""
    presets, path = [path.read_bytes() for path in sorted(CONFIGS.glob("*.yaml"))], folder / "mine.yaml"

    def case(chance: random.Random):
        text = words(WORDS, chance).encode("utf-8", "surrogatepass")
        path.write_bytes(chance.choice((text, spoilt(chance.choice(presets), chance))))
        read(lambda: load_config(path), str(path))

    yield case


@contextmanager
def idx(folder: Path) -> Iterator[Callable]:
    """Four gzip IDX files, of which one is spoilt, before it is packed or after."""
    where = write_idx_folder(folder / "mine")
    whole = [(where / name).read_bytes() for name in IDX_FILES]

    def case(chance: random.Random):
        which = chance.randrange(4)
        inner = gzip.compress(spoilt(gzip.decompress(whole[which]), chance), 1)
        (where / IDX_FILES[which]).write_bytes(chance.choice((inner, spoilt(whole[which], chance))))
        try:
            read(lambda: load_dataset(where), str(where))
        finally:
            (where / IDX_FILES[which]).write_bytes(whole[which])

    yield case


@contextmanager
def npz(folder: Path) -> Iterator[Callable]:
    """Archives of arrays, spoilt as a whole, or whose arrays are, in any compression."""
    path = save_npz(folder / "own.npz", x=images(9), y=np.arange(9) % 3, x_test=images(2))
    whole, (x, y) = path.read_bytes(), (saved(images(9)), saved(np.array(["a", "", "b"] * 3)))

    def case(chance: random.Random):
        if chance.random() < 0.4:
            path.write_bytes(spoilt(whole, chance))
        else:
            kind = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
            with zipfile.ZipFile(path, "w", kind) as archive:
                archive.writestr("x.npy", spoilt(x[:130], chance) + x[130:])
                archive.writestr(
                    chance.choice(("y.npy", "../y.npy", "y_train.npy")), chance.choice((y, spoilt(y, chance)))
                )
        read(lambda: load_dataset(path), str(path))

    yield case


def saved(array: np.ndarray) -> bytes:
    """An array as np.save writes it; objects are pickled."""
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


@contextmanager
def npy(folder: Path) -> Iterator[Callable]:
    """A folder of arrays, of which one is spoilt, another, announces what is not there, or is no file at all."""
    where, names = folder / "own", ("x_train", "y_train", "x_test", "y_test")
    whole = [saved(array) for array in (images(9), np.arange(9) % 3, images(2), np.arange(2))]
    kinds = [images(9) / 255, np.asfortranarray(images(9)), images(9)[:0], images(2), images(9, channels=(3,))]
    kinds += [
        np.array(["a", "", "b"] * 3),
        np.arange(9) / 9,
        np.arange(2),
        np.array([None, {}, where] * 3),
        np.uint8(7),
    ]
    others = [saved(np.asarray(array)) for array in kinds]

    def case(chance: random.Random):
        shutil.rmtree(where, ignore_errors=True)
        where.mkdir()
        for name, content in zip(names, whole, strict=True):
            if chance.random() < 0.9:
                (where / f"{name}.npy").write_bytes(content)
        which = chance.randrange(4)
        path, content = where / f"{names[which]}.npy", whole[which]
        match chance.randrange(8):
            case 0:
                content = spoilt(content, chance)
            case 1 | 2:
                content = spoilt(content[:128], chance) + content[128:]
            case 3 | 4:
                content = announcing(content[128:], chance)
            case 5 | 6:
                content = chance.choice(others)
            case _:
                path.unlink(missing_ok=True)
                name = chance.choice(("x", "y_tset", "labels", "", "\n", "\udcff", "x" * 250, names[which]))
                path = where / f"{name}.npy"
                chance.choice((path.mkdir, partial(os.mkfifo, path), partial(path.symlink_to, "/dev/zero"), list))()
        if not path.exists() or path.is_file():
            path.write_bytes(content)
        read(lambda: np.asarray(load_dataset(where).x_train), str(where))

    yield case


def announcing(body: bytes, chance: random.Random) -> bytes:
    """A `.npy` file whose header is sound and says anything; after it, `body` or nothing."""
    shape, dtype = tuple(chance.choices(SIZES, k=chance.randrange(5))), chance.choice(DTYPES)
    header = repr({"descr": dtype, "fortran_order": chance.random() < 0.3, "shape": shape}).encode()
    header += b" " * chance.choice((0, 60, 9000, 60_000)) + b"\n"
    version, length = chance.choice((1, 2, 3)), chance.choice((len(header), len(header), len(header), 2**16 - 1))
    size = length.to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + header + chance.choice((body, b""))


@contextmanager
def parquet(folder: Path) -> Iterator[Callable]:
    """A Parquet file of encoded images, or of numbers."""
    path, wholes = folder / "own.parquet", []
    for column in ([png(image) for image in images(6)], images(6).reshape(6, -1)[:, :400].tolist()):
        pl.DataFrame({"image": column, "label": ["a", "b"] * 3}).write_parquet(path)
        wholes.append(path.read_bytes())

    def case(chance: random.Random):
        path.write_bytes(spoilt(chance.choice(wholes), chance))
        read(lambda: load_dataset(path), str(path))

    probes = Probes()
    with mock.patch("mixvae.pictures.subprocess.run", probes.run), closing(probes):
        yield case


@contextmanager
def pictures(folder: Path) -> Iterator[Callable]:
    """A folder of images, of which one is spoilt."""
    where, content = folder / "own", png(np.dstack([images(1)[0]] * 3))
    where.mkdir()
    for i in range(3):
        (where / f"{i}.png").write_bytes(content)

    def case(chance: random.Random):
        (where / "1.png").write_bytes(spoilt(content, chance))
        read(lambda: load_dataset(where), str(where))

    yield case


@contextmanager
def checkpoint(folder: Path) -> Iterator[Callable]:
    """A run's only checkpoint, spoilt, or with spoilt content beside its right checksum."""
    trainer = build_trainer(tiny_config(), tiny_dataset())
    save(folder, trainer, trainer.init(), [{"epoch": 1}])
    path = folder / CHECKPOINT
    whole = path.read_bytes()
    payload = whole.partition(b"\n")[2]
    tree = serialization.msgpack_restore(payload)

    def case(chance: random.Random):
        if chance.random() < 0.4:
            path.write_bytes(spoilt(whole, chance))
        else:
            content = spoilt(payload, chance) if chance.random() < 0.5 else changed(tree, chance)
            path.write_bytes(f"{MAGIC} {VERSION} {sha256(content).hexdigest()}\n".encode() + content)
        read(lambda: load(folder, trainer), str(folder))

    yield case


def changed(tree: dict[str, Any], chance: random.Random) -> bytes:
    """A checkpoint's content in which one value, at any depth, is something else or is missing."""
    copy = serialization.msgpack_restore(serialization.msgpack_serialize(tree))
    at = copy
    while isinstance(at[key := chance.choice(sorted(at))], dict) and at[key] and chance.random() < 0.9:
        at = at[key]
    value = chance.choice((None, "text", -1, 1e400, [], {}, [{"epoch": "<script>"}], np.zeros(3), np.float16(np.nan)))
    if chance.random() < 0.2:
        del at[key]
    else:
        at[key] = value
    return serialization.msgpack_serialize(copy)


@contextmanager
def film(folder: Path) -> Iterator[Callable]:
    """A run's past, spoilt before it is packed or after."""
    Film([Moment(0.5 * i, "K_active 1 to 2", bytes(range(200))) for i in range(5)]).save(folder)
    path = folder / FILE
    whole = path.read_bytes()
    payload = zlib.decompress(whole)

    def case(chance: random.Random):
        inner = zlib.compress(spoilt(payload, chance), 1)
        path.write_bytes(chance.choice((inner, spoilt(whole, chance))))
        read(lambda: load_film(folder), str(path))

    yield case


@contextmanager
def labels(folder: Path) -> Iterator[Callable]:
    """Tables of labels."""

    def case(chance: random.Random):
        given = GivenLabels(7)
        given.label([3], [1], 3)
        text = spoilt(b"image,label\n0,square\n6,other\n1,round\n", chance).decode("utf-8", "replace")
        try:
            read(lambda: given.read(chance.choice((text, words(TABLE, chance))), ("round", "square", "other")), "")
        finally:
            assert given.labels.dtype == np.int32 and set(given.labels) <= {-1, 0, 1, 2} and given.labels.shape == (7,)

    yield case


@contextmanager
def messages(folder: Path) -> Iterator[Callable]:
    """What a page may send to a live run, which then still trains and has no error to show."""
    live = make(Screen())
    assert live.settled()
    publish, live._publish = live._publish, lambda whole=False: None  # frames take most of the time

    def case(chance: random.Random):
        read(lambda: live.answer(message(chance)), "the view asked for")
        assert live.settled() and live.error is None, live.error

    yield case
    live._publish = publish
    live.step()
    assert live.settled() and live.state.step == 1
    live.close()


def message(chance: random.Random) -> dict[str, Any]:
    """A request, with parts that may be missing or something else."""

    def anything(depth: int = 2) -> Any:
        plain = [None, True, -1, 0, 2, 39, 40, 10**400, 1.5, float("nan"), "", "label", words(TABLE, chance), "\ud800"]
        if depth and chance.random() < 0.4:
            several = [anything(depth - 1) for _ in range(chance.randrange(4))]
            return chance.choice((several, dict(zip(string.ascii_letters, several, strict=False))))
        return chance.choice(plain)

    does = chance.choice(("ask", "undo", "forget", "label", "import", "go", "start", anything()))
    points = [chance.randrange(40) for _ in range(chance.randrange(4))]
    whole = {
        "do": does,
        "points": points,
        "label": chance.randint(-1, 2),
        "text": "image,label\n1,round\n",
        "moment": 0,
    }
    spoiling = chance.sample(sorted(whole), chance.randrange(4))
    return {key: anything() if key in spoiling else part for key, part in whole.items() if chance.random() < 0.95}


@contextmanager
def command_line(folder: Path) -> Iterator[Callable]:
    """Arguments of `python -m workbench`, which stops where training, a notebook or a cluster would begin."""
    (folder / "README.md").write_text("# nothing to fill\n")
    (folder / "run").mkdir()
    shutil.copy(CONFIGS / "fast.yaml", folder / "run" / CONFIG)
    (folder / "bad.yaml").write_text("model: {widht: 3}")

    def case(chance: random.Random):
        err = io.StringIO()
        with mock.patch("sys.stderr", err):
            try:
                code = command.main(arguments(chance))
            except SystemExit as ended:
                code = ended.code
        assert code in (0, 1, 2) and not any(word in err.getvalue() for word in CRASHING), err.getvalue()
        assert code == 0 or "error: " in err.getvalue()
        return None if code == 0 else "refused"

    def reached(*_, **__):
        raise ValueError("reached")

    with ExitStack() as patches:
        for name in ("load_dataset", "offline", "connect"):
            patches.enter_context(mock.patch.object(command, name, reached))
        for name, value in {"sweep": lambda *_, **__: (), "use_compilation_cache": list, "ROOT": folder}.items():
            patches.enter_context(mock.patch.object(command, name, value))
        patches.enter_context(mock.patch("jax.distributed.initialize", reached))
        yield case


ARGUMENTS = [
    *("train", "report", "sweep", "tables", "fast", "label_free", "bad.yaml", "run", "README.md", "none.yaml", "."),
    *("--set", "--out", "-o", "--light", "--hosts", "--arm", "--seeds", "--together", "--scheduler", "--help", "--"),
    *("a=1", "model.width=", "=", "data.name=../../x.npz", "10.0.0.1:1,2,0", "x,1,1", "auto", "tcp://127.0.0.1:1"),
    *("0", "-1", "9" * 5000, "x" * 5000, "\0", "", " ", "é", "\udcff", "notebook.py", "run/config.yaml"),
]


def arguments(chance: random.Random) -> list[str]:
    """A command, mostly, and what may follow it."""
    first = [chance.choice(("train", "report", "sweep", "tables"))] if chance.random() < 0.9 else []
    second = [chance.choice(("fast", "label_free", "run", "bad.yaml"))] if chance.random() < 0.7 else []
    rest = [chance.choice(ARGUMENTS) for _ in range(chance.randrange(5))]
    settings = ["--set", f"{chance.choice(('model.width', 'data.name', 'train.epochs'))}={words(WORDS, chance)}"]
    return first + second + rest + (settings if chance.random() < 0.5 else [])
