"""A call in a process of its own: what it returns, how it fails, and that it ends with its parent."""

import os
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children
from pathlib import Path

import pytest

from workbench.process import in_process, one_by_one


def divided(a: float, b: float) -> tuple[float, int]:
    """A quotient and the process that found it, which dies of 0 / 0."""
    if a == b == 0:
        os._exit(9)
    return a / b, os.getpid()


def test_every_call_has_a_process_of_its_own_and_none_takes_another_with_it():
    first, by_zero, died, last = one_by_one(divided, [(6, 4), (1, 0), (0, 0), (-5, 2)])
    ((six, one), seconds), ((minus_five, other), _) = first[1], last[1]
    assert (six, minus_five) == (1.5, -2.5) and seconds > 0 and len({one, other, os.getpid()}) == 3
    assert isinstance(by_zero[1], ZeroDivisionError) and isinstance(died[1], BrokenProcessPool)
    assert [first[0], by_zero[0], died[0], last[0]] == [0, 1, 2, 3]


ORPHAN = """
import os, time
from workbench.process import in_process
def waits():
    print(os.getpid(), flush=True)
    time.sleep(600)
if __name__ == "__main__":
    in_process(waits)
"""


def test_an_interruption_ends_the_call_too(monkeypatch):
    def interrupted(self, timeout=None):
        monkeypatch.undo()
        raise KeyboardInterrupt

    monkeypatch.setattr(Future, "result", interrupted)
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        in_process(time.sleep, 600)
    assert time.monotonic() - start < 300 and not active_children()


def slow(what: str) -> str:
    """What it is given, after a while; an error at once where that is nothing."""
    if not what:
        raise FloatingPointError("loss is no longer finite")
    time.sleep(3)
    return what


def test_a_call_that_fails_ends_no_other():
    with ThreadPoolExecutor(2) as threads:
        good, bad = (threads.submit(in_process, slow, what) for what in ("good", ""))
        with pytest.raises(FloatingPointError):
            bad.result()
        assert good.result()[0] == "good"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks Linux which processes run")
def test_a_run_ends_with_the_sweep_that_was_killed(tmp_path):
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        child = int(parent.stdout.readline())
        assert alive(child)
        parent.kill()
    end = time.monotonic() + 60
    while alive(child):
        assert time.monotonic() < end, f"process {child} goes on"


def alive(process: int) -> bool:
    """Whether a process runs."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
