"""Memory does not grow with a capture: SYNs of random ends against small tables."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from support.paths import TESTS

PROGRAM = """
import resource, sys
import numpy as np
from support.builders.packets import SYN, Talk
from trtop_core import Engine, EngineConfig, PacketBatch, View
from trtop_core.records import PACKET_INDEX, Window

N_BATCH, N_ROUNDS = 5_000, int(sys.argv[1])
frame = np.frombuffer(Talk().out(1, flags=SYN), np.uint8)
rng = np.random.default_rng(1)
config = EngineConfig(max_connections=1_000, max_destinations=100, windows=tuple(Window))
engine = Engine(config, bytes(16))
index = np.zeros(N_BATCH, PACKET_INDEX)
index["offset"] = np.arange(N_BATCH) * len(frame)
index["caplen"] = index["wire_len"] = len(frame)
index["link_type"] = 1
for n in range(N_ROUNDS):
    data = np.tile(frame, (N_BATCH, 1))
    data[:, 26:38] = rng.integers(0, 256, (N_BATCH, 12), np.uint8)  # addresses and ports
    index["ts_ns"] = 10**18 + (n * N_BATCH + np.arange(N_BATCH)) * 1_000
    engine.feed(PacketBatch(data.reshape(-1), index.copy()))
shown = engine.snapshot(View())
assert shown.totals.count("syn") == N_ROUNDS * N_BATCH
assert shown.health.evicted == N_ROUNDS * N_BATCH - 1_000
assert shown.totals.count("active") == shown.totals.count("pending") == 1_000
assert shown.n_destinations == 101
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def _peak_kib(n_rounds: int) -> int:
    # Whichever build is tested, behind the builders.
    paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(n_rounds)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ru_maxrss is in KiB on Linux")
def test_memory_is_bounded_by_the_tables() -> None:
    assert _peak_kib(100) - _peak_kib(4) < 8 * 1024
