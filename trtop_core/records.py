"""Every dtype, enum and unit that crosses a seam, defined once.

Gives the names and layouts that the kernels, the engine, snapshots and reporters share. The C
structs of the kernels (``ext/trtop_core/_records.pxd``) are checked against these dtypes when
``trtop_core`` is imported. Never computes anything.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
NS_PER_US = 1_000

TS_LIMIT_NS = (1 << 62) - 1
"""Timestamps are clamped to ± this (the year 2116), so that no difference overflows 64 bits."""


class LinkType(IntEnum):
    """LINKTYPE_ values that are decoded (https://www.tcpdump.org/linktypes.html)."""

    NULL = 0
    ETHERNET = 1
    RAW_BSD = 12
    RAW_OPENBSD = 14
    RAW = 101
    LOOP = 108
    LINUX_SLL = 113
    IPV4 = 228
    IPV6 = 229
    LINUX_SLL2 = 276


class Verdict(IntEnum):
    """What became of one packet in the decoder."""

    SEGMENT = 0
    NOT_TCP = 1
    TRUNCATED = 2
    FRAGMENT = 3
    BAD_HEADER = 4
    BAD_OFFSET = 5
    BAD_LENGTH = 6
    TOO_DEEP = 7
    LINK_TYPE = 8


UNDECODED = tuple(verdict for verdict in Verdict if verdict >= Verdict.TRUNCATED)
"""The verdicts that count as undecoded, each under its lower-case name."""

PACKET_INDEX = np.dtype(
    [
        ("ts_ns", "<i8"),  # capture time, ns since the epoch
        ("offset", "<u4"),  # of the packet's first byte in the batch's data
        ("caplen", "<u4"),  # captured bytes
        ("wire_len", "<u4"),  # bytes on the wire
        ("link_type", "<u4"),  # LINKTYPE_ value
    ]
)
"""One packet of a batch."""

SEGMENT = np.dtype(
    [
        ("ts_ns", "<i8"),
        ("src", "u1", 16),  # IPv4 is mapped: ::ffff:a.b.c.d
        ("dst", "u1", 16),
        ("src_port", "<u2"),
        ("dst_port", "<u2"),
        ("seq", "<u4"),
        ("ack", "<u4"),
        ("payload_len", "<u4"),  # bytes, from the IP and TCP headers
        ("payload_offset", "<u4"),  # of the payload's first byte in the batch's data
        ("payload_caplen", "<u4"),  # payload bytes that were captured
        ("window", "<u2"),  # as in the header, not scaled
        ("checksum", "<u2"),  # TCP checksum as captured
        ("ip_id", "<u2"),  # IPv4 identification; 0 for IPv6
        ("flags", "u1"),  # FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128
        ("verdict", "u1"),  # Verdict; unless it is SEGMENT, only ts_ns means anything
        ("is_fragment", "u1"),  # first fragment of an IP datagram
        ("_pad", "u1", 7),
    ]
)
"""One decoded packet."""

SKETCH_STATS = np.dtype(
    [
        ("count", "<u8"),
        ("sum_lo", "<u8"),  # the sum is 128 bits wide: sum_hi * 2**64 + sum_lo
        ("sum_hi", "<u8"),
        ("min", "<i8"),  # in the metric's unit; meaningless while count is 0
        ("max", "<i8"),
    ]
)
"""The exact part of one sketch."""

DESTINATION_KEY = np.dtype(
    [
        ("addr", "u1", 16),  # IPv4 is mapped
        ("port", "<u2"),  # 0 where rows are grouped by address
        ("kind", "<u2"),  # DestinationKind
        ("_pad", "<u4"),
    ]
)
"""What a row stands for."""


NAME_HINT = np.dtype(
    [
        ("tag", "<u8"),  # stands for server and kind
        ("addr", "u1", 16),  # the server's; IPv4 is mapped
        ("port", "<u2"),  # the server's
        ("kind", "<u2"),  # HintKind
        ("offset", "<u4"),  # of the payload's first byte in the batch's data
        ("caplen", "<u4"),  # captured bytes of the payload
        ("_pad", "<u4"),
    ]
)
"""A packet that may hold a name."""


class HintKind(IntEnum):
    """What a packet that may hold a name looks like."""

    DNS_UDP = 1
    DNS_TCP = 2
    TLS = 3
    HTTP = 4


class DestinationKind(IntEnum):
    """Which of a destination key's fields count."""

    ADDR = 0
    ADDR_PORT = 1
    OTHER = 2
    """The row that takes all destinations beyond the bound on their number."""


class Direction(IntEnum):
    """Which connections are shown, and by which end they are grouped."""

    OUT = 0
    IN = 1
    BOTH = 2


class GroupBy(IntEnum):
    """What makes a row."""

    ADDR = 0
    ADDR_PORT = 1


class Wait(IntEnum):
    """What waits for an answer: the columns of ``Table.waits_ns``."""

    ATTEMPT = 0
    REQUEST = 1


class Window(IntEnum):
    """Spans that counters and sketches can be asked for; the value is in seconds (0: all)."""

    ALL = 0
    LAST_10_S = 10
    LAST_60_S = 60
    LAST_300_S = 300
