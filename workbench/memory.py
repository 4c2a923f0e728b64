"""Memory that every call of compiled code asks for anew, kept between calls."""

import ctypes
import platform

M_TOP_PAD, M_MMAP_MAX = -2, -4  # of glibc's malloc.h
IS_GLIBC = platform.libc_ver()[0] == "glibc"
KEPT = 64 * 2**20  # bytes, the largest heap of a thread's arena; the default net's steps want 51 MiB in one block


def keep_freed_memory():
    """Let glibc keep freed blocks of up to 64 MiB: by default a live view's short calls map theirs anew, page by page.

    A thread's larger blocks are mapped anew all the same. Other libraries of C are left as they are.
    """
    if IS_GLIBC:
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TOP_PAD, KEPT)


def give_freed_memory_back():
    """Give the system what is free now, as after the end of a run: what is asked for next is mapped anew once."""
    if IS_GLIBC:
        ctypes.CDLL(None).malloc_trim(0)
