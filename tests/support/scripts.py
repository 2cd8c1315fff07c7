"""Scripts run as processes, on captures whose numbers are known."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from support.builders.packets import ACK, FIN, NS_PER_MS, SYN, Talk
from support.builders.savefile import write_pcap
from support.paths import ROOT

TIMEOUT_S = 120

FIRST_NS = 1_714_565_000 * 10**9

WORKLOAD = {
    ("127.0.0.1", 80): 23,
    ("127.0.0.1", 443): 3,
    ("127.0.0.2", 443): 7,
    ("10.9.8.7", 22): 2,
}
"""Connections by server and port: primes. Each has one request, answered after 40 ms."""

BY_ADDRESS = {"127.0.0.1": 26, "127.0.0.2": 7, "10.9.8.7": 2}


def conversation(server: str, port: int, number: int, start_ns: int) -> list[tuple[int, bytes]]:
    """One connection: opened in 3 ms, one request answered after 40 ms, closed by the client."""
    talk = Talk(client="10.0.0.1", server=server, server_port=port, client_port=40_000 + number)
    steps = [
        (0, talk.out(100, flags=SYN)),
        (3, talk.back(500, 101, SYN | ACK)),
        (3, talk.out(101, 501)),
        (4, talk.out(101, 501, payload=b"PING")),
        (44, talk.back(501, 105, payload=b"PONG")),
        (45, talk.out(105, 505, FIN | ACK)),
        (46, talk.back(505, 106, FIN | ACK)),
        (47, talk.out(106, 506)),
    ]
    return [(start_ns + at * NS_PER_MS, frame) for at, frame in steps]


def workload() -> list[tuple[int, bytes]]:
    """The packets of ``WORKLOAD``, in the order of time."""
    packets, number = [], 0
    for (server, port), n_connections in WORKLOAD.items():
        for _ in range(n_connections):
            packets += conversation(server, port, number, FIRST_NS + number * 100 * NS_PER_MS)
            number += 1
    return packets


def write_workload(path: Path) -> Path:
    path.write_bytes(write_pcap(workload(), nanoseconds=True))
    return path


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "COLUMNS")}
    return {
        **kept,
        "PYTHONPATH": os.environ.get("PYTHONPATH") or str(ROOT),
        "PYTHONUTF8": "1",
        **more,
    }


def run_script(
    folder: Path, text: str, *args: str | Path, **env: str
) -> subprocess.CompletedProcess[str]:
    """Write a script into a folder, run it there."""
    path = folder / "simple.py"
    path.write_text(text)
    return run_python(folder, [path, *args], **env)


def run_python(
    folder: Path, args: Sequence[str | Path], **env: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *map(str, args)],
        cwd=folder,
        env=environment(**env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def syns(table: str) -> dict[str, int]:
    """Names and attempts from a printed table."""
    lines = table.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith(" total"))
    found = {}
    for line in lines[start + 1 :]:
        words = line.split()
        if not words or line[0] not in " ?":
            break
        # Behind the name stands the verdict, of one word or two.
        number = next(word for word in words[1:] if word.lstrip("!")[0].isdigit()).lstrip("!")
        found[words[0]] = int(number.partition("(")[0].replace(",", ""))
    return found
