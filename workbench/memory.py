"""Memory that every call of compiled code asks for anew, kept between calls."""

import ctypes
import platform

M_TOP_PAD, M_MMAP_MAX = -2, -4  # of glibc's malloc.h
KEPT = 128 * 2**20  # bytes that each of malloc's arenas keeps when they are free; the default net's steps want 51 MiB


def keep_freed_memory():
    """Let glibc keep large blocks that are freed: by default a live view's short calls map theirs anew, page by page.

    Other libraries of C are left as they are.
    """
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TOP_PAD, KEPT)
