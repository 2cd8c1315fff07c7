"""Measure captures on their whole way: subprocess, ZeroMQ, engine.

    python benchmarks/bench_replay.py [--quick] [--rounds N] [NAME ...]

For each capture, alternating: the engine alone (reading and counting, one process, CPU time), and a
replay at full speed (wall time from the first message on, start-up excepted). Counters are compared
with what the generator knows: a lost packet ends the benchmark with status 1.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench import MIB, Figures
from generate import DATA_DIR, NAMES, ensure
from measure import run_stage
from verify import compare_with_truth

TARGET_RATIO = 0.6
TARGET_PACKETS_PER_S = 5e6
"""Targets on `mid`; the second with two cores free."""

HERE = Path(__file__).parent


def replay(path: Path) -> dict[str, Any]:
    """One replay at full speed, in a process of its own."""
    command = [sys.executable, str(HERE / "feed_process.py"), json.dumps({"replay": str(path)})]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    measured: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return measured


def measure(name: str, path: Path, rounds: int) -> list[str]:
    """Measure one capture, print, and give what is wrong."""
    alone, whole, ratio, main_ns = Figures(), Figures(), Figures(), Figures()
    wrong: list[str] = []
    peak = 0
    for _ in range(rounds):
        stage = run_stage("feed", path)
        alone.values.append(stage["packets"] / stage["total_s"] / 1e6)
        measured = replay(path)
        record = measured["record"]
        packets = record["health"]["packets"]
        whole.values.append((packets - measured["packets_before"]) / measured["took_s"] / 1e6)
        ratio.values.append(whole.values[-1] / alone.values[-1])
        main_ns.values.append(measured["cpu_s"]["main"] * 1e9 / packets)
        peak = max(peak, measured["peak_rss_bytes"])
        wrong += compare_with_truth(record, path)
    rows = [
        ("engine alone, M packets/s", alone.shown()),
        ("subprocess, ZeroMQ, engine, M packets/s", whole.shown()),
        ("ratio", ratio.shown()),
        ("CPU of the main process, ns/packet", main_ns.shown(".0f")),
        ("peak memory of the main process, MiB", f"{peak / MIB:.0f}"),
        ("counters", f"{len(wrong)} WRONG" if wrong else "as generated"),
    ]
    print(f"\n{name}")
    print("\n".join(f"  {label:<42}{value}" for label, value in rows))
    print("\n".join(f"    {line}" for line in wrong), end="")
    if name == "mid":
        _judge("ratio", ratio.median, TARGET_RATIO)
        _judge("M packets/s", whole.median, TARGET_PACKETS_PER_S / 1e6)
    return wrong


def _judge(what: str, value: float, target: float) -> None:
    verdict = "reached" if value >= target else "MISSED"
    print(f"  target: {what} of at least {target:g}: {verdict}", flush=True)


def main() -> int:
    """Measure, print, compare."""
    parser = argparse.ArgumentParser(description="Measure replays of generated captures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="small captures")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, default=DATA_DIR, metavar="DIR")
    args = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load {load:.1f}; median (min–max) of {args.rounds} rounds")
    wrong = []
    for name in args.names or ("mid", "wide"):
        wrong += measure(name, ensure(name, args.data, args.quick), args.rounds)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
