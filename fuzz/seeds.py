"""What fuzzing starts from: files of every format, and the packets of the captures that tests keep.

Takes nothing, gives bytes and packets. Seeds are made anew each time: nothing but findings is kept.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from reference import Packet
from support.builders.savefile import Captured, PcapngWriter, write_pcap
from support.paths import EXAMPLE, TESTS

from trtop_core.sources import open_capture

MAX_SEED_BYTES = 1500
"""An input that runs in some milliseconds on a sanitizer build."""

CUT_PACKET_BYTES = 120
"""What is kept of a packet, so that an input holds many: its headers, and a TLS record's."""

PACKET_HEAD_BYTES = 4
"""What stands before each packet of an input."""

MAX_PARTS = 4
"""Inputs made of one capture."""

T0_NS = 1_700_000_000_123_456_789

SNAPPED = [
    Captured(T0_NS, b"first", 5),
    Captured(T0_NS + 1, b"", 1500),
    Captured(T0_NS + 10**9, b"cut off" * 9, 9000),
]


def captures() -> Iterator[bytes]:
    """Small files of every kind, and the beginnings of real captures."""
    for order in "<>":
        for nanoseconds, modified in ((False, False), (True, False), (False, True)):
            yield write_pcap(SNAPPED, 113, order, nanoseconds, modified)
        yield _pcapng(order)
    yield _pcapng("<") + _pcapng(">")
    for path in sorted((TESTS / "captures").glob("*.pcap")):
        yield path.read_bytes()[:MAX_SEED_BYTES]


def _pcapng(order: str) -> bytes:
    writer = PcapngWriter(order).section()
    writer.interface(1, tsresol=9).interface(276, tsoffset_s=-5).interface(101, tsresol=0x8A)
    for interface in (0, 1, 2):
        writer.packet(T0_NS, b"a packet", interface, 90).old_packet(7, b"old", interface)
    writer.simple_packet(b"simple").block(4, b"names").block(0x40000BAD, bytes(90))
    writer.statistics(1, ifrecv=9, ifdrop=1, osdrop=2).statistics(0, ifrecv=70)
    return writer.getvalue()


def real_packets() -> Iterator[list[Packet]]:
    """The packets of each capture, cut, as many as fit into an input."""
    for path in (EXAMPLE, *sorted((TESTS / "captures").glob("*.pcap"))):
        found: list[Packet] = []
        n_bytes = n_made = 0
        with open_capture(path) as source:
            for batch in source:
                for ts_ns, offset, caplen, wire_len, link_type in batch.index.tolist():
                    data = batch.data[offset : offset + min(caplen, CUT_PACKET_BYTES)].tobytes()
                    if n_bytes + len(data) > MAX_SEED_BYTES:
                        yield found
                        found, n_bytes = [], 0
                        n_made += 1
                    if n_made == MAX_PARTS:
                        break
                    found.append(Packet(ts_ns, link_type, data, wire_len))
                    n_bytes += len(data) + PACKET_HEAD_BYTES
                if n_made == MAX_PARTS:
                    break
        if found:
            yield found


def packed(*numbers: int) -> bytes:
    """Numbers below 256 as bytes."""
    return struct.pack(f"{len(numbers)}B", *numbers)
