"""Measure what keeping a history costs, beside an engine that keeps windows alone.

    python benchmarks/history.py [--rounds N] [--limit PERCENT] [--json FILE] CAPTURE...

Each run is a process of its own on one core; runs with and without a history take turns, and the
least user time of each counts: what other work on the machine adds is left out. Beside it stands
the share of CPU time that ends of seconds take, which other work disturbs least. Status 1 where the
history takes a larger share of an engine's time than the limit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LIMIT_PERCENT = 5.0
"""What the history may take of an engine's throughput."""

WITH, WITHOUT = "with", "without"


def main() -> int:
    """Measure, and show."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("captures", nargs="+", type=Path, metavar="CAPTURE")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=LIMIT_PERCENT, metavar="PERCENT")
    parser.add_argument("--json", type=Path, metavar="FILE")
    given = parser.parse_args()
    found: dict[str, Any] = {}
    for capture in given.captures:
        found[capture.stem] = runs = {WITH: [], WITHOUT: []}
        for _ in range(given.rounds):
            for way, times in runs.items():
                times.append(_run(way, capture))
        least = {way: min(run["user_s"] for run in times) for way, times in runs.items()}
        share = 100 * (1 - least[WITHOUT] / least[WITH])
        print(
            f"{capture.stem:<12} {least[WITHOUT]:6.2f} s, with a history {least[WITH]:6.2f} s: "
            f"{share:.1f} % of the throughput; "
            f"inside {100 * min(run['inside'] for run in runs[WITH]):.1f} %; "
            f"{runs[WITH][0]['slots']}"
        )
        found[capture.stem]["percent"] = share
    if given.json:
        document = {"machine": platform.platform(), "captures": found}
        given.json.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return int(any(one["percent"] > given.limit for one in found.values()))


def _run(way: str, capture: Path) -> dict[str, Any]:
    """This file on a capture, in a process of its own."""
    command = [sys.executable, __file__, "--measure", way, str(capture)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured


def _measure(way: str, capture: str) -> dict[str, Any]:
    from trtop.options.report_options import (  # noqa: PLC0415 - only in the measured process
        DEFAULT_HISTORY_BYTES,
    )
    from trtop.tui.effects import WINDOWS  # noqa: PLC0415 - only in the measured process
    from trtop_core import Engine, EngineConfig  # noqa: PLC0415 - only in the measured process
    from trtop_core.history.log import History  # noqa: PLC0415 - only in the measured process
    from trtop_core.records import GroupBy  # noqa: PLC0415 - only in the measured process
    from trtop_core.sources import open_capture  # noqa: PLC0415 - only in the measured process
    from trtop_core.timeline import TimelineView  # noqa: PLC0415 - only in the measured process

    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    history_bytes = DEFAULT_HISTORY_BYTES if way == WITH else 0
    config = EngineConfig(
        windows=WINDOWS[:-1], group_by=GroupBy.ADDR_PORT, history_bytes=history_bytes
    )
    engine = Engine(config, seed=bytes(16))
    inside_s = 0.0

    def timed(*args: Any) -> None:
        nonlocal inside_s
        before_s = time.thread_time()
        end_epoch(*args)
        inside_s += time.thread_time() - before_s

    # The engine calls it by its name: this stands in for it, to time what it does.
    end_epoch, History.end_epoch = History.end_epoch, timed  # type: ignore[method-assign]
    started_s = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    with open_capture(capture) as source:
        for batch in source:
            engine.feed(batch)
    engine.finish()
    user_s = resource.getrusage(resource.RUSAGE_SELF).ru_utime - started_s
    timeline = engine.timeline(TimelineView(1000))
    slots = f"{len(timeline.columns)} bars, grain {timeline.grain_ns / 1e9:g} s, "
    slots += f"{timeline.n_bytes / 2**20:.1f} MiB"
    return {"user_s": user_s, "inside": inside_s / user_s, "slots": slots}


if __name__ == "__main__":
    if sys.argv[1:2] == ["--measure"]:
        print(json.dumps(_measure(*sys.argv[2:4])))
    else:
        sys.exit(main())
