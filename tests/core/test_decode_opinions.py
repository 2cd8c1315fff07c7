"""Two more opinions on every packet: dpkt and (where it is installed) tshark.

Innermost TCP, addresses, ports, sequence and acknowledgement numbers, flags, window and payload
length, on real captures and on generated layers. Where an opinion differs, a table says of how many
packets and why; a difference that the table does not hold fails, and so does one that is gone.
"""

from __future__ import annotations

import random
import shutil
import subprocess
import warnings
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from reference import Packet, read_capture
from support.builders import layers
from support.builders.packets import ethernet, ipv4, ipv6, tcp
from support.builders.savefile import PcapngWriter
from support.compare import batch_of
from support.paths import CAPTURES, EXAMPLE

from trtop_core.decode import decode
from trtop_core.records import Verdict

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of dpkt's own making
    import dpkt

FILES = [EXAMPLE, *sorted(path for path in CAPTURES.glob("*--*") if path.is_file())]
GENERATED = "generated"
N_GENERATED = 1_500

Numbered = tuple[str, int, Packet]
"""Where a packet comes from, its number there from 1, and the packet."""

Segment = dict[str, Any]
Opinion = tuple[Segment | None, str]
"""What somebody sees in a packet, and on which way he came there."""


@cache
def _packets() -> tuple[Numbered, ...]:
    packets: list[Numbered] = []
    for path in FILES:
        packets += [(path.name, n, packet) for n, packet in enumerate(read_capture(path)[0], 1)]
    packets += [(GENERATED, n, packet) for n, packet in enumerate(_generated(), 1)]
    return tuple(packets)


def _generated() -> Iterable[Packet]:
    """Every link layer, tag and tunnel around segments of random fields."""
    rng = random.Random(5)
    for _ in range(N_GENERATED):
        segment = tcp(
            # Ports that nobody dissects, so that only TCP itself is looked at.
            rng.randrange(1, 7),
            rng.randrange(60_000, 65_536),
            rng.randrange(2**32),
            rng.randrange(2**32),
            rng.randrange(256),
            rng.randrange(65_536),
            rng.randbytes(rng.choice((0, 1, 5, 100, 1400))),
            b"\1" * (4 * rng.randrange(11)),
            rng.randrange(65_536),
        )
        datagram, is_v6 = _datagram(rng, segment)
        if rng.random() < 0.5:
            datagram, is_v6 = _tunnel(rng, datagram, is_v6)
        frame, link_type = _link(rng, datagram, is_v6)
        yield Packet(10**18, link_type, frame[: rng.choice((240, 2000))], len(frame))


def _datagram(rng: random.Random, segment: bytes) -> tuple[bytes, bool]:
    if rng.random() < 0.5:
        options = b"\1" * (4 * rng.randrange(5))
        ident = rng.randrange(65_536)
        return ipv4("192.0.2.1", "198.51.100.7", segment, ident=ident, options=options), False
    kinds = [layers.HOP_BY_HOP, layers.ROUTING, layers.DESTINATION][: rng.randrange(4)]
    kinds += [layers.AH] if rng.random() < 0.2 else []
    body, following = segment, layers.TCP
    for kind in reversed(kinds):
        make = layers.authentication if kind == layers.AH else layers.extension
        body, following = make(following) + body, kind
    return ipv6("2001:db8::1", "2001:db8::7", body, following), True


def _tunnel(rng: random.Random, datagram: bytes, is_v6: bool) -> tuple[bytes, bool]:
    kind = layers.IPV6 if is_v6 else layers.IPV4
    flags = rng.choice((0, 0x2000, 0x1000, 0x3000))
    body, proto = rng.choice(
        (
            (datagram, layers.IN_IPV6 if is_v6 else layers.IPIP),
            (layers.gre(datagram, kind, flags), layers.GRE),
            (layers.gre(ethernet(datagram), layers.BRIDGED, flags), layers.GRE),
            (layers.vxlan(ethernet(datagram)), layers.UDP),
            (layers.geneve(ethernet(datagram), n_option_words=rng.randrange(4)), layers.UDP),
        )
    )
    outer_v6 = rng.random() < 0.5
    if outer_v6:
        return ipv6(*layers.OUTER6, body, proto), True
    return ipv4(*layers.OUTER4, body, proto), False


def _link(rng: random.Random, datagram: bytes, is_v6: bool) -> tuple[bytes, int]:
    kind = layers.IPV6 if is_v6 else layers.IPV4
    protocol = b"\0\x57" if is_v6 else b"\0\x21"
    return rng.choice(
        (
            (ethernet(datagram), 1),
            (layers.tag(layers.VLAN, datagram), 1),
            (layers.tag(layers.QINQ, datagram), 1),
            (ethernet(layers.labels(2, datagram), layers.MPLS), 1),
            (layers.pppoe(datagram, protocol), 1),
            (layers.sll(datagram, kind), 113),
            (layers.sll2(datagram, kind), 276),
            (datagram, 101),
        )
    )


def _ours(packet: Packet) -> tuple[Segment | None, str]:
    row = decode(batch_of([packet])).columns[0]
    if row["verdict"] != Verdict.SEGMENT:
        return None, Verdict(row["verdict"]).name.lower()
    names = ("src_port", "dst_port", "seq", "ack", "flags", "window", "payload_len", "checksum")
    segment: Segment = {name: int(row[name]) for name in names}
    segment["src"], segment["dst"] = row["src"].tobytes(), row["dst"].tobytes()
    at = int(row["payload_offset"])
    segment["payload"] = packet.data[at : at + int(row["payload_caplen"])]
    return segment, "segment"


def _differences(opinion: Callable[[int, Packet], Opinion]) -> Counter[tuple[str, str, str]]:
    """How many packets of a file differ in what, on which way."""
    found: Counter[tuple[str, str, str]] = Counter()
    for number, (name, _, packet) in enumerate(_packets()):
        (ours, verdict), (theirs, way) = _ours(packet), opinion(number, packet)
        if ours is None or theirs is None:
            if ours is not theirs:
                found[name, verdict, way] += 1
            continue
        if wrong := [key for key in theirs if ours[key] != theirs[key]]:
            found[name, " ".join(wrong), way] += 1
    return found


def _explained(
    found: Counter[tuple[str, str, str]], table: Iterable[tuple[str, str, str, int, str]]
) -> None:
    """Every difference is in the table, with its number of packets, and the other way round."""
    present = {path.name for path in FILES} | {GENERATED}
    expected = {row[:3]: row[3] for row in table if row[0] in present}
    assert all(reason for *_, reason in table)
    assert dict(found) == expected


# --- dpkt ----------------------------------------------------------------------------------------

DPKT_LINKS = {
    0: dpkt.loopback.Loopback,
    1: dpkt.ethernet.Ethernet,
    108: dpkt.loopback.Loopback,
    113: dpkt.sll.SLL,
    276: dpkt.sll2.SLL2,
}
RAW_LINKS = (12, 14, 101, 228, 229)

NO_UDP_TUNNELS = "dpkt looks into neither VXLAN nor Geneve"

# File, our verdict or the fields that differ, dpkt's last two layers, packets, reason.
DPKT_DIFFERS: tuple[tuple[str, str, str, int, str], ...] = (
    ("geneve--geneve.pcap", "segment", "IP/UDP", 33, NO_UDP_TUNNELS),
    ("vxlan--vxlan.pcap", "segment", "IP/UDP", 119, NO_UDP_TUNNELS),
    (GENERATED, "segment", "IP/UDP", 161, NO_UDP_TUNNELS),
    (GENERATED, "segment", "IP6/UDP", 153, NO_UDP_TUNNELS),
    (
        GENERATED,
        "segment",
        "Ethernet/Ethernet",
        43,
        "dpkt knows IPv4 below MPLS labels by a first byte of 0x45: not with options",
    ),
    (
        "ip-frag--fuzz-2006-06-26-2594.pcap",
        "bad_header",
        "IP/TCP",
        2,
        "45 and 78: IP versions 5 and 12, which dpkt never looks at",
    ),
)


def _by_dpkt(_: int, packet: Packet) -> Opinion:
    layer: Any
    try:
        if packet.link_type in RAW_LINKS:
            is_v6 = packet.data[:1] and packet.data[0] >> 4 == 6
            layer = (dpkt.ip6.IP6 if is_v6 else dpkt.ip.IP)(packet.data)
        else:
            layer = DPKT_LINKS[packet.link_type](packet.data)
    except KeyError:
        return None, "no such link type"
    except dpkt.UnpackError as error:
        return None, type(error).__name__
    way, ip, found = [], None, None
    while isinstance(layer, dpkt.Packet):
        way.append(type(layer).__name__)
        if isinstance(layer, dpkt.ip.IP | dpkt.ip6.IP6):
            ip = layer
        if isinstance(layer, dpkt.tcp.TCP) and ip is not None:
            found = _dpkt_segment(ip, layer)
        layer = layer.data
    return found, "/".join(way[-2:])


def _dpkt_segment(ip: Any, segment: Any) -> Segment:
    src, dst = (
        address if len(address) == 16 else bytes(10) + b"\xff\xff" + address
        for address in (ip.src, ip.dst)
    )
    return {
        "src": src,
        "dst": dst,
        "src_port": segment.sport,
        "dst_port": segment.dport,
        "seq": segment.seq,
        "ack": segment.ack,
        "flags": segment.flags & 0xFF,
        "window": segment.win,
        "checksum": segment.sum,
        "payload": bytes(segment.data),
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_dpkt_sees_the_same() -> None:
    _explained(_differences(_by_dpkt), DPKT_DIFFERS)


# --- tshark --------------------------------------------------------------------------------------

FIELDS = (
    "frame.protocols", "ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport",
    "tcp.seq_raw", "tcp.ack_raw", "tcp.flags", "tcp.window_size_value", "tcp.len", "tcp.checksum",
)  # fmt: skip
PREFERENCES = (
    "tcp.relative_sequence_numbers:FALSE", "tcp.analyze_sequence_numbers:FALSE",
    "tcp.desegment_tcp_streams:FALSE", "ip.defragment:FALSE", "ipv6.defragment:FALSE",
)  # fmt: skip

LINK_TYPE = "link types that are not decoded are named in a message (§2)"
NO_GTP = "GTP is not decoded (§9)"

# File, our verdict or the fields that differ, tshark's way to TCP, packets, reason.
TSHARK_DIFFERS: tuple[tuple[str, str, str, int, str], ...] = (
    (
        "bittorrent--gnutella.pcap",
        "not_tcp",
        "eth:ethertype:ip:icmp:ip:tcp",
        4,
        "TCP quoted in ICMP errors does not count (§2)",
    ),
    (
        "erspan--bug-5437-02.pcap",
        "not_tcp",
        "eth:ethertype:ip:gre:erspan:eth:ethertype:ip:tcp",
        60,
        "ERSPAN is not decoded (§9)",
    ),
    ("fddi--llc.pcap", "link_type", "fddi:llc:ip:tcp", 1333, LINK_TYPE),
    ("icmp-mixed--arcnet-rfc1051-arp-icmp-http.pcap", "link_type", "arcnet:ip:tcp", 14, LINK_TYPE),
    ("ppi--http-ppi.pcap", "link_type", "ppi:wlan_radio:wlan:llc:ip:tcp", 1, LINK_TYPE),
    ("ppp--bgp-cisco-hdlc-slarp.pcap", "link_type", "ppp:chdlc:ip:tcp", 14, LINK_TYPE),
    (
        "radiotap--80211-unencrypted-data-frame.pcap",
        "link_type",
        "radiotap:wlan_radio:wlan:llc:ip:tcp",
        1,
        LINK_TYPE,
    ),
    (
        "ip-frag--fuzz-2006-06-26-2594.pcap",
        "payload_len",
        "eth:ethertype:ip:tcp",
        3,
        "62, 65 and 83: an IP length beyond the wire length is believed (§9)",
    ),
    (
        "ip-frag--fuzz-2006-06-26-2594.pcap",
        "truncated",
        "eth:ethertype:ip:tcp",
        1,
        "86: with 28 bytes of IPv4 header only 12 of TCP are there (§2); tshark shows those",
    ),
    (
        "l2tp--nb6-http.pcap",
        "not_tcp",
        "eth:ethertype:pppoes:ppp:ip:udp:l2tp:ppp:ipv6:tcp",
        10,
        "L2TP is not decoded (§9)",
    ),
    (
        "rtmp--rtmp.pcapng",
        "not_tcp",
        "eth:ethertype:vlan:ethertype:vlan:ethertype:ip:udp:gtp:ip:tcp",
        34,
        NO_GTP,
    ),
    (
        "snapped--ja3-lots-of-cipher-suites-2-anon.pcap",
        "not_tcp",
        "eth:ethertype:ip:udp:gtp:ip:tcp",
        27,
        NO_GTP,
    ),
    (
        "snapped--reasm-segv-anon.pcapng",
        "not_tcp",
        "eth:ethertype:ip:udp:gtp:ip:tcp",
        82,
        NO_GTP,
    ),
    (
        "zero-window--gre-aruba.pcap",
        "not_tcp",
        "eth:ethertype:vlan:ethertype:ip:gre:wlan:llc:ip:tcp",
        2407,
        "802.11 inside Aruba's GRE: no protocol that is stepped into (§2)",
    ),
)


def _by_tshark(tmp_path: Path) -> list[Opinion]:
    """What tshark says of all packets; one run, for it is slow to start."""
    capture = PcapngWriter().section()
    interfaces: dict[int, int] = {}
    for _, _, packet in _packets():
        if packet.link_type not in interfaces:
            interfaces[packet.link_type] = len(interfaces)
            capture.interface(packet.link_type, 9)
        number = interfaces[packet.link_type]
        capture.packet(max(0, packet.ts_ns), packet.data, number, packet.wire_len)
    path = tmp_path / "all.pcapng"
    path.write_bytes(capture.getvalue())
    command = ["tshark", "-r", str(path), "-n", "-T", "fields", "-E", "occurrence=l"]
    command += [word for name in FIELDS for word in ("-e", name)]
    command += [word for preference in PREFERENCES for word in ("-o", preference)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(lines) == len(_packets()), done.stderr
    return [_tshark_segment(dict(zip(FIELDS, line, strict=True))) for line in lines]


def _tshark_segment(fields: dict[str, str]) -> Opinion:
    protocols = fields["frame.protocols"].split(":")
    if not fields["tcp.srcport"]:
        return None, ":".join(protocols)
    before = protocols[: len(protocols) - protocols[::-1].index("tcp")]
    version = [name for name in before if name in {"ip", "ipv6"}][-1]
    segment: Segment = {end: layers.mapped(fields[f"{version}.{end}"]) for end in ("src", "dst")}
    for ours, theirs in (
        ("src_port", "tcp.srcport"), ("dst_port", "tcp.dstport"), ("seq", "tcp.seq_raw"),
        ("ack", "tcp.ack_raw"), ("window", "tcp.window_size_value"), ("payload_len", "tcp.len"),
        ("checksum", "tcp.checksum"), ("flags", "tcp.flags"),
    ):  # fmt: skip
        segment[ours] = int(fields[theirs], 0) if fields[theirs] else None
    if segment["flags"] is not None:
        segment["flags"] &= 0xFF
    return segment, ":".join(before)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_sees_the_same(tmp_path: Path) -> None:
    opinions = _by_tshark(tmp_path)
    _explained(_differences(lambda number, _: opinions[number]), TSHARK_DIFFERS)


def test_generated_frames_are_all_segments_of_all_kinds() -> None:
    generated = [packet for name, _, packet in _packets() if name == GENERATED]
    assert len(generated) == N_GENERATED
    assert all(_ours(packet)[0] is not None for packet in generated)
    assert {packet.link_type for packet in generated} == {1, 101, 113, 276}
