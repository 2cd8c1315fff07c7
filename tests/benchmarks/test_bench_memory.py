"""The benchmark of memory: its connections are what it says, and are packed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parents[2] / "benchmarks" / "bench_memory.py"


def test_each_kind_is_measured() -> None:
    done = subprocess.run(
        [sys.executable, str(BENCH), "--connections", "20000"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    told = {}
    for line in done.stdout.splitlines():
        kind, numbers = line.split(": ", 1)
        told[kind] = [float(number) for number in re.findall(r"[0-9.]+", numbers)]
    assert list(told) == ["attempt", "open", "closed"]
    for _, packed_bytes, n_packed, n_connections, n_records in told.values():
        assert n_connections == 25_000
        assert n_packed + n_records >= n_connections
        assert packed_bytes <= 64
    assert told["attempt"][1] < told["closed"][1] <= told["open"][1]
