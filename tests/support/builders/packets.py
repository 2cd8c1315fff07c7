"""Packets from parts: Ethernet, IP and TCP headers with what a test wants to say, and defaults."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000

CLIENT = "192.0.2.1"
SERVER = "198.51.100.7"


def tcp(
    sport: int,
    dport: int,
    seq: int = 0,
    ack: int = 0,
    flags: int = ACK,
    window: int = 65_535,
    payload: bytes = b"",
    options: bytes = b"",
    checksum: int = 0,
) -> bytes:
    """A TCP header (RFC 9293 §3.1) and its payload."""
    offset = (20 + len(options)) // 4 << 4
    header = struct.pack(
        ">HHIIBBHHH", sport, dport, seq % 2**32, ack % 2**32, offset, flags, window, checksum, 0
    )
    return header + options + payload


def ipv4(
    src: str,
    dst: str,
    body: bytes,
    proto: int = 6,
    ident: int = 0,
    fragment: int = 0,
    total_len: int | None = None,
    options: bytes = b"",
) -> bytes:
    """An IPv4 header (RFC 791) and its body."""
    header_len = 20 + len(options)
    length = header_len + len(body) if total_len is None else total_len
    return (
        struct.pack(
            ">BBHHHBBH4s4s",
            0x40 | header_len // 4,
            0,
            length,
            ident,
            fragment,
            64,
            proto,
            0,
            ipaddress.IPv4Address(src).packed,
            ipaddress.IPv4Address(dst).packed,
        )
        + options
        + body
    )


def ipv6(src: str, dst: str, body: bytes, proto: int = 6, payload_len: int | None = None) -> bytes:
    """An IPv6 header (RFC 8200) and its body."""
    length = len(body) if payload_len is None else payload_len
    return (
        struct.pack(">IHBB", 6 << 28, length, proto, 64)
        + ipaddress.IPv6Address(src).packed
        + ipaddress.IPv6Address(dst).packed
        + body
    )


def ethernet(body: bytes, ethertype: int | None = None) -> bytes:
    """An Ethernet II header; the ethertype follows the IP version unless it is given."""
    if ethertype is None:
        ethertype = 0x86DD if body[:1] and body[0] >> 4 == 6 else 0x0800
    return bytes(12) + struct.pack(">H", ethertype) + body


@dataclass
class Talk:
    """Both ends of one connection, as a test tells its story; times in ns."""

    client: str = CLIENT
    server: str = SERVER
    client_port: int = 40_000
    server_port: int = 443
    ident: int = 0

    def out(
        self, seq: int, ack: int = 0, flags: int = ACK, payload: bytes = b"", **tcp_fields: int
    ) -> bytes:
        """A frame from the client."""
        return self._frame(True, seq, ack, flags, payload, tcp_fields)

    def back(
        self, seq: int, ack: int = 0, flags: int = ACK, payload: bytes = b"", **tcp_fields: int
    ) -> bytes:
        """A frame from the server."""
        return self._frame(False, seq, ack, flags, payload, tcp_fields)

    def _frame(
        self,
        from_client: bool,
        seq: int,
        ack: int,
        flags: int,
        payload: bytes,
        tcp_fields: dict[str, int],
    ) -> bytes:
        src, dst = (self.client, self.server) if from_client else (self.server, self.client)
        ports = (self.client_port, self.server_port)
        sport, dport = ports if from_client else ports[::-1]
        # A new id for every packet, so that no two of them look like one captured twice.
        self.ident = self.ident % 65_535 + 1
        segment = tcp(sport, dport, seq, ack, flags, payload=payload, **tcp_fields)
        if ":" in src:
            return ethernet(ipv6(src, dst, segment))
        return ethernet(ipv4(src, dst, segment, ident=self.ident))
