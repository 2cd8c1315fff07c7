"""From one captured packet to its innermost TCP segment, or the reason why there is none.

Takes link type, captured bytes and wire length; gives a `Segment`, `Verdict.NOT_TCP`, or the
`Undecoded` reason. Checks run from outside in and the first that fails decides. Never verifies
checksums (offload makes outgoing ones wrong), never reassembles fragments, keeps nothing.
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from .reader import Packet

MAX_IP_HEADERS = 8
# Offload of more than 64 KiB leaves the IP length at 0; a wire length above this is not believed.
MAX_OFFLOAD_BYTES = 1 << 20

LINK_ETHERNET = 1
LINK_SLL = 113
LINK_SLL2 = 276
LINKS_RAW_IP = (12, 14, 101)
LINK_RAW_IPV4 = 228
LINK_RAW_IPV6 = 229
LINKS_NULL = (0, 108)

LINK_TYPE_NAMES = {
    9: "PPP",
    10: "FDDI",
    105: "IEEE802_11",
    127: "IEEE802_11_RADIOTAP",
    129: "ARCNET_LINUX",
    192: "PPI",
}

ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_IPV6 = 0x86DD
ETHERTYPES_VLAN = (0x8100, 0x88A8, 0x9100)
ETHERTYPES_MPLS = (0x8847, 0x8848)
ETHERTYPE_PPPOE_SESSION = 0x8864
ETHERTYPE_BRIDGING = 0x6558
ETHERTYPE_PPP = 0x880B

PPP_IPV4 = 0x0021
PPP_IPV6 = 0x0057

# Address families of the null/loop header: AF_INET, and AF_INET6 of the BSDs, Darwin and Linux.
FAMILY_IPV4 = 2
FAMILIES_IPV6 = (10, 24, 28, 30)

PROTO_HOP_BY_HOP = 0
PROTO_IPIP = 4
PROTO_TCP = 6
PROTO_UDP = 17
PROTO_IPV6 = 41
PROTO_ROUTING = 43
PROTO_FRAGMENT = 44
PROTO_GRE = 47
PROTO_AH = 51
PROTO_DESTINATION = 60

PORT_VXLAN = 4789
PORT_GENEVE = 6081

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10


class Undecoded(enum.Enum):
    """Why a packet that should hold TCP could not be read."""

    TRUNCATED = "truncated"
    FRAGMENT = "fragment"
    BAD_HEADER = "bad_header"
    BAD_OFFSET = "bad_offset"
    BAD_LENGTH = "bad_length"
    TOO_DEEP = "too_deep"
    LINK_TYPE = "link_type"


class Verdict(enum.Enum):
    """What a readable packet may be besides TCP."""

    NOT_TCP = "not_tcp"


@dataclass(frozen=True)
class Segment:
    """The innermost TCP segment of a packet. `payload` holds what was captured of `payload_len`."""

    ts_ns: int
    src: bytes
    dst: bytes
    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    window: int
    checksum: int
    ip_id: int
    payload_len: int
    payload: bytes
    is_fragment: bool

    @property
    def is_syn(self) -> bool:
        return bool(self.flags & SYN)

    @property
    def is_fin(self) -> bool:
        return bool(self.flags & FIN)

    @property
    def is_rst(self) -> bool:
        return bool(self.flags & RST)

    @property
    def is_ack(self) -> bool:
        return bool(self.flags & ACK)


Decoded = Segment | Undecoded | Verdict


@dataclass(frozen=True)
class _Context:
    """What the inner layers need to know of the outer ones."""

    ts_ns: int
    decap: bool
    n_ip_headers: int = 0

    def deeper(self) -> _Context:
        return _Context(self.ts_ns, self.decap, self.n_ip_headers + 1)


def link_type_error(packets: Iterable[Packet]) -> str | None:
    """Name the first link type that `decode` cannot read, if there is one."""
    for packet in packets:
        if _link_payload(packet.link_type, b"\x00" * 20) is None:
            name = LINK_TYPE_NAMES.get(packet.link_type, "unknown")
            return f"unsupported link type {packet.link_type} ({name})"
    return None


def decode(packet: Packet, decap: bool = True) -> Decoded:
    """Return the innermost TCP segment of a packet, or what keeps it from having one."""
    start = _link_payload(packet.link_type, packet.data)
    if start is None:
        return Undecoded.LINK_TYPE
    ethertype, offset = start
    context = _Context(packet.ts_ns, decap)
    wire_len = packet.wire_len - offset
    return _ethertype(ethertype, packet.data[offset:], wire_len, context)


def _link_payload(link_type: int, data: bytes) -> tuple[int | None, int] | None:
    """Return ethertype (None: not captured; 0: none of ours) and offset of the link's payload."""
    if link_type == LINK_ETHERNET:
        return _u16(data, 12), 14
    if link_type == LINK_SLL:
        return _u16(data, 14), 16
    if link_type == LINK_SLL2:
        return _u16(data, 0) if len(data) >= 20 else None, 20
    if link_type == LINK_RAW_IPV4:
        return ETHERTYPE_IPV4, 0
    if link_type == LINK_RAW_IPV6:
        return ETHERTYPE_IPV6, 0
    if link_type in LINKS_RAW_IP:
        return _by_version(data), 0
    if link_type in LINKS_NULL:
        return _by_family(data), 4
    return None


def _u16(data: bytes, at: int) -> int | None:
    return int.from_bytes(data[at : at + 2], "big") if len(data) >= at + 2 else None


def _by_family(data: bytes) -> int | None:
    """The null/loop header names an address family, in the byte order of whoever captured."""
    if len(data) < 4:
        return None
    families = (int.from_bytes(data[:4], "little"), int.from_bytes(data[:4], "big"))
    if FAMILY_IPV4 in families:
        return ETHERTYPE_IPV4
    return ETHERTYPE_IPV6 if set(families) & set(FAMILIES_IPV6) else 0


def _by_version(data: bytes) -> int | None:
    """The version nibble decides where no ethertype does (raw IP, MPLS)."""
    versions = {4: ETHERTYPE_IPV4, 6: ETHERTYPE_IPV6}
    return versions.get(data[0] >> 4, 0) if data else None


def _ethertype(ethertype: int | None, data: bytes, wire_len: int, context: _Context) -> Decoded:
    if ethertype is None:
        return Undecoded.TRUNCATED
    if ethertype == ETHERTYPE_IPV4:
        return _ipv4(data, wire_len, context.deeper())
    if ethertype == ETHERTYPE_IPV6:
        return _ipv6(data, wire_len, context.deeper())
    if ethertype in ETHERTYPES_VLAN:
        return _ethertype(_u16(data, 2), data[4:], wire_len - 4, context)
    if ethertype in ETHERTYPES_MPLS:
        return _mpls(data, wire_len, context)
    if ethertype == ETHERTYPE_PPPOE_SESSION:
        if len(data) >= 6 and data[:2] != b"\x11\x00":  # version, type, session data: RFC 2516 §4
            return Verdict.NOT_TCP
        return _ppp(data[6:], wire_len - 6, context)
    return Verdict.NOT_TCP


def _ethernet(data: bytes, wire_len: int, context: _Context) -> Decoded:
    return _ethertype(_u16(data, 12), data[14:], wire_len - 14, context)


def _mpls(data: bytes, wire_len: int, context: _Context) -> Decoded:
    at = 0
    while len(data) >= at + 4:
        at += 4
        is_bottom = data[at - 2] & 1
        if is_bottom:
            return _ethertype(_by_version(data[at:]), data[at:], wire_len - at, context)
    return Undecoded.TRUNCATED


def _ppp(data: bytes, wire_len: int, context: _Context) -> Decoded:
    at = 0
    if data == b"\xff":
        return Undecoded.TRUNCATED
    if data[:2] == b"\xff\x03":  # address and control, RFC 1662 §3.1
        at = 2
    if len(data) > at and data[at] & 1:  # protocol field compression, RFC 1661 §6.5
        protocol: int | None = data[at]
        at += 1
    else:
        protocol = _u16(data, at)
        at += 2
    if protocol is None:
        return Undecoded.TRUNCATED
    ethertype = {PPP_IPV4: ETHERTYPE_IPV4, PPP_IPV6: ETHERTYPE_IPV6}.get(protocol, 0)
    return _ethertype(ethertype, data[at:], wire_len - at, context)


def _ipv4(data: bytes, wire_len: int, context: _Context) -> Decoded:
    if context.n_ip_headers > MAX_IP_HEADERS:
        return Undecoded.TOO_DEEP
    if len(data) < 20:
        return Undecoded.TRUNCATED
    header_len = (data[0] & 0x0F) * 4
    if data[0] >> 4 != 4 or header_len < 20:
        return Undecoded.BAD_HEADER
    if len(data) < header_len:
        return Undecoded.TRUNCATED
    total_len, ip_id, fragmentation = struct.unpack(">HHH", data[2:8])
    protocol = data[9]
    if total_len == 0 and wire_len <= MAX_OFFLOAD_BYTES:
        total_len = wire_len
    if total_len < header_len:
        return Undecoded.BAD_HEADER
    offset = fragmentation & 0x1FFF
    more = bool(fragmentation & 0x2000)
    if offset:
        return Undecoded.FRAGMENT if protocol == PROTO_TCP else Verdict.NOT_TCP
    layer = _Layer(data[12:16], data[16:20], ip_id, more, total_len - header_len)
    body = data[header_len:]
    return _protocol(protocol, body, wire_len - header_len, layer, context)


def _ipv6(data: bytes, wire_len: int, context: _Context) -> Decoded:
    if context.n_ip_headers > MAX_IP_HEADERS:
        return Undecoded.TOO_DEEP
    if len(data) < 40:
        return Undecoded.TRUNCATED
    if data[0] >> 4 != 6:
        return Undecoded.BAD_HEADER
    (length,) = struct.unpack(">H", data[4:6])
    if length == 0 and wire_len <= MAX_OFFLOAD_BYTES:
        length = wire_len - 40
    protocol = data[6]
    at = 40
    is_fragment = False
    while protocol in (
        PROTO_HOP_BY_HOP,
        PROTO_ROUTING,
        PROTO_DESTINATION,
        PROTO_FRAGMENT,
        PROTO_AH,
    ):
        if len(data) < at + 8:
            return Undecoded.TRUNCATED
        next_protocol = data[at]
        size = (data[at + 1] + 1) * 8
        if protocol == PROTO_FRAGMENT:
            size = 8
            (fragmentation,) = struct.unpack(">H", data[at + 2 : at + 4])
            if fragmentation >> 3:
                is_tcp = next_protocol == PROTO_TCP
                return Undecoded.FRAGMENT if is_tcp else Verdict.NOT_TCP
            is_fragment = is_fragment or bool(fragmentation & 1)
        elif protocol == PROTO_AH:
            size = (data[at + 1] + 2) * 4
        if len(data) < at + size:
            return Undecoded.TRUNCATED
        at += size
        # As an IPv4 header that is longer than its datagram.
        if length < at - 40:
            return Undecoded.BAD_HEADER
        protocol = next_protocol
    layer = _Layer(data[8:24], data[24:40], 0, is_fragment, length - (at - 40))
    return _protocol(protocol, data[at:], wire_len - at, layer, context)


@dataclass(frozen=True)
class _Layer:
    """One IP header: addresses, IPv4 id (else 0), first of several fragments, payload bytes."""

    src: bytes
    dst: bytes
    ip_id: int
    is_fragment: bool
    length: int


def _protocol(
    protocol: int, data: bytes, wire_len: int, layer: _Layer, context: _Context
) -> Decoded:
    if protocol == PROTO_TCP:
        return _tcp(data, layer, context.ts_ns)
    if not context.decap:
        return Verdict.NOT_TCP
    if protocol == PROTO_IPIP:
        return _ipv4(data, wire_len, context.deeper())
    if protocol == PROTO_IPV6:
        return _ipv6(data, wire_len, context.deeper())
    if protocol == PROTO_GRE:
        return _gre(data, wire_len, context)
    if protocol == PROTO_UDP:
        return _udp(data, wire_len, context)
    return Verdict.NOT_TCP


def _gre(data: bytes, wire_len: int, context: _Context) -> Decoded:
    if len(data) < 4:
        return Undecoded.TRUNCATED
    flags, protocol = struct.unpack(">HH", data[:4])
    has_checksum, has_routing = flags & 0x8000, flags & 0x4000
    has_key, has_sequence = flags & 0x2000, flags & 0x1000
    version = flags & 7
    at = 4 + 4 * sum(map(bool, (has_checksum, has_key, has_sequence)))
    if has_routing:  # RFC 1701 alone has routes
        return Verdict.NOT_TCP
    if version == 0:
        if protocol == ETHERTYPE_BRIDGING:
            return _ethernet(data[at:], wire_len - at, context)
        return _ethertype(protocol, data[at:], wire_len - at, context)
    # RFC 2637 §4.1: without a sequence number it acknowledges only.
    if version == 1 and protocol == ETHERTYPE_PPP and has_sequence:
        at += 4 * bool(flags & 0x0080)
        return _ppp(data[at:], wire_len - at, context)
    return Verdict.NOT_TCP


def _udp(data: bytes, wire_len: int, context: _Context) -> Decoded:
    port = _u16(data, 2)
    body = data[8:]
    if port == PORT_VXLAN:
        if len(body) >= 8 and not body[0] & 0x08:  # the VNI must be valid: RFC 7348 §5
            return Verdict.NOT_TCP
        return _ethernet(body[8:], wire_len - 16, context)
    if port == PORT_GENEVE:
        if len(body) < 8:
            return Undecoded.TRUNCATED
        if body[0] >> 6:  # version 0 is the only one: RFC 8926 §3.4
            return Verdict.NOT_TCP
        at = 8 + (body[0] & 0x3F) * 4
        protocol = _u16(body, 2)
        if protocol == ETHERTYPE_BRIDGING:
            return _ethernet(body[at:], wire_len - 8 - at, context)
        return _ethertype(protocol, body[at:], wire_len - 8 - at, context)
    return Verdict.NOT_TCP


def _tcp(data: bytes, layer: _Layer, ts_ns: int) -> Decoded:
    if len(data) < 20:
        return Undecoded.TRUNCATED
    if layer.length < 20:
        return Undecoded.BAD_LENGTH
    sport, dport, seq, ack, offset, flags, window, checksum = struct.unpack(">HHIIBBHH", data[:18])
    header_len = (offset >> 4) * 4
    if header_len < 20:
        return Undecoded.BAD_OFFSET
    if header_len > layer.length:
        return Undecoded.BAD_LENGTH
    payload_len = layer.length - header_len
    return Segment(
        ts_ns=ts_ns,
        src=layer.src,
        dst=layer.dst,
        sport=sport,
        dport=dport,
        seq=seq,
        ack=ack,
        flags=flags,
        window=window,
        checksum=checksum,
        ip_id=layer.ip_id,
        payload_len=payload_len,
        payload=data[header_len : header_len + payload_len],
        is_fragment=layer.is_fragment,
    )
