"""Segments that the capture holds twice (definitions §2)."""

from __future__ import annotations

import struct

import pytest
from reference import Packet, Twin
from support.builders.packets import ACK, NS_PER_MS, SYN, Talk, ethernet, ipv4, ipv6, tcp
from support.compare import batch_of, config_of, differences, run
from support.traffic.stories import CLIENT, KERNELS_TOO, OPENED, SERVER, Story, Telling, check

MS = NS_PER_MS

OPEN = {"active": 1}
Q = b"q" * 10
ASKED = {**OPENED, "requests": 1, "bytes_out": 10}
ONE = {"duplicates": 1}


def _asked() -> Story:
    return Story().handshake().out(100, 1, 1, Q)


@pytest.mark.parametrize("after_ms", [0, 0.5, 1])
def test_a_segment_captured_twice_within_1_ms_counts_as_duplicate_only(after_ms: float) -> None:
    check(_asked().again(after_ms), ASKED, OPEN, health=ONE)


@pytest.mark.parametrize("after_ms", [1.000001, 5])
def test_after_1_ms_it_was_sent_again(after_ms: float) -> None:
    check(_asked().again(after_ms), ASKED, OPEN, {"retrans_out": 1})


def test_a_copy_from_before_is_no_duplicate() -> None:
    check(_asked().again(-0.000001), ASKED, OPEN, {"retrans_out": 1})


def test_every_copy_is_a_duplicate_of_the_one_that_counted() -> None:
    story = _asked().again(0.4)
    story.lines += [
        type(story.lines[3])(story.lines[3].at_ns + ns, repeats=3) for ns in (900_000, 1_000_001)
    ]
    # 0.4 and 0.9 ms are duplicates of the first; 1.000001 ms is not, since copies do not count.
    check(story, ASKED, OPEN, {"retrans_out": 1}, health={"duplicates": 2})


@pytest.mark.parametrize("n_between", [15, 16])
def test_the_last_sixteen_counted_segments_are_looked_at(n_between: int) -> None:
    story = _asked()
    for i in range(n_between):
        story.out(100 + 0.05 * (i + 1), 11 + 10 * i, 1, Q)
    first = story.lines[3]
    story.lines.append(type(first)(first.at_ns + 900_000, repeats=3))
    counted = {"bytes_out": 10 * n_between}
    if n_between == 15:
        check(story, ASKED, OPEN, counted, health=ONE)
    else:
        check(story, ASKED, OPEN, counted, {"retrans_out": 1})


def test_segments_of_the_other_side_are_not_looked_at() -> None:
    story = _asked()
    for i in range(17):
        story.back(100.05 + 0.05 * i, 1, 1, window=500 + i)
    first = story.lines[3]
    story.lines.append(type(first)(first.at_ns + 900_000, repeats=3))
    check(story, ASKED, OPEN, health=ONE)


@pytest.mark.parametrize("client_sends_first", [True, False])
@pytest.mark.parametrize("first_id", range(1, 9))
def test_what_the_other_side_sends_alike_is_no_duplicate(
    first_id: int, client_sends_first: bool
) -> None:
    # Equal numbers, ids one apart: nothing but the sender and the id tells them from each other.
    talk = Talk(ident=first_id - 1)
    first, second = (talk.out, talk.back) if client_sends_first else (talk.back, talk.out)
    frames = [second(98, 100), second(99, 100), first(100, 100), second(100, 100)]
    packets = [Packet(10**18 + i, 1, data, len(data)) for i, data in enumerate(frames)]
    assert run([batch_of(packets)]).health.duplicates == 0


def test_every_kind_of_segment_may_be_a_duplicate() -> None:
    story = Story().syn(0).again(0.1).synack(10).again(0.1).out(11, 1, 1).again(0.1)
    story.fin_out(20, 1, 1).again(0.1).rst_back(30, 1, 2).again(0.1)
    counted = {"fin_out": 1, "rst_after_fin": 1}
    check(story, OPENED, counted, health={"duplicates": 5})


def test_a_duplicate_opens_nothing_and_keeps_nothing_alive() -> None:
    # The copy of the SYN after the RST that followed it: no new attempt.
    story = Story().syn(0).rst_back(0.5, 0, 1)
    story.lines.append(type(story.lines[0])(900_000, repeats=0))
    check(story, {"syn": 1, "rst": 1, "rst_in": 1, "refused": 1}, health=ONE)


def test_what_was_seen_last_of_a_4_tuple_outlives_its_connection() -> None:
    # The SYN that took the place of a connection, and then a copy of the segment before it.
    story = _asked().out(100.2, 9_000, flags=SYN)
    first = story.lines[3]
    story.lines.append(type(first)(first.at_ns + 900_000, repeats=3))
    check(story, ASKED, OPEN, {"syn": 1, "pending": 1, "unanswered": 1}, health=ONE)


# --- what must be equal ---------------------------------------------------------------------------

TELLING = Telling()
SEQ, ACK_NUMBER = TELLING.client_isn + 1, TELLING.server_isn + 1


def _frame(ident: int = 7, ttl: int = 64, payload: bytes = Q, **fields: int) -> bytes:
    """The request of ``_asked``, with some fields as they are given."""
    values = {"seq": SEQ, "ack": ACK_NUMBER, "flags": ACK, "window": 500, "checksum": 3, **fields}
    frame = bytearray(
        ethernet(ipv4(CLIENT, SERVER, tcp(40_000, 443, **values, payload=payload), ident=ident))
    )
    frame[14 + 8] = ttl
    return bytes(frame)


def _twice(first: bytes, second: bytes) -> tuple[int, int]:
    """Duplicates, and segments that were sent again, as kernels (and twin) count them."""

    packets = Story().handshake().packets(TELLING)
    start = packets[-1].ts_ns
    for ns, frame in ((1 * MS, first), (1 * MS + 500_000, second)):
        packets.append(Packet(start + ns, 1, frame, len(frame)))
    twin = Twin()
    for packet in packets:
        twin.feed(packet)
    twin = twin.ended()
    if KERNELS_TOO:
        assert differences(run([batch_of(packets)], config_of()), twin) == []
    report = twin.report(final=False)
    return report["duplicates"], report["totals"].get("retrans_out", 0)


def test_ttl_and_bytes_of_the_payload_play_no_part() -> None:
    assert _twice(_frame(), _frame(ttl=63)) == (1, 0)
    assert _twice(_frame(), _frame(payload=b"x" * 10)) == (1, 0)


def test_with_an_ip_id_window_and_checksum_play_no_part() -> None:
    assert _twice(_frame(), _frame(window=501)) == (1, 0)
    assert _twice(_frame(), _frame(checksum=4)) == (1, 0)


def test_another_ip_id_is_another_segment() -> None:
    assert _twice(_frame(ident=7), _frame(ident=8)) == (0, 1)
    assert _twice(_frame(ident=7), _frame(ident=0)) == (0, 1)
    assert _twice(_frame(ident=7), _frame(ident=0x700)) == (0, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"seq": SEQ - 1, "payload": Q},
        {"ack": ACK_NUMBER - 1},
        {"flags": ACK | 8},
        {"flags": ACK | 0x40},
        {"payload": b"q" * 9},
    ],
)
def test_any_other_difference_makes_another_segment(change: dict[str, int]) -> None:
    assert _twice(_frame(), _frame(**change))[0] == 0  # type: ignore[arg-type]


def test_without_an_ip_id_window_and_checksum_decide() -> None:
    assert _twice(_frame(ident=0), _frame(ident=0)) == (1, 0)
    assert _twice(_frame(ident=0), _frame(ident=0, window=501)) == (0, 1)
    assert _twice(_frame(ident=0), _frame(ident=0, checksum=4)) == (0, 1)


def test_an_ip_id_is_no_window_and_checksum() -> None:
    # An id of 3 beside a window of 0 and a checksum of 3.
    first, second = (_frame(ident=ident, window=0) for ident in (0, 3))
    assert _twice(first, second) == (0, 1)


def test_ipv6_has_no_id() -> None:
    ends = ("2001:db8::1", "2001:db8::7")
    talk = Talk(*ends)
    story = Story(client=ends[0], server=ends[1]).handshake()
    for window, checksum in ((500, 3), (500, 3), (501, 3), (501, 4)):
        segment = tcp(
            talk.client_port,
            talk.server_port,
            SEQ,
            ACK_NUMBER,
            ACK,
            window,
            Q,
            checksum=checksum,
        )
        story.raw(20, ethernet(ipv6(*ends, segment)))

    snapshot = run([batch_of(story.packets(TELLING))])
    assert snapshot.health.duplicates == 1
    assert snapshot.totals.count("retrans_out") == 2


def test_the_same_segment_in_two_vlans_or_tunnels_is_a_duplicate() -> None:
    inner = _frame()
    tagged = inner[:12] + struct.pack(">HH", 0x8100, 7) + inner[12:]
    gre = struct.pack(">HH", 0, 0x0800) + inner[14:]
    tunnelled = ethernet(ipv4("203.0.113.1", "203.0.113.2", gre, proto=47, ident=99))
    assert _twice(inner, tagged) == (1, 0)
    assert _twice(tunnelled, inner) == (1, 0)
