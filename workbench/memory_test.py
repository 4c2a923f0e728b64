"""Memory kept, seen by the page faults of a fresh process."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import ctypes, resource, threading
from workbench.memory import keep_freed_memory

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
faults = []

def use():
    for _ in range(5):
        block = libc.malloc(50 * 2**20)
        libc.memset(block, 1, 50 * 2**20)
        libc.free(block)
        faults.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)

if {keep}:
    keep_freed_memory()
for _ in range(2):
    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
print(faults[4] - faults[0], faults[9] - faults[5])
"""


def faults(keep: bool) -> list[int]:
    """Page faults of a block's later uses in a first thread, then in a second."""
    told = subprocess.run([sys.executable, "-c", FAULTS.format(keep=keep)], capture_output=True, text=True, check=True)
    return [int(number) for number in told.stdout.split()]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is kept is glibc's malloc's")
def test_a_block_freed_in_a_thread_is_there_when_it_is_asked_for_again():
    assert 10 * max(faults(keep=True)) < min(faults(keep=False))


HELD = """
import threading
from pathlib import Path

import numpy as np

from workbench.memory import give_freed_memory_back, keep_freed_memory

keep_freed_memory()
resident = []

def measure():
    resident.append(int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 2**20)

def use():
    blocks = [np.ones(10 * 2**20, np.uint8) for _ in range(20)]
    del blocks

measure()
thread = threading.Thread(target=use)
thread.start()
thread.join()
measure()
give_freed_memory_back()
measure()
print(*resident)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="what is kept is glibc's malloc's")
def test_what_a_thread_has_freed_can_be_given_back():
    told = subprocess.run([sys.executable, "-c", HELD], capture_output=True, text=True, check=True).stdout
    before, kept, left = map(int, told.split())  # MiB
    assert kept > before + 100 and left < before + 50
