"""``share_heap``: threads of this process take memory from one heap."""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8
"""Of ``mallopt`` (glibc's malloc.h): how many heaps there are at most."""


def share_heap() -> bool:
    """Have the threads that come take memory from the heap that is there.

    By itself glibc gives each a heap of its own, which keeps what is freed in it: batches that one
    thread reads and another one counts lie in both, some 4 MB.

    Returns:
        Whether the C library can be told.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_ARENA_MAX, 1))
