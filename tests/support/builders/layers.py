"""Headers below and around TCP/IP: link layers, tags, tunnels, IPv6 extension headers."""

from __future__ import annotations

import ipaddress
import struct

from support.builders.packets import ethernet, ipv4, ipv6, tcp

IPV4, IPV6, VLAN, QINQ, MPLS, PPPOE = 0x0800, 0x86DD, 0x8100, 0x88A8, 0x8847, 0x8864
BRIDGED, PPP = 0x6558, 0x880B

IPIP, TCP, UDP, IN_IPV6, GRE, AH = 4, 6, 17, 41, 47, 51
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60

A4, B4 = "192.0.2.1", "198.51.100.7"
A6, B6 = "2001:db8::1", "2001:db8::7"
OUTER4 = ("203.0.113.1", "203.0.113.2")
OUTER6 = ("2001:db8:f::1", "2001:db8:f::2")

SEGMENT = tcp(40_000, 443, 1_000, 2_000, 0x18, 777, b"hello", checksum=0xABCD)


def v4(body: bytes = SEGMENT, proto: int = TCP, **fields: int) -> bytes:
    """An IPv4 datagram between A4 and B4."""
    return ipv4(A4, B4, body, proto, **fields)


def v6(body: bytes = SEGMENT, proto: int = TCP, payload_len: int | None = None) -> bytes:
    """An IPv6 datagram between A6 and B6."""
    return ipv6(A6, B6, body, proto, payload_len)


def extension(following: int, n_bytes: int = 8) -> bytes:
    """A hop-by-hop, routing or destination header (RFC 8200 §4)."""
    return bytes([following, n_bytes // 8 - 1]) + bytes(n_bytes - 2)


def authentication(following: int, n_bytes: int = 24) -> bytes:
    """An AH (RFC 4302 §2): its length counts words, less two."""
    return bytes([following, n_bytes // 4 - 2]) + bytes(n_bytes - 2)


def fragment(following: int, offset: int = 0, more: bool = False) -> bytes:
    """An IPv6 fragment header; the offset is in bytes."""
    return struct.pack(">BBHI", following, 0, offset | more, 99)


def tag(kind: int, body: bytes, ethertype: int | None = None) -> bytes:
    """An Ethernet frame with one 802.1Q or 802.1ad tag."""
    inner = ethernet(body, ethertype)
    return inner[:12] + struct.pack(">HH", kind, 5) + inner[12:]


def labels(n: int, body: bytes) -> bytes:
    """A stack of MPLS labels (RFC 3032)."""
    stack = b"".join(struct.pack(">I", 77 << 12 | (i == n - 1) << 8 | 64) for i in range(n))
    return stack + body


def pppoe(body: bytes, protocol: bytes, kind: int = 0x11, code: int = 0) -> bytes:
    """A PPPoE session frame (RFC 2516 §4)."""
    ppp = protocol + body
    return ethernet(struct.pack(">BBHH", kind, code, 1, len(ppp)) + ppp, PPPOE)


def udp(port: int, body: bytes, sport: int = 50_000) -> bytes:
    return struct.pack(">HHHH", sport, port, 8 + len(body), 0) + body


def gre(body: bytes, kind: int = IPV4, flags: int = 0) -> bytes:
    """GRE (RFC 2784, 2890; version 1: RFC 2637 §4.1) with the fields that its flags promise."""
    n_words = sum(bool(flags & bit) for bit in (0x8000, 0x2000, 0x1000, 0x0080))
    return struct.pack(">HH", flags, kind) + bytes(4 * n_words) + body


def vxlan(frame: bytes, flags: int = 0x08) -> bytes:
    return udp(4789, bytes([flags]) + bytes(7) + frame)


def geneve(body: bytes, kind: int = BRIDGED, n_option_words: int = 0, version: int = 0) -> bytes:
    head = struct.pack(">BBHI", version << 6 | n_option_words, 0, kind, 7 << 8)
    return udp(6081, head + bytes(4 * n_option_words) + body)


def outer(body: bytes, proto: int, is_v6: bool = False) -> bytes:
    """What carries a tunnel."""
    return ethernet(ipv6(*OUTER6, body, proto) if is_v6 else ipv4(*OUTER4, body, proto))


def sll(body: bytes, kind: int = IPV4) -> bytes:
    """Linux cooked capture, version 1."""
    return struct.pack(">HHH8sH", 4, 1, 6, bytes(8), kind) + body


def sll2(body: bytes, kind: int = IPV4) -> bytes:
    """Linux cooked capture, version 2."""
    return struct.pack(">HHIHBB8s", kind, 0, 3, 1, 4, 6, bytes(8)) + body


def icmp_error(quoted: bytes) -> bytes:
    """ICMP "port unreachable" that quotes a datagram (RFC 792)."""
    return ethernet(v4(b"\3\3" + bytes(6) + quoted, proto=1))


def mapped(address: str) -> bytes:
    """An address as segments hold it."""
    ip = ipaddress.ip_address(address)
    return ip.packed if ip.version == 6 else bytes(10) + b"\xff\xff" + ip.packed
