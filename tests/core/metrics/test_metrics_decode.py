"""One packet at a time: what is TCP, what is not, and why it could not be read (§1, §2, §9)."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest
from reference import Packet
from reference import Segment as TwinSegment
from reference import decode as twin_decode
from support.builders.layers import (
    A4,
    A6,
    AH,
    B4,
    B6,
    BRIDGED,
    DESTINATION,
    FRAGMENT,
    GRE,
    HOP_BY_HOP,
    IN_IPV6,
    IPIP,
    IPV4,
    IPV6,
    MPLS,
    OUTER4,
    PPP,
    QINQ,
    ROUTING,
    SEGMENT,
    TCP,
    UDP,
    VLAN,
    authentication,
    extension,
    fragment,
    geneve,
    gre,
    icmp_error,
    labels,
    mapped,
    outer,
    pppoe,
    sll,
    sll2,
    tag,
    udp,
    v4,
    v6,
    vxlan,
)
from support.builders.packets import ethernet, ipv4, tcp
from support.compare import batch_of

from trtop_core.decode import decode
from trtop_core.records import Verdict

ETHERNET, NULL, RAW, LOOP, SLL, SLL_2 = 1, 0, 101, 108, 113, 276


def seen(
    frame: bytes,
    link_type: int = ETHERNET,
    caplen: int | None = None,
    wire_len: int | None = None,
    decap: bool = True,
) -> dict[str, Any] | str:
    """The segment in a packet, or the name of the verdict; kernels and twin must agree."""
    wire = len(frame) if wire_len is None else wire_len
    packet = Packet(17, link_type, frame[:caplen], wire)
    row = decode(batch_of([packet]), decap).columns[0]
    theirs = twin_decode(packet, decap)
    if row["verdict"] != Verdict.SEGMENT:
        name = Verdict(row["verdict"]).name.lower()
        assert not isinstance(theirs, TwinSegment), name
        assert theirs.value == name
        return name
    assert isinstance(theirs, TwinSegment), theirs
    at, n_captured = int(row["payload_offset"]), int(row["payload_caplen"])
    assert at + n_captured <= len(packet.data)
    segment = {
        "src": row["src"].tobytes(),
        "dst": row["dst"].tobytes(),
        "payload": packet.data[at : at + n_captured],
        **{
            name: int(row[name])
            for name in (
                "ts_ns", "src_port", "dst_port", "seq", "ack", "flags", "window", "checksum",
                "ip_id", "payload_len", "is_fragment",
            )
        },
    }  # fmt: skip
    assert segment == {
        "src": theirs.src if len(theirs.src) == 16 else mapped_packed(theirs.src),
        "dst": theirs.dst if len(theirs.dst) == 16 else mapped_packed(theirs.dst),
        "payload": theirs.payload,
        "ts_ns": theirs.ts_ns,
        "src_port": theirs.sport,
        "dst_port": theirs.dport,
        "seq": theirs.seq,
        "ack": theirs.ack,
        "flags": theirs.flags,
        "window": theirs.window,
        "checksum": theirs.checksum,
        "ip_id": theirs.ip_id,
        "payload_len": theirs.payload_len,
        "is_fragment": int(theirs.is_fragment),
    }
    return segment


def mapped_packed(address: bytes) -> bytes:
    return bytes(10) + b"\xff\xff" + address


WHOLE = {
    "src": mapped(A4),
    "dst": mapped(B4),
    "payload": b"hello",
    "ts_ns": 17,
    "src_port": 40_000,
    "dst_port": 443,
    "seq": 1_000,
    "ack": 2_000,
    "flags": 0x18,
    "window": 777,
    "checksum": 0xABCD,
    "ip_id": 0,
    "payload_len": 5,
    "is_fragment": 0,
}
WHOLE_6 = {**WHOLE, "src": mapped(A6), "dst": mapped(B6)}


def plain(**changes: Any) -> dict[str, Any]:
    return {**WHOLE, **changes}


# --- link types -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("link_type", "v4_frame", "v6_frame"),
    [
        (ETHERNET, ethernet(v4()), ethernet(v6())),
        (SLL, sll(v4()), sll(v6(), IPV6)),
        (SLL_2, sll2(v4()), sll2(v6(), IPV6)),
        (RAW, v4(), v6()),
        (12, v4(), v6()),
        (14, v4(), v6()),
        (228, v4(), None),
        (229, None, v6()),
        *[
            (link_type, struct.pack(order, 2) + v4(), struct.pack(order, family) + v6())
            for link_type in (NULL, LOOP)
            for order in ("<I", ">I")
            for family in (10, 24, 28, 30)
        ],
    ],
)
def test_link_types_that_are_decoded(
    link_type: int, v4_frame: bytes | None, v6_frame: bytes | None
) -> None:
    if v4_frame is not None:
        assert seen(v4_frame, link_type) == WHOLE
    if v6_frame is not None:
        assert seen(v6_frame, link_type) == WHOLE_6


@pytest.mark.parametrize("link_type", [9, 10, 104, 105, 107, 127, 192, 227, 230, 275, 65_535])
def test_any_other_link_type_is_counted_as_such(link_type: int) -> None:
    assert seen(ethernet(v4()), link_type) == "link_type"
    assert seen(b"", link_type) == "link_type"


@pytest.mark.parametrize(
    ("link_type", "n_bytes"), [(ETHERNET, 14), (SLL, 16), (SLL_2, 20), (NULL, 4), (LOOP, 4)]
)
def test_a_link_header_that_is_not_captured_is_truncated(link_type: int, n_bytes: int) -> None:
    frame = {
        ETHERNET: ethernet(v4()),
        SLL: sll(v4()),
        SLL_2: sll2(v4()),
        NULL: struct.pack("<I", 2) + v4(),
        LOOP: struct.pack(">I", 2) + v4(),
    }[link_type]
    for caplen in range(n_bytes + 40):
        assert seen(frame, link_type, caplen) == "truncated", caplen
    assert seen(frame, link_type, n_bytes + 40) == plain(payload=b"")


def test_families_and_versions_of_others_are_not_tcp() -> None:
    assert seen(struct.pack("<I", 7) + v4(), NULL) == "not_tcp"
    assert seen(b"\x50" + bytes(40), RAW) == "not_tcp"
    assert seen(b"", RAW) == "truncated"


def test_what_is_no_ip_is_not_tcp() -> None:
    for ethertype in (0, 46, 0x0806, 0x0801, 0x88CC, 0x8863):
        assert seen(ethernet(v4(), ethertype)) == "not_tcp"
    assert seen(sll(v4(), 0x0806), SLL) == "not_tcp"
    assert seen(sll2(v4(), 0x0806), SLL_2) == "not_tcp"


def test_the_ethertype_decides_the_version() -> None:
    assert seen(ethernet(v6(), IPV4)) == "bad_header"
    assert seen(ethernet(v4() + bytes(40), IPV6)) == "bad_header"


# --- tags -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [VLAN, QINQ, 0x9100])
def test_tags_are_stepped_over(kind: int) -> None:
    assert seen(tag(kind, v4())) == WHOLE
    assert seen(tag(kind, v6())) == WHOLE_6
    two = tag(kind, v4())
    two = two[:12] + struct.pack(">HH", QINQ, 9) + two[12:]
    assert seen(two) == WHOLE
    for caplen in (14, 15, 16, 17):
        assert seen(tag(kind, v4()), caplen=caplen) == "truncated"
    assert seen(tag(kind, v4(), 0x0806)) == "not_tcp"


@pytest.mark.parametrize("kind", [MPLS, 0x8848])
@pytest.mark.parametrize("n_labels", [1, 2, 5])
def test_mpls_labels_are_stepped_over(kind: int, n_labels: int) -> None:
    assert seen(ethernet(labels(n_labels, v4()), kind)) == WHOLE
    assert seen(ethernet(labels(n_labels, v6()), kind)) == WHOLE_6
    assert seen(ethernet(labels(n_labels, v4()), kind), caplen=14 + 4 * n_labels) == "truncated"
    assert seen(ethernet(labels(n_labels, v4()), kind), caplen=13 + 4 * n_labels) == "truncated"
    assert seen(ethernet(labels(n_labels, b"\0" + bytes(60)), kind)) == "not_tcp"


@pytest.mark.parametrize(
    "protocol", [b"\0\x21", b"\x21", b"\xff\3\0\x21", b"\xff\3\x21"], ids=bytes.hex
)
def test_pppoe_sessions_are_stepped_over(protocol: bytes) -> None:
    assert seen(pppoe(v4(), protocol)) == WHOLE
    for caplen in range(14, 20 + len(protocol)):
        assert seen(pppoe(v4(), protocol), caplen=caplen) == "truncated"


def test_pppoe_of_other_kinds() -> None:
    assert seen(pppoe(v6(), b"\0\x57")) == WHOLE_6
    assert seen(pppoe(v4(), b"\xc0\x21")) == "not_tcp"  # LCP
    assert seen(pppoe(v4(), b"\0\x21", kind=0x12)) == "not_tcp"
    assert seen(pppoe(v4(), b"\0\x21", code=9)) == "not_tcp"


# --- IPv4 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_words", [1, 5, 10])
def test_ipv4_options_are_stepped_over(n_words: int) -> None:
    frame = ethernet(ipv4(A4, B4, SEGMENT, options=bytes(4 * n_words), ident=77))
    assert seen(frame) == plain(ip_id=77)
    assert seen(frame, caplen=34 + 4 * n_words - 1) == "truncated"
    assert seen(frame, caplen=34 + 4 * n_words + 19) == "truncated"
    assert seen(frame, caplen=34 + 4 * n_words + 20) == plain(ip_id=77, payload=b"")


def test_options_of_one_word_are_never_read_as_ports() -> None:
    """Four bytes too early the segment would look like one, with ports of 0 and 20 bytes of header:
    the first byte of its acknowledgement stands where the length is."""
    segment = tcp(40_000, 443, 7, 0x5000_0000, payload=b"hello")
    found = seen(ethernet(ipv4(A4, B4, segment, options=bytes(4), ident=77)))
    assert isinstance(found, dict)
    assert (found["src_port"], found["dst_port"], found["payload"]) == (40_000, 443, b"hello")


def test_a_broken_ipv4_header_is_bad_whatever_it_carries() -> None:
    for proto in (TCP, UDP, 1):
        datagram = bytearray(v4(proto=proto))
        for first in (0x44, 0x40, 0x35, 0x65, 0x05):
            assert seen(ethernet(bytes([first]) + bytes(datagram[1:]), IPV4)) == "bad_header"
        assert seen(ethernet(v4(proto=proto, total_len=19))) == "bad_header"
        assert seen(ethernet(v4(proto=proto, total_len=1))) == "bad_header"
    longer = ipv4(A4, B4, SEGMENT, options=bytes(8), total_len=27)
    assert seen(ethernet(longer)) == "bad_header"


def test_truncated_before_bad_header_only_where_the_header_is_not_there() -> None:
    assert seen(ethernet(b"\x44" + bytes(18), IPV4)) == "truncated"
    assert seen(ethernet(b"\x44" + bytes(19), IPV4)) == "bad_header"
    # 24 bytes of header promised, 20 captured.
    assert seen(ethernet(b"\x46" + v4()[1:], IPV4), caplen=34) == "truncated"


def test_other_protocols_are_not_tcp() -> None:
    for proto in (1, 2, UDP, 50, 58, 89, 132, 255):
        assert seen(ethernet(v4(proto=proto))) == "not_tcp"
        assert seen(ethernet(v6(proto=proto))) == "not_tcp"


def test_ah_over_ipv4_is_not_tcp() -> None:
    assert seen(ethernet(v4(authentication(TCP) + SEGMENT, AH))) == "not_tcp"


def test_fragments_count_where_the_protocol_is_tcp() -> None:
    assert seen(ethernet(v4(fragment=0x2000))) == plain(is_fragment=1)
    assert seen(ethernet(v4(fragment=0x4000))) == WHOLE  # "don't fragment"
    for offset in (1, 0x1FFF, 0x2001, 0x1000):
        assert seen(ethernet(v4(fragment=offset))) == "fragment"
        assert seen(ethernet(v4(fragment=offset, proto=UDP))) == "not_tcp"
        assert seen(ethernet(v4(fragment=offset, proto=GRE))) == "not_tcp"


# --- IPv6 -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [HOP_BY_HOP, ROUTING, DESTINATION])
@pytest.mark.parametrize("n_bytes", [8, 24])
def test_extension_headers_are_stepped_over(kind: int, n_bytes: int) -> None:
    frame = ethernet(v6(extension(TCP, n_bytes) + SEGMENT, kind))
    assert seen(frame) == WHOLE_6
    for caplen in (54, 61, 54 + n_bytes - 1, 54 + n_bytes + 19):
        assert seen(frame, caplen=caplen) == "truncated"
    assert seen(frame, caplen=54 + n_bytes + 20) == {**WHOLE_6, "payload": b""}


@pytest.mark.parametrize("n_bytes", [12, 24, 32])
def test_ah_over_ipv6_is_stepped_over(n_bytes: int) -> None:
    frame = ethernet(v6(authentication(TCP, n_bytes) + SEGMENT, AH))
    assert seen(frame) == WHOLE_6


def test_extension_headers_follow_one_another() -> None:
    chain = (
        extension(ROUTING)
        + extension(FRAGMENT, 16)
        + fragment(DESTINATION)
        + extension(AH)
        + authentication(TCP)
    )
    assert seen(ethernet(v6(chain + SEGMENT, HOP_BY_HOP))) == WHOLE_6
    assert seen(ethernet(v6(extension(58) + SEGMENT, HOP_BY_HOP))) == "not_tcp"
    assert seen(ethernet(v6(extension(59) + SEGMENT, HOP_BY_HOP))) == "not_tcp"


def test_ipv6_fragments() -> None:
    first = v6(fragment(TCP, more=True) + SEGMENT, FRAGMENT)
    assert seen(ethernet(first)) == {**WHOLE_6, "is_fragment": 1}
    assert seen(ethernet(v6(fragment(TCP) + SEGMENT, FRAGMENT))) == WHOLE_6
    for offset in (8, 0xFFF8):
        for more in (True, False):
            later = fragment(TCP, offset, more)
            assert seen(ethernet(v6(later + SEGMENT, FRAGMENT))) == "fragment"
            later = fragment(UDP, offset, more)
            assert seen(ethernet(v6(later + SEGMENT, FRAGMENT))) == "not_tcp"


def test_a_broken_ipv6_header() -> None:
    assert seen(ethernet(b"\x50" + v6()[1:], IPV6)) == "bad_header"
    assert seen(ethernet(b"\x60" + bytes(38), IPV6)) == "truncated"
    assert seen(ethernet(b"\x50" + bytes(38), IPV6)) == "truncated"


def test_extension_headers_that_are_longer_than_the_payload_are_a_bad_header() -> None:
    for proto in (TCP, UDP):
        body = extension(proto, 16) + SEGMENT
        assert seen(ethernet(v6(body, HOP_BY_HOP, payload_len=15))) == "bad_header"
    body = extension(TCP, 16) + SEGMENT
    assert seen(ethernet(v6(body, HOP_BY_HOP, payload_len=16))) == "bad_length"
    assert seen(ethernet(v6(body, HOP_BY_HOP, payload_len=36))) == {
        **WHOLE_6,
        "payload_len": 0,
        "payload": b"",
    }


# --- TCP ------------------------------------------------------------------------------------------


def test_the_first_20_bytes_of_tcp_must_be_captured() -> None:
    frame = ethernet(v4())
    for caplen in range(34, 54):
        assert seen(frame, caplen=caplen) == "truncated"
    assert seen(frame, caplen=54) == plain(payload=b"")
    assert seen(frame, caplen=56) == plain(payload=b"he")
    assert seen(frame + bytes(6)) == WHOLE  # Ethernet's padding is no payload


@pytest.mark.parametrize("n_words", range(16))
def test_a_data_offset_below_5_is_bad(n_words: int) -> None:
    segment = bytearray(tcp(40_000, 443, 1_000, 2_000, 0x18, 777, b"hello" * 10, checksum=0xABCD))
    segment[12] = n_words << 4 | 0x0F  # the reserved bits play no part
    if n_words < 5:
        assert seen(ethernet(v4(bytes(segment)))) == "bad_offset"
        return
    payload = bytes(segment)[4 * n_words :]
    found = seen(ethernet(v4(bytes(segment))))
    assert found == plain(payload=payload, payload_len=len(payload))


def test_a_tcp_header_that_is_longer_than_its_datagram_is_a_bad_length() -> None:
    options = tcp(40_000, 443, options=bytes(12))
    assert seen(ethernet(v4(options, total_len=51))) == "bad_length"
    found = seen(ethernet(v4(options, total_len=52)))
    assert isinstance(found, dict)
    assert found["payload_len"] == 0


@pytest.mark.parametrize("total_len", [20, 21, 39])
def test_a_datagram_too_short_for_tcp_is_a_bad_length(total_len: int) -> None:
    assert seen(ethernet(v4(total_len=total_len))) == "bad_length"
    assert seen(ethernet(v6(payload_len=total_len - 20)), wire_len=54) == "bad_length"
    # From outside in: the IP length is looked at before the data offset …
    broken = SEGMENT[:12] + b"\x40" + SEGMENT[13:]
    assert seen(ethernet(v4(broken, total_len=total_len))) == "bad_length"
    # … and what is captured before any length.
    assert seen(ethernet(v4(total_len=total_len)), caplen=53) == "truncated"


def test_options_that_are_not_captured_hurt_nothing() -> None:
    frame = ethernet(v4(tcp(1, 2, 3, 4, 5, 6, b"hello", options=bytes(12))))
    for caplen in (54, 60, 66):
        found = seen(frame, caplen=caplen)
        assert isinstance(found, dict)
        assert (found["payload_len"], found["payload"]) == (5, b"")
    found = seen(frame, caplen=67)
    assert isinstance(found, dict)
    assert found["payload"] == b"h"


# --- lengths --------------------------------------------------------------------------------------


def test_the_payloads_length_is_that_of_the_headers() -> None:
    assert seen(ethernet(v4(total_len=1_040)), caplen=54) == plain(payload_len=1_000, payload=b"")
    # An IP length beyond the wire length is believed.
    assert seen(ethernet(v4(total_len=65_535))) == plain(payload_len=65_495)
    assert seen(ethernet(v4(total_len=42))) == plain(payload_len=2, payload=b"he")


MIB = 1 << 20


@pytest.mark.parametrize(
    ("frame", "ip_at", "header"),
    [
        (ethernet(v4(total_len=0)), 14, 20),
        (tag(VLAN, v4(total_len=0)), 18, 20),
        (ethernet(v6(payload_len=0)), 14, 40),
    ],
)
def test_a_length_of_0_takes_the_wire_length_up_to_1_mib(
    frame: bytes, ip_at: int, header: int
) -> None:
    whole = WHOLE if header == 20 else WHOLE_6
    assert seen(frame) == whole
    for n_wire in (70_000, MIB):
        found = seen(frame, wire_len=ip_at + n_wire)
        assert found == {**whole, "payload_len": n_wire - header - 20}
    # Beyond it stays 0: less than the IPv4 header, or than a TCP header.
    bad = "bad_header" if header == 20 else "bad_length"
    assert seen(frame, wire_len=ip_at + MIB + 1) == bad
    assert seen(frame, wire_len=ip_at + header + 20) == {**whole, "payload_len": 0, "payload": b""}
    assert seen(frame, wire_len=ip_at + header + 19) == "bad_length"
    assert seen(frame, wire_len=0) == bad


TUNNELLED_OFFLOAD = {
    "ip-in-ip": (v4(total_len=0), IPIP, WHOLE),
    "6in4": (v6(payload_len=0), IN_IPV6, WHOLE_6),
    "gre": (gre(v4(total_len=0), flags=0xB000), GRE, WHOLE),
    "gre of Ethernet": (gre(ethernet(v6(payload_len=0)), BRIDGED), GRE, WHOLE_6),
    "gre of MPLS": (gre(labels(2, v4(total_len=0)), MPLS), GRE, WHOLE),
    "gre of a tag": (gre(tag(VLAN, v4(total_len=0))[14:], VLAN), GRE, WHOLE),
    "PPTP": (gre(b"\xff\3\0\x21" + v4(total_len=0), PPP, 0x3081), GRE, WHOLE),
    "VXLAN": (vxlan(ethernet(v4(total_len=0))), UDP, WHOLE),
    "Geneve": (geneve(ethernet(v4(total_len=0)), n_option_words=3), UDP, WHOLE),
    "Geneve of IP": (geneve(v4(total_len=0), IPV4), UDP, WHOLE),
}


@pytest.mark.parametrize("is_v6", [False, True])
@pytest.mark.parametrize("name", TUNNELLED_OFFLOAD)
def test_inside_a_tunnel_a_length_of_0_takes_what_is_left_of_the_wire_length(
    name: str, is_v6: bool
) -> None:
    body, proto, expected = TUNNELLED_OFFLOAD[name]
    frame = outer(body, proto, is_v6)
    assert seen(frame) == expected
    assert seen(frame, wire_len=len(frame) + 1_000) == {**expected, "payload_len": 1_005}


@pytest.mark.parametrize(
    ("frame", "link_type"),
    [
        (pppoe(v4(total_len=0), b"\xff\3\0\x21"), ETHERNET),
        (pppoe(v4(total_len=0), b"\x21"), ETHERNET),
        (ethernet(labels(3, v4(total_len=0)), MPLS), ETHERNET),
        (sll(v4(total_len=0)), SLL),
        (sll2(v4(total_len=0)), SLL_2),
        (struct.pack("<I", 2) + v4(total_len=0), NULL),
        (v4(total_len=0), RAW),
    ],
)
def test_below_any_link_a_length_of_0_takes_what_is_left(frame: bytes, link_type: int) -> None:
    assert seen(frame, link_type) == WHOLE
    more = {**WHOLE, "payload_len": 1_005}
    assert seen(frame, link_type, wire_len=len(frame) + 1_000) == more


def test_a_length_of_0_without_tcp() -> None:
    assert seen(ethernet(v4(udp(53, b"x"), UDP, total_len=0))) == "not_tcp"
    assert seen(ethernet(v6(udp(53, b"x"), UDP, payload_len=0)), wire_len=2 * MIB) == "not_tcp"
    body = extension(TCP) + SEGMENT
    assert seen(ethernet(v6(body, HOP_BY_HOP, payload_len=0)), wire_len=2 * MIB) == "bad_header"


# --- tunnels --------------------------------------------------------------------------------------

TUNNELS = {
    "ip-in-ip": (v4(), IPIP, WHOLE),
    "6in4": (v6(), IN_IPV6, WHOLE_6),
    "gre": (gre(v4()), GRE, WHOLE),
    "gre of IPv6": (gre(v6(), IPV6), GRE, WHOLE_6),
    "gre with checksum": (gre(v4(), flags=0x8000), GRE, WHOLE),
    "gre with key": (gre(v4(), flags=0x2000), GRE, WHOLE),
    "gre with sequence": (gre(v4(), flags=0x1000), GRE, WHOLE),
    "gre with all": (gre(v4(), flags=0xB000), GRE, WHOLE),
    "gre of Ethernet": (gre(ethernet(v4()), BRIDGED), GRE, WHOLE),
    "gre of MPLS": (gre(labels(2, v4()), MPLS), GRE, WHOLE),
    "gre of a tag": (gre(tag(VLAN, v4())[14:], VLAN), GRE, WHOLE),
    "PPTP": (gre(b"\xff\3\0\x21" + v4(), PPP, 0x3001), GRE, WHOLE),
    "PPTP with acknowledgement": (gre(b"\x21" + v4(), PPP, 0x3081), GRE, WHOLE),
    "VXLAN": (vxlan(ethernet(v4())), UDP, WHOLE),
    "VXLAN of a tag": (vxlan(tag(VLAN, v6())), UDP, WHOLE_6),
    "Geneve": (geneve(ethernet(v4())), UDP, WHOLE),
    "Geneve with options": (geneve(ethernet(v4()), n_option_words=3), UDP, WHOLE),
    "Geneve of IP": (geneve(v4(), IPV4), UDP, WHOLE),
    "Geneve of IPv6": (geneve(v6(), IPV6, 63), UDP, WHOLE_6),
}


@pytest.mark.parametrize("is_v6", [False, True])
@pytest.mark.parametrize("name", TUNNELS)
def test_inside_a_tunnel_the_innermost_tcp_counts(name: str, is_v6: bool) -> None:
    body, proto, expected = TUNNELS[name]
    frame = outer(body, proto, is_v6)
    assert seen(frame) == expected
    assert seen(frame, decap=False) == "not_tcp"
    # Cut anywhere inside: a tunnel whose TCP cannot be read.
    n_ip = 54 if is_v6 else 34
    n_head = {GRE: 4, UDP: 4}.get(proto, 0)
    for caplen in range(n_ip + n_head, len(frame) - 5):
        assert seen(frame, caplen=caplen) == "truncated", caplen
    assert seen(frame, caplen=len(frame) - 5) == {**expected, "payload": b""}


def test_a_tunnel_header_that_is_not_captured() -> None:
    # Whether there is TCP inside nobody knows; GRE that is cut is a tunnel all the same.
    for caplen in range(34, 38):
        assert seen(outer(gre(v4()), GRE), caplen=caplen) == "truncated"
        assert seen(outer(vxlan(ethernet(v4())), UDP), caplen=caplen) == "not_tcp"


@pytest.mark.parametrize(
    ("body", "proto"),
    [
        (gre(v4(), flags=0x4000), GRE),  # routing, RFC 1701
        (gre(v4(), flags=0x0002), GRE),
        (gre(bytes(8) + ethernet(v4()), 0x88BE, 0x1000), GRE),  # ERSPAN II
        (gre(bytes(12) + ethernet(v4()), 0x22EB), GRE),  # ERSPAN III
        (gre(v4(), 0x0806), GRE),
        (gre(v4(), IPV4, 0x3001), GRE),  # version 1 carries PPP
        (gre(v4(), PPP, 0x2081), GRE),  # PPTP's acknowledgement without payload
        (gre(b"\xc0\x21" + v4(), PPP, 0x3001), GRE),
        (vxlan(ethernet(v4()), flags=0), UDP),
        (vxlan(ethernet(v4(), 0x0806)), UDP),
        (geneve(ethernet(v4()), version=1), UDP),
        (geneve(v4(), 0x0806), UDP),
        (udp(4788, bytes([8]) + bytes(7) + ethernet(v4())), UDP),
        (udp(4790, bytes([8]) + bytes(7) + ethernet(v4())), UDP),
        (udp(50_000, bytes([8]) + bytes(7) + ethernet(v4()), sport=4789), UDP),
        (udp(2152, bytes(8) + v4()), UDP),  # GTP
        (udp(1701, bytes(8) + v4()), UDP),  # L2TP
    ],
)
def test_other_tunnels_are_not_tcp(body: bytes, proto: int) -> None:
    assert seen(outer(body, proto)) == "not_tcp"


def test_what_a_tunnel_header_says_is_believed_as_soon_as_it_is_there() -> None:
    # 38 bytes end with GRE's kind, 50 with Geneve's: no TCP, whatever would follow.
    assert seen(outer(gre(v4(), 0x0806, 0xB000), GRE), caplen=37) == "truncated"
    assert seen(outer(gre(v4(), 0x0806, 0xB000), GRE), caplen=38) == "not_tcp"
    assert seen(outer(geneve(v4(), 0x0806, 9), UDP), caplen=49) == "truncated"
    assert seen(outer(geneve(v4(), 0x0806, 9), UDP), caplen=50) == "not_tcp"


def test_tunnels_in_tunnels() -> None:
    inner = gre(ipv4(*OUTER4, vxlan(ethernet(v6())), UDP))
    assert seen(outer(inner, GRE, is_v6=True)) == WHOLE_6
    # Switched off, the outermost counts: what is not TCP itself is none.
    assert seen(ethernet(ipv4(*OUTER4, SEGMENT)), decap=False) == {
        **WHOLE,
        "src": mapped(OUTER4[0]),
        "dst": mapped(OUTER4[1]),
    }


@pytest.mark.parametrize("is_v6", [False, True])
def test_eight_ip_headers_are_read_and_the_ninth_is_too_deep(is_v6: bool) -> None:
    datagram = v6() if is_v6 else v4()
    proto = IN_IPV6 if is_v6 else IPIP
    for _ in range(7):
        datagram = v6(datagram, proto) if is_v6 else v4(datagram, proto)
    assert seen(ethernet(datagram)) == (WHOLE_6 if is_v6 else WHOLE)
    datagram = v6(datagram, proto) if is_v6 else v4(datagram, proto)
    assert seen(ethernet(datagram)) == "too_deep"
    # The ninth itself need not be there.
    n_8 = 14 + 8 * (40 if is_v6 else 20)
    assert seen(ethernet(datagram), caplen=n_8) == "too_deep"
    assert seen(ethernet(datagram), caplen=n_8 - 1) == "truncated"


def test_a_broken_header_inside_a_tunnel_counts() -> None:
    assert seen(outer(v4(total_len=10), IPIP)) == "bad_header"
    assert seen(outer(v4(fragment=7), IPIP)) == "fragment"
    assert seen(outer(gre(v4(SEGMENT[:12] + b"\x10" + SEGMENT[13:])), GRE)) == "bad_offset"


def test_a_fragmented_tunnel_makes_no_fragment_of_what_it_carries() -> None:
    # The datagram inside is whole: its lengths are its own.
    fragmented = ipv4(*OUTER4, gre(v4()), GRE, fragment=0x2000)
    assert seen(ethernet(fragmented)) == WHOLE
    fragmented = ipv4(*OUTER4, v6(), IN_IPV6, fragment=0x2000)
    assert seen(ethernet(fragmented)) == WHOLE_6
    assert seen(outer(v4(fragment=0x2000), IPIP)) == plain(is_fragment=1)
    carrier = fragment(IPIP, more=True) + v4()
    assert seen(ethernet(v6(carrier, FRAGMENT))) == WHOLE


def test_tcp_quoted_in_icmp_errors_does_not_count() -> None:
    assert seen(icmp_error(v4())) == "not_tcp"
    assert seen(ethernet(v6(b"\1\4" + bytes(6) + v6(), 58))) == "not_tcp"


def test_checksums_are_not_verified() -> None:
    assert seen(ethernet(v4(SEGMENT[:16] + b"\0\1" + SEGMENT[18:]))) == plain(checksum=1)


def test_timestamps_are_clamped_so_that_no_difference_overflows() -> None:
    limit = (1 << 62) - 1
    for ts_ns in (limit, limit + 1, 2**63 - 1, -limit, -limit - 1, -(2**63)):
        row = decode(batch_of([Packet(ts_ns, 1, ethernet(v4()), 60)])).columns[0]
        assert int(row["ts_ns"]) == max(-limit, min(limit, ts_ns))


# --- anything ------------------------------------------------------------------------------------

SEEDS: tuple[tuple[bytes, int], ...] = (
    *[(outer(body, proto, is_v6), ETHERNET) for body, proto, _ in TUNNELS.values()
      for is_v6 in (False, True)],
    (pppoe(v4(), b"\xff\3\0\x21"), ETHERNET),
    (tag(QINQ, v6(extension(FRAGMENT) + fragment(TCP, more=True) + SEGMENT, HOP_BY_HOP)), ETHERNET),
    (ethernet(v6(extension(AH) + authentication(TCP) + SEGMENT, ROUTING)), ETHERNET),
    (ethernet(labels(3, v4())), ETHERNET),
    (ethernet(ipv4(A4, B4, SEGMENT, options=bytes(8))), ETHERNET),
    (ethernet(v4(total_len=0)), ETHERNET),
    (ethernet(v6(payload_len=0)), ETHERNET),
    (sll(v4()), SLL),
    (sll2(v6(), IPV6), SLL_2),
    (v4(), RAW),
    (struct.pack("<I", 30) + v6(), NULL),
)  # fmt: skip
TELLING_BYTES = (
    0,
    1,
    3,
    4,
    5,
    6,
    8,
    0x11,
    17,
    41,
    43,
    44,
    47,
    51,
    60,
    0x45,
    0x60,
    0x81,
    0x86,
    0xFF,
)
"""What fields of headers hold: a random byte seldom makes another header of one."""


@pytest.mark.parametrize("number", range(len(SEEDS)))
def test_kernels_and_twin_agree_on_damaged_packets(number: int) -> None:
    rng = random.Random(number)
    frame, link_type = SEEDS[number]
    for _ in range(150):
        damaged = bytearray(frame)
        for _ in range(rng.choice((0, 1, 1, 2, 5))):
            at = rng.randrange(len(damaged))
            damaged[at] = rng.choice((rng.choice(TELLING_BYTES), rng.randrange(256)))
        caplen = rng.choice((len(frame), rng.randrange(len(frame) + 1)))
        wire_len = rng.choice((len(frame), len(frame), 0, 39, MIB, MIB + 90, 2**32 - 1))
        seen(bytes(damaged), link_type, caplen, wire_len, decap=rng.random() < 0.9)
