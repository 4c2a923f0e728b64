"""Runs that are killed, run out of disk or may not write, and what is left of them.

    python tests/reliability/crash.py [--count 100] [--seed 0]

A small run is trained in a process of its own that SIGKILL ends at a random moment: at or shortly after a step, in the
middle of writing a file, before or after a rename. It is started again, killed again, often within its first epoch,
until it reaches its end. After every kill the folder must hold a whole epoch, no older than the one before, and at the
end every number must be that of a run which nothing disturbed. RuntimeError where one is not.
"""

import argparse
import itertools
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import jax
import numpy as np

from mixvae import folder as saving
from mixvae.checkpoint import CHECKPOINT, PREVIOUS, read_checkpoint
from mixvae.example_runs import STAGES, same, tiny_config, tiny_dataset
from mixvae.runs import fit
from reliability.table import Found, print_table, timed

CONFIG = tiny_config(**STAGES, **{"train.epochs": 6})
EVENTS = 90  # steps, writes and renames of a whole run, about
NOBODY = 65534
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload([__name__ if __name__ != "__main__" else "mixvae.runs"])


class Lost(RuntimeError):
    """A run did not end as one that nothing disturbed."""


def kill():
    """End this process as the kernel ends one that is out of memory."""
    os.kill(os.getpid(), signal.SIGKILL)


def train(folder: Path, cache: Path, die_at: int = 0, seed: int = 0, keep: Path | None = None):
    """Train in this process to the end, or die at an event; `keep` receives a copy of every epoch's checkpoint."""
    jax.config.update("jax_disable_most_optimizations", True)
    jax.config.update("jax_compilation_cache_dir", str(cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    events, chance = itertools.count(1), random.Random(seed)

    def event(descriptor: int | None = None):
        if next(events) != die_at:
            return
        if descriptor is not None:
            os.truncate(descriptor, int(os.fstat(descriptor).st_size * chance.random()))
        elif chance.random() < 0.7:  # somewhere in the work that follows
            threading.Timer(0.03 * chance.random(), kill).start()
            return
        kill()

    fsync, replace = os.fsync, os.replace
    saving.os.fsync = lambda descriptor: [event(descriptor), fsync(descriptor)]
    saving.os.replace = lambda *paths: [event(), replace(*paths)]
    for snapshot in fit(CONFIG, tiny_dataset(), folder, lambda steps: event()):
        if keep:
            shutil.copy(folder / CHECKPOINT, keep / str(len(snapshot.history)))


def limited(folder: Path, cache: Path, limit: str, size: int, answer: Any):
    """Train under a limit of the system's; `answer` is sent the error that ended it."""
    if limit == "file size":
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    if limit == "read-only" and os.getuid() == 0:
        os.setgroups([])
        os.setuid(NOBODY)
    try:
        train(folder, cache)
    except OSError as error:
        answer.send(str(error))
    else:
        answer.send("")


def call(function: Any, *arguments: Any) -> int:
    """Run a function in a process of its own; how it ended, minus the signal where one ended it."""
    process = PROCESSES.Process(target=function, args=arguments)
    process.start()
    process.join(600)
    if process.exitcode is None:
        process.kill()
        raise Lost("a run hangs")
    return process.exitcode


class Runs(NamedTuple):
    """Where runs are made, where compiled code is kept, and the checkpoints of all epochs of an undisturbed one."""

    folder: Path
    cache: Path
    whole: list[dict[str, Any]]


@contextmanager
def undisturbed() -> Iterator[Runs]:
    """A folder in which a run was trained that nothing disturbed; deleted at the end."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, cache, kept = (Path(scratch) / name for name in ("undisturbed", "cache", "kept"))
        folder.parent.chmod(0o755)
        kept.mkdir()
        if call(train, folder, cache, 0, 0, kept):
            raise Lost("a run that nothing disturbed did not reach its end")
        epochs = range(1, CONFIG.train.epochs + 1)
        yield Runs(folder.parent, cache, [read_checkpoint(kept / str(epoch)) for epoch in epochs])


def newest(folder: Path) -> dict[str, Any] | None:
    """What a run goes on from."""
    for name in (CHECKPOINT, PREVIOUS):
        if (folder / name).exists():
            return read_checkpoint(folder / name)  # of what a kill leaves no part is damaged
    return None


def check(folder: Path, whole: list[dict[str, Any]], least: int) -> int:
    """The epoch that a folder holds, which equals that of the undisturbed run, bit by bit, and is `least` or later."""
    found = newest(folder)
    epoch = len(found["history"]) if found else 0
    if epoch < least:
        raise Lost(f"{folder} held epoch {least} and holds {epoch}")
    if found and not equal(found, whole[epoch - 1]):
        raise Lost(f"epoch {epoch} in {folder} differs from that of the undisturbed run")
    return epoch


def equal(found: dict[str, Any], expected: dict[str, Any]) -> bool:
    """Whether two checkpoints hold the same parameters, counts, curriculum, keys and history."""
    if jax.tree.structure(found["state"]) != jax.tree.structure(expected["state"]):
        return False
    dtypes = [[np.asarray(leaf).dtype for leaf in jax.tree.leaves(tree["state"])] for tree in (found, expected)]
    histories = [json.dumps(tree["history"]) for tree in (found, expected)]
    return same(found["state"], expected["state"]) and dtypes[0] == dtypes[1] and histories[0] == histories[1]


def kills(runs: Runs, count: int, seed: int = 0) -> Found:
    """`count` kills, in runs that are started again until they end."""
    chance, killed, ended, epochs = random.Random(seed), 0, 0, Counter()
    while killed < count:
        folder, epoch = runs.folder / f"killed {ended}", 0
        while (code := call(train, folder, runs.cache, moment(chance), chance.random())) == -signal.SIGKILL:
            killed += 1
            epoch = check(folder, runs.whole, epoch)
            epochs[epoch] += 1
        if code or check(folder, runs.whole, epoch) != CONFIG.train.epochs:
            raise Lost(f"a run ended with {code}, at epoch {check(folder, runs.whole, epoch)}")
        if left := sorted(set(os.listdir(folder)) - {"config.yaml", CHECKPOINT, PREVIOUS}):
            raise Lost(f"{folder} still holds {left}")
        ended += 1
    spread = ", ".join(f"{n} at epoch {epoch}" for epoch, n in sorted(epochs.items()))
    return {
        "tried": f"SIGKILL at a random moment ({spread})",
        "count": killed,
        "found": f"{ended} runs ended, 0 differ",
    }


def moment(chance: random.Random) -> int:
    """The event at which to die: in one start of two among the first ones, as where a kill follows another."""
    return chance.randint(1, 12 if chance.random() < 0.5 else EVENTS)


def refusals(runs: Runs, limit: str, count: int) -> Found:
    """`count` runs that cannot write, are told so in words that name the file, and end as others once they can."""
    said, size = Counter(), (runs.folder / "undisturbed" / CHECKPOINT).stat().st_size
    for i in range(count):
        folder = runs.folder / f"{limit} {i}"
        if call(train, folder, runs.cache, EVENTS // 2, i) != -signal.SIGKILL:
            raise Lost("a run was not killed")
        epoch = check(folder, runs.whole, 1)
        folder.chmod(0o555 if limit == "read-only" else 0o755)
        ours, theirs = PROCESSES.Pipe(duplex=False)
        call(limited, folder, runs.cache, limit, size * i // count, theirs)
        words = ours.recv()
        if str(folder) not in words:
            raise Lost(f"a run that could not write said {words!r}")
        said[words.replace(str(folder), "FOLDER")] += 1
        folder.chmod(0o755)
        if check(folder, runs.whole, epoch) != epoch:
            raise Lost(f"{folder} changed although it could not")
        if call(train, folder, runs.cache) or check(folder, runs.whole, epoch) != CONFIG.train.epochs:
            raise Lost(f"{folder} did not go on to the last epoch")
    return {"tried": limit, "count": count, "found": f"{count} runs ended, 0 differ; said: {'; '.join(said)}"}


def main():
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--count", type=int, default=100, help="kills; a tenth as many of each other fault")
    options.add_argument("--seed", type=int, default=0, help="of the moments")
    given = options.parse_args()
    few = max(1, given.count // 10)
    with undisturbed() as runs:
        checks = [(kills, given.count, given.seed), (refusals, "file size", few), (refusals, "read-only", few)]
        print_table(timed(check, runs, *arguments) for check, *arguments in checks)


if __name__ == "__main__":
    main()
