"""What a process holds before and after it was used."""

import gc
import os
import threading
from pathlib import Path

import jax

MEGABYTES = 64  # that a process may grow by


class Leak(RuntimeError):
    """Something was lost, or is not given back."""


def held() -> dict[str, float]:
    """What this process holds now."""
    gc.collect()
    return {"threads": threading.active_count()} | by(os.getpid()) | {"arrays": len(jax.live_arrays())}


def by(process: int) -> dict[str, float]:
    """Open files and resident memory of a process."""
    home = Path(f"/proc/{process}")
    pages = int((home / "statm").read_text().split()[1])
    return {"files": len(os.listdir(home / "fd")), "megabytes": pages * 4096 / 2**20}


def flat(before: dict[str, float], after: dict[str, float], megabytes: int = MEGABYTES) -> str:
    """What was held before and after, in words. Raises Leak where it has grown."""
    words = ", ".join(f"{name} {before[name]:.0f} to {after[name]:.0f}" for name in before)
    if any(after[name] > before[name] + (megabytes if name == "megabytes" else 0) for name in before):
        raise Leak(words)
    return words
