"""Measure trtop on generated captures: packets per second, memory, and the ratio to tcpdump.

    python benchmarks/bench.py [--quick] [--rounds N] [--json FILE] [NAME ...]

Captures in the page cache. ``tcpdump -r F -w /dev/null`` and ``trtop F`` in several ways (JSON of
all rows, of the first 100, the default table) take turns; whole processes, start-up included, on
one core, and once on all; medians are shown with the least and the most. Counters are compared
with what the generator knows: a difference ends the benchmark with status 1. ``small`` is the
example, whose packets take no time: start-up.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from generate import DATA_DIR, FLOODS, NAMES, ensure
from measure import STAGES, Run, run_command, run_stage
from verify import differences

FLOOD_MAX_CONNECTIONS = 200_000
"""Bound for the floods: far below their SYNs, so that the table's behaviour when full shows."""

SMALL = "small"
EXAMPLE = Path(__file__).parents[1] / "examples" / "services.pcap"

JSON = "JSON"

WAYS = {
    JSON: ["--format", "json"],
    "JSON, 100 rows": ["--format", "json", "--limit", "100"],
    "table": ["--format", "table"],
    "JSON, 100 rows, all cores": ["--format", "json", "--limit", "100"],
}
"""How the whole program is run, by name; the ratios to tcpdump are of these."""

ALL_CORES = "all cores"
"""What ends the names of ways that are not pinned to one core."""

CHUNK_BYTES = 1 << 24
MIB = 1 << 20


@dataclass(slots=True)
class Figures:
    """Repeated measurements of one thing."""

    values: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def shown(self, form: str = ".2f") -> str:
        """Median (least–most)."""
        low, high = min(self.values), max(self.values)
        return f"{self.median:{form}} ({low:{form}}–{high:{form}})"

    def record(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {"median": self.median, "values": self.values}


@dataclass(slots=True)
class Result:
    """All that is measured on one capture."""

    name: str
    packets: int = 0
    stages_ns: dict[str, Figures] = field(default_factory=dict)
    engine_packets_per_s: Figures = field(default_factory=Figures)
    snapshot_s: Figures = field(default_factory=Figures)
    trtop: dict[str, list[Run]] = field(default_factory=lambda: {way: [] for way in WAYS})
    tcpdump: list[Run] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def ratio(self, way: str) -> Figures:
        """Wall time of trtop to that of tcpdump, round by round."""
        pairs = zip(self.trtop[way], self.tcpdump, strict=True)
        return Figures([ours.wall_s / theirs.wall_s for ours, theirs in pairs])

    def wall(self, way: str) -> Figures:
        """Seconds that trtop took."""
        return Figures([run.wall_s for run in self.trtop[way]])

    def peak_rss_bytes(self, way: str) -> int:
        """Most memory of any whole run of trtop."""
        return max(run.peak_rss_bytes for run in self.trtop[way])

    def record(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "packets": self.packets,
            "rooms_ns_per_packet": {k: v.record() for k, v in self.stages_ns.items()},
            "engine_packets_per_s": self.engine_packets_per_s.record(),
            "snapshot_s": self.snapshot_s.record(),
            "trtop_wall_s": {way: [run.wall_s for run in self.trtop[way]] for way in WAYS},
            "tcpdump_wall_s": [run.wall_s for run in self.tcpdump],
            "ratio": {way: self.ratio(way).record() for way in WAYS},
            "peak_rss_bytes": {way: self.peak_rss_bytes(way) for way in WAYS},
            "wrong": self.wrong,
        }


def trtop_command() -> list[str]:
    """The installed command, else the module."""
    beside = Path(sys.executable).parent / "trtop"
    return [str(beside)] if beside.exists() else [sys.executable, "-m", "trtop"]


def measure(name: str, path: Path, rounds: int) -> Result:
    """Check the counters, then time the stages and the whole process."""
    command = trtop_command()
    if name in FLOODS:
        command += ["--max-connections", str(FLOOD_MAX_CONNECTIONS)]
    _fill_page_cache(path)
    result = Result(name)
    result.wrong = [] if name == SMALL else differences(command, path)
    for _ in range(rounds):
        for stage in STAGES:
            measured = run_stage(stage, path)
            result.packets = n = measured["packets"]
            seconds = measured["total_s" if stage == "read" else "inside_s"]
            result.stages_ns.setdefault(stage, Figures()).values.append(seconds * 1e9 / n)
            if stage == "feed":
                result.engine_packets_per_s.values.append(n / measured["total_s"])
                result.snapshot_s.values.append(measured["snapshot_s"])
    for _ in range(rounds):
        result.tcpdump.append(run_command(["tcpdump", "-r", str(path), "-w", "/dev/null"]))
        for way, options in WAYS.items():
            with _on_all_cores() if way.endswith(ALL_CORES) else nullcontext():
                result.trtop[way].append(run_command([*command, str(path), *options]))
    return result


def report(result: Result) -> str:
    """The lines for one capture."""
    stages = {
        "read": "read and index",
        "decode": "decode alone",
        "feed": "engine (decode, follow, count)",
    }
    theirs = Figures([run.wall_s for run in result.tcpdump])
    millions = Figures([value / 1e6 for value in result.engine_packets_per_s.values])
    lines = [f"{result.name}: {result.packets:,} packets"]
    rows = [
        ("read + engine, M packets/s", millions.shown()),
        *(
            (f"{stages[stage]}, ns/packet", result.stages_ns[stage].shown(".1f"))
            for stage in STAGES
        ),
        ("end and snapshot, s", result.snapshot_s.shown()),
        ("tcpdump -r FILE -w /dev/null, s", theirs.shown()),
        ("trtop FILE --format json, s", result.wall(JSON).shown(".3f")),
        *((f"{way}: trtop : tcpdump", result.ratio(way).shown()) for way in WAYS),
        *((f"{way}: peak memory, MiB", f"{result.peak_rss_bytes(way) / MIB:.0f}") for way in WAYS),
        ("counters", f"{len(result.wrong)} WRONG" if result.wrong else "as generated"),
    ]
    lines += [f"  {label:<43}{value}" for label, value in rows]
    lines += [f"    {line}" for line in result.wrong]
    return "\n".join(lines)


def _fill_page_cache(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        while file.read(CHUNK_BYTES):
            pass


@contextmanager
def _on_all_cores() -> Iterator[None]:
    """What is started here may run on every core."""
    pinned = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        yield
    finally:
        os.sched_setaffinity(0, pinned)


def _pin(cpu: int | None) -> int:
    chosen = max(os.sched_getaffinity(0)) if cpu is None else cpu
    os.sched_setaffinity(0, {chosen})
    return chosen


def main() -> int:
    """Measure, print, compare."""
    parser = argparse.ArgumentParser(description="Measure trtop on generated captures.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join((SMALL, *NAMES))}")
    parser.add_argument("--quick", action="store_true", help="small captures")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cpu", type=int, help="core to run on (default: the last)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--data", type=Path, default=DATA_DIR, metavar="DIR")
    args = parser.parse_args()
    names = (SMALL, *NAMES)
    if unknown := set(args.names) - set(names):
        parser.error(f"no capture is called {unknown.pop()!r}; there are: {', '.join(names)}")
    if not shutil.which("tcpdump"):
        sys.exit("bench.py: tcpdump is missing; install it, e.g.: apt-get install tcpdump")
    cpu = _pin(args.cpu)
    machine = f"{platform.machine()}, Python {platform.python_version()}, core {cpu}"
    print(f"{machine}; median (min–max) of {args.rounds} rounds")
    results = []
    for name in args.names or names:
        path = EXAMPLE if name == SMALL else ensure(name, args.data, args.quick)
        try:
            results.append(measure(name, path, args.rounds))
        except subprocess.CalledProcessError as error:
            said = (error.stderr or b"").decode(errors="replace").strip()
            sys.exit(f"bench.py: {' '.join(error.cmd)}: status {error.returncode}: {said}")
        print("\n" + report(results[-1]), flush=True)
    if args.json:
        record = {"machine": machine, "quick": args.quick, "cpu": cpu}
        captures = {result.name: result.record() for result in results}
        args.json.write_text(json.dumps({**record, "captures": captures}, indent=1) + "\n")
    return 1 if any(result.wrong for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
