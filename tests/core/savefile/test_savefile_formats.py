"""What the reader makes of every variant of pcap and pcapng."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from reference.packets.savefile import read_pieces, twin_read
from support.builders.savefile import Captured, PcapngWriter, option, write_pcap, write_pcapng

from trtop_core.batch import CaptureCounters
from trtop_core.errors import DamagedCaptureError, NotACaptureError
from trtop_core.records import TS_LIMIT_NS
from trtop_core.savefile import CaptureReader

T0_NS = 1_700_000_000_123_456_789
PACKETS = [
    Captured(T0_NS, b"first", 5),
    Captured(T0_NS + 1, b"", 1500),
    Captured(T0_NS + 10**9, b"cut off" * 9, 9000),
    Captured(T0_NS, b"longer than on the wire", 4),
]


def as_read(link_type: int, unit_ns: int) -> list[tuple[int, int, bytes, int]]:
    return [
        (packet.ts_ns // unit_ns * unit_ns, link_type, packet.data, packet.on_wire)
        for packet in PACKETS
    ]


def error_of(data: bytes) -> Exception:
    reader = CaptureReader()
    with pytest.raises((DamagedCaptureError, NotACaptureError)) as caught:
        reader.feed(data)
        reader.finish()
    return caught.value


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("nanoseconds", [False, True])
def test_pcap_times_lengths_and_link_type_are_read_in_both_byte_orders(
    order: str, nanoseconds: bool
) -> None:
    data = write_pcap(PACKETS, 113, order, nanoseconds)
    reading = read_pieces([data])
    assert reading.packets == as_read(113, 1 if nanoseconds else 1000)
    assert reading.error is None


@pytest.mark.parametrize("order", ["<", ">"])
def test_modified_pcap_has_longer_record_headers(order: str) -> None:
    reading = read_pieces([write_pcap(PACKETS, 1, order, modified=True)])
    assert reading.packets == as_read(1, 1000)


def test_frame_check_bits_of_the_network_field_are_no_link_type() -> None:
    reading = read_pieces([write_pcap(PACKETS, 276, network_high_bits=0xF400)])
    assert {packet[1] for packet in reading.packets} == {276}


def test_a_pcap_without_packets_is_a_capture() -> None:
    reading = read_pieces([write_pcap([])])
    assert reading.packets == []
    assert reading.error is None


def test_a_packet_may_have_the_greatest_length_that_is_believed_but_no_more() -> None:
    longest = write_pcap([(0, bytes(262_144))])
    assert len(read_pieces([longest]).packets) == 1
    error = error_of(write_pcap([(0, b"x"), (0, bytes(262_145))]))
    assert str(error) == (
        "file damaged (a packet longer than 262,144 bytes) at byte 41, after packet 1"
    )


@pytest.mark.parametrize("order", ["<", ">"])
def test_pcapng_packets_are_read_in_both_byte_orders(order: str) -> None:
    reading = read_pieces([write_pcapng(PACKETS, 113, order)])
    assert reading.packets == as_read(113, 1)
    assert reading.error is None


@pytest.mark.parametrize(
    ("tsresol", "ticks", "ts_ns"),
    [
        (None, 1_500_000, 1_500_000_000),
        (0, 3, 3_000_000_000),
        (3, 1_501, 1_501_000_000),
        (9, 1_501, 1_501),
        (10, 15_019, 1_501),
        (12, 1_501_999, 1_501),
        (28, 2**63, 0),
        (127, 2**64 - 1, 0),
        (0x80, 7, 7_000_000_000),
        (0x80 | 1, 3, 1_500_000_000),
        (0x80 | 30, 2**30 + 2**29, 1_500_000_000),
        (0x80 | 63, 2**63 + 2**62, 1_500_000_000),
        (0x80 | 64, 2**63, 500_000_000),
        (0x80 | 127, 2**64 - 1, 0),
        (6, 2**64 - 1, TS_LIMIT_NS),
    ],
)
def test_pcapng_ticks_become_nanoseconds_rounded_down(
    tsresol: int | None, ticks: int, ts_ns: int
) -> None:
    writer = PcapngWriter().section().interface(tsresol=tsresol).packet(ticks, b"x")
    assert [packet[0] for packet in read_pieces([writer.getvalue()]).packets] == [ts_ns]


@pytest.mark.parametrize(
    ("offset_s", "ts_ns"),
    [
        (-2, -1_000_000_000),
        (10, 11_000_000_000),
        (-(2**63), -TS_LIMIT_NS),
        (2**63 - 1, TS_LIMIT_NS),
    ],
)
def test_pcapng_time_offset_is_added_and_clamped(offset_s: int, ts_ns: int) -> None:
    writer = PcapngWriter(">").section().interface(tsoffset_s=offset_s).packet(10**6, b"x")
    assert [packet[0] for packet in read_pieces([writer.getvalue()]).packets] == [ts_ns]


def test_pcapng_interfaces_have_their_own_link_types_and_the_order_of_the_file_stays() -> None:
    writer = PcapngWriter().section().interface(1, 9).interface(113, 9).packet(5, b"a", 1)
    writer.packet(3, b"b", 0).interface(101, 6).packet(4, b"c", 2).old_packet(9, b"d", 1)
    assert read_pieces([writer.getvalue()]).packets == [
        (5, 113, b"a", 1),
        (3, 1, b"b", 1),
        (4000, 101, b"c", 1),
        (9, 113, b"d", 1),
    ]


def test_old_packet_blocks_name_their_interface_in_16_bits_of_both_byte_orders() -> None:
    for order in "<>":
        writer = PcapngWriter(order).section().interface(1).interface(113)
        writer.old_packet(1, b"x", 1)
        assert [packet[1] for packet in read_pieces([writer.getvalue()]).packets] == [113]


def test_a_new_section_has_its_own_byte_order_and_interfaces() -> None:
    writer = PcapngWriter("<").section(length=44).interface(1).packet(1, b"a").section(">")
    writer.interface(113).packet(2, b"b").section("<", version=(1, 2)).packet(3, b"c")
    reading = read_pieces([writer.getvalue()])
    assert [packet[1:3] for packet in reading.packets] == [(1, b"a"), (113, b"b")]
    assert reading.error is not None
    assert reading.error.endswith(" 2")


def test_a_pcap_header_in_the_middle_is_no_section() -> None:
    packets = write_pcap([(T0_NS, b"x")])
    assert "damaged" in str(error_of(write_pcapng([(0, b"x")]) + packets))
    assert "damaged" in str(error_of(packets + packets))


def test_simple_packets_carry_no_time_and_are_counted() -> None:
    writer = PcapngWriter().section().interface().simple_packet(b"a").packet(1, b"b")
    writer.simple_packet(b"ccc")
    reading = read_pieces([writer.getvalue()])
    assert (len(reading.packets), reading.n_untimed) == (1, 2)
    only_simple = PcapngWriter().section().interface().simple_packet(b"a")
    assert [batch.n_untimed for batch in CaptureReader().feed(only_simple.getvalue())] == [1]


def test_unknown_blocks_and_odd_options_are_stepped_over() -> None:
    writer = PcapngWriter().section().block(4, b"names").interface(options=option(9, b"\x09\x09"))
    writer.block(0x0BAD, b"").interface(options=struct.pack("<HH", 9, 60000))
    writer.packet(7, b"x", 1, options=option(1, b"a comment")).block(0x80000001, bytes(4000))
    reading = read_pieces([writer.getvalue()])
    assert reading.packets == [(7000, 1, b"x", 1)]
    assert reading.error is None


def test_a_skipped_block_of_any_length_is_not_kept() -> None:
    head = PcapngWriter().section().interface().getvalue()
    reader = CaptureReader()
    length = 3 << 30
    reader.feed(head + struct.pack("<II", 0x0BAD, length))
    piece = bytes(1 << 20)
    for _ in range(16):
        assert reader.feed(piece) == []
        assert len(reader._carry) <= 4
    with pytest.raises(DamagedCaptureError) as caught:
        reader.finish()
    assert caught.value.offset_bytes == len(head)


def test_statistics_become_increments_of_each_interface() -> None:
    writer = PcapngWriter(">").section().interface().interface()
    writer.statistics(0, ifrecv=10, osdrop=1).statistics(1, ifdrop=5).packet(1, b"x")
    batches = CaptureReader().feed(writer.getvalue())
    assert [batch.counters for batch in batches] == [CaptureCounters(10, 1, 5)]
    writer.statistics(0, ifrecv=25, osdrop=1).statistics(1, ifdrop=3).section().interface()
    writer.statistics(0, ifrecv=4)
    assert read_pieces([writer.getvalue()]).counters == [29, 1, 5]


def test_statistics_without_numbers_or_interface_say_nothing() -> None:
    writer = PcapngWriter().section().interface().statistics(0).statistics(3, ifrecv=4)
    assert CaptureReader().feed(writer.getvalue()) == []


def test_more_packets_than_a_batch_holds_come_in_several() -> None:
    packets = [(number * 1000, b"") for number in range(40_000)]
    for data in (write_pcap(packets), write_pcapng(packets)):
        batches = CaptureReader().feed(data)
        assert max(map(len, batches)) <= 16_384
        times = np.concatenate([batch.index["ts_ns"] for batch in batches])
        assert times.tolist() == [ts_ns for ts_ns, _ in packets]


def test_batches_refer_to_the_fed_bytes() -> None:
    piece = np.frombuffer(bytearray(write_pcap(PACKETS)), np.uint8)
    (batch,) = CaptureReader().feed(piece)
    assert np.shares_memory(batch.data, piece)


def test_a_record_that_fits_the_headroom_needs_no_batch_of_its_own() -> None:
    data = write_pcap(PACKETS)
    reader = CaptureReader()
    reader.feed(data[:50])
    batches = reader.feed(np.frombuffer(bytearray(100) + data[50:], np.uint8), headroom=100)
    assert [len(batch) for batch in batches] == [3]
    reader.finish()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (PcapngWriter().packet(1, b"x"), "undeclared interface"),
        (PcapngWriter().simple_packet(b"x"), "undeclared interface"),
        (PcapngWriter().interface().packet(1, b"x", 1), "undeclared interface"),
        (PcapngWriter().interface().block(6, struct.pack("<IIIII", 0, 0, 0, 9, 9)), "its block"),
        (PcapngWriter().interface().block(6, bytes(12)), "impossible length"),
        (PcapngWriter().block(1, b""), "impossible length"),
        (PcapngWriter().interface().block(5, b""), "impossible length"),
        (PcapngWriter().block(0x0A0D0D0A, bytes(16)), "byte order"),
        (PcapngWriter().section(version=(2, 0)), "version"),
        (PcapngWriter(out=bytearray(struct.pack("<III", 6, 1 << 25, 0))), "longer than"),
        (PcapngWriter(out=bytearray(struct.pack("<III", 4, 13, 0))), "impossible length"),
        (PcapngWriter(out=bytearray(struct.pack("<IIII", 4, 16, 0, 12))), "lengths differ"),
    ],
)
def test_damaged_blocks_end_the_reading_with_their_reason(
    damage: PcapngWriter, reason: str
) -> None:
    head = PcapngWriter().section().getvalue()
    data = head + damage.getvalue()
    error = error_of(data)
    assert isinstance(error, DamagedCaptureError)
    assert reason in str(error)
    assert twin_read(data).error == f"damaged {error.offset_bytes} {error.n_packets}"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty file"),
        (b"\xd4", "not a pcap"),
        (b"snoop\0\0\0", "not a pcap"),
        (b"\n\r\r\n" + bytes(60), "not a pcap"),
        (write_pcap([], version=(1, 1)), "unsupported pcap version 1.1"),
    ],
)
def test_what_was_never_a_capture_is_told_from_a_damaged_one(data: bytes, words: str) -> None:
    error = error_of(data)
    assert isinstance(error, NotACaptureError)
    assert words in str(error)


def test_an_error_stays_and_what_came_before_it_is_given_out() -> None:
    data = write_pcap([(0, b"x"), (0, bytes(300_000)), (0, b"y")])
    reader = CaptureReader()
    assert [len(batch) for batch in reader.feed(data)] == [1]
    assert isinstance(reader.error, DamagedCaptureError)
    for call in (reader.finish, lambda: reader.feed(b"")):
        with pytest.raises(DamagedCaptureError):
            call()


def test_headroom_beyond_the_piece_is_a_bad_call() -> None:
    with pytest.raises(ValueError, match="headroom"):
        CaptureReader().feed(b"abc", headroom=4)
