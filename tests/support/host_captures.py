"""Captures of several hosts in folders, and what one process counts of them."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from support.builders.savefile import write_pcap
from support.traffic.busy import SEED, busy
from trtop_core.config import EngineConfig
from trtop_core.engine import Engine
from trtop_core.merging.snapshots import merge
from trtop_core.snapshot import Snapshot
from trtop_core.sources import open_capture
from trtop_core.view import View

VIEW = View(sort="destination", descending=False)


def write_hosts(folder: Path, n_hosts: int, n_files: int = 3, seconds: int = 6) -> Path:
    """A folder for each host, each with a capture that was rotated in the middle of connections."""
    for host in range(n_hosts):
        packets = busy(host, seconds)
        home = folder / f"web-{host}"
        home.mkdir(parents=True)
        for i in range(n_files):
            part = packets[i * len(packets) // n_files : (i + 1) * len(packets) // n_files]
            # Ten comes after nine.
            (home / f"eth0.pcap{i + 8}").write_bytes(write_pcap(part))
    return folder


def serial(folder: Path, pattern: str = "*") -> Snapshot:
    """What one process gives: an engine for each host, merged."""
    parts = []
    for home in sorted(folder.glob(pattern)):
        engine = Engine(EngineConfig(), SEED)
        names = sorted(home.iterdir(), key=lambda path: int(path.suffix.removeprefix(".pcap")))
        for batch in open_capture(names):
            engine.feed(batch)
        engine.finish()
        parts.append(engine.snapshot(VIEW))
    return merge(parts, VIEW)


def readers_of(path: Path) -> Iterator[int]:
    """Processes besides this one that have a file open."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            links = [os.readlink(fd) for fd in (entry / "fd").iterdir()]
        except OSError:
            continue
        if str(path) in links:
            yield int(entry.name)


def reader_of(path: Path, timeout_s: float = 60) -> int:
    """The process that has a file open, once there is one."""
    end_s = time.monotonic() + timeout_s
    while time.monotonic() < end_s:
        found = next(readers_of(path), None)
        if found is not None:
            return found
        time.sleep(0.02)
    raise AssertionError(f"nobody opened {path}")
