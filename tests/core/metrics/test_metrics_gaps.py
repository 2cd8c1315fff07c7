"""What the capture missed: holes, gaps, completeness (definitions §1, §6, §9)."""

from __future__ import annotations

import pytest
from reference import Packet
from support.builders.packets import ACK, NS_PER_MS, NS_PER_S, SYN, Talk, ethernet, ipv4, tcp
from support.compare import SEED, batch_of, run
from support.traffic.stories import (
    CLIENT,
    OPENED,
    SERVER,
    START_NS,
    Story,
    Telling,
    check,
    counted_by_kernels,
    counted_by_twin,
)

from trtop_core import Engine, EngineConfig, PacketBatch, View
from trtop_core.batch import CaptureCounters
from trtop_core.engine import MIN_HOLES

MS, S = NS_PER_MS, NS_PER_S
NS = 0.000001
"""A nanosecond in ms."""

OPEN = {"active": 1}
R = b"r" * 20
RST_OUT = {"rst": 1, "rst_out": 1}


def _hole() -> Story:
    """Of the server's data 1 … 20 are there, 21 … 40 are missing, 41 … 60 are there, not acked."""
    return Story().handshake().back(20, 1, 1, R).back(30, 41, 1, R)


HELD = {**OPENED, "banners": 1, "bytes_in": 40}
GAP = {"capture_gaps": 1, "gap_bytes": 20}


# --- when a hole is judged ------------------------------------------------------------------------


def test_a_hole_that_is_never_acknowledged_is_network_loss() -> None:
    check(_hole(), HELD, OPEN, until_ms=200_000)
    check(_hole().out(40, 1, 21), HELD, OPEN, {"acked_bytes": 20}, until_ms=200_000)
    check(_hole().rst_out(50, 1), HELD, RST_OUT)


def test_an_acknowledged_hole_is_judged_after_1_s() -> None:
    story = _hole().out(40, 1, 61)
    check(story, HELD, OPEN, {"acked_bytes": 60}, until_ms=1_039.999999, finish=False)
    check(story, HELD, OPEN, {"acked_bytes": 60}, GAP, until_ms=1_040, finish=False)


def test_an_acknowledged_hole_is_judged_when_the_capture_ends() -> None:
    check(_hole().out(40, 1, 61), HELD, OPEN, {"acked_bytes": 60}, GAP)


def test_an_acknowledged_hole_is_judged_when_the_connection_closes() -> None:
    story = _hole().out(40, 1, 61).rst_out(50, 1)
    check(story, HELD, {"acked_bytes": 60}, GAP, RST_OUT, finish=False)


def test_an_acknowledged_hole_is_judged_when_the_connection_is_superseded() -> None:
    story = _hole().out(40, 1, 61).syn(50, ack=None).out(60, 5_000, flags=2)
    attempts = {"syn": 1, "syn_retrans": 1, "pending": 1}
    check(story, HELD, OPEN, {"acked_bytes": 60}, GAP, attempts, finish=False)


def test_what_fills_an_acknowledged_hole_in_time_was_not_missed() -> None:
    story = _hole().out(40, 1, 61).back(1_039, 21, 1, R)
    counted = {"bytes_in": 20, "acked_bytes": 60, "retrans_in": 1}
    check(story, HELD, OPEN, counted, until_ms=5_000)


def test_what_fills_a_judged_hole_is_old() -> None:
    # It arrives when the hole has just been judged: a retransmission without bytes.
    story = _hole().out(40, 1, 61).back(1_040, 21, 1, R)
    check(story, HELD, OPEN, {"retrans_in": 1, "acked_bytes": 60}, GAP)


def test_no_timer_that_runs_out_a_nanosecond_later_delays_that() -> None:
    # At 5,010 ms the connection would be idle, but for segments since the SYN/ACK.
    story = Story().handshake().back(4_000, 21, 1, R).out(4_010 - NS, 1, 41)
    story.back(5_010 - NS, 1, 1, R)
    counted = {"banners": 1, "bytes_in": 20, "acked_bytes": 40, "retrans_in": 1}
    check(story, OPENED, OPEN, counted, GAP, idle_timeout_s=5)


def test_the_clock_of_the_ack_counts_not_its_timestamp() -> None:
    # Another packet has moved the clock to 500 ms when the ACK of 40 ms is read.
    story = _hole().raw(500, bytes(60)).out(40, 1, 61)
    acked = {"acked_bytes": 60}
    about = {"not_tcp": 1}
    check(story, HELD, OPEN, acked, until_ms=1_499, finish=False, health=about)
    check(story, HELD, OPEN, acked, GAP, until_ms=1_500, finish=False, health=about)


def test_the_first_ack_counts_not_the_last() -> None:
    story = _hole().out(40, 1, 61).out(900, 1, 61)
    check(story, HELD, OPEN, {"acked_bytes": 60}, GAP, until_ms=1_040, finish=False)


# --- what is judged -------------------------------------------------------------------------------


def test_the_acknowledged_part_of_a_hole_is_judged_by_itself() -> None:
    story = _hole().out(40, 1, 31)
    missed = {"acked_bytes": 30, "capture_gaps": 1, "gap_bytes": 10}
    check(story, HELD, OPEN, missed, until_ms=1_040, finish=False)
    check(story.back(1_050, 31, 1, b"r" * 10), HELD, OPEN, missed,
          {"bytes_in": 10, "retrans_in": 1})  # fmt: skip


def test_parts_that_adjoin_a_counted_gap_add_bytes_only() -> None:
    story = _hole().out(40, 1, 31).out(2_000, 1, 36).out(4_000, 1, 61)
    check(story, HELD, OPEN, {"acked_bytes": 60}, GAP)


def test_two_holes_are_two_gaps() -> None:
    story = _hole().back(40, 71, 1, R).out(50, 1, 91)
    missed = {"bytes_in": 20, "acked_bytes": 90, "capture_gaps": 2, "gap_bytes": 30}
    check(story, HELD, OPEN, missed)


def test_a_hole_that_was_filled_in_the_middle_is_two_gaps() -> None:
    story = _hole().back(35, 26, 1, b"r" * 5).out(40, 1, 61)
    missed = {"bytes_in": 5, "out_of_order": 1, "acked_bytes": 60}
    check(story, HELD, OPEN, missed, {"capture_gaps": 2, "gap_bytes": 15})


def test_data_that_was_acknowledged_and_never_seen_is_a_gap() -> None:
    story = Story().handshake().out(40, 1, 101)
    check(story, OPENED, OPEN, {"acked_bytes": 100, "capture_gaps": 1, "gap_bytes": 100})


def test_what_comes_after_a_gap_is_ordinary() -> None:
    story = Story().handshake().out(40, 1, 101).back(5_000, 101, 1, R).out(5_001, 1, 121)
    counted = {"banners": 1, "bytes_in": 20, "acked_bytes": 120}
    check(story, OPENED, OPEN, counted, {"capture_gaps": 1, "gap_bytes": 100})


def test_old_data_behind_a_judged_gap_at_the_top_is_a_retransmission() -> None:
    story = Story().handshake().out(40, 1, 101).back(5_000, 1, 1, R)
    counted = {"retrans_in": 1, "acked_bytes": 100, "capture_gaps": 1, "gap_bytes": 100}
    check(story, OPENED, OPEN, counted)


def test_late_data_below_an_ack_that_overtook_it_is_new() -> None:
    story = Story().handshake().out(40, 1, 21).back(41, 1, 1, R)
    check(story, OPENED, OPEN, {"banners": 1, "bytes_in": 20, "acked_bytes": 20})


def test_a_missed_fin_is_a_gap_of_one_byte() -> None:
    story = _hole().back(38, 21, 1, R).out(50, 1, 62)
    counted = {"bytes_in": 20, "acked_bytes": 61, "capture_gaps": 1, "gap_bytes": 1}
    check(story, HELD, OPEN, counted, {"out_of_order": 1})


def test_the_clients_gaps_count_as_well() -> None:
    story = Story().handshake().out(100, 1, 1, b"q" * 10).back(150, 1, 31)
    counted = {"requests": 1, "bytes_out": 10, "acked_bytes": 30, "net_rtt": [50 * MS]}
    check(story, OPENED, OPEN, counted, {"capture_gaps": 1, "gap_bytes": 20})


# --- acknowledged bytes ---------------------------------------------------------------------------


def test_acknowledged_bytes_count_once_in_both_directions() -> None:
    story = _hole().back(31, 21, 1, R).out(40, 1, 41).out(41, 1, 41).out(42, 1, 31).out(43, 1, 61)
    story.out(100, 1, 61, b"q" * 10).back(110, 61, 11)
    counted = {"bytes_in": 20, "out_of_order": 1, "acked_bytes": 60 + 10}
    check(story, HELD, OPEN, counted, {"requests": 1, "bytes_out": 10, "net_rtt": [10 * MS]})


def test_a_fin_is_one_byte_and_a_syn_none() -> None:
    story = Story().handshake().fin_out(20, 1, 1).back(21, 1, 2).fin_back(30, 1, 2).out(31, 2, 2)
    check(story, OPENED, {"fin_out": 1, "acked_bytes": 2})


REACH = 1 << 30


def test_an_ack_of_2_30_ahead_is_believed() -> None:
    story = Story().handshake().out(40, 1, 1 + REACH)
    check(story, OPENED, OPEN, {"acked_bytes": REACH, "capture_gaps": 1, "gap_bytes": REACH})


def test_an_ack_further_ahead_is_ignored() -> None:
    story = Story().handshake().out(40, 1, 2 + REACH).back(50, 1, 1, R).out(51, 1, 21)
    check(story, OPENED, OPEN, {"banners": 1, "bytes_in": 20, "acked_bytes": 20})


def test_an_ack_that_is_ignored_answers_no_timed_segment() -> None:
    story = Story().handshake().out(100, 1, 1, b"q").back(150, 1, 3 + REACH).back(160, 1, 2)
    counted = {"requests": 1, "bytes_out": 1, "acked_bytes": 1, "net_rtt": [60 * MS]}
    check(story, OPENED, OPEN, counted)


# --- sixteen --------------------------------------------------------------------------------------


def _holes(n: int) -> Story:
    """n holes of 10 bytes in the server's data, from 11 on, with 10 bytes between them."""
    story = Story().handshake().back(20, 1, 1, b"r" * 10)
    for i in range(n):
        story.back(21 + i, 21 + 20 * i, 1, b"r" * 10)
    return story


def test_sixteen_holes_are_kept() -> None:
    story = _holes(16).out(40, 1, 331).back(900, 11, 1, b"r" * 10)
    counted = {"banners": 1, "bytes_in": 180, "retrans_in": 1, "acked_bytes": 330}
    check(story, OPENED, OPEN, counted, {"capture_gaps": 15, "gap_bytes": 150})


def test_of_seventeen_holes_the_lowest_is_judged_at_once() -> None:
    # Unacknowledged it is no gap, and what fills it later brings no bytes.
    story = _holes(17).back(50, 11, 1, b"r" * 10)
    counted = {"banners": 1, "bytes_in": 180, "retrans_in": 1}
    check(story, OPENED, OPEN, counted, until_ms=5_000)
    story = _holes(17).back(41, 31, 1, b"r" * 10)
    counted = {"banners": 1, "bytes_in": 190, "retrans_in": 1}
    check(story, OPENED, OPEN, counted)


def test_of_seventeen_holes_an_acknowledged_lowest_is_a_gap_at_once() -> None:
    story = _holes(16).out(40, 1, 25).back(41, 341, 1, b"r" * 10)
    counted = {"banners": 1, "bytes_in": 180, "acked_bytes": 24}
    missed = {"capture_gaps": 1, "gap_bytes": 10}
    check(story, OPENED, OPEN, counted, missed, finish=False)


def test_a_fill_that_splits_a_hole_makes_one_more() -> None:
    # 16 holes, the second split in two: the lowest is judged.
    story = _holes(16).back(40, 34, 1, b"rr").back(41, 11, 1, b"r" * 10)
    check(story, OPENED, OPEN, {"banners": 1, "bytes_in": 172, "retrans_in": 2})


def test_adjoining_parts_are_one_hole() -> None:
    # 16 holes, the second acknowledged by half: it still is one, and the lowest may be filled.
    story = _holes(16).out(40, 1, 36).back(300, 11, 1, b"r" * 10)
    counted = {"banners": 1, "bytes_in": 180, "retrans_in": 1, "acked_bytes": 35}
    check(story, OPENED, OPEN, counted, {"capture_gaps": 1, "gap_bytes": 5})


def test_every_direction_has_its_own_sixteen() -> None:
    story = _holes(16)
    for i in range(16):
        story.out(50 + i, 11 + 20 * i, 1, b"q" * 10)
    story.out(70, 1, 331).back(71, 331, 321)
    counted = {
        "banners": 1,
        "requests": 1,
        "bytes_in": 170,
        "bytes_out": 160,
        "acked_bytes": 330 + 320,
        "capture_gaps": 32,
        "gap_bytes": 320,
    }
    check(story, OPENED, OPEN, counted)


# --- mid-stream -----------------------------------------------------------------------------------

MID = {"midstream": 1}


def test_a_midstream_direction_is_judged_from_the_peers_first_ack_on() -> None:
    # 21 … 40 may have passed before the capture began.
    story = Story().back(0, 1, 1, R).back(1, 41, 1, R).out(2, 1, 61)
    check(story, MID, OPEN, {"bytes_in": 40}, until_ms=5_000)


def test_a_midstream_direction_is_judged_from_its_first_segment_on() -> None:
    story = Story().out(0, 1, 1).back(1, 41, 1, R).out(2, 1, 61)
    check(story, MID, OPEN, {"bytes_in": 20, "acked_bytes": 20}, until_ms=5_000)


def test_behind_the_first_ack_holes_are_judged() -> None:
    story = Story().back(0, 1, 1, R).out(1, 1, 21).back(2, 41, 1, R).out(3, 1, 61)
    missed = {"bytes_in": 40, "acked_bytes": 40, "capture_gaps": 1, "gap_bytes": 20}
    check(story, MID, OPEN, missed)


def test_a_hole_across_the_first_ack_is_judged_from_there_on() -> None:
    story = Story().back(0, 1, 1, R).back(1, 41, 1, R).out(2, 1, 31).out(3, 1, 61)
    missed = {"bytes_in": 40, "acked_bytes": 30, "capture_gaps": 1, "gap_bytes": 10}
    check(story, MID, OPEN, missed)


def test_what_fills_a_dropped_hole_brings_no_bytes() -> None:
    story = Story().back(0, 1, 1, R).back(1, 41, 1, R).out(2, 1, 61).back(3, 21, 1, R)
    check(story, MID, OPEN, {"bytes_in": 40, "retrans_in": 1})


def test_acks_of_a_direction_that_was_never_seen_are_not_judged() -> None:
    story = Story().out(0, 1, 1).out(10, 1, 1_001).out(20, 1, 5_001)
    check(story, MID, OPEN, {"one_sided": 1}, until_ms=5_000)


def test_acks_before_a_direction_was_seen_are_judged_when_it_is() -> None:
    # The first ACK says where counting begins; 1,001 … 5,000 were acknowledged and missed.
    story = Story().out(0, 1, 1_001).out(20, 1, 5_001).back(30, 5_001, 1, R)
    missed = {"bytes_in": 20, "capture_gaps": 0, "acked_bytes": 0}
    # Judged from its first segment on, which is further.
    check(story, MID, OPEN, missed, until_ms=5_000)
    story = Story().out(0, 1, 1_001).out(20, 1, 5_001).back(30, 1_001, 1, R)
    missed = {"bytes_in": 20, "capture_gaps": 1, "gap_bytes": 3_980, "acked_bytes": 4_000}
    check(story, MID, OPEN, missed, until_ms=5_000)


# --- fragments ------------------------------------------------------------------------------------


def _fragmented(story: Story, at_ms: float) -> Story:
    """The first of two fragments of a segment of the server, 20 of its 40 bytes."""
    telling = Telling()
    segment = tcp(443, 40_000, telling.server_isn + 61, telling.client_isn + 1, 0x10, payload=R)
    frame = ethernet(ipv4(SERVER, CLIENT, segment, ident=9_999, fragment=0x2000))
    return story.raw(at_ms, frame)


@pytest.mark.parametrize("before", [True, False])
def test_connections_with_fragments_are_exempt_from_then_on(before: bool) -> None:
    telling = Telling()
    story = _hole()
    if before:
        _fragmented(story, 35)
    story.out(40, 1, 61)
    if not before:
        story.out(2_000, 1, 61)
        _fragmented(story, 2_001)
    story.out(3_000, 1, 101)
    packets = story.packets(telling)
    rows, _ = counted_by_kernels(packets, None, True, False, {})
    assert counted_by_twin(packets, None, True, {})[0] == rows
    row = rows[SERVER]
    assert (row["bytes_in"], row["acked_bytes"]) == (60, 100)
    # What was judged before the fragment came stays.
    expected = (0, 0) if before else (1, 20)
    assert (row.get("capture_gaps", 0), row.get("gap_bytes", 0)) == expected


# --- suspect rows ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_acked", "suspect"), [(20_000, False), (19_999, True)])
def test_a_row_below_99_9_percent_is_suspect(n_acked: int, suspect: bool) -> None:
    story = Story().handshake().back(20, 21, 1, bytes(n_acked - 20)).out(30, 1, n_acked + 1)
    engine = Engine(EngineConfig(), SEED)
    engine.feed(batch_of(story.packets(Telling())))
    engine.finish()
    row = next(iter(engine.snapshot(View()).rows()))
    assert (row.count("gap_bytes"), row.count("acked_bytes")) == (20, n_acked)
    assert row.completeness == 1 - 20 / n_acked
    assert row.suspect is suspect


@pytest.mark.parametrize(
    ("counters", "suspect"),
    [
        (CaptureCounters(10_000, 10), False),
        (CaptureCounters(10_000, 11), True),
        (CaptureCounters(10_000, 0, 11), True),
        (CaptureCounters(10_000, None, None), False),
    ],
)
def test_a_capture_that_lost_more_than_a_thousandth_makes_every_row_suspect(
    counters: CaptureCounters, suspect: bool
) -> None:
    engine = Engine(EngineConfig(), SEED)
    batch = batch_of(Story().handshake().packets(Telling()))
    engine.feed(PacketBatch(batch.data, batch.index, counters))
    row = next(iter(engine.snapshot(View()).rows()))
    assert row.suspect is suspect


def test_completeness_of_nothing_is_unknown() -> None:
    engine = Engine(EngineConfig(), SEED)
    engine.feed(batch_of(Story().syn(0).packets(Telling())))
    row = next(iter(engine.snapshot(View()).rows()))
    assert row.completeness is None
    assert not row.suspect


# --- the pool of holes ---------------------------------------------------------------------------


def test_holes_of_forgotten_connections_make_room_for_new_ones() -> None:
    # Each opening takes the 4-tuple of the one before; each side has more holes in all than there
    # is memory for at once.
    n_openings = MIN_HOLES // 16 + 100
    talk, packets = Talk(), []
    for n in range(n_openings):
        isn, at_ns = 1 + 100_000 * n, START_NS + n * MS
        frames = [talk.out(isn, flags=SYN), talk.back(isn, isn + 1, SYN | ACK)]
        for i in range(16):
            frames.append(talk.out(isn + 11 + 20 * i, isn + 1, payload=b"q"))
            frames.append(talk.back(isn + 11 + 20 * i, isn + 1, payload=b"r"))
        packets += [Packet(at_ns + i, 1, frame, len(frame)) for i, frame in enumerate(frames)]
    snapshot = run([batch_of(packets)], EngineConfig(max_connections=10))
    assert snapshot.totals.count("syn") == n_openings
    assert (
        snapshot.totals.count("bytes_out") == snapshot.totals.count("bytes_in") == 16 * n_openings
    )
    assert snapshot.health.holes_unkept == 0


def test_holes_that_were_split_and_filled_leave_nothing_behind() -> None:
    story = Story().handshake()
    for n in range(200):
        at = 1 + 40 * n
        # 10 … 29 of 40 bytes are missing; the middle comes first, then the rest.
        story.back(20 + n, at, 1, b"r" * 10).back(20.1 + n, at + 30, 1, b"r" * 10)
        story.back(20.2 + n, at + 15, 1, b"r" * 10).back(20.3 + n, at + 10, 1, b"r" * 20)
    story.back(300, 8_011, 1, R).out(301, 1, 8_031)
    counted = {"banners": 1, "bytes_in": 8_020, "out_of_order": 400, "acked_bytes": 8_030}
    check(story, OPENED, OPEN, counted, {"capture_gaps": 1, "gap_bytes": 10})


def test_holes_that_find_no_memory_are_counted() -> None:
    packets = []

    def take(talk: Talk, from_client: bool, seq: int, ack: int, length: int) -> None:
        make = talk.out if from_client else talk.back
        frame = make(seq, ack, ACK, bytes(length))
        packets.append(Packet(START_NS + len(packets), 1, frame, len(frame)))

    def story(port: int) -> Talk:
        talk = Talk(client_port=port)
        take(talk, False, 1, 1, 10)
        take(talk, True, 1, 11, 0)
        return talk

    talks = [story(10_000 + n) for n in range(MIN_HOLES // 16)]
    for talk in talks:
        for i in range(16):
            take(talk, False, 21 + 20 * i, 1, 10)
    assert run([batch_of(packets)], EngineConfig(max_connections=10_000)).health.holes_unkept == 0
    late = story(9_999)
    steps = (
        # A new hole, a fill and an ACK that would split one: nothing is left for any of them.
        (1, lambda: take(late, False, 21, 1, 10)),
        (2, lambda: take(talks[1], False, 14, 1, 3)),
        (3, lambda: take(talks[2], True, 1, 15, 0)),
        # An ACK overtakes data; what was given up then is no new hole behind some of that data.
        (4, lambda: take(late, True, 1, 51, 0)),
        (4, lambda: take(late, False, 31, 1, 10)),
        (4, lambda: take(late, False, 51, 1, 10)),
    )
    for n_unkept, step in steps:
        step()
        snapshot = run([batch_of(packets)], EngineConfig(max_connections=10_000))
        assert snapshot.health.holes_unkept == n_unkept
