"""ThreadSanitizer sees what it is asked about: two threads in one shard are a race.

Runs under ``make races`` alone, which runs the tests of shards on kernels that are built with it.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

RACE = """
import sys, threading
sys.path.insert(0, "tests")
from support.compare import SEED, batch_of
from support.traffic.generated import generate
from trtop_core import Engine, EngineConfig

shards = Engine(EngineConfig(), SEED, 2)._shards._shards
part = batch_of(generate(3, 400))
batch = shards.prepare(part.data, part.index)
numbers = [int(number) for number in sys.argv[1:]]
threads = [
    threading.Thread(target=shards.count, args=(batch, number)) for number in numbers
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""

FOUND = 66
"""What ``make races`` has a process end with that had one."""

pytestmark = pytest.mark.skipif(
    "libtsan" not in os.environ.get("LD_PRELOAD", ""), reason="ThreadSanitizer: make races"
)


def _run(*shards: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RACE, *map(str, shards)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_two_threads_in_one_shard_are_found_out() -> None:
    done = _run(0, 0)
    assert done.returncode == FOUND
    assert "data race" in done.stderr


def test_a_thread_in_each_shard_is_no_race() -> None:
    done = _run(0, 1)
    assert (done.returncode, done.stderr) == (0, "")
