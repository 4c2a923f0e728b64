"""Training from disk beside training in memory, on a generated set of two million images: time of a step, and memory.

    python tests/benchmarks/large_data.py [PRESET] [--set SECTION.KEY=VALUE] [--images 2000000] [--cached]

The images are random affine views of MNIST, in a temporary folder. Two processes alternate, one with all images in
memory, the other with them on disk; at the end both must hold equal weights. Before each of its rounds the second drops
the file from the system's cache, as if the data were larger than memory, unless told to leave it `--cached`. (Where a
host caches the disk of a virtual machine, that cache is beyond reach.)
"""

import hashlib
import mmap
import multiprocessing
import os
import statistics
import tempfile
import time
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path

import jax
import numpy as np
from measure import command, configured, machine, quartiles

from mixvae import Config, load_dataset
from mixvae.config import AugmentConfig
from mixvae.invariance import augment
from mixvae.on_disk import OnDisk
from mixvae.runs import build_trainer
from workbench.cache import use_compilation_cache
from workbench.presets import WHOLE

PART = 10_000  # images generated at once
FILE = "x_train.npy"


def generate(folder: Path, count: int):
    """A data set of `count` views of MNIST, with MNIST's test images."""
    mnist = load_dataset("mnist")
    view = jax.jit(lambda key, x: augment(key, x / 255.0, **asdict(AugmentConfig())).clip(0, 1))
    x = np.lib.format.open_memmap(folder / FILE, "w+", np.uint8, (count, 28, 28))
    chosen = np.arange(count) % len(mnist.x_train)
    for start in range(0, count, PART):
        part = mnist.x_train[chosen[start : start + PART]]
        x[start : start + PART] = np.rint(255 * np.asarray(view(jax.random.key(start), part)))[..., 0]
    x.flush()
    np.save(folder / "y_train.npy", mnist.y_train[chosen])
    np.save(folder / "x_test.npy", mnist.x_test)


def drop(x: OnDisk, path: Path):
    """Forget what the system has cached of a file of images."""
    x.bytes.madvise(mmap.MADV_DONTNEED)
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


def mebibytes(file: str, name: str, unit: int) -> float:
    """An entry of this process's `status` or `io`."""
    lines = dict(line.split(":") for line in Path(f"/proc/self/{file}").read_text().splitlines())
    return int(lines[name].split()[0]) * unit / 2**20


def train(config: Config, folder: Path, on_disk: bool, cached: bool, steps: int, channel: Connection):
    """Train `steps` steps whenever asked, and tell their seconds; asked to end, tell the memory and the weights."""
    use_compilation_cache()
    dataset = load_dataset(folder)
    if not on_disk:
        object.__setattr__(dataset, "x_train", np.asarray(dataset.x_train))
    trainer = build_trainer(config, dataset)
    state, _ = trainer.advance(trainer.init(), 1)
    channel.send(0.0)
    before = mebibytes("io", "read_bytes", 1)
    while channel.recv():
        if on_disk and not cached:
            drop(trainer.x_train, folder / FILE)
        start = time.perf_counter()
        state, _ = trainer.advance(state, steps)
        jax.block_until_ready(state.params)
        channel.send((time.perf_counter() - start) / steps)
    weights = hashlib.sha256(b"".join(np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(state.params)))
    memory = [mebibytes("status", name, 1024) for name in ("RssAnon", "RssFile")]
    channel.send((weights.hexdigest(), *memory, mebibytes("io", "read_bytes", 1) - before))


def alternate(config: Config, folder: Path, cached: bool, steps: int, rounds: int) -> list[tuple[list[float], tuple]]:
    """Of training in memory and of training from disk: seconds of a step in every round, and what it tells at last."""
    context, channels, processes = multiprocessing.get_context("spawn"), [], []
    for on_disk in (False, True):
        mine, its = context.Pipe()
        arguments = (config, folder, on_disk, cached, steps, its)
        processes.append(context.Process(target=train, args=arguments, daemon=True))
        processes[-1].start()
        its.close()
        mine.recv()
        channels.append(mine)
    taken = [[], []]
    for _ in range(rounds):
        for channel, seconds in zip(channels, taken, strict=True):
            channel.send(True)
            seconds.append(channel.recv())
    for channel in channels:
        channel.send(False)
    return [(seconds, channel.recv()) for seconds, channel in zip(taken, channels, strict=True)]


def main():
    """Print the table."""
    cli = command(__doc__)
    cli.add_argument("--images", type=int, default=2_000_000)
    cli.add_argument("--steps", type=int, default=128, help="training steps of a round")
    cli.add_argument("--rounds", type=int, default=7)
    cli.add_argument("--cached", action="store_true", help="leave the file in the system's cache")
    arguments = cli.parse_args()
    config = configured(arguments, WHOLE)
    with tempfile.TemporaryDirectory() as name:
        start = time.perf_counter()
        generate(Path(name), arguments.images)
        made, size = time.perf_counter() - start, (Path(name) / FILE).stat().st_size
        found = alternate(config, Path(name), arguments.cached, arguments.steps, arguments.rounds)
    (memory, told), (disk, told_by_disk) = found
    if told[0] != told_by_disk[0]:
        raise AssertionError("training from disk and in memory reached different weights")
    print(f"{arguments.preset}: {machine()}")
    print(f"{arguments.images} images, {size / 2**20:.0f} MiB, made in {made:.0f} s; equal weights at the end")
    print(f"{'':12}{'ms a step':>10}   {'of rounds':<16}{'private MiB':>12}{'file MiB':>10}{'MiB read':>10}")
    for what, (seconds, (_, private, mapped, read)) in zip(("in memory", "from disk"), found, strict=True):
        low, middle, high = (1000 * f(seconds) for f in (min, statistics.median, max))
        times = f"{middle:10.1f}   {f'{low:.1f} to {high:.1f}':<16}"
        print(f"{what:12}{times}{private:12.0f}{mapped:10.0f}{read:10.0f}")
    ratios = [b / a for a, b in zip(memory, disk, strict=True)]
    low, middle, high = quartiles(ratios)
    print(f"ratio, from disk to in memory: {middle:.3f}, quartiles {low:.3f} to {high:.3f}")


if __name__ == "__main__":
    main()
