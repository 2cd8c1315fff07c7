"""Capture time: stray times, steps, what they leave behind (definitions §1, §9)."""

from __future__ import annotations

import pytest
from reference import Packet, Twin
from reference.clock import TS_LIMIT_NS
from support.builders.packets import NS_PER_MS, NS_PER_S, ethernet
from support.traffic.dialogue import Dialogue
from support.traffic.generated import generate
from support.traffic.stories import (
    OPENED,
    SERVER,
    Story,
    Telling,
    check,
    counted_by_kernels,
    counted_by_twin,
    tell,
)

from trtop_core.metrics import SKETCHES

MS, S = NS_PER_MS, NS_PER_S
HOUR_MS, DAY_MS, YEAR_MS = 3_600_000, 86_400_000, 365 * 86_400_000
NS = 0.000001
"""A nanosecond in ms."""
STRAY_MS = 100_000
"""A stray time that runs out the timer of an attempt, but not that of an idle connection."""

OPEN = {"active": 1}
ATTEMPT = {"syn": 1, "active": 1, "pending": 1}
TIMED_OUT = {"syn": 1, "timeouts": 1}
STRAY, STEP = {"stray_times": 1}, {"clock_steps": 1}
NOT_TCP = ethernet(b"", 0x0806)


def _syn(at_ms: float = 0) -> Story:
    return Story().syn(at_ms)


def _others(*at_ms: float) -> Story:
    """Packets that count nowhere but in `not_tcp`, at these times and in this order."""
    story = Story(client_port=41_000)
    for ms in at_ms:
        story.raw(ms, NOT_TCP)
    return story


def _check(first: Story, expected: dict[str, int], *at_ms: float, **health: int) -> None:
    """A story and then packets of nothing at these times, whatever they are."""
    story = first
    for ms in at_ms:
        story.raw(ms, NOT_TCP)
    check(story, expected, health={"not_tcp": len(at_ms), **health})


# --- ahead ----------------------------------------------------------------------------------------


def test_a_packet_20_s_ahead_moves_the_clock() -> None:
    _check(_syn(), TIMED_OUT, 20_000)
    _check(_syn(), ATTEMPT, 20_000 - NS)


def test_a_packet_further_ahead_waits_for_the_next() -> None:
    # The clock is at 1 s when the packet of 22 s arrives: it waits, and the next lies behind it.
    _check(_syn(), ATTEMPT, 1_000, 22_000, 1_001, **STRAY)
    _check(_syn(), TIMED_OUT, 1_000, 22_000, 22_001)


def test_exactly_20_s_ahead_of_the_clock_it_does_not_wait() -> None:
    _check(_syn(), TIMED_OUT, 1_000, 21_000, 1_001)
    _check(_syn(), ATTEMPT, 1_000, 21_000 + NS, 1_001, **STRAY)


def test_the_next_packet_confirms_a_time_at_most_10_s_behind_it() -> None:
    _check(_syn(), TIMED_OUT, 1_000, 29_000, 19_000)
    _check(_syn(), ATTEMPT, 1_000, 29_000, 19_000 - NS, **STRAY)


def test_the_clock_moves_to_the_later_of_the_two() -> None:
    # Not to 19 s of the second: the attempt times out, which it would at 20 s.
    story = Story().syn(-2_000).raw(0, NOT_TCP).raw(22_000, NOT_TCP).raw(12_001, NOT_TCP)
    check(story, TIMED_OUT, health={"not_tcp": 3})


def test_a_time_that_two_packets_share_is_believed_however_far_ahead_the_second_is() -> None:
    # One move of 101 s, from 0 to the later one.
    _check(_syn(), TIMED_OUT, 0, 30_000, 101_000)


def test_a_stray_packet_leaves_the_next_to_the_old_clock() -> None:
    # The second waits in its turn, and is confirmed.
    _check(_syn(), ATTEMPT, 1_000, YEAR_MS, 19_000, **STRAY)
    _check(_syn(), TIMED_OUT, 1_000, YEAR_MS, 22_000, 22_001, **STRAY)
    _check(_syn(), ATTEMPT, 1_000, YEAR_MS, 22_000, 1_001, stray_times=2)


def test_a_packet_without_tcp_or_that_cannot_be_read_moves_the_clock_as_well() -> None:
    _check(_syn(), TIMED_OUT, 20_000)
    story = _syn().raw(20_000, ethernet(b"\x45", 0x0800))
    check(story, TIMED_OUT, health={"undecoded": {"truncated": 1}})


def test_the_end_of_the_capture_moves_the_clock_to_a_packet_that_waits() -> None:
    _check(_syn(), TIMED_OUT, 1_000, 22_000)
    _check(_syn(), TIMED_OUT, 0, DAY_MS)


def test_but_not_to_one_that_is_more_than_a_day_ahead() -> None:
    _check(_syn(), ATTEMPT, 0, DAY_MS + NS)


def test_while_a_packet_waits_the_clock_stands() -> None:
    story = _syn().raw(1_000, NOT_TCP).raw(22_000, NOT_TCP)
    check(story, ATTEMPT, finish=False, health={"not_tcp": 2})


def test_a_live_clock_that_reaches_a_packet_that_waits_believes_it() -> None:
    story = _syn().raw(1_000, NOT_TCP).raw(22_000, NOT_TCP)
    check(story, ATTEMPT, finish=False, until_ms=19_999, health={"not_tcp": 2})
    check(story, TIMED_OUT, finish=False, until_ms=22_000, health={"not_tcp": 2})


def test_only_the_timers_of_its_own_connection_see_a_time_that_waits() -> None:
    # Both attempts are 25 s old by the time of the SYN/ACK, which is stray.
    own = _syn().raw(1_000, NOT_TCP).synack(25_000).raw(1_001, NOT_TCP)
    expected = {"syn": 1, "timeouts": 1, "synack": 1, "active": 1}
    check(own, expected, health={"not_tcp": 2, **STRAY})
    other = Story(client_port=41_000).syn(0.5)
    both = {**expected, "syn": 2, "active": 2, "pending": 1}
    check(_Both(own, other), both, health={"not_tcp": 2, **STRAY})


class _Both(Story):
    """Two 4-tuples told as one: the second behind the first packet of the first."""

    def __init__(self, first: Story, second: Story) -> None:
        super().__init__()
        self.first, self.second = first, second

    def packets(self, telling: Telling) -> list[Packet]:
        mine, others = self.first.packets(telling), self.second.packets(telling)
        return [mine[0], *others, *mine[1:]]


# --- steps ----------------------------------------------------------------------------------------


def test_a_jump_of_more_than_24_h_is_a_step() -> None:
    _check(_syn(), TIMED_OUT, 0, DAY_MS, DAY_MS)
    _check(_syn(), TIMED_OUT, 0, DAY_MS + NS, DAY_MS + NS, **STEP)


def test_two_packets_that_wait_and_confirm_are_one_step() -> None:
    _check(_syn(), TIMED_OUT, 0, 2 * DAY_MS, 7 * DAY_MS, **STEP)


def test_thirty_two_packets_in_a_row_behind_the_clock_turn_it_back() -> None:
    # After the step the attempt of 3,600 s is one of now: 20 s later it times out.
    behind = [10_000 + i for i in range(32)]
    _check(_syn(HOUR_MS), ATTEMPT, *behind, **STEP)
    _check(_syn(HOUR_MS), ATTEMPT, *behind, 30_031 - NS, **STEP)
    _check(_syn(HOUR_MS), TIMED_OUT, *behind, 30_031, **STEP)


def test_thirty_one_do_not() -> None:
    _check(_syn(HOUR_MS), ATTEMPT, *range(10_000, 10_031))


def test_nor_do_thirty_two_of_which_one_is_not_behind() -> None:
    for at_ms in (HOUR_MS, HOUR_MS - 10_000):
        _check(_syn(HOUR_MS), ATTEMPT, *range(31), at_ms, *range(31))


def test_nor_do_thirty_two_that_a_packet_ahead_interrupts() -> None:
    _check(_syn(HOUR_MS), ATTEMPT, *range(31), 2 * HOUR_MS, *range(31), **STRAY)


def test_packets_10_s_behind_are_not_behind() -> None:
    _check(_syn(HOUR_MS), ATTEMPT, *[HOUR_MS - 10_000] * 40)
    _check(_syn(HOUR_MS), ATTEMPT, *[HOUR_MS - 10_000 - NS] * 40, **STEP)


def test_the_clock_steps_back_to_the_last_of_the_thirty_two() -> None:
    # To 9,000 ms, not to the latest of them: 20 s from there the attempt times out.
    behind = [9_500] * 31 + [9_000]
    _check(_syn(HOUR_MS), ATTEMPT, *behind, 29_000 - NS, **STEP)
    _check(_syn(HOUR_MS), TIMED_OUT, *behind, 29_000, **STEP)


def test_what_a_step_back_leaves_in_the_future_counts_as_now() -> None:
    # Idle 300 s after the step, not after the time of the last segment.
    story = Story().syn(HOUR_MS).synack(HOUR_MS + 10).out(HOUR_MS + 11, 1, 1)
    for ms in range(32):
        story.raw(ms, NOT_TCP)
    _check(story, {**OPENED, **OPEN}, 300_031 - NS, not_tcp=33, clock_steps=1)
    story = Story().syn(HOUR_MS).synack(HOUR_MS + 10).out(HOUR_MS + 11, 1, 1)
    for ms in range(32):
        story.raw(ms, NOT_TCP)
    _check(story, {**OPENED, "path_rtt": [10 * MS] * 2}, 300_031, not_tcp=33, clock_steps=1)


def test_a_hole_that_was_acknowledged_in_the_future_was_acknowledged_now() -> None:
    def story() -> Story:
        told = Story().syn(HOUR_MS).synack(HOUR_MS + 10).out(HOUR_MS + 11, 1, 1)
        told.out(HOUR_MS + 12, 1, 31)
        for ms in range(32):
            told.raw(ms, NOT_TCP)
        return told

    gap = {"capture_gaps": 1, "gap_bytes": 30, "acked_bytes": 30}
    check(story().raw(1_030, NOT_TCP), OPENED, OPEN, {"acked_bytes": 30}, finish=False,
          health={"not_tcp": 33, **STEP})  # fmt: skip
    check(story().raw(1_031, NOT_TCP), OPENED, OPEN, gap, finish=False,
          health={"not_tcp": 33, **STEP})  # fmt: skip


def test_what_a_stray_time_leaves_in_the_future_counts_as_the_clock_that_it_did_not_move() -> None:
    # The client's ACK of 11 ms is stray: 300 s after the clock of then the connection is idle.
    def story(end_ms: float) -> Story:
        told = Story().syn(0).synack(10).out(STRAY_MS, 1, 1).raw(11, NOT_TCP)
        for n in range(1, 16):
            told.raw(19_000 * n, NOT_TCP)
        return told.raw(end_ms, NOT_TCP)

    counted = {"syn": 1, "synack": 1, "est": 1, "syn_rtt": [10 * MS]}
    health = {"not_tcp": 17, **STRAY}
    check(story(300_010 - NS), counted, OPEN, health=health)
    check(story(300_010), counted, health=health)


# --- latencies ------------------------------------------------------------------------------------


def test_a_latency_that_ends_at_a_stray_time_is_no_sample() -> None:
    story = Story().syn(0).synack(STRAY_MS).out(11, 1, 1).out(20, 1, 1, b"q").back(30, 1, 2, b"r")
    counted = {
        "syn": 1,
        "timeouts": 1,
        "synack": 1,
        "est": 1,
        "connect_latency": [11 * MS],
        "requests": 1,
        "responses": 1,
        "bytes_out": 1,
        "bytes_in": 1,
        "acked_bytes": 1,
        "net_rtt": [10 * MS],
        # Before its own segment's ACK there was no floor.
        "response_time": [10 * MS],
    }
    check(story, counted, OPEN, health=STRAY)


def test_a_latency_that_begins_at_a_stray_time_is_no_sample() -> None:
    # Asked at 21 s, as it says; answered at 30 s, but nobody knows after how long.
    story = Story().handshake().out(30_000, 1, 1, b"q").raw(12, NOT_TCP).raw(20_012, NOT_TCP)
    story.raw(40_000, NOT_TCP).back(40_001, 1, 2, b"r")
    counted = {"requests": 1, "responses": 1, "bytes_out": 1, "bytes_in": 1, "acked_bytes": 1}
    check(story, OPENED, counted, OPEN, health={"not_tcp": 3, **STRAY})


def test_a_latency_of_a_time_that_was_confirmed_is_a_sample() -> None:
    story = Story().handshake().out(100, 1, 1, b"q").back(40_100, 1, 2, b"r").out(40_101, 2, 2)
    counted = {
        "requests": 1,
        "responses": 1,
        "bytes_out": 1,
        "bytes_in": 1,
        "acked_bytes": 2,
        "net_rtt": [40 * S],
        "response_time": [40 * S],
        "server_time": [40 * S - 10 * MS],
    }
    check(story, OPENED, counted, OPEN)


def test_so_is_one_that_ends_with_the_capture() -> None:
    story = Story().handshake().out(100, 1, 1, b"q").back(40_100, 1, 2, b"r")
    counted = {
        "requests": 1,
        "responses": 1,
        "bytes_out": 1,
        "bytes_in": 1,
        "acked_bytes": 1,
        "net_rtt": [40 * S],
        "response_time": [40 * S],
        "server_time": [40 * S - 10 * MS],
    }
    check(story, OPENED, counted, OPEN)


def test_while_its_end_waits_a_latency_is_no_sample_yet() -> None:
    story = Story().handshake().out(100, 1, 1, b"q").back(40_100, 1, 2, b"r")
    counted = {"requests": 1, "responses": 1, "bytes_out": 1, "bytes_in": 1, "acked_bytes": 1}
    check(story, OPENED, counted, OPEN, finish=False)


def test_a_floor_is_lowered_by_a_round_trip_only_once_that_is_believed() -> None:
    # A stray ACK: the next response has no floor to subtract but that of the handshake.
    story = Story().handshake().out(100, 1, 1, b"q").back(STRAY_MS, 1, 2).out(103, 2, 1, b"q")
    story.back(153, 1, 3, b"r")
    counted = {
        "requests": 1,
        "responses": 1,
        "bytes_out": 2,
        "bytes_in": 1,
        "acked_bytes": 2,
        "net_rtt": [50 * MS],
        "response_time": [50 * MS],
        "server_time": [40 * MS],
    }
    check(story, OPENED, counted, OPEN, health=STRAY)


FAR_MS = 3 * DAY_MS


def test_a_latency_that_spans_a_step_forward_is_no_sample() -> None:
    story = Story().handshake().out(100, 1, 1, b"q").raw(FAR_MS, NOT_TCP)
    story.back(FAR_MS + 50, 1, 2, b"r")
    counted = {"requests": 1, "responses": 1, "bytes_out": 1, "bytes_in": 1, "acked_bytes": 1}
    # By the clock the connection was idle before its answer came.
    health = {"not_tcp": 1, **STEP}
    check(story, OPENED, counted, OPEN, {"unanswered": 1}, health=health)


def test_the_packet_that_waited_is_on_the_far_side_of_the_step() -> None:
    # Asked by the packet that waited: its answer is 50 ms away, whatever the clock did.
    story = Story().handshake().out(FAR_MS, 1, 1, b"q").back(FAR_MS + 50, 1, 2, b"r")
    counted = {
        "requests": 1,
        "responses": 1,
        "bytes_out": 1,
        "bytes_in": 1,
        "acked_bytes": 1,
        "net_rtt": [50 * MS],
        "response_time": [50 * MS],
        "server_time": [40 * MS],
    }
    check(story, OPENED, counted, OPEN, health=STEP)
    # Answered by it: that spans the step.
    story = Story().handshake().out(100, 1, 1, b"q").back(FAR_MS, 1, 2, b"r").out(FAR_MS + 1, 2, 2)
    counted = {"requests": 1, "responses": 1, "bytes_out": 1, "bytes_in": 1, "acked_bytes": 2}
    check(story, OPENED, counted, OPEN, {"unanswered": 1}, health=STEP)


@pytest.mark.parametrize(("after_ms", "n"), [(DAY_MS, 1), (DAY_MS + NS, 0)])
def test_nothing_is_measured_from_a_packet_between_two_jumps_of_more_than_a_day(
    after_ms: float, n: int
) -> None:
    story = Story().handshake().out(FAR_MS, 1, 1, b"q").back(FAR_MS + after_ms, 1, 2, b"r")
    counted = {
        "requests": 1,
        "responses": 1,
        "bytes_out": 1,
        "bytes_in": 1,
        "acked_bytes": 1,
        "net_rtt": [DAY_MS * MS] * n,
        "response_time": [DAY_MS * MS] * n,
        "server_time": [(DAY_MS - 10) * MS] * n,
    }
    check(story, OPENED, counted, OPEN, health=STEP)


def test_a_latency_that_spans_a_step_back_is_no_sample_even_if_it_is_not_negative() -> None:
    # Asked at 100 ms of a clock that steps from 60 s back to 40 s; answered at 45 s.
    story = Story().handshake().out(59_000, 1, 1, b"q").raw(59_001, NOT_TCP)
    story.lines[:0] = _others(40_000).lines
    for n in range(32):
        story.raw(40_000 + n, NOT_TCP)
    story.back(59_500, 1, 2, b"r").raw(59_501, NOT_TCP)
    counted = {"requests": 1, "responses": 1, "bytes_out": 1, "bytes_in": 1, "acked_bytes": 1}
    check(story, OPENED, counted, OPEN, health={"not_tcp": 35, **STEP})


def test_the_packets_that_turn_the_clock_back_are_on_its_near_side() -> None:
    # Asked by the first of the thirty-two, answered after the step: 50 ms.
    story = Story().raw(HOUR_MS, NOT_TCP).handshake().out(20, 1, 1, b"q")
    for n in range(28):
        story.raw(21 + n, NOT_TCP)
    story.back(70, 1, 2, b"r")
    counted = {
        "requests": 1,
        "responses": 1,
        "bytes_out": 1,
        "bytes_in": 1,
        "acked_bytes": 1,
        "net_rtt": [50 * MS],
        "response_time": [50 * MS],
        "server_time": [40 * MS],
    }
    check(story, OPENED, counted, OPEN, health={"not_tcp": 29, **STEP})


@pytest.mark.parametrize("limit_ns", [TS_LIMIT_NS, -TS_LIMIT_NS])
def test_a_latency_that_rests_on_a_clamped_time_is_no_sample(limit_ns: int) -> None:
    story = Story().syn(0).synack(1).out(2, 1, 1).packets(Telling())
    first_ns = limit_ns if limit_ns > 0 else limit_ns - 2
    packets = [
        Packet(first_ns + n, 1, packet.data, packet.wire_len) for n, packet in enumerate(story)
    ]
    counted = {"syn": 1, "synack": 1, "est": 1, "active": 1}
    for count in (counted_by_twin(packets, None, False, {}),
                  counted_by_kernels(packets, None, False, False, {})):  # fmt: skip
        assert count[0][SERVER] == counted


# --- span -----------------------------------------------------------------------------------------


def _span_ms(*at_ms: float) -> float:
    twin = Twin()
    for packet in tell(_others(*at_ms), Telling()):
        twin.feed(packet)
    span_ns = twin.report()["span_ns"]
    assert isinstance(span_ns, int)
    return span_ns / MS


def test_the_span_is_the_time_since_the_first_packet() -> None:
    assert _span_ms(5_000) == 0
    assert _span_ms(5_000, 7_000, 6_000) == 2_000
    assert Twin().report()["span_ns"] == 0


def test_what_steps_jumped_is_no_part_of_the_span() -> None:
    assert _span_ms(0, 1_000, FAR_MS, FAR_MS + 1_000, FAR_MS + 3_000) == 3_000
    behind = [10_000 + n for n in range(32)]
    assert _span_ms(HOUR_MS, HOUR_MS + 4_000, *behind, 12_031) == 4_000 + 2_000


def test_a_stray_time_is_no_part_of_the_span() -> None:
    assert _span_ms(0, 1_000, YEAR_MS, 2_000) == 2_000


def test_a_jump_of_a_day_is_part_of_the_span() -> None:
    assert _span_ms(0, DAY_MS, DAY_MS) == DAY_MS


def test_a_first_packet_of_another_time_is_left_behind_by_a_step() -> None:
    assert _span_ms(YEAR_MS, *range(32), 5_031) == 5_000


# --- the same packets at other times --------------------------------------------------------------


def _dense(seed: int) -> list[Packet]:
    """Traffic without pauses of 10 s, so that no timer but a second's may run out."""
    packets = generate(seed, 40)
    dense = []
    shift_ns = 0
    last_ns = packets[0].ts_ns
    for packet in packets:
        shift_ns += max(0, packet.ts_ns - last_ns - 5 * S)
        last_ns = packet.ts_ns
        dense.append(Packet(packet.ts_ns - shift_ns, 1, packet.data, packet.wire_len))
    return dense


def _counters(packets: list[Packet]) -> tuple[dict[str, dict[str, int]], int, int]:
    twin = Twin()
    for packet in packets:
        twin.feed(packet)
    report = twin.report()
    rows = {
        name: {key: n for key, n in row.items() if key not in SKETCHES}
        for name, row in report["destinations"].items()
    }
    return rows, report["stray_times"], report["clock_steps"]


@pytest.mark.parametrize("seed", range(8))
def test_a_packet_moved_by_ten_years_changes_no_counter_of_other_rows(seed: int) -> None:
    packets = _dense(seed)
    plain, _, _ = _counters(packets)
    at = (seed * 97 + 41) % (len(packets) - 2)
    rows, n_strays, n_steps = _counters(_moved(packets, at))
    assert (n_strays, n_steps) == (1, 0)
    assert len([name for name in plain if rows[name] != plain[name]]) <= 1


def _moved(packets: list[Packet], at: int) -> list[Packet]:
    old = packets[at]
    moved = Packet(old.ts_ns + 10 * YEAR_MS * MS, 1, old.data, old.wire_len)
    return [*packets[:at], moved, *packets[at + 1 :]]


@pytest.mark.parametrize("at", range(3, 10))
def test_nor_does_it_change_a_counter_of_an_open_connection(at: int) -> None:
    story = Dialogue()
    for turn in range(4):
        story.ask(100 + 40 * turn, b"q").reply(120 + 40 * turn, b"r")
    packets = story.packets(Telling())
    (plain,) = _counters(packets)[0].values()
    (moved,) = _counters(_moved(packets, at))[0].values()
    # While the answer of year 10 was on its way the connection was idle, by its own timer.
    is_answer = at % 2 == 0
    assert moved == {**plain, **({"unanswered": 1} if is_answer else {})}


@pytest.mark.parametrize("hours", [1, -1])
@pytest.mark.parametrize("seed", range(4))
def test_packets_that_all_come_an_hour_later_or_earlier_change_no_counter(
    seed: int, hours: int
) -> None:
    # Between the two halves all timers run out.
    before, behind = _dense(seed), _dense(seed + 100)
    pause = Packet(before[-1].ts_ns + 400 * S, 1, NOT_TCP, len(NOT_TCP))
    pauses = [pause, pause]
    gap_ns = pause.ts_ns - behind[0].ts_ns + S
    counted = []
    for shift_ns in (gap_ns, gap_ns + hours * HOUR_MS * MS):
        moved = [Packet(p.ts_ns + shift_ns, 1, p.data, p.wire_len) for p in behind]
        counted.append(_counters([*before, *pauses, *moved]))
    assert counted[0][0] == counted[1][0]
    assert counted[1][1:] == (0, 1 if hours < 0 else 0)
