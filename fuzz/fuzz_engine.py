"""Fuzz target: any packets are counted as the plain twin counts them, however they are cut.

The first four bytes of an input choose what the engine is told, how packets are cut into batches
and what is asked on the way. Then packets: a byte that says how much later each comes, a byte for
its link type and how much of it was cut off, two for its length, and its bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from invariants import ask_everything, check_snapshot, check_written
from reference import Packet, Twin
from seeds import MAX_SEED_BYTES, real_packets
from support.compare import SEED, batch_of, config_of, differences, plain
from target import Target

from trtop_core import Engine, EngineConfig, PacketBatch, View, engine
from trtop_core.records import Direction, GroupBy, LinkType, Window

HEAD = struct.Struct("<BBH")

FIRST_NS = 10**18

HOPS_NS = (
    0, 1, 999, 1_000, 999_999, 10**6, 10**6 + 1, 5 * 10**6, 20 * 10**6, 2 * 10**8, 10**9, 2 * 10**9,
    10**10, 25 * 10**9, 61 * 10**9, 301 * 10**9, -1, -(10**6), -(10**9), -61 * 10**9, 1 << 61,
)  # fmt: skip
"""How much later a packet comes than the one before it: around every timer that there is."""

FINE_NS = 100_000
"""What a byte beyond the table is multiplied by: latencies."""

LINKS = (*(int(link_type) for link_type in LinkType), 147)

CUT_OFF = (0, 1, 4, 1000, 60_000, 0xFFFFFFFF)
"""How much longer a packet was on the wire than its bytes; the last is no length."""

TOLD: tuple[dict[str, Any], ...] = (
    {},
    {"group_by": "addr,port"},
    {"local": ["10.0.0.0/8", "192.168.0.0/16", "2001:db8::/32"], "direction": "both"},
    {"local": ["10.0.0.0/8"], "direction": "in", "group_by": "addr,port"},
    {"idle_timeout_s": 5, "decap": False},
    {"max_connections": 1},
    {"max_connections": 3, "group_by": "addr,port"},
)
"""What the engine and its twin are both told."""

ALL_WINDOWS = tuple(window for window in Window if window is not Window.ALL)

STRAINED = (
    EngineConfig(
        max_connections=7, max_destinations=3, windows=ALL_WINDOWS, keeps_connections=True
    ),
    EngineConfig(max_connections=50, windows=ALL_WINDOWS, history_bytes=1 << 20, is_paced=True),
    EngineConfig(max_connections=50, group_by=GroupBy.ADDR_PORT, windows=(Window.LAST_10_S,)),
    EngineConfig(max_connections=2, direction=Direction.IN, idle_timeout_ns=1_000_000),
)
"""Engines whose tables overflow, which forget what the twin does not."""

ENOUGH = 200
"""Connections and destinations of an engine that forgets nothing: no input has as many."""

SKETCH_PAGES = (1 << 12, 8)
MIN_HOLES = 16
"""Memory for bins and holes of strained engines: little, so that it runs out."""

BATCHES = (1, 2, 3, 7, 64, 1 << 16)
"""Packets of a batch."""

MAX_PACKETS = 40
"""More would take the twin too long."""

WRITTEN = 0x70
"""Bits of what is asked that are all set where the last snapshot is written down too."""

MAX_ASKED = 2
"""Times that everything is asked on the way: that costs more than packets do."""


def run(data: bytes) -> None:
    """One capture, by an engine that the twin looks at, or by a strained one."""
    if len(data) < 4 + HEAD.size:
        return
    told, size, asked = data[0], BATCHES[data[1] % len(BATCHES)], data[2]
    packets = packets_in(data[4:])
    if told < 128:
        _beside_the_twin(packets, TOLD[told % len(TOLD)], size, asked)
    else:
        _strained(packets, STRAINED[told % len(STRAINED)], size, asked)


def packets_in(data: bytes) -> list[Packet]:
    """The packets that an input holds."""
    found = []
    at, now_ns = 0, FIRST_NS
    while at + HEAD.size <= len(data) and len(found) < MAX_PACKETS:
        hop, kind, length = HEAD.unpack_from(data, at)
        at += HEAD.size
        content = data[at : at + length % 2048]
        at += len(content)
        now_ns += HOPS_NS[hop] if hop < len(HOPS_NS) else hop * FINE_NS
        link_type, cut = LINKS[kind % len(LINKS)], CUT_OFF[kind // len(LINKS) % len(CUT_OFF)]
        wire_len = min(0xFFFFFFFF, len(content) + cut)
        found.append(Packet(now_ns, link_type, content, wire_len))
        now_ns = min(now_ns, 1 << 62)
    return found


def _beside_the_twin(packets: list[Packet], told: dict[str, Any], size: int, asked: int) -> None:
    config = config_of(**{"max_connections": ENOUGH, **told})
    view = View(group_by=config.group_by)
    own = _small_engine(replace(config, max_destinations=ENOUGH), SKETCH_PAGES[0])
    for number, batch in enumerate(_batches(packets, size)):
        own.feed(batch, own.prepare(batch) if asked & 1 else None)
        if asked & 2 and number < MAX_ASKED:
            check_snapshot(own.snapshot(view))
    own.finish()
    snapshot = own.snapshot(view)
    check_snapshot(snapshot)
    twin = Twin(**told)
    for packet in packets:
        twin.feed(packet)
    found = differences(snapshot, twin.ended())
    assert not found, found


def _strained(packets: list[Packet], config: EngineConfig, size: int, asked: int) -> None:
    n_pages = SKETCH_PAGES[asked & 1]
    cut, whole = (_small_engine(config, n_pages) for _ in range(2))
    every = max(1, len(packets) // size // MAX_ASKED)
    for number, batch in enumerate(_batches(packets, size)):
        cut.feed(batch)
        if asked & 2 and number % every == 0:
            ask_everything(cut, config)
    whole.feed(batch_of(packets))
    cut.finish()
    whole.finish()
    ask_everything(cut, config)
    view = View(group_by=config.group_by)
    at_end = cut.snapshot(view)
    if asked & WRITTEN == WRITTEN:
        check_written(at_end)
    assert plain(at_end) == plain(whole.snapshot(view))


def _batches(packets: list[Packet], size: int) -> Iterator[PacketBatch]:
    for at in range(0, len(packets), size):
        yield batch_of(packets[at : at + size])


def _small_engine(config: EngineConfig, n_pages: int) -> Engine:
    """An engine with little memory; others, made later in this process, have all of theirs."""
    before = engine.MAX_SKETCH_PAGES, engine.MIN_HOLES
    engine.MAX_SKETCH_PAGES, engine.MIN_HOLES = n_pages, MIN_HOLES
    try:
        return Engine(config, SEED)
    finally:
        engine.MAX_SKETCH_PAGES, engine.MIN_HOLES = before


def as_input(packets: list[Packet], told: int, size: int, asked: int) -> bytes:
    """An input that holds these packets, their times as near as it can say."""
    out = bytearray((told, size, asked, 0))
    last_ns = packets[0].ts_ns if packets else 0
    for packet in packets:
        hop_ns, last_ns = packet.ts_ns - last_ns, packet.ts_ns
        hop = min(range(256), key=lambda code: abs(_hop_ns(code) - hop_ns))
        link = LINKS.index(packet.link_type) if packet.link_type in LINKS else len(LINKS) - 1
        cut = min(
            range(len(CUT_OFF) - 1),
            key=lambda code: abs(CUT_OFF[code] - packet.wire_len + len(packet.data)),
        )
        out += HEAD.pack(hop, link + cut * len(LINKS), len(packet.data)) + packet.data
    return bytes(out)


def _hop_ns(code: int) -> int:
    return HOPS_NS[code] if code < len(HOPS_NS) else code * FINE_NS


def seeds() -> Iterator[bytes]:
    """Real captures, each told and cut in a way of its own."""
    for number, packets in enumerate(real_packets()):
        told = number % (len(TOLD) + len(STRAINED))
        told = told if told < len(TOLD) else 128 + told
        yield as_input(
            packets, told, number % len(BATCHES), number % 4 | WRITTEN * (number % 5 == 0)
        )


TARGET = Target(
    run,
    seeds,
    max_bytes=4 + MAX_SEED_BYTES,
    words=(
        b"\x08\x00\x45", b"\x86\xdd\x60", b"\x81\x00", b"\x88\xa8", b"\x88\x64", b"\x00\x21",
        b"\x65\x58", b"\x12\xb5", b"\x17\xc1", b"\x47", b"\x29", b"\x04", b"\x2c", b"\x3c",
        b"\x16\x03\x01", b"\x16\x03\x03", b"\x17\x03\x03", b"\x15\x03\x03\x00\x02",
        b"\x14\x03\x03\x00\x01\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n",
        b"HTTP/1.1 200 OK\r\n", b"\x50\x02", b"\x50\x12", b"\x50\x10", b"\x50\x18", b"\x50\x11",
        b"\x50\x04", b"\x50\x14", b"\x01\x01\x05\x0a", b"\x02\x04\x05\xb4", b"\x03\x03\x07",
    ),
)  # fmt: skip
