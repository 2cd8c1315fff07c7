"""Count the instructions that a packet takes in the kernels, and hold them to a bound.

    python benchmarks/bench_instructions.py [--write] [NAME ...]

Reads and counts the first packets of small generated captures under valgrind's callgrind. Unlike
times, the counts do not depend on the machine, nor on what else it does: only on the compiler,
which stands beside the counts that are kept in ``instructions.json``. More than 3 % above those
ends with status 1; another compiler's counts are shown and not compared. ``--write`` keeps what is
counted now.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from generate import ensure

KEPT = Path(__file__).parent / "instructions.json"

CAPTURES = ("churn", "tls", "mid")
"""Connections that come and go, with IPv6; the same with TLS; connections that live long."""

N_BATCHES = 24
"""Batches that are counted: some 200,000 packets, 20 seconds under callgrind."""

MAX_GROWTH = 0.03
"""Of the instructions of a packet."""

EVENTS = {"Ir": "instructions", "Bcm": "mispredicted branches", "D1mr": "reads past the L1 cache"}
"""What is shown of callgrind's events. Only instructions are bounded: the rest is of a model."""


CACHES = ("--I1=32768,8,64", "--D1=32768,8,64", "--LL=33554432,16,64")
"""Caches as most machines have them: those of this one would make other counts."""


class Counted(NamedTuple):
    """What callgrind counted in the kernels."""

    n_packets: int
    events: Counter[str]
    kernels: Counter[str]

    def per_packet(self, event: str) -> float:
        """One event, by packet."""
        return self.events[event] / self.n_packets


def main() -> int:
    """Count, show, compare; gives the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", metavar="NAME", default=CAPTURES)
    parser.add_argument("--write", action="store_true", help="keep what is counted now")
    parser.add_argument("--feed", metavar="FILE", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.feed:
        print(feed(given.feed))
        return 0
    if shutil.which("valgrind") is None:
        sys.stderr.write("bench: valgrind is missing; install it: apt-get install valgrind\n")
        return 1
    try:
        counted = {name: count(ensure(name, quick=True)) for name in given.names}
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"bench: {' '.join(error.cmd)}: {error.stderr.decode(errors='replace')}")
        return 1
    for name, result in counted.items():
        print(f"{name}: " + ", ".join(f"{result.per_packet(e):.1f} {w}" for e, w in EVENTS.items()))
        for kernel, n in result.kernels.most_common():
            if n >= result.n_packets:
                print(f"  {kernel:12} {n / result.n_packets:6.1f}")
    now = {name: round(result.per_packet("Ir"), 1) for name, result in counted.items()}
    if given.write:
        KEPT.write_text(json.dumps({"compiler": compiler(), "per_packet": now}, indent=1) + "\n")
        return 0
    kept = json.loads(KEPT.read_text())
    if kept["compiler"] != compiler():
        print(f"not compared: kept are those of {kept['compiler']}, this is {compiler()}")
        return 0
    return compare(kept["per_packet"], now)


def compare(kept: dict[str, float], now: dict[str, float]) -> int:
    """Say which captures take more instructions than were kept; 1 if any does."""
    status = 0
    for name, n in now.items():
        if n > kept[name] * (1 + MAX_GROWTH):
            sys.stderr.write(
                f"bench: {name}: {n} instructions a packet, {n / kept[name] - 1:+.1%} to the "
                f"{kept[name]} that are kept; --write keeps the new number, if it is worth it\n"
            )
            status = 1
    return status


def count(path: Path) -> Counted:
    """Feed a capture under callgrind.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "callgrind.out")
        options = ("--tool=callgrind", "--branch-sim=yes", "--cache-sim=yes", *CACHES, "-q")
        command = ["valgrind", *options, f"--callgrind-out-file={out}"]
        command += [sys.executable, __file__, "--feed", str(path)]
        # Valgrind warns that this machine's caches are others; what failed is shown by `main`.
        done = subprocess.run(command, check=True, capture_output=True)
        events: Counter[str] = Counter()
        kernels: Counter[str] = Counter()
        for kernel, costs in costs_of(out.read_text().splitlines()):
            events.update(costs)
            kernels[kernel] += costs.get("Ir", 0)
    return Counted(int(done.stdout), events, kernels)


def costs_of(lines: list[str]) -> list[tuple[str, dict[str, int]]]:
    """The costs in a callgrind profile that are of a kernel's own code, each with its kernel.

    The format: https://valgrind.org/docs/manual/cl-format.html. Costs of calls, which stand behind
    ``calls=``, are of the functions called, and counted there.
    """
    names: dict[str, str] = {}
    order: list[str] = []
    kernel: str | None = None
    is_call = False
    costs: list[tuple[str, dict[str, int]]] = []
    for line in lines:
        if line.startswith("events:"):
            order = line.split()[1:]
        elif line.startswith(("ob=", "cob=")):
            found = re.fullmatch(r"c?ob=\((\d+)\)(?: (.*))?", line)
            assert found is not None
            path = names.setdefault(found[1], found[2] or "")
            if line.startswith("ob="):
                kernel = Path(path).name.split(".")[0] if "/trtop_core/" in path else None
        elif line.startswith("calls="):
            is_call = True
        elif line[:1] in set("0123456789+-*"):
            if kernel is not None and not is_call:
                numbers = map(int, line.split()[1:])
                costs.append((kernel, dict(zip(order, numbers, strict=False))))
            is_call = False
    return costs


def feed(path: str) -> int:
    """Count a capture's first packets, as ``trtop FILE`` does; gives how many they are."""
    from trtop_core.config import EngineConfig  # noqa: PLC0415 - only in the measured process
    from trtop_core.engine import (  # noqa: PLC0415 - only in the measured process
        MIN_SEED_BYTES,
        Engine,
    )
    from trtop_core.sources import open_capture  # noqa: PLC0415 - only in the measured process

    # The same hashes in every run.
    engine = Engine(EngineConfig(), seed=bytes(range(MIN_SEED_BYTES)))
    n_packets = 0
    with open_capture(path) as source:
        for batch in islice(source, N_BATCHES):
            engine.feed(batch)
            n_packets += len(batch)
    return n_packets


def compiler() -> str:
    """The compiler that builds the kernels here, its version and the machine it builds for."""
    command = (sysconfig.get_config_var("CC") or "cc").split()[0]
    command = command if shutil.which(command) else "cc"
    version = subprocess.run([command, "-dumpfullversion"], check=True, stdout=subprocess.PIPE)
    return f"{Path(command).name} {version.stdout.decode().strip()} {platform.machine()}"


if __name__ == "__main__":
    sys.exit(main())
