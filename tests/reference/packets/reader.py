"""Read pcap and pcapng files into packets.

Takes the path of a capture file; gives its packets in the order of the file and, where the file
could not be read to its end, the text that says so. Never raises on damaged input and never skips
damage: whatever came before it is returned.

Sources: draft-ietf-opsawg-pcap, draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

NS_PER_S = 1_000_000_000
NS_PER_US = 1_000

# The largest snapshot length of libpcap for ordinary link types (MAXIMUM_SNAPLEN): offload hands up
# segments of more than 64 KiB, so nothing smaller tells a damaged length from a real one.
MAX_CAPTURED_BYTES = 262_144

PCAP_MAGIC_US = 0xA1B2C3D4
PCAP_MAGIC_NS = 0xA1B23C4D
PCAP_MAGIC_KUZNETZOV = 0xA1B2CD34
PCAPNG_MAGIC = b"\x0a\x0d\x0d\x0a"

PCAP_HEADER_BYTES = 24
PCAP_RECORD_BYTES = 16
# Alexey Kuznetzov's patch adds interface index, protocol, packet type and padding to each record.
KUZNETZOV_EXTRA_BYTES = 8
LINK_TYPE_MASK = 0xFFFF

BLOCK_SECTION = 0x0A0D0D0A
BLOCK_INTERFACE = 1
BLOCK_PACKET = 2
BLOCK_ENHANCED_PACKET = 6
BYTE_ORDER_MAGIC = 0x1A2B3C4D
OPTION_END = 0
OPTION_IF_TSRESOL = 9
OPTION_IF_TSOFFSET = 14

NOT_A_CAPTURE = "not a pcap or pcapng file"
EMPTY_FILE = "empty file"


@dataclass(frozen=True)
class Packet:
    """One captured packet; `wire_len` is its length in bytes before the snapshot length cut it."""

    ts_ns: int
    link_type: int
    data: bytes
    wire_len: int


@dataclass(frozen=True)
class Interface:
    """What a pcapng interface description says of the packets that name it."""

    link_type: int
    ticks_per_s: int
    offset_s: int


class _DamagedError(Exception):
    """The bytes at hand cannot be the next record."""


def read_capture(path: str | Path) -> tuple[list[Packet], str | None]:
    """Return the readable packets of a capture and, unless all of it was readable, why not."""
    raw = Path(path).read_bytes()
    if not raw:
        return [], EMPTY_FILE
    packets: list[Packet] = []
    try:
        if raw[:4] == PCAPNG_MAGIC:
            _read_pcapng(raw, packets)
        elif _pcap_byte_order(raw) is not None:
            _read_pcap(raw, packets)
        else:
            return [], NOT_A_CAPTURE
    except _DamagedError:
        return packets, f"file cut off or damaged after packet {len(packets)}"
    return packets, None


def _pcap_byte_order(raw: bytes) -> str | None:
    for order in "<>":
        if len(raw) >= 4 and struct.unpack(order + "I", raw[:4])[0] in (
            PCAP_MAGIC_US,
            PCAP_MAGIC_NS,
            PCAP_MAGIC_KUZNETZOV,
        ):
            return order
    return None


def _read_pcap(raw: bytes, packets: list[Packet]) -> None:
    if len(raw) < PCAP_HEADER_BYTES:
        raise _DamagedError
    order = _pcap_byte_order(raw)
    magic, link_type = struct.unpack(f"{order}I16xI", raw[:PCAP_HEADER_BYTES])
    ns_per_tick = 1 if magic == PCAP_MAGIC_NS else NS_PER_US
    extra = KUZNETZOV_EXTRA_BYTES if magic == PCAP_MAGIC_KUZNETZOV else 0
    at = PCAP_HEADER_BYTES
    while at < len(raw):
        start = at + PCAP_RECORD_BYTES + extra
        if start > len(raw):
            raise _DamagedError
        seconds, ticks, captured, wire_len = struct.unpack(
            f"{order}IIII", raw[at : at + PCAP_RECORD_BYTES]
        )
        if captured > MAX_CAPTURED_BYTES or start + captured > len(raw):
            raise _DamagedError
        packets.append(
            Packet(
                ts_ns=seconds * NS_PER_S + ticks * ns_per_tick,
                # The upper bits tell the length of a frame check sequence.
                link_type=link_type & LINK_TYPE_MASK,
                data=raw[start : start + captured],
                wire_len=wire_len,
            )
        )
        at = start + captured


def _read_pcapng(raw: bytes, packets: list[Packet]) -> None:
    order = "<"
    interfaces: list[Interface] = []
    at = 0
    while at < len(raw):
        if at + 12 > len(raw):
            raise _DamagedError
        if raw[at : at + 4] == PCAPNG_MAGIC:
            order = _section_byte_order(raw[at + 8 : at + 12])
            interfaces = []
        block_type, block_len = struct.unpack(f"{order}II", raw[at : at + 8])
        if block_len < 12 or block_len % 4 or at + block_len > len(raw):
            raise _DamagedError
        if struct.unpack(f"{order}I", raw[at + block_len - 4 : at + block_len])[0] != block_len:
            raise _DamagedError
        body = raw[at + 8 : at + block_len - 4]
        if block_type == BLOCK_INTERFACE:
            interfaces.append(_interface(order, body))
        elif block_type in (BLOCK_ENHANCED_PACKET, BLOCK_PACKET):
            packets.append(_pcapng_packet(order, block_type, body, interfaces))
        at += block_len


def _section_byte_order(magic: bytes) -> str:
    for order in "<>":
        if len(magic) == 4 and struct.unpack(order + "I", magic)[0] == BYTE_ORDER_MAGIC:
            return order
    raise _DamagedError


def _interface(order: str, body: bytes) -> Interface:
    if len(body) < 8:
        raise _DamagedError
    (link_type,) = struct.unpack(f"{order}H", body[:2])
    ticks_per_s = 1_000_000
    offset_s = 0
    at = 8
    while at + 4 <= len(body):
        code, length = struct.unpack(f"{order}HH", body[at : at + 4])
        value = body[at + 4 : at + 4 + length]
        if code == OPTION_END or len(value) < length:
            break
        if code == OPTION_IF_TSRESOL and length >= 1:
            exponent = value[0] & 0x7F
            ticks_per_s = 2**exponent if value[0] & 0x80 else 10**exponent
        elif code == OPTION_IF_TSOFFSET and length >= 8:
            (offset_s,) = struct.unpack(f"{order}q", value[:8])
        at += 4 + (length + 3) // 4 * 4
    return Interface(link_type, ticks_per_s, offset_s)


def _pcapng_packet(order: str, block_type: int, body: bytes, interfaces: list[Interface]) -> Packet:
    if len(body) < 20:
        raise _DamagedError
    # The obsolete packet block differs in this alone: a 16-bit interface and a 16-bit drop count.
    layout = "IIIII" if block_type == BLOCK_ENHANCED_PACKET else "HxxIIII"
    interface_id, high, low, captured, wire_len = struct.unpack(order + layout, body[:20])
    if interface_id >= len(interfaces) or 20 + captured > len(body):
        raise _DamagedError
    if captured > MAX_CAPTURED_BYTES:
        raise _DamagedError
    interface = interfaces[interface_id]
    ticks = high << 32 | low
    return Packet(
        ts_ns=interface.offset_s * NS_PER_S + ticks * NS_PER_S // interface.ticks_per_s,
        link_type=interface.link_type,
        data=body[20 : 20 + captured],
        wire_len=wire_len,
    )
