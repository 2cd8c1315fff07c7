"""Engines that were fed seeded traffic of three servers, some requests late, some resets."""

from __future__ import annotations

import random

from support.builders.packets import ACK, RST, SYN, Talk
from support.builders.snapshot import destination, table
from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.engine import Engine
from trtop_core.records import NS_PER_S, Window

SEED = bytes(range(16))
WINDOWS = (Window.LAST_10_S, Window.LAST_60_S, Window.LAST_300_S)
FIRST_NS = 1_714_565_003 * NS_PER_S + 123_456_789
MS = 1_000_000

Packet = tuple[int, bytes]


def mapped(addr: str) -> bytes:
    return bytes(table([destination(addr)]).keys["addr"][0])


def engine(packets: list[Packet], **config: object) -> Engine:
    made = Engine(EngineConfig(windows=WINDOWS, **config), SEED)  # type: ignore[arg-type]
    if packets:
        made.feed(PacketBatch.from_packets(packets))
    return made


def opened(talk: Talk, at_ns: int, lat_ns: int = MS) -> list[Packet]:
    return [
        (at_ns, talk.out(100, flags=SYN)),
        (at_ns + lat_ns, talk.back(500, 101, SYN | ACK)),
        (at_ns + lat_ns, talk.out(101, 501)),
    ]


def asked(talk: Talk, at_ns: int, turn: int, answer_ns: int | None) -> list[Packet]:
    seq, ack = 101 + 3 * turn, 501 + 3 * turn
    packets = [(at_ns, talk.out(seq, ack, payload=b"GET"))]
    if answer_ns is not None:
        packets.append((at_ns + answer_ns, talk.back(ack, seq + 3, payload=b"200")))
    return packets


def busy(seed: int, seconds: int) -> list[Packet]:
    """Connections to three servers, some on two ports, some reset, over some minutes."""
    rng = random.Random(seed)
    packets: list[Packet] = []
    for i in range(3 * seconds):
        talk = Talk(
            server=f"198.51.100.{rng.randrange(3) + 7}",
            server_port=rng.choice((443, 8443)),
            client_port=20_000 + i,
        )
        at_ns = FIRST_NS + rng.randrange(seconds * NS_PER_S)
        packets += opened(talk, at_ns)
        for turn in range(rng.randrange(3)):
            packets += asked(talk, at_ns + (turn + 1) * NS_PER_S, turn, rng.randrange(1, 900) * MS)
        if rng.random() < 0.3:
            packets.append((at_ns + 5 * NS_PER_S, talk.back(501, flags=RST)))
    return sorted(packets, key=lambda packet: packet[0])
