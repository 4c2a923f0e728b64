"""Memory that every call of compiled code asks for anew, kept between calls."""

import ctypes
import platform

M_TOP_PAD, M_MMAP_MAX = -2, -4  # of glibc's malloc.h
KEPT = 64 * 2**20  # bytes, the largest heap of a thread's arena; the default net's steps want 51 MiB in one block


def keep_freed_memory():
    """Let glibc keep freed blocks of up to 64 MiB: by default a live view's short calls map theirs anew, page by page.

    A thread's larger blocks are mapped anew all the same. Other libraries of C are left as they are.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TOP_PAD, KEPT)
