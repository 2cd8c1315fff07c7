"""Measure a live capture beside tcpdump: drops and CPU at rising loads. Needs root.

    python benchmarks/bench_live.py [--seconds S] [--rounds N] [--loads N,N,…]

A sender in one network namespace, the capture in another, joined by veth. At each load alternate
trtop, ``tcpdump -w /dev/null`` and ``tcpdump -w FILE``, with the same buffer and snaplen. Then what
trtop costs when nothing happens, and at 10,000 packets/s.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from feed_process import cpu_s

HERE = Path(__file__).parent

LOADS = (50_000, 100_000, 200_000, 300_000, 400_000, 500_000, 0)
"""Packets/s; 0: as many as the sender can."""

FRAME_BYTES = 100
BUFFER_BYTES = 8 << 20
SNAPLEN = 128

QUIET_LOAD = 10_000
IDLE_TARGET, QUIET_TARGET = 1.0, 10.0
"""Percent of a core."""

SETTLE_S = 1.5
"""Time for the last packets after a run; tcpdump's own time-out is 1 s."""

NEAR, FAR = "trtop-near", "trtop-far"


@dataclass
class Updated:
    """What one run gave."""

    sent_per_s: float = 0.0
    sent: int = 0
    received: int = 0
    dropped: int = 0
    cpu_percent: dict[str, float] = field(default_factory=dict)

    @property
    def drop_percent(self) -> float:
        """Share of what the kernel received."""
        return 100 * self.dropped / self.received if self.received else 0.0


@contextlib.contextmanager
def hosts() -> Iterator[None]:
    """Two namespaces and a veth pair between them."""
    _remove()
    try:
        for name in (NEAR, FAR):
            _ip("netns", "add", name)
        _ip("-n", NEAR, "link", "add", "near0", "type", "veth", "peer", "name", "far0")
        _ip("-n", NEAR, "link", "set", "far0", "netns", FAR)
        for name, link in ((NEAR, "near0"), (FAR, "far0")):
            with contextlib.suppress(subprocess.CalledProcessError):
                # No neighbour discovery: all packets are the sender's.
                _run(name, ["sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1"])
            _ip("-n", name, "link", "set", link, "up")
        yield
    finally:
        _remove()


def send(load: int, seconds: float) -> dict[str, float]:
    """Let the sender run."""
    command = [sys.executable, str(HERE / "sender.py"), "far0", "--frame", str(FRAME_BYTES)]
    command += ["--packets", str(int((load or 600_000) * seconds))]
    command += ["--rate", str(load)] if load else []
    sent: dict[str, float] = json.loads(_run(FAR, command).stdout)
    return sent


def run_trtop(work: Callable[[], dict[str, float]]) -> Updated:
    """The capture and engine of trtop, with a client that looks on."""
    config = {"interfaces": ["near0"], "buffer_bytes": BUFFER_BYTES, "snaplen_bytes": SNAPLEN}
    process = subprocess.Popen(
        _in(NEAR, [sys.executable, str(HERE / "feed_process.py"), json.dumps(config)]),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    started = json.loads(process.stdout.readline())
    pids = {"main": [started["pid"]], "capture": started["workers"]}
    outcome = _accounted(pids, work)
    process.stdin.close()
    health = json.loads(process.stdout.readline())["record"]["health"]
    process.wait(60)
    outcome.received, outcome.dropped = health["received"], health["kernel_dropped"]
    if health["packets"] + health["kernel_dropped"] != health["received"]:
        sys.exit(f"bench_live.py: packets are missing: {health}")
    return outcome


def run_tcpdump(path: str, work: Callable[[], dict[str, float]]) -> Updated:
    """A tcpdump that writes to a path."""
    options = ["-Z", "root", "-n", "-B", str(BUFFER_BYTES >> 10), "-s", str(SNAPLEN)]
    process = subprocess.Popen(
        _in(NEAR, ["tcpdump", *options, "-i", "near0", "-w", path, "tcp"]), stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    _await_line(process.stderr, b"listening on")
    outcome = _accounted({"tcpdump": [process.pid]}, work)
    process.terminate()
    said = process.stderr.read().decode()
    process.wait(60)
    outcome.received = int(re.findall(r"(\d+) packets received", said)[0])
    outcome.dropped = int(re.findall(r"(\d+) packets dropped by kernel", said)[0])
    return outcome


def measure_loads(loads: list[int], seconds: float, rounds: int, folder: str) -> None:
    """All contenders at all loads, in alternation."""
    contenders: dict[str, Callable[[Callable[[], dict[str, float]]], Updated]] = {
        "trtop": run_trtop,
        "tcpdump -w /dev/null": lambda work: run_tcpdump("/dev/null", work),
        "tcpdump -w FILE": lambda work: run_tcpdump(f"{folder}/bench.pcap", work),
    }
    without_drop = dict.fromkeys(contenders, 0.0)
    is_reached = True
    print(f"{'load/s':>9} {'contender':<22}{'sent/s':>9}{'dropped':>9}{'%':>7}  CPU % of a core")
    for load in loads:
        lossy = dict.fromkeys(contenders, False)
        fastest = dict.fromkeys(contenders, 0.0)
        for _ in range(rounds):
            for name, run in contenders.items():
                outcome = run(lambda load=load: send(load, seconds))  # type: ignore[misc] - a default has no type
                lossy[name] |= outcome.dropped > 0
                fastest[name] = max(fastest[name], outcome.sent_per_s)
                print(_line(load, name, outcome), flush=True)
        is_reached &= lossy["tcpdump -w FILE"] or not lossy["trtop"]
        for name in contenders:
            if not lossy[name]:
                without_drop[name] = max(without_drop[name], fastest[name])
    print("\nhighest load without a drop in any round, packets/s:")
    for name, rate in without_drop.items():
        print(f"  {name:<22}{rate:>9,.0f}")
    verdict = "reached" if is_reached else "MISSED"
    print(f"  target: no drop at a load at which tcpdump -w FILE has none: {verdict}")


def measure_cost(seconds: float) -> None:
    """What trtop takes while little happens."""

    def rest() -> dict[str, float]:
        time.sleep(seconds)
        return {"sent": 0, "seconds": seconds}

    for label, work, target in (
        ("idle", rest, IDLE_TARGET),
        (f"{QUIET_LOAD:,} packets/s", lambda: send(QUIET_LOAD, seconds), QUIET_TARGET),
    ):
        outcome = run_trtop(work)
        total = sum(outcome.cpu_percent.values())
        verdict = "reached" if total <= target else "MISSED"
        shares = ", ".join(f"{name} {value:.1f}" for name, value in outcome.cpu_percent.items())
        print(f"\n{label}: {total:.1f} % of a core ({shares}); at most {target:g} %: {verdict}")


def _accounted(pids: dict[str, list[int]], work: Callable[[], dict[str, float]]) -> Updated:
    before = {name: sum(map(cpu_s, listed)) for name, listed in pids.items()}
    began_s = time.monotonic()
    sent = work()
    span_s = time.monotonic() - began_s
    time.sleep(SETTLE_S)
    used = {name: sum(map(cpu_s, listed)) - before[name] for name, listed in pids.items()}
    return Updated(
        sent_per_s=sent["sent"] / sent["seconds"],
        sent=int(sent["sent"]),
        cpu_percent={name: 100 * value / span_s for name, value in used.items()},
    )


def _line(load: int, name: str, outcome: Updated) -> str:
    shares = ", ".join(f"{key} {value:.0f}" for key, value in outcome.cpu_percent.items())
    wanted = f"{load:,}" if load else "most"
    return (
        f"{wanted:>9} {name:<22}{outcome.sent_per_s:>9,.0f}{outcome.dropped:>9,}"
        f"{outcome.drop_percent:>7.2f}  {shares}"
    )


def _await_line(stream: IO[bytes], what: bytes) -> None:
    while line := stream.readline():
        if what in line:
            return
    sys.exit("bench_live.py: tcpdump does not start")


def _in(name: str, command: list[str]) -> list[str]:
    return ["ip", "netns", "exec", name, *command]


def _run(name: str, command: list[str]) -> subprocess.CompletedProcess[Any]:
    return subprocess.run(_in(name, command), check=True, capture_output=True, timeout=300)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


def _remove() -> None:
    for name in (NEAR, FAR):
        with contextlib.suppress(subprocess.CalledProcessError):
            _ip("netns", "del", name)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure live captures beside tcpdump.")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loads", default=",".join(map(str, LOADS)), help="packets/s; 0: most")
    args = parser.parse_args()
    if os.geteuid() or not shutil.which("ip") or not shutil.which("tcpdump"):
        sys.exit("bench_live.py: needs root, ip (iproute2) and tcpdump")
    load = os.getloadavg()[0]
    print(
        f"{os.cpu_count()} cores, load {load:.1f}; ring {BUFFER_BYTES >> 20} MiB, snaplen {SNAPLEN}"
    )
    with hosts(), tempfile.TemporaryDirectory() as folder:
        measure_loads(
            [int(part) for part in args.loads.split(",")], args.seconds, args.rounds, folder
        )
        measure_cost(2 * args.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
