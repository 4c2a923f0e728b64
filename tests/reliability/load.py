"""Many writers, many views and long training: what is lost, and what grows.

    python tests/reliability/load.py [--rows 200] [--presses 500] [--views 20] [--epochs 20000]

Two processes put rows of results into one table; views of one server train at the same time; start and pause are
pressed; a small model is trained for many epochs on a view. RuntimeError where a row is lost, a view is dead, or
threads, open files or arrays on the device are more at the end than they were.
"""

import argparse
import gc
import multiprocessing
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

import jax

from reliability.table import Found, print_table, timed
from workbench.channel_view import ChannelView
from workbench.example_screen import LONG, make
from workbench.live import LiveRun
from workbench.rows import put, read

WRITERS = 2
MEGABYTES = 64  # that a process may grow by


class Leak(RuntimeError):
    """Something was lost, or is not given back."""


class Held(NamedTuple):
    """What a process holds."""

    threads: int
    files: int
    arrays: int
    megabytes: float


def held() -> Held:
    """What this process holds now."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Held(
        threading.active_count(), len(os.listdir("/proc/self/fd")), len(jax.live_arrays()), pages * 4096 / 2**20
    )


def flat(before: Held, after: Held) -> str:
    """What was held before and after, in words. Raises Leak where it has grown."""
    words = ", ".join(f"{name} {a:.0f} to {b:.0f}" for name, a, b in zip(Held._fields, before, after, strict=True))
    if any(b > a for a, b in zip(before[:3], after[:3], strict=True)) or after[3] > before[3] + MEGABYTES:
        raise Leak(words)
    return words


def write(folder: Path, arm: str, count: int):
    """Put rows into a table, one by one."""
    for number in range(count):
        job = {"arm": arm, "seed": number, "config_hash": f"{arm}{number}"}
        put(folder / "rows.csv", job, {"mse": number / 7})


def rows(count: int) -> Found:
    """WRITERS processes that put `count` rows each into one table."""
    processes = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        writers = [processes.Process(target=write, args=(Path(folder), f"arm{i}", count)) for i in range(WRITERS)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        found, left = read("rows", Path(folder)), os.listdir(folder)
    if found.height != WRITERS * count or left != ["rows.csv"]:
        raise Leak(f"{found.height} rows of {WRITERS * count}, in {left}")
    return {"tried": f"rows by {WRITERS} processes at once", "count": WRITERS * count, "found": "0 lost"}


def presses(count: int) -> Found:
    """Start and pause, pressed `count` times each."""

    def press(live):
        for number in range(count):
            live.start()
            if number % 10 == 0 and not live.settled():
                raise Leak("a press was not answered")
            live.pause()

    return used("start and pause, pressed", count, 1, press)


def views(count: int) -> Found:
    """Views that train at the same time in one process."""
    return used("views that train at once", count, count, lambda live: live.step(12))


def epochs(count: int) -> Found:
    """A small model, trained on a view for `count` epochs."""
    return used("epochs on a view", count, 1, lambda live: live.settled() and live.step(count * steps_per_epoch(live)))


def steps_per_epoch(live: LiveRun) -> int:
    """Of the model that is there by now."""
    return live.trainer.steps_per_epoch


def used(tried: str, count: int, together: int, use: Callable) -> Found:
    """What a process holds before and after live runs are used, `together` of them at once; one is used before."""
    round_of(1, lambda live: live.step(20))  # what is compiled and kept for good
    before = held()
    frames = round_of(together, use)
    return {"tried": tried, "count": count, "found": f"{frames} frames, {flat(before, held())}"}


def round_of(together: int, use: Callable) -> int:
    """Make live runs, use them, end them; the frames that they sent, of which the last shows where training stands."""
    frames, lives = [0] * together, []
    for i in range(together):
        view = ChannelView()
        view.observe(lambda change, i=i: frames.__setitem__(i, frames[i] + 1), "frame")
        lives.append(make(view, **LONG))
    for live in lives:
        use(live)
    for live in lives:
        live.settled(600)
        live.pause()
        if not live.settled(600) or live.error or live.view.status != "paused":
            raise Leak(f"a view says {live.view.status}")
        if f'"step": {int(live.state.step)},'.encode() not in live.view.frame:
            raise Leak("a view does not show where training stands")
        thread = live._worker._thread
        live.close()
        live.view.close()
        thread.join(60)
    return sum(frames)


def main():
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    counts = {rows: 200, presses: 500, views: 20, epochs: 20_000}
    for check, count in counts.items():
        options.add_argument(f"--{check.__name__}", type=int, default=count, help=check.__doc__)
    given = vars(options.parse_args())
    print_table(timed(check, given[check.__name__]) for check in counts)


if __name__ == "__main__":
    main()
