"""The default filter lets through what the decoder reads TCP from, and little else."""

from __future__ import annotations

import struct

import numpy as np
import pcapy
import pytest
from support.builders.ethertypes import NETWORK, OTHER, UDP_V4, V4
from support.paths import CAPTURES

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

V6_CLIENT, V6_SERVER = "2001:db8::1", "2001:db8::2"

TUNNELLED = ("teredo", "vxlan", "geneve", "zero-window--gre", "erspan", "mpls", "qinq")
"""Captures whose tunnels hold much that is not TCP, which no filter can look into."""

DLT_OF = {1: DLT_EN10MB, 101: DLT_RAW, 113: DLT_LINUX_SLL, 276: DLT_LINUX_SLL2}
"""Those that devices have here: of the others libpcap knows IPv6 by this system's number only."""


def accepts(frame: bytes, dlt: int, decap: bool = True) -> bool:
    program = pcapy.compile(dlt, 65_535, default_filter(dlt, decap), 1, NETMASK_UNKNOWN)
    return bool(program.filter(frame))


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
