"""``UnifiedPacket``: one TCP segment as a Python object, for scripts that look at single packets.

Takes batches, gives an object per segment, and the other way round. This is the slow path: the
engine counts millions of packets in the time that this takes for some hundred thousand.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Iterator
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from trtop_core.batch import PacketBatch
from trtop_core.decode import decode
from trtop_core.records import NS_PER_S, Verdict
from trtop_core.table import address_name

FLAGS = ("F", "S", "R", "P", ".", "U", "E", "W")
"""Bit by bit, as tcpdump writes them: ``S.`` is a SYN with ACK, ``FP.`` a FIN with data."""

FLAG_SYN, FLAG_ACK = 0x02, 0x10

WELL_KNOWN_LIMIT = 1024
EPHEMERAL_START = 32_768
"""Ports that tell a client from a server where no SYN does."""

FULL_WINDOW = 65_535
"""What a packet made by hand advertises, unless it says something else."""


class UnifiedPacket:
    """One TCP segment.

    Made empty, to be filled in; those that a capture gives are filled. A packet that goes into an
    ``OutgoingTCPAnalyzer`` counts as the bytes in ``raw`` where there are any: whoever changes a
    field of a captured packet sets ``raw`` to None.

    Attributes:
        src: the sender's address.
        src_port: its port.
        dst: the receiver's address.
        dst_port: its port.
        flags: as tcpdump writes them: ``S``, ``S.``, ``.``, ``P.``, ``F.``, ``R`` ...
        ts_ns: capture time, ns since the epoch; ``timestamp`` is the same as text in seconds.
        sequence: the sequence number behind the payload, ``b`` of tcpdump's ``seq a:b``.
        ack: the acknowledgement number.
        length: payload bytes.
        window: as in the header, not scaled.
        batch: where a captured packet lies; None of another.
        row: which packet of the batch.
    """

    __slots__ = (
        "ack",
        "batch",
        "dst",
        "dst_port",
        "flags",
        "length",
        "row",
        "sequence",
        "src",
        "src_port",
        "ts_ns",
        "window",
    )

    def __init__(self) -> None:
        self.src: str | None = None
        self.src_port: int | None = None
        self.dst: str | None = None
        self.dst_port: int | None = None
        self.flags: str | None = None
        self.ts_ns: int | None = None
        self.sequence: int | None = None
        self.ack: int | None = None
        self.length: int | None = None
        self.window: int = FULL_WINDOW
        self.batch: PacketBatch | None = None
        self.row = 0

    @property
    def raw(self) -> bytes | None:
        """The packet as it was captured; None: it was not, or its fields have been changed."""
        if self.batch is None:
            return None
        entry = self.batch.index[self.row]
        start = int(entry["offset"])
        return self.batch.data[start : start + int(entry["caplen"])].tobytes()

    @raw.setter
    def raw(self, nothing: None) -> None:
        self.batch = None

    @property
    def timestamp(self) -> str | None:
        """Capture time in seconds since the epoch, with nine decimals."""
        if self.ts_ns is None:
            return None
        seconds, ns = divmod(self.ts_ns, NS_PER_S)
        return f"{seconds}.{ns:09}"

    @timestamp.setter
    def timestamp(self, seconds: str | float) -> None:
        self.ts_ns = int(Decimal(str(seconds)) * NS_PER_S)

    def is_outgoing(self) -> bool:
        """Whether the sender is the client, as far as this packet alone can tell."""
        flags, src_port, dst_port = self.flags or "", self.src_port or 0, self.dst_port or 0
        if "S" in flags:
            return "." not in flags
        low, high = sorted((src_port, dst_port))
        if low != high and (low < WELL_KNOWN_LIMIT or high >= EPHEMERAL_START):
            return src_port == high
        return True

    def remote_ip(self) -> str | None:
        """The server's address."""
        return self.dst if self.is_outgoing() else self.src

    def remote_port(self) -> int | None:
        """The server's port."""
        return self.dst_port if self.is_outgoing() else self.src_port

    def local_ip(self) -> str | None:
        """The client's address."""
        return self.src if self.is_outgoing() else self.dst

    def ephemeral_port(self) -> int | None:
        """The client's port."""
        return self.src_port if self.is_outgoing() else self.dst_port

    def is_ack_only(self) -> bool:
        """An acknowledgement without payload."""
        return self.flags == "." and self.length == 0

    def __str__(self) -> str:
        way = "out" if self.is_outgoing() else "in"
        return (
            f"{self.timestamp} {way} {self.src}:{self.src_port} > {self.dst}:{self.dst_port} "
            f"[{self.flags}] seq {self.sequence} ack {self.ack} length {self.length}"
        )


def unified_packets(batch: PacketBatch) -> Iterator[UnifiedPacket]:
    """The TCP segments of a batch, one object each."""
    columns = decode(batch).columns
    chosen = (columns["verdict"] == Verdict.SEGMENT).nonzero()[0]
    sequence = columns["seq"][chosen] + columns["payload_len"][chosen]  # modulo 2**32
    names = ("ts_ns", "src_port", "dst_port", "ack", "payload_len", "window", "flags")
    numbers = zip(*(columns[name][chosen].tolist() for name in names), strict=True)
    ends = zip(*(_addresses(columns[name][chosen]) for name in ("src", "dst")), strict=True)
    for row, (src, dst), values, last in zip(
        chosen.tolist(), ends, numbers, sequence.tolist(), strict=True
    ):
        packet = _new(UnifiedPacket)
        packet.src, packet.dst, packet.sequence = src, dst, last
        packet.ts_ns, packet.src_port, packet.dst_port, packet.ack = values[:4]
        packet.length, packet.window, flags = values[4:]
        packet.flags = FLAGS_OF[flags]
        packet.batch, packet.row = batch, row
        yield packet


_new = UnifiedPacket.__new__


def _addresses(column: npt.NDArray[np.uint8]) -> list[str]:
    """Addresses as text, each distinct one written once.

    Args:
        column: shape (n, 16), IPv4 mapped.
    """
    packed = np.ascontiguousarray(column).view("V16").reshape(-1).tolist()
    texts = {addr: address_name(addr) for addr in set(packed)}
    return [texts[addr] for addr in packed]


def frame_of(packet: UnifiedPacket) -> bytes:
    """The IP packet that a packet made by hand stands for, without its payload's bytes.

    Raises:
        ValueError: a field is missing or out of range.
    """
    flags = _flag_bits(packet.flags or "")
    length = packet.length or 0
    seq = ((packet.sequence or 0) - length) & 0xFFFF_FFFF
    try:
        src, dst = ipaddress.ip_address(packet.src or ""), ipaddress.ip_address(packet.dst or "")
        tcp = struct.pack(
            ">HHIIBBHHH",
            packet.src_port,
            packet.dst_port,
            seq,
            (packet.ack or 0) & 0xFFFF_FFFF,
            0x50,
            flags,
            packet.window,
            0,
            0,
        )
        if src.version == dst.version == 6:
            head = struct.pack(">IHBB", 6 << 28, len(tcp) + length, 6, 64)
            return head + src.packed + dst.packed + tcp
        total = 20 + len(tcp) + length
        # Hand-made packets have no id of their own: a changing one keeps two of them apart.
        ident = hash((packet.ts_ns, packet.sequence)) & 0xFFFF
        head = struct.pack(">BBHHHBBH", 0x45, 0, total, ident, 0, 64, 6, 0)
        if src.version != dst.version:
            raise ValueError("one address is IPv4, the other IPv6")
        return head + src.packed + dst.packed + tcp
    except (struct.error, TypeError, ValueError) as error:
        raise ValueError(f"not a packet: {packet}: {error}") from None


def _flags_text(bits: int) -> str:
    return "".join(name for i, name in enumerate(FLAGS) if bits >> i & 1)


def _flag_bits(text: str) -> int:
    return sum(1 << FLAGS.index(name) for name in set(text) if name in FLAGS)


FLAGS_OF = tuple(_flags_text(bits) for bits in range(256))
"""The text of each value of the flags byte."""
