"""Threads of a report take memory from one heap."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, sys, threading
from trtop.runtime.allocator import share_heap

if sys.argv[1] == "shared":
    assert share_heap()
taken = []
malloc = ctypes.CDLL(None).malloc
malloc.restype = ctypes.c_void_p
thread = threading.Thread(target=lambda: taken.append(malloc(1_000)))
thread.start()
thread.join()
starts = [line.split("-")[0] for line in open("/proc/self/maps") if "[heap]" in line]
ends = [line.split()[0].split("-")[1] for line in open("/proc/self/maps") if "[heap]" in line]
print(any(int(a, 16) <= taken[0] < int(b, 16) for a, b in zip(starts, ends)))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc's allocator")
@pytest.mark.parametrize(("how", "is_shared"), [("shared", "True"), ("by itself", "False")])
def test_a_thread_takes_memory_from_the_one_heap(how: str, is_shared: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
        env={name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"},
    )
    assert done.stdout.strip() == is_shared
