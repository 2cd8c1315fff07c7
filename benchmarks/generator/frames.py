"""Planned segments to the bytes that ``tcpdump -s 100`` would have written.

pcap with microseconds, Ethernet, IPv4 or IPv6, the options that Linux sends (66 bytes of headers
over IPv4 without payload). IP lengths, identifications and IPv4 header checksums are right; TCP
checksums are not (a host that offloads them captures wrong ones anyway).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from generator.segments import SYN, Event

SNAPLEN_BYTES = 100
EPOCH_S = 1_700_000_000
PCAP_HEADER = np.array([0xA1B2C3D4, 2 | 4 << 16, 0, 0, SNAPLEN_BYTES, 1], "<u4").tobytes()

_RECORD = [("ts_s", "<u4"), ("ts_us", "<u4"), ("caplen", "<u4"), ("wire_len", "<u4")]
_ETHERNET = [("eth_dst", "u1", 6), ("eth_src", "u1", 6), ("ethertype", ">u2")]
_TCP = [
    ("src_port", ">u2"),
    ("dst_port", ">u2"),
    ("seq", ">u4"),
    ("ack", ">u4"),
    ("data_offset", "u1"),
    ("flags", "u1"),
    ("window", ">u2"),
    ("checksum", ">u2"),
    ("urgent", ">u2"),
    ("nops", ">u2"),
    ("ts_option", ">u2"),
    ("ts_value", ">u4"),
    ("ts_echo", ">u4"),
]
FRAME_V4 = np.dtype(
    [
        *_RECORD,
        *_ETHERNET,
        ("version_tos", ">u2"),
        ("total_len", ">u2"),
        ("ip_id", ">u2"),
        ("fragment", ">u2"),
        ("ttl_protocol", ">u2"),
        ("ip_checksum", ">u2"),
        ("src", ">u4"),
        ("dst", ">u4"),
        *_TCP,
        ("payload", "u1", 34),
    ]
)
FRAME_V6 = np.dtype(
    [
        *_RECORD,
        *_ETHERNET,
        ("version_flow", ">u4"),
        ("payload_bytes", ">u2"),
        ("next_hops", ">u2"),
        ("src", "u1", 16),
        ("dst", "u1", 16),
        *_TCP,
        ("payload", "u1", 14),
    ]
)
ROW_BYTES = 16 + SNAPLEN_BYTES
assert FRAME_V4.itemsize == FRAME_V6.itemsize == ROW_BYTES

_OPTIONS_BYTES = 12
_SYN_OPTIONS = np.frombuffer(
    bytes.fromhex("020405b4 0402 080a 00000000 00000000 01 030307"), np.uint8
)
"""MSS 1460, SACK permitted, timestamps, window scale 7: in the order Linux writes them."""
_SYN_EXTRA_BYTES = len(_SYN_OPTIONS) - _OPTIONS_BYTES

_TEXTS = (
    b"..,:;-~=+*lorem ipsum dolor sit amet",
    b"GET /v1/items/4711 HTTP/1.1\r\nHost: ",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/",
)
_PAYLOADS = np.frombuffer(b"".join(text[:34] for text in _TEXTS), np.uint8).reshape(3, 34)

_RECORD_HEADERS = {
    event: np.frombuffer(bytes.fromhex(header), np.uint8)
    for event, header in (
        (Event.CLIENT_HELLO, "16 0301 0200 01 0001fc 0303"),
        (Event.SERVER_HELLO, "16 0303 007a 02 000076 0303"),
        (Event.FINISHED, "14 0303 0001 01 17 0303 0035"),  # behind a ChangeCipherSpec
        (Event.TICKETS, "17 0303 00fa"),  # two of 250 bytes
    )
}
_DATA_HEADER = np.frombuffer(bytes.fromhex("17 0303 0000"), np.uint8)
_SHORT_RECORD_BYTES = 40

CLIENT_NET_V4 = 0xC6130000  # 198.19.0.0/16, RFC 2544: addresses for benchmarks
SERVER_NET_V4 = 0xC6120000  # 198.18.0.0/16
NET_V6 = bytes.fromhex("20010002000000000000000000000000")  # 2001:2::/48, RFC 5180

_MAC_CLIENT = np.frombuffer(bytes.fromhex("020000000001"), np.uint8)
_MAC_SERVER = np.frombuffer(bytes.fromhex("020000000002"), np.uint8)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Who the segments are between; one entry per segment.

    Attributes:
        client: number of the client's address.
        server: number of the server's address; below 65,536 if it is in ``SERVER_NET_V4``.
        server_port: its TCP port.
        rtt_us: round-trip time, for the echoed timestamps.
        is_v6: IPv6 instead of IPv4.
        raw_addresses: ``client`` and ``server`` are IPv4 addresses, not numbers of addresses.
    """

    client: npt.NDArray[Any]
    server: npt.NDArray[Any]
    server_port: npt.NDArray[Any]
    rtt_us: npt.NDArray[Any]
    is_v6: npt.NDArray[np.bool_]
    raw_addresses: bool = False


def render(plan: npt.NDArray[Any], ends: Endpoints, first_number: int) -> npt.NDArray[np.uint8]:
    """Pcap records back to back.

    Args:
        plan: shape (n,), dtype ``segments.PLAN``, in the order of time.
        ends: the same n.
        first_number: how many segments were written before; makes IP identifications differ.

    Returns:
        The bytes, shape (n_bytes,).
    """
    n = len(plan)
    number = np.arange(first_number, first_number + n, dtype=np.uint64)
    rows = np.zeros((n, ROW_BYTES), np.uint8)
    for is_v6, dtype in ((False, FRAME_V4), (True, FRAME_V6)):
        chosen = np.flatnonzero(ends.is_v6 == is_v6)
        if len(chosen) == 0:
            continue
        whole = len(chosen) == n
        part = plan if whole else plan[chosen]
        frames = rows.view(dtype)[:, 0] if whole else np.zeros(len(part), dtype)
        some = ends if whole else _take(ends, chosen)
        header_bytes = _fill_common(frames, part, some, number if whole else number[chosen])
        if is_v6:
            _fill_v6(frames, part, some, header_bytes)
        else:
            _fill_v4(frames, part, some, header_bytes, number if whole else number[chosen])
        if not whole:
            rows[chosen] = frames.view(np.uint8).reshape(-1, ROW_BYTES)
    lengths = rows[:, 8:12].copy().view("<u4")[:, 0] + 16
    if (lengths == lengths[0]).all():
        return rows[:, : lengths[0]].reshape(-1)
    return rows[np.arange(ROW_BYTES) < lengths[:, None]]


def _take(ends: Endpoints, chosen: npt.NDArray[np.intp]) -> Endpoints:
    return Endpoints(
        ends.client[chosen],
        ends.server[chosen],
        ends.server_port[chosen],
        ends.rtt_us[chosen],
        ends.is_v6[chosen],
        ends.raw_addresses,
    )


def _fill_common(
    frames: npt.NDArray[Any],
    plan: npt.NDArray[Any],
    ends: Endpoints,
    number: npt.NDArray[np.uint64],
) -> npt.NDArray[np.int64]:
    """All but the IP header; gives the bytes before the payload."""
    time_us, from_server = plan["time_us"], plan["from_server"]
    is_syn = (plan["flags"] & SYN) != 0
    before_tcp = frames.dtype.fields["src_port"][1] - 16  # type: ignore[index] - structured
    header = np.where(is_syn, before_tcp + 40, before_tcp + 32)
    wire_len = header + plan["payload_len"]
    seconds = time_us // 1_000_000
    frames["ts_s"] = EPOCH_S + seconds
    frames["ts_us"] = time_us - seconds * 1_000_000
    frames["caplen"] = np.minimum(wire_len, SNAPLEN_BYTES)
    frames["wire_len"] = wire_len
    macs = np.stack([_MAC_CLIENT, _MAC_SERVER])
    frames["eth_src"] = macs[from_server.astype(np.intp)]
    frames["eth_dst"] = macs[(~from_server).astype(np.intp)]
    frames["src_port"] = np.where(from_server, ends.server_port, plan["client_port"])
    frames["dst_port"] = np.where(from_server, plan["client_port"], ends.server_port)
    frames["seq"] = plan["seq"]
    frames["ack"] = plan["ack"]
    frames["data_offset"] = np.where(is_syn, 0xA0, 0x80)
    frames["flags"] = plan["flags"]
    frames["window"] = np.where(is_syn, 64240, 500 + (number & np.uint64(15)))
    frames["checksum"] = (number * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(48)
    frames["nops"] = 0x0101
    frames["ts_option"] = 0x080A
    peers_ms = (time_us - ends.rtt_us) // 1_000
    frames["ts_value"] = time_us // 1_000 + 1_000_000 + ends.client
    frames["ts_echo"] = np.where((plan["flags"] & ~np.uint8(SYN)) != 0, peers_ms + 1_000_000, 0)
    text = np.zeros(len(plan), np.intp)
    text[(plan["events"] & int(Event.REQUEST)) != 0] = 1
    text[(plan["events"] & int(Event.RESPONSE)) != 0] = 2
    n_payload = frames.dtype["payload"].shape[0]
    frames["payload"] = _PAYLOADS[:, :n_payload][text]
    _fill_records(frames, plan)
    _fill_syn_options(frames, np.flatnonzero(is_syn))
    return header


def _fill_records(frames: npt.NDArray[Any], plan: npt.NDArray[Any]) -> None:
    """TLS records' headers, where a segment begins with one."""
    events = plan["events"]
    for event, header in _RECORD_HEADERS.items():
        frames["payload"][(events & int(event)) != 0, : len(header)] = header
    begins = np.flatnonzero(events & int(Event.RECORD))
    frames["payload"][begins, : len(_DATA_HEADER)] = _DATA_HEADER
    # A request is one record. A response begins with a record that is too short for a ticket.
    length = np.where(plan["from_server"], _SHORT_RECORD_BYTES, plan["payload_len"] - 5)[begins]
    frames["payload"][begins, 3:5] = length.astype(">u2").view(np.uint8).reshape(-1, 2)


def _fill_syn_options(frames: npt.NDArray[Any], syns: npt.NDArray[np.intp]) -> None:
    """Twenty bytes of options in place of twelve; the last eight lie where payload would."""
    options = np.tile(_SYN_OPTIONS, (len(syns), 1))
    chosen = frames[syns]
    stamps = np.empty((len(syns), 2), ">u4")
    stamps[:, 0], stamps[:, 1] = chosen["ts_value"], chosen["ts_echo"]
    options[:, 8:16] = stamps.view(np.uint8)
    raw = chosen.view(np.uint8).reshape(-1, ROW_BYTES)
    at = frames.dtype.fields["nops"][1]  # type: ignore[index] - structured
    raw[:, at : at + _OPTIONS_BYTES + _SYN_EXTRA_BYTES] = options
    frames[syns] = chosen


def _fill_v4(
    frames: npt.NDArray[Any],
    plan: npt.NDArray[Any],
    ends: Endpoints,
    header_bytes: npt.NDArray[np.int64],
    number: npt.NDArray[np.uint64],
) -> None:
    from_server = plan["from_server"]
    client_net = 0 if ends.raw_addresses else CLIENT_NET_V4
    server_net = 0 if ends.raw_addresses else SERVER_NET_V4
    client = client_net + ends.client.astype(np.uint32)
    server = server_net + ends.server.astype(np.uint32)
    frames["ethertype"] = 0x0800
    frames["version_tos"] = 0x4500
    frames["total_len"] = header_bytes - 14 + plan["payload_len"]
    frames["ip_id"] = (number * np.uint64(40503)) & np.uint64(0xFFFF)
    frames["fragment"] = 0x4000
    frames["ttl_protocol"] = 0x4006
    frames["src"] = np.where(from_server, server, client)
    frames["dst"] = np.where(from_server, client, server)
    total = 0x4500 + 0x4000 + 0x4006 + frames["total_len"].astype(np.uint32) + frames["ip_id"]
    for address in (client, server):
        total += (address >> np.uint32(16)) + (address & np.uint32(0xFFFF))
    for _ in range(2):
        total = (total & np.uint32(0xFFFF)) + (total >> np.uint32(16))
    frames["ip_checksum"] = ~total & np.uint32(0xFFFF)


def _fill_v6(
    frames: npt.NDArray[Any],
    plan: npt.NDArray[Any],
    ends: Endpoints,
    header_bytes: npt.NDArray[np.int64],
) -> None:
    from_server = plan["from_server"]
    frames["ethertype"] = 0x86DD
    frames["version_flow"] = 0x60000000
    frames["payload_bytes"] = header_bytes - 54 + plan["payload_len"]
    frames["next_hops"] = 0x0640
    client = _address_v6(ends.client, side=1)
    server = _address_v6(ends.server, side=2)
    frames["src"] = np.where(from_server[:, None], server, client)
    frames["dst"] = np.where(from_server[:, None], client, server)


def _address_v6(number: npt.NDArray[Any], side: int) -> npt.NDArray[np.uint8]:
    addresses = np.tile(np.frombuffer(NET_V6, np.uint8), (len(number), 1))
    addresses[:, 7] = side
    addresses[:, 12:] = number.astype(">u4").view(np.uint8).reshape(-1, 4)
    return addresses
