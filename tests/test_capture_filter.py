"""The default filter lets through what the decoder reads TCP from, and little else."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import numpy as np
import pcapy
import pytest
from builders import CLIENT, SERVER, SYN, ethernet, ipv4, ipv6, tcp

from trtop_core import PacketBatch, TrtopError, decode
from trtop_core.records import Verdict
from trtop_core.sources import open_capture
from trtop_daemon.capture.bpf_filter import (
    DLT_EN10MB,
    DLT_LINUX_SLL,
    DLT_LINUX_SLL2,
    DLT_LOOP,
    DLT_NULL,
    DLT_RAW,
    NETMASK_UNKNOWN,
    check_filter,
    default_filter,
)

CAPTURES = Path(
    os.environ.get("TRTOP_CAPTURES") or Path(__file__).resolve().parents[2] / "shared" / "captures"
)

V6_CLIENT, V6_SERVER = "2001:db8::1", "2001:db8::2"

TUNNELLED = ("teredo", "vxlan", "geneve", "zero-window--gre", "erspan", "mpls", "qinq")
"""Captures whose tunnels hold much that is not TCP, which no filter can look into."""

DLT_OF = {1: DLT_EN10MB, 101: DLT_RAW, 113: DLT_LINUX_SLL, 276: DLT_LINUX_SLL2}
"""Those that devices have here: of the others libpcap knows IPv6 by this system's number only."""


def accepts(frame: bytes, dlt: int, decap: bool = True) -> bool:
    program = pcapy.compile(dlt, 65_535, default_filter(dlt, decap), 1, NETMASK_UNKNOWN)
    return bool(program.filter(frame))


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

LINKS = {
    DLT_EN10MB: lambda ethertype: bytes(12) + struct.pack(">H", ethertype),
    DLT_LINUX_SLL: lambda ethertype: bytes(14) + struct.pack(">H", ethertype),
    DLT_LINUX_SLL2: lambda ethertype: struct.pack(">H", ethertype) + bytes(18),
}


def verdict(frame: bytes, link_type: int) -> int:
    made = PacketBatch.from_packets([(1, frame)], link_type)
    return int(decode(made).columns["verdict"][0])


@pytest.mark.parametrize("dlt", LINKS)
@pytest.mark.parametrize("name", NETWORK)
def test_what_holds_tcp_passes(name: str, dlt: int) -> None:
    ethertype, body = NETWORK[name]
    frame = LINKS[dlt](ethertype) + body
    assert verdict(frame, dlt) in (Verdict.SEGMENT, Verdict.FRAGMENT)
    assert accepts(frame, dlt)


@pytest.mark.parametrize("dlt", LINKS)
@pytest.mark.parametrize("name", OTHER)
def test_what_holds_none_does_not(name: str, dlt: int) -> None:
    ethertype, body = OTHER[name]
    frame = LINKS[dlt](ethertype) + body
    assert verdict(frame, dlt) == Verdict.NOT_TCP
    assert not accepts(frame, dlt)


@pytest.mark.parametrize("name", [n for n, (e, _) in NETWORK.items() if e in (0x0800, 0x86DD)])
def test_raw_ip_and_loopback_links_pass_the_same(name: str) -> None:
    ethertype, body = NETWORK[name]
    family = 2 if ethertype == 0x0800 else 10
    assert accepts(body, DLT_RAW)
    assert accepts(struct.pack("=I", family) + body, DLT_NULL) or family == 10
    assert accepts(struct.pack(">I", 2) + V4, DLT_LOOP)
    assert not accepts(UDP_V4, DLT_RAW)


def test_without_tunnels_they_stay_outside() -> None:
    for name in ("gre", "vxlan", "geneve", "ipip", "6in4", "4in6", "tag vxlan"):
        ethertype, body = NETWORK[name]
        assert not accepts(LINKS[DLT_EN10MB](ethertype) + body, DLT_EN10MB, decap=False)
    for name in ("v4", "v6", "tag", "qinq", "mpls", "v6 with extension 0"):
        ethertype, body = NETWORK[name]
        assert accepts(LINKS[DLT_EN10MB](ethertype) + body, DLT_EN10MB, decap=False)


@pytest.mark.skipif(not CAPTURES.is_dir(), reason=f"no shared captures in {CAPTURES}")
def test_of_shared_captures_every_segment_passes() -> None:
    programs = {
        link_type: pcapy.compile(dlt, 65_535, default_filter(dlt), 1, NETMASK_UNKNOWN)
        for link_type, dlt in DLT_OF.items()
    }
    n_segments = n_let_in = n_others = 0
    for path in sorted(CAPTURES.glob("*.pcap*")):
        try:
            with open_capture(str(path)) as source:
                for batch in source:
                    verdicts = decode(batch).columns["verdict"]
                    for entry, found in zip(batch.index, verdicts, strict=True):
                        program = programs.get(int(entry["link_type"]))
                        if program is None or found not in (Verdict.SEGMENT, Verdict.NOT_TCP):
                            continue
                        start = int(entry["offset"])
                        frame = batch.data[start : start + int(entry["caplen"])].tobytes()
                        passes = bool(program.filter(frame))
                        if found == Verdict.SEGMENT:
                            n_segments += 1
                            assert passes, (path.name, frame.hex())
                        elif not path.name.startswith(TUNNELLED):
                            n_others += 1
                            n_let_in += passes
        except TrtopError:
            continue
    assert n_segments > 20_000
    assert n_let_in < n_others * 0.05


def test_a_wrong_filter_is_one_line() -> None:
    check_filter("tcp port 443 and net 192.0.2.0/24")
    with pytest.raises(
        TrtopError, match=r"^the filter 'tcp prot 443' is wrong: .*pcap-filter\(7\)$"
    ):
        check_filter("tcp prot 443")


def test_filters_are_not_long() -> None:
    """The kernel runs them for every packet; it takes 4,096 instructions at most."""
    lengths = [len(default_filter(dlt)) for dlt in LINKS]
    assert np.max(lengths) < 2_000
