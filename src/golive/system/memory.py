"""Keeping the daemon small: what glibc's allocator holds back is given back to the machine."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import sys

M_ARENA_MAX = -8
"""glibc's malloc.h."""


def one_arena() -> None:
    """One heap for all threads: the default of eight per core keeps tens of megabytes for threads that do little."""
    with contextlib.suppress(OSError, AttributeError):
        if sys.platform == "linux":
            ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


def give_back() -> None:
    """Return freed memory to the kernel, after something large has ended."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        if sys.platform == "linux":
            ctypes.CDLL(None).malloc_trim(0)
