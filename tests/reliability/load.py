"""Many writers, many views and long training: what is lost, and what grows.

    python tests/reliability/load.py [--rows 200] [--presses 500] [--views 20] [--epochs 20000] [--opened 500]

Two processes put rows of results into one table; start and pause are pressed; views in one process train at the same
time; a small model is trained for many epochs on a view; two views open a run that another process saves. RuntimeError
where a row is lost, a view is dead, or threads, open files or arrays on the device are more at the end than they were.
"""

import argparse
import itertools
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import jax
import numpy as np

from mixvae.checkpoint import save
from mixvae.example_runs import tiny_config
from mixvae.runs import build_trainer, open_run
from reliability.held import Leak, flat, held
from reliability.table import Found, print_table, timed
from workbench.channel_view import ChannelView
from workbench.example_screen import DATASET, LONG, make
from workbench.live import LiveRun
from workbench.rows import put, read

WRITERS = 2


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


def opened(count: int) -> Found:
    """A run that another process saves all the time, opened `count` times on each of two views."""
    processes = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        begun = processes.Event()
        writer = processes.Process(target=save_often, args=(Path(folder), begun), daemon=True)
        writer.start()
        if not begun.wait(120):
            raise Leak("the other process saved nothing")
        found = used("one run, saved by another process, opened on 2 views", count, 2, partial(follow, folder, count))
        if not writer.is_alive():
            raise Leak(f"the other process ended: {writer.exitcode}")
        writer.kill()
        writer.join()
    return found


def save_often(folder: Path, begun: Any):
    """Save a run again and again, each time one epoch later."""
    trainer = build_trainer(tiny_config(), DATASET)
    state = jax.tree.map(np.asarray, trainer.init())
    for epoch in itertools.count(1):
        save(folder, trainer, state._replace(step=np.asarray(epoch, state.step.dtype)), [{"epoch": epoch}])
        begun.set()


def follow(folder: str, count: int, live: LiveRun):
    """Open a run `count` times on a view; it is whole each time, and never older than before."""
    before = 0
    for _ in range(count):
        saved = open_run(folder, DATASET)
        if not before <= saved.state.step == saved.history[-1]["epoch"]:
            raise Leak(f"step {saved.state.step} of {saved.history} after step {before}")
        before = int(saved.state.step)
        live.show(saved)


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
        if not live.settled(600) or live.error or live.view.status not in ("paused", "saved run"):
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
    counts = {rows: 200, presses: 500, views: 20, epochs: 20_000, opened: 500}
    for check, count in counts.items():
        options.add_argument(f"--{check.__name__}", type=int, default=count, help=check.__doc__)
    given = vars(options.parse_args())
    print_table(timed(check, given[check.__name__]) for check in counts)


if __name__ == "__main__":
    main()
