"""Writers of pcap and pcapng files, in every variant that a reader has to know.

Takes packets, gives a file's bytes. Knows nothing of the reader: layouts are those of
draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

NS_PER_S = 1_000_000_000

BLOCK_INTERFACE = 1
BLOCK_OLD_PACKET = 2
BLOCK_SIMPLE = 3
BLOCK_NAMES = 4
BLOCK_STATISTICS = 5
BLOCK_PACKET = 6
BLOCK_SECTION = 0x0A0D0D0A


@dataclass(frozen=True)
class Captured:
    """One packet as a file holds it; `wire_len` None: captured whole."""

    ts_ns: int
    data: bytes = b""
    wire_len: int | None = None

    @property
    def on_wire(self) -> int:
        return len(self.data) if self.wire_len is None else self.wire_len


Packets = Iterable[Captured | tuple[int, bytes]]


def as_captured(packets: Packets) -> list[Captured]:
    return [one if isinstance(one, Captured) else Captured(*one) for one in packets]


def write_pcap(
    packets: Packets,
    link_type: int = 1,
    order: str = "<",
    nanoseconds: bool = False,
    modified: bool = False,
    network_high_bits: int = 0,
    version: tuple[int, int] = (2, 4),
    snaplen: int = 262_144,
) -> bytes:
    """A pcap file of packets, or of pairs of time in ns and bytes."""
    magic = 0xA1B2CD34 if modified else 0xA1B23C4D if nanoseconds else 0xA1B2C3D4
    network = network_high_bits << 16 | link_type
    out = bytearray(struct.pack(f"{order}IHHiIII", magic, *version, 0, 0, snaplen, network))
    for packet in as_captured(packets):
        seconds, ns = divmod(packet.ts_ns, NS_PER_S)
        fraction = ns if nanoseconds else ns // 1000
        out += struct.pack(f"{order}IIII", seconds, fraction, len(packet.data), packet.on_wire)
        if modified:
            out += struct.pack(f"{order}IHBB", 1, 0x0800, 0, 0)
        out += packet.data
    return bytes(out)


def option(code: int, value: bytes, order: str = "<") -> bytes:
    return struct.pack(f"{order}HH", code, len(value)) + value + bytes(-len(value) % 4)


@dataclass
class PcapngWriter:
    """Blocks of one pcapng stream, put behind each other; each method gives the writer back."""

    order: str = "<"
    out: bytearray = field(default_factory=bytearray)

    def block(self, block_type: int, body: bytes) -> PcapngWriter:
        body += bytes(-len(body) % 4)
        total = struct.pack(f"{self.order}I", len(body) + 12)
        self.out += struct.pack(f"{self.order}I", block_type) + total + body + total
        return self

    def section(
        self, order: str | None = None, length: int = -1, version: tuple[int, int] = (1, 0)
    ) -> PcapngWriter:
        self.order = order or self.order
        body = struct.pack(f"{self.order}IHHq", 0x1A2B3C4D, *version, length)
        return self.block(BLOCK_SECTION, body + option(4, b"a writer", self.order))

    def interface(
        self,
        link_type: int = 1,
        tsresol: int | None = None,
        tsoffset_s: int | None = None,
        options: bytes = b"",
    ) -> PcapngWriter:
        if tsresol is not None:
            options += option(9, bytes([tsresol]), self.order)
        if tsoffset_s is not None:
            options += option(14, struct.pack(f"{self.order}q", tsoffset_s), self.order)
        if options:
            options += option(0, b"", self.order)
        return self.block(
            BLOCK_INTERFACE, struct.pack(f"{self.order}HHI", link_type, 0, 0) + options
        )

    def packet(
        self,
        ticks: int,
        data: bytes,
        interface: int = 0,
        wire_len: int | None = None,
        options: bytes = b"",
    ) -> PcapngWriter:
        return self.block(
            BLOCK_PACKET, self._packet_body("I", (interface,), ticks, data, wire_len) + options
        )

    def old_packet(
        self, ticks: int, data: bytes, interface: int = 0, wire_len: int | None = None
    ) -> PcapngWriter:
        return self.block(
            BLOCK_OLD_PACKET, self._packet_body("HH", (interface, 7), ticks, data, wire_len)
        )

    def simple_packet(self, data: bytes) -> PcapngWriter:
        return self.block(BLOCK_SIMPLE, struct.pack(f"{self.order}I", len(data)) + data)

    def statistics(
        self,
        interface: int = 0,
        ifrecv: int | None = None,
        ifdrop: int | None = None,
        osdrop: int | None = None,
    ) -> PcapngWriter:
        body = struct.pack(f"{self.order}III", interface, 0, 0)
        for code, value in ((4, ifrecv), (5, ifdrop), (7, osdrop)):
            if value is not None:
                body += option(code, struct.pack(f"{self.order}Q", value), self.order)
        return self.block(BLOCK_STATISTICS, body + option(0, b"", self.order))

    def getvalue(self) -> bytes:
        return bytes(self.out)

    def _packet_body(
        self,
        head_format: str,
        head: Sequence[int],
        ticks: int,
        data: bytes,
        wire_len: int | None,
    ) -> bytes:
        on_wire = len(data) if wire_len is None else wire_len
        lengths = struct.pack(
            f"{self.order}IIII", ticks >> 32, ticks & 0xFFFF_FFFF, len(data), on_wire
        )
        padded = data + bytes(-len(data) % 4)
        return struct.pack(f"{self.order}{head_format}", *head) + lengths + padded


def write_pcapng(packets: Packets, link_type: int = 1, order: str = "<") -> bytes:
    """One section, one interface with nanoseconds, one packet block each."""
    writer = PcapngWriter(order).section().interface(link_type, tsresol=9)
    for packet in as_captured(packets):
        writer.packet(packet.ts_ns, packet.data, wire_len=packet.on_wire)
    return writer.getvalue()
