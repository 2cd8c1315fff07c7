"""Measures how fast a daemon's client gets and writes records of connections.

    python benchmarks/bench_live_records.py [CAPTURE] [--rounds N]

``trtop live -r CAPTURE --speed max --per connection`` writes to a file in memory. The rate is that
of the time in which the file grew: wall time, with the daemon's and the client's work in it, and
with the counting of packets that go on meanwhile. What the reader was too slow for is said.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

FORMATS = ("ndjson", "csv")

MEMORY = "/dev/shm"

LOOK_S = 0.002

LOST = re.compile(r"([\d,]+) records are lost")


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        n_records: written.
        n_lost: counted as lost.
        wall_s: from the first to the last byte.
    """

    n_records: int
    n_lost: int
    wall_s: float


def main() -> None:
    """Print one line per format: the least, median and greatest rate of all rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("capture", nargs="?", default="examples/services.pcap")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    for kind in FORMATS:
        runs = [measure(given.capture, kind) for _ in range(given.rounds)]
        rates = [run.n_records / run.wall_s for run in runs]
        print(
            f"{kind:7} {min(rates):9,.0f} {median(rates):9,.0f} {max(rates):9,.0f} records/s,"
            f" {runs[-1].n_records:,} records, lost {max(run.n_lost for run in runs):,}"
        )


def measure(capture: str, kind: str) -> Run:
    """Run the command once."""
    command = [sys.executable, "-P", "-m", "trtop", "live", "-r", capture, "--speed=max"]
    command += ["--per=connection", f"--format={kind}"]
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        path = Path(folder) / "records"
        with (
            path.open("wb") as stream,
            subprocess.Popen(command, stdout=stream, stderr=subprocess.PIPE) as process,
        ):
            first_s, last_s = _growth(path, process)
            assert process.stderr is not None
            said = process.stderr.read().decode()
        n_lines = _count_lines(path)
    found = LOST.search(said)
    n_lost = int(found[1].replace(",", "")) if found else 0
    return Run(n_lines - (kind == "csv"), n_lost, last_s - first_s)


def _growth(path: Path, process: subprocess.Popen[bytes]) -> tuple[float, float]:
    """When the file began to grow, and when it was seen to grow for the last time."""
    n_bytes, first_s, last_s = 0, 0.0, 0.0
    while process.poll() is None:
        time.sleep(LOOK_S)
        n_now = path.stat().st_size
        if n_now > n_bytes:
            last_s = time.monotonic()
            first_s = last_s if not n_bytes else first_s
            n_bytes = n_now
    return first_s, last_s


def _count_lines(path: Path) -> int:
    with path.open("rb") as stream:
        return sum(piece.count(b"\n") for piece in iter(lambda: stream.read(1 << 20), b""))


if __name__ == "__main__":
    main()
