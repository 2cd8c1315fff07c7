"""A connection with one request as frames, its latencies known."""

from __future__ import annotations

import struct

MS = 1_000_000

SYN, ACK, SYN_ACK, FIN_ACK, RST = 2, 16, 18, 17, 4


def segment(client: int, flags: int, seq: int, ack: int, data: bytes = b"") -> bytes:
    """A segment of connection `client` to or from 192.0.2.7:443; a server's flags are negative."""
    ends = [(bytes([10, 0, 0, 1]), 40_000 + client), (bytes([192, 0, 2, 7]), 443)]
    (src, src_port), (dst, dst_port) = ends if flags > 0 else ends[::-1]
    tcp = struct.pack("!HHIIBBHHH", src_port, dst_port, seq, ack, 0x50, abs(flags), 65_000, 0, 0)
    total = 20 + len(tcp) + len(data)
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, total, seq & 0xFFFF, 0, 64, 6, 0, src, dst)
    return bytes(12) + b"\x08\x00" + ip + tcp + data


def conversation(client: int, start_ns: int) -> list[tuple[int, bytes]]:
    """One connection: opened in 3 ms, one request answered after 40 ms, closed by the client."""
    steps = [
        (0, segment(client, SYN, 100, 0)),
        (3, segment(client, -SYN_ACK, 500, 101)),
        (3, segment(client, ACK, 101, 501)),
        (4, segment(client, ACK, 101, 501, b"GET")),
        (44, segment(client, -ACK, 501, 104, b"200")),
        (45, segment(client, FIN_ACK, 104, 504)),
        (46, segment(client, -FIN_ACK, 504, 105)),
        (47, segment(client, ACK, 105, 505)),
    ]
    return [(start_ns + at * MS, packet) for at, packet in steps]
