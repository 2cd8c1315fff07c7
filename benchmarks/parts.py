"""What names and scripts cost: packets per second of each way in, milliseconds of a snapshot.

    python benchmarks/parts.py CAPTURE.pcap [--rounds N]

Takes a capture that lies in the page cache; gives one line per way: the best of N rounds, one
process, one core for the packets.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from itertools import islice

import numpy as np

from trtop.classic.analyzer import BaseAnalyser, OutgoingTCPAnalyzer
from trtop.classic.packet import UnifiedPacket
from trtop.names.base import BaseResolver
from trtop.names.capture import CaptureResolver
from trtop.names.engine import NamedEngine
from trtop.names.namer import Namer, named, wide
from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.engine import SEED_BYTES, Engine
from trtop_core.sources import open_capture
from trtop_core.view import View

N_DESTINATIONS = 10_000
"""Destinations of the snapshot that is named."""

MAX_BATCHES = 400
"""Batches of the capture that are kept in memory, so that reading costs nothing."""

SLOW_SHARE = 20
"""The slow path gets so much less."""

SYN = 2


class Counting(BaseAnalyser):
    """An analyzer of one's own that does next to nothing."""

    n_packets = 0

    def analyse(self, packet: UnifiedPacket) -> None:
        """Count it."""
        self.n_packets += 1


class Pairs(BaseResolver):
    """Names two addresses alike, at once."""

    is_instant = True
    needs_port = False

    def resolve(self, addr: str, port: int) -> str | None:
        """The address without its last digit."""
        return f"host-{addr[:-1]}"


def main() -> int:
    """Measure all ways and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("capture")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with open_capture(given.capture) as source:
        batches = list(islice(source, MAX_BATCHES))
    few = batches[: max(1, len(batches) // SLOW_SHARE)]
    ways: list[tuple[str, list[PacketBatch], Callable[[], Callable[[PacketBatch], object]]]] = [
        ("engine alone", batches, lambda: Engine(EngineConfig(), os.urandom(SEED_BYTES)).feed),
        ("engine, names from the capture", batches, _named_feed),
        ("the look for names alone", batches, lambda: CaptureResolver().feed),
        ("an analyzer of one's own, packet by packet", few, lambda: Counting().feed),
        ("OutgoingTCPAnalyzer, packet by packet", few, lambda: _by_packet),
    ]
    for name, part, make in ways:
        n_packets = sum(map(len, part))
        best_s = min(_timed(part, make) for _ in range(given.rounds))
        print(f"{name:45} {n_packets / best_s / 1e6:8.3f} M packets/s")
    engine = _wide_engine()
    for limit in (None, 50):
        view = View(limit=limit)
        for name, namer in (("no names", None), ("names, two rows merged each", Namer(Pairs()))):
            best_s = min(_snapshot_s(engine, view, namer) for _ in range(given.rounds))
            what = f"snapshot of {N_DESTINATIONS:,}, limit {limit}, {name}"
            print(f"{what:60} {best_s * 1000:8.1f} ms")
    return 0


def _named_feed() -> Callable[[PacketBatch], object]:
    return NamedEngine(EngineConfig(), os.urandom(SEED_BYTES), Namer(CaptureResolver())).feed


def _by_packet(batch: PacketBatch) -> None:
    BaseAnalyser.feed(OutgoingTCPAnalyzer(), batch)


def _timed(
    batches: list[PacketBatch], make: Callable[[], Callable[[PacketBatch], object]]
) -> float:
    feed = make()
    started_s = time.perf_counter()
    for batch in batches:
        feed(batch)
    return time.perf_counter() - started_s


def _wide_engine() -> Engine:
    """An engine that has seen one attempt to each of many destinations."""
    frame = bytearray(54)
    frame[12:14], frame[14:24] = b"\x08\x00", b"\x45\x00\x00\x28\x00\x00\x00\x00\x40\x06"
    frame[26:30], frame[34:38], frame[46:48] = b"\x0a\x00\x00\x01", b"\x9c\x40\x01\xbb", b"\x50\x02"
    data = np.tile(np.frombuffer(bytes(frame), np.uint8), (N_DESTINATIONS, 1))
    numbers = np.arange(N_DESTINATIONS)
    data[:, 30], data[:, 32], data[:, 33] = 10, numbers // 250, numbers % 250 + 1
    batch = PacketBatch.from_packets((i, row.tobytes()) for i, row in enumerate(data))
    engine = Engine(EngineConfig(), os.urandom(SEED_BYTES))
    engine.feed(batch)
    return engine


def _snapshot_s(engine: Engine, view: View, namer: Namer | None) -> float:
    started_s = time.perf_counter()
    if namer is None:
        engine.snapshot(view)
    else:
        named(engine.snapshot(wide(view, False)), view, namer)
    return time.perf_counter() - started_s


if __name__ == "__main__":
    sys.exit(main())
