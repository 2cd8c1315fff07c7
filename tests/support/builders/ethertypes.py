"""What may follow an Ethernet header, with TCP in it and without, by name."""

from __future__ import annotations

import struct

from support.builders.packets import CLIENT, SERVER, SYN, ethernet, ipv4, ipv6, tcp

V6_CLIENT, V6_SERVER = "2001:db8::1", "2001:db8::2"

SEGMENT = tcp(40_000, 443, flags=SYN)
V4 = ipv4(CLIENT, SERVER, SEGMENT)
V6 = ipv6(V6_CLIENT, V6_SERVER, SEGMENT)


def udp(dport: int, body: bytes) -> bytes:
    return struct.pack(">HHHH", 50_000, dport, 8 + len(body), 0) + body


def tag(ethertype: int, inner: int, body: bytes) -> tuple[int, bytes]:
    return ethertype, struct.pack(">HH", 7, inner) + body


def extension(kind: int, following: int, body: bytes) -> bytes:
    if kind == 44:
        return struct.pack(">BBHI", following, 0, 1, 9) + body
    if kind == 51:
        return struct.pack(">BBHIII", following, 2, 0, 1, 1, 0) + body
    return struct.pack(">BB6x", following, 0) + body


VXLAN = ipv4(CLIENT, SERVER, udp(4789, b"\x08\0\0\0\0\0\x07\0" + ethernet(V4)), proto=17)
GENEVE = ipv6(V6_CLIENT, V6_SERVER, udp(6081, b"\0\0\x65\x58\0\0\x07\0" + ethernet(V6)), proto=17)
GRE = ipv4(CLIENT, SERVER, b"\0\0\x08\0" + V4, proto=47)

NETWORK: dict[str, tuple[int, bytes]] = {
    "v4": (0x0800, V4),
    "v4 with options": (0x0800, ipv4(CLIENT, SERVER, SEGMENT, options=b"\x01" * 8)),
    "v4 first fragment": (0x0800, ipv4(CLIENT, SERVER, SEGMENT, fragment=0x2000)),
    "v4 later fragment": (0x0800, ipv4(CLIENT, SERVER, SEGMENT, fragment=0x0010)),
    "v6": (0x86DD, V6),
    **{
        f"v6 with extension {kind}": (
            0x86DD,
            ipv6(V6_CLIENT, V6_SERVER, extension(kind, 6, SEGMENT), proto=kind),
        )
        for kind in (0, 43, 44, 51, 60)
    },
    "ipip": (0x0800, ipv4(CLIENT, SERVER, V4, proto=4)),
    "6in4": (0x0800, ipv4(CLIENT, SERVER, V6, proto=41)),
    "4in6": (0x86DD, ipv6(V6_CLIENT, V6_SERVER, V4, proto=4)),
    "gre": (0x0800, GRE),
    "vxlan": (0x0800, VXLAN),
    "geneve": (0x86DD, GENEVE),
    "tag": tag(0x8100, 0x0800, V4),
    "tag v6": tag(0x8100, 0x86DD, V6),
    "tag vxlan": tag(0x8100, 0x0800, VXLAN),
    "qinq": tag(0x88A8, *tag(0x8100, 0x0800, V4)),
    "qinq v6": tag(0x9100, *tag(0x8100, 0x86DD, V6)),
    "three tags": tag(0x88A8, *tag(0x8100, *tag(0x8100, 0x0800, V4))),
    "mpls": (0x8847, b"\0\x01\x01\x40" + V4),
    "tag mpls": tag(0x8100, 0x8847, b"\0\x01\x01\x40" + V4),
    "pppoe": (0x8864, b"\x11\0\0\x07" + struct.pack(">H", len(V4) + 2) + b"\0\x21" + V4),
}

UDP_V4 = ipv4(CLIENT, SERVER, udp(53, b"name?"), proto=17)

OTHER: dict[str, tuple[int, bytes]] = {
    "dns": (0x0800, UDP_V4),
    "dns v6": (0x86DD, ipv6(V6_CLIENT, V6_SERVER, udp(53, b"name?"), proto=17)),
    "icmp": (0x0800, ipv4(CLIENT, SERVER, b"\x08\0\0\0" + bytes(8) + V4, proto=1)),
    "icmp6": (0x86DD, ipv6(V6_CLIENT, V6_SERVER, b"\x80\0\0\0" + bytes(8), proto=58)),
    "arp": (0x0806, bytes(28)),
    "lldp": (0x88CC, bytes(40)),
    "esp": (0x0800, ipv4(CLIENT, SERVER, bytes(40), proto=50)),
    "tag arp": tag(0x8100, 0x0806, bytes(28)),
    "qinq arp": tag(0x88A8, *tag(0x8100, 0x0806, bytes(28))),
    "tag icmp": tag(0x8100, 0x0800, ipv4(CLIENT, SERVER, bytes(20), proto=1)),
}
