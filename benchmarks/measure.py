"""Time the parts of the core on one capture, each in a process of its own.

    python benchmarks/measure.py ROOM FILE

Prints one JSON object. Seconds are of CPU time (user and system) on one core, so that other work
on the machine disturbs them less; the capture should be in the page cache.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STAGES = ("read", "decode", "feed")
"""Reading and indexing alone; decoding alone; the engine's feed, which decodes by itself."""

SEED = bytes(16)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command.

    Attributes:
        wall_s: from its start to its end.
        cpu_s: user and system time.
        peak_rss_bytes: most memory it had at once.
    """

    wall_s: float
    cpu_s: float
    peak_rss_bytes: int


def run_command(command: Sequence[str]) -> Run:
    """Run a command with its output thrown away, and account for it.

    Raises:
        subprocess.CalledProcessError: it failed; ``stderr`` says what it said.
    """
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - started
    process.stderr.close()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command), stderr=said)
    return Run(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def run_stage(stage: str, path: Path) -> dict[str, Any]:
    """Run this file on a capture.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    command = [sys.executable, __file__, stage, str(path)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def _measure(stage: str, path: str) -> dict[str, Any]:
    from trtop_core.config import EngineConfig  # noqa: PLC0415 - only in the measured process
    from trtop_core.decode import decode  # noqa: PLC0415 - only in the measured process
    from trtop_core.engine import Engine  # noqa: PLC0415 - only in the measured process
    from trtop_core.sources import open_capture  # noqa: PLC0415 - only in the measured process
    from trtop_core.view import View  # noqa: PLC0415 - only in the measured process

    engine = Engine(EngineConfig(), seed=SEED)
    use: dict[str, Callable[..., object]] = {
        "read": len,
        "decode": decode,
        "feed": engine.feed,
    }
    used, clock = use[stage], time.process_time
    n_packets, inside_s = 0, 0.0
    started_s = clock()
    with open_capture(path) as source:
        for batch in source:
            before_s = clock()
            used(batch)
            inside_s += clock() - before_s
            n_packets += len(batch)
    total_s = clock() - started_s
    measured = {"packets": n_packets, "inside_s": inside_s, "total_s": total_s}
    if stage == "feed":
        before_s = clock()
        engine.finish()
        engine.snapshot(View())
        measured["snapshot_s"] = clock() - before_s
    return measured


if __name__ == "__main__":
    print(json.dumps(_measure(sys.argv[1], sys.argv[2])))
