"""Bytes, retransmissions, keepalives, reordering, windows, streams (definitions §1, §5)."""

from __future__ import annotations

import pytest
from support.builders.packets import FIN, NS_PER_MS, NS_PER_S, PSH, RST, SYN
from support.traffic.stories import OPENED, Story, check

MS, S = NS_PER_MS, NS_PER_S

OPEN = {"active": 1}
Q, R = b"q" * 10, b"r" * 20
RST_OUT = {"rst": 1, "rst_out": 1}


def _banner() -> Story:
    """The server said 20 bytes at 20 ms, acknowledged at 21 ms; 1 and 21 are next."""
    return Story().handshake().back(20, 1, 1, R).out(21, 1, 21)


SAID = {**OPENED, "banners": 1, "bytes_in": 20, "acked_bytes": 20}


# --- new data, bytes, retransmissions -------------------------------------------------------------


def test_each_sequence_number_counts_once() -> None:
    story = _banner().back(30, 21, 1, R).back(40, 11, 1, b"r" * 40).back(50, 31, 1, R)
    # 11 … 50 brings 41 … 50 anew; 31 … 50 was there.
    check(story, SAID, OPEN, {"bytes_in": 30, "retrans_in": 1})


def test_a_segment_with_one_new_byte_is_no_retransmission() -> None:
    check(_banner().back(30, 1, 1, b"r" * 21), SAID, OPEN, {"bytes_in": 1})


@pytest.mark.parametrize(("seq", "length"), [(1, 20), (1, 1), (20, 1), (5, 10)])
def test_a_segment_reached_before_is_a_retransmission(seq: int, length: int) -> None:
    check(_banner().back(30, seq, 1, b"r" * length, flags=PSH), SAID, OPEN,
          {"retrans_in": 1} if seq < 20 else {"keepalives": 1})  # fmt: skip


def test_retransmissions_count_for_the_side_that_sent_them() -> None:
    story = Story().handshake().out(100, 1, 1, Q).out(200, 1, 1, Q).out(400, 1, 1, Q)
    check(story, OPENED, OPEN, {"requests": 1, "bytes_out": 10, "retrans_out": 2})


def test_a_pure_ack_moves_nothing() -> None:
    # At 41 it is beyond what was reached; the data that comes is new and nothing was missed.
    story = _banner().back(30, 41, 1).back(40, 21, 1, R)
    check(story, SAID, OPEN, {"bytes_in": 20})


def test_sequence_numbers_below_the_isn_are_retransmissions() -> None:
    check(_banner().back(30, -19, 1, R), SAID, OPEN, {"retrans_in": 1})


def test_half_the_circle_ahead_is_behind() -> None:
    # 2^31 beyond what was reached cannot be told from 2^31 below; one less is ahead.
    check(_banner().back(30, 21 + 2**31, 1, R), SAID, OPEN, {"retrans_in": 1})
    ahead = _banner().back(30, 20 + 2**31, 1, R)
    check(ahead, SAID, OPEN, {"bytes_in": 20})


def test_sequence_numbers_wrap_as_often_as_they_like() -> None:
    story = _banner()
    step = 2**30
    for n in range(1, 10):
        at = 21 + n * step - 1
        story.back(30 + 2 * n, at, 1, b"r").out(31 + 2 * n, 1, at + 1)
    counted = {
        "bytes_in": 9,
        "acked_bytes": 9 * step,
        "capture_gaps": 9,
        "gap_bytes": 9 * (step - 1),
    }
    check(story, SAID, OPEN, counted)


def test_tso_segments_are_ordinary() -> None:
    story = Story().handshake().out(100, 1, 1, bytes(60_000)).back(150, 1, 60_001)
    counted = {"requests": 1, "bytes_out": 60_000, "acked_bytes": 60_000, "net_rtt": [50 * MS]}
    check(story, OPENED, OPEN, counted)


def test_data_on_a_syn_of_a_midstream_connection_counts() -> None:
    story = Story().synack(0, payload=b"abc").out(5, 1, 4)
    check(story, {"midstream": 1, "bytes_in": 3, "acked_bytes": 3}, OPEN)


# --- keepalives ----------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [b"", b"r"])
def test_a_keepalive_repeats_the_last_byte_when_all_is_acknowledged(payload: bytes) -> None:
    check(_banner().back(60_000, 20, 1, payload), SAID, OPEN, {"keepalives": 1})
    # Of the client the SYN alone: the SYN/ACK acknowledged it.
    check(_banner().out(60_000, 0, 21, payload), SAID, OPEN, {"keepalives": 1})


def test_keepalives_of_the_client() -> None:
    story = Story().handshake().out(100, 1, 1, Q).back(150, 1, 11)
    story.out(60_000, 10, 1).out(61_000, 10, 1, b"q")
    counted = {"requests": 1, "bytes_out": 10, "acked_bytes": 10, "net_rtt": [50 * MS]}
    check(story, OPENED, OPEN, counted, {"keepalives": 2, "waiting_long": 1})


def test_two_bytes_are_no_keepalive() -> None:
    check(_banner().back(60_000, 19, 1, b"rr"), SAID, OPEN, {"retrans_in": 1})


def test_one_byte_further_back_is_no_keepalive() -> None:
    check(_banner().back(60_000, 19, 1, b"r"), SAID, OPEN, {"retrans_in": 1})
    check(_banner().back(60_000, 19, 1), SAID, OPEN)


def test_while_something_is_unacknowledged_there_is_no_keepalive() -> None:
    story = Story().handshake().back(20, 1, 1, R).out(21, 1, 20).back(60_000, 20, 1, b"r")
    counted = {"banners": 1, "bytes_in": 20, "retrans_in": 1, "acked_bytes": 19}
    check(story, {**OPENED, "est": 1}, OPEN, counted)


def test_a_keepalive_in_mid_stream_needs_an_ack_of_what_was_reached() -> None:
    story = Story().back(0, 1, 1, R).back(1, 20, 1, b"r").out(2, 1, 21).back(60_000, 20, 1, b"r")
    counted = {"midstream": 1, "bytes_in": 20, "retrans_in": 1, "keepalives": 1}
    check(story, counted, OPEN)


def test_syn_fin_and_rst_are_no_keepalives() -> None:
    story = _banner().out(30, 0, 21, flags=FIN)
    check(story, SAID, OPEN, {"fin_out": 1})
    check(_banner().back(30, 20, 1, flags=RST), SAID, {"rst": 1, "rst_in": 1})


# --- reordering -----------------------------------------------------------------------------------


def _hole(opened_ms: float = 100) -> Story:
    """21 … 40 is missing since 41 … 60 came."""
    return _banner().back(opened_ms, 41, 1, R)


def test_a_hole_filled_within_nine_tenths_of_the_floor_was_reordered() -> None:
    # The floor is syn_rtt, 10 ms.
    counted = {"bytes_in": 40, "out_of_order": 1}
    check(_hole().back(108.999999, 21, 1, R), SAID, OPEN, counted)


def test_a_hole_filled_later_was_sent_again() -> None:
    counted = {"bytes_in": 40, "retrans_in": 1}
    check(_hole().back(109, 21, 1, R), SAID, OPEN, counted)


def test_the_floor_falls_with_every_shorter_round_trip() -> None:
    # An ACK of the client's byte after 4 ms: from then on 3.6 ms decide.
    story = Story().handshake().out(20, 1, 1, b"q").back(24, 1, 2)
    story.back(90, 1, 2, R).back(100, 41, 2, R).back(200, 81, 2, R)
    story.back(203.599999, 61, 2, R).back(204, 21, 2, R)
    counted = {
        "requests": 1,
        "responses": 1,
        "bytes_out": 1,
        "bytes_in": 100,
        "acked_bytes": 1,
        "net_rtt": [4 * MS],
        "response_time": [70 * MS],
        "server_time": [66 * MS],
        "out_of_order": 1,
        "retrans_in": 1,
    }
    check(story, OPENED, OPEN, counted)


def test_the_round_trip_of_the_segments_own_ack_is_no_floor_yet() -> None:
    # Without the 2 ms that it ends, 9 ms decide: a hole of 5 ms is young.
    story = Story().handshake().back(100, 1, 1, R).back(101, 41, 1, R)
    story.out(104, 1, 1, b"q").back(106, 21, 2, R)
    counted = {
        "requests": 1,
        "banners": 1,
        "bytes_out": 1,
        "bytes_in": 60,
        "acked_bytes": 1,
        "net_rtt": [2 * MS],
        "out_of_order": 1,
    }
    check(story, OPENED, OPEN, counted)


def test_without_a_floor_3_ms_decide() -> None:
    story = Story().out(0, 1, 1)
    story.back(50, 1, 1, R).back(100, 41, 1, R).back(110, 81, 1, R)
    story.back(112.999999, 61, 1, R).back(103, 21, 1, R)
    counted = {"midstream": 1, "bytes_in": 100, "out_of_order": 1, "retrans_in": 1}
    check(story, OPEN, counted)


def test_of_a_short_floor_1_ms_is_left() -> None:
    story = Story().syn(0).synack(1).out(2, 1, 1)
    opened = {"syn": 1, "synack": 1, "est": 1, "syn_rtt": [MS], "connect_latency": [2 * MS]}
    story.back(50, 1, 1, R).back(100, 41, 1, R).back(110, 81, 1, R)
    story.back(110.999999, 61, 1, R).back(101, 21, 1, R)
    counted = {"banners": 1, "bytes_in": 100, "out_of_order": 1, "retrans_in": 1}
    check(story, opened, OPEN, counted)


def test_a_hole_from_the_future_is_young() -> None:
    check(_hole(100).back(90, 21, 1, R), SAID, OPEN, {"bytes_in": 40, "out_of_order": 1})


def test_of_several_holes_the_youngest_decides() -> None:
    # 21 … 40 is missing since 100 ms, 61 … 80 since 200 ms; one segment at 205 ms fills both.
    story = _hole().back(200, 81, 1, R).back(205, 21, 1, b"r" * 60)
    check(story, SAID, OPEN, {"bytes_in": 20 + 20 + 40, "out_of_order": 1})


def test_one_byte_into_a_hole_is_enough() -> None:
    # 40 … 60: one byte of the hole, the others were there.
    story = _hole().back(105, 40, 1, b"r" * 21)
    check(story, SAID, OPEN, {"bytes_in": 21, "out_of_order": 1})


def test_a_part_of_a_hole_leaves_the_rest_open() -> None:
    story = _hole().back(101, 26, 1, b"r" * 5).back(102, 21, 1, b"r" * 5).back(103, 31, 1, Q)
    check(story, SAID, OPEN, {"bytes_in": 40, "out_of_order": 3})


def test_a_filled_hole_is_filled() -> None:
    story = _hole().back(101, 21, 1, R).back(102, 21, 1, R)
    check(story, SAID, OPEN, {"bytes_in": 40, "out_of_order": 1, "retrans_in": 1})


def test_a_segment_that_fills_a_hole_and_brings_more_is_new() -> None:
    check(_hole().back(105, 21, 1, b"r" * 50), SAID, OPEN, {"bytes_in": 50})


def test_the_clients_holes_are_its_own() -> None:
    story = Story().handshake().out(100, 11, 1, Q).out(105, 1, 1, Q).out(130, 31, 1, Q)
    story.out(145, 21, 1, Q)
    counted = {"requests": 1, "bytes_out": 40, "out_of_order": 1, "retrans_out": 1}
    check(story, OPENED, OPEN, counted)


def test_a_fin_opens_a_hole_too() -> None:
    story = _banner().fin_back(100, 41, 1).back(105, 21, 1, R)
    check(story, SAID, OPEN, {"fin_in": 1, "bytes_in": 20, "out_of_order": 1})


# --- zero windows ---------------------------------------------------------------------------------


def test_zero_windows_count_per_segment_and_side() -> None:
    story = _banner().out(30, 1, 21, window=0).out(31, 1, 21, window=0).back(32, 21, 1, window=0)
    story.out(33, 1, 21, window=1).back(34, 21, 1, window=1)
    check(story, SAID, OPEN, {"zero_window_out": 2, "zero_window_in": 1})


def test_data_may_advertise_a_zero_window() -> None:
    story = Story().handshake().out(100, 1, 1, Q, window=0).back(150, 1, 11, R, window=0)
    counted = {
        "requests": 1,
        "responses": 1,
        "bytes_out": 10,
        "bytes_in": 20,
        "acked_bytes": 10,
        "response_time": [50 * MS],
        "server_time": [40 * MS],
        "net_rtt": [50 * MS],
        "zero_window_out": 1,
        "zero_window_in": 1,
    }
    check(story, OPENED, OPEN, counted)


def test_syn_rst_and_fin_advertise_nothing() -> None:
    story = Story().syn(0, window=0).synack(10, window=0).out(11, 1, 1)
    story.out(20, 1, 1, flags=FIN, window=0).out(30, 2, flags=RST, window=0)
    check(story, OPENED, {"fin_out": 1, "rst_after_fin": 1})


# --- streams --------------------------------------------------------------------------------------

MIB = 1 << 20
PIECE = 52_000


def _stream(n_bytes: int, *, step_ms: float = 10) -> tuple[Story, int, float]:
    """A request at 100 ms and a response of so many bytes from 200 ms on, not acknowledged."""
    story = Story().handshake().out(100, 1, 1, Q)
    at, seq = 200.0, 1
    while n_bytes:
        size = min(PIECE, n_bytes)
        story.back(at, seq, 11, bytes(size))
        n_bytes, seq, at = n_bytes - size, seq + size, at + step_ms
    return story, seq, at


STREAMING = {
    **OPENED,
    "requests": 1,
    "responses": 1,
    "bytes_out": 10,
    "acked_bytes": 10,
    "response_time": [100 * MS],
    "server_time": [90 * MS],
    "net_rtt": [100 * MS],
}


def test_a_response_below_1_mib_is_no_stream() -> None:
    story, _, _ = _stream(MIB - 1)
    check(story, STREAMING, OPEN, {"bytes_in": MIB - 1})


def test_a_response_of_1_mib_is_a_stream_with_all_that_it_had() -> None:
    story, _, at = _stream(MIB)
    stream = {"streams": 1, "stream_bytes": MIB, "stream_ns": round((at - 210) * MS)}
    check(story, STREAMING, OPEN, {"bytes_in": MIB}, stream)


def test_a_stream_grows_with_every_segment() -> None:
    story, seq, at = _stream(MIB)
    story.back(at + 90, seq, 11, R).back(at + 190, seq + 20, 11, R)
    stream = {"streams": 1, "stream_bytes": MIB + 40, "stream_ns": round((at - 10) * MS)}
    check(story, STREAMING, OPEN, {"bytes_in": MIB + 40}, stream)


def test_a_stray_time_is_no_part_of_it() -> None:
    story, seq, at = _stream(MIB)
    story.back(at + 100_000, seq, 11, R).back(at + 190, seq + 20, 11, R)
    stream = {"streams": 1, "stream_bytes": MIB + 40, "stream_ns": round((at - 10) * MS)}
    counted = {"bytes_in": MIB + 40}
    check(story, STREAMING, OPEN, counted, stream, health={"stray_times": 1})


def test_the_next_response_starts_at_nothing() -> None:
    story, seq, at = _stream(MIB)
    story.out(1_000, 11, seq, Q).back(1_050, seq, 21, R)
    counted = {
        "requests": 1,
        "responses": 1,
        "bytes_out": 10,
        "bytes_in": MIB + 20,
        "acked_bytes": 10 + MIB,
        "response_duration": [round((at - 110) * MS)],
        "response_time": [50 * MS],
        "server_time": [40 * MS],
        "net_rtt": [50 * MS],
        "streams": 1,
        "stream_bytes": MIB,
        "stream_ns": round((at - 210) * MS),
    }
    check(story, STREAMING, OPEN, counted)


def test_a_filled_hole_may_make_a_stream() -> None:
    # 20 bytes are missing until the end; they bring the response to 1 MiB.
    story, seq, at = _stream(MIB - 40)
    story.back(at, seq + 20, 11, R).back(at + 5, seq, 11, R)
    stream = {"streams": 1, "stream_bytes": MIB, "stream_ns": round((at - 200) * MS)}
    check(story, STREAMING, OPEN, {"bytes_in": MIB, "out_of_order": 1}, stream)


def test_a_filled_hole_adds_to_a_stream() -> None:
    story, seq, at = _stream(MIB)
    story.back(at, seq + 20, 11, R).back(at + 5, seq, 11, R)
    stream = {"streams": 1, "stream_bytes": MIB + 40, "stream_ns": round((at - 200) * MS)}
    check(story, STREAMING, OPEN, {"bytes_in": MIB + 40, "out_of_order": 1}, stream)


def test_a_pause_of_more_than_1_s_is_a_stall() -> None:
    story, seq, at = _stream(MIB)
    last = at - 10
    story.back(last + 1_000, seq, 11, R)
    stream = {"streams": 1, "stream_bytes": MIB + 20, "stream_ns": round((last + 800) * MS)}
    check(story, STREAMING, OPEN, {"bytes_in": MIB + 20}, stream)
    story.back(last + 2_000.000001, seq + 20, 11, R)
    more = {"bytes_in": 20, "stream_bytes": 20, "stream_ns": S + 1, "stalls": 1}
    check(story, STREAMING, OPEN, {"bytes_in": MIB + 20}, stream, more)


def test_pauses_before_it_was_a_stream_count_when_it_is_one() -> None:
    story, seq, at = _stream(MIB - 20)
    last = at - 10
    check(story, STREAMING, OPEN, {"bytes_in": MIB - 20})
    story.back(last + 1_500, seq, 11, Q)
    check(story, STREAMING, OPEN, {"bytes_in": MIB - 10})
    story.back(last + 3_000, seq + 10, 11, Q)
    stream = {"streams": 1, "stream_bytes": MIB, "stalls": 2}
    more = {"stream_ns": round((last + 2_800) * MS)}
    check(story, STREAMING, OPEN, {"bytes_in": MIB}, stream, more)


@pytest.mark.parametrize(
    ("windows", "stalls"),
    [
        (((500, 0), (600, 500)), 0),  # closed and opened again within the pause
        (((500, 0),), 0),
        (((500, 1), (600, 500)), 1),
        (((-1, 0),), 0),  # closed since before the pause
        (((-2, 0), (-1, 500)), 1),  # opened again before it
    ],
)
def test_a_pause_behind_a_closed_window_is_no_stall(
    windows: tuple[tuple[float, int], ...], stalls: int
) -> None:
    story, seq, at = _stream(MIB)
    at += 100
    closed = sum(window == 0 for _, window in windows)
    for after_ms, window in windows:
        if after_ms < 0:
            story.out(at + after_ms, 11, 1, window=window)
    story.back(at, seq, 11, R)
    for after_ms, window in windows:
        if after_ms > 0:
            story.out(at + after_ms, 11, 1, window=window)
    story.back(at + 2_000, seq + 20, 11, R)
    counted = {"bytes_in": MIB + 40, "zero_window_out": closed, "stalls": stalls}
    stream = {"streams": 1, "stream_bytes": MIB + 40, "stream_ns": round((at + 1_800) * MS)}
    check(story, STREAMING, OPEN, counted, stream)


def test_a_pause_after_a_closed_one_is_a_stall_again() -> None:
    story, seq, at = _stream(MIB)
    story.back(at, seq, 11, R).out(at + 1, 11, 1, window=0).out(at + 2, 11, 1)
    story.back(at + 2_000, seq + 20, 11, R).back(at + 4_000, seq + 40, 11, R)
    counted = {"bytes_in": MIB + 60, "zero_window_out": 1, "stalls": 1}
    stream = {"streams": 1, "stream_bytes": MIB + 60, "stream_ns": round((at + 3_800) * MS)}
    check(story, STREAMING, OPEN, counted, stream)


def test_the_servers_closed_window_excuses_no_stall() -> None:
    story, seq, at = _stream(MIB)
    story.back(at, seq, 11, R, window=0).back(at + 2_000, seq + 20, 11, R)
    counted = {"bytes_in": MIB + 40, "zero_window_in": 1, "stalls": 1}
    stream = {"streams": 1, "stream_bytes": MIB + 40, "stream_ns": round((at + 1_800) * MS)}
    check(story, STREAMING, OPEN, counted, stream)


def test_time_that_runs_back_takes_nothing_from_a_stream() -> None:
    story, seq, at = _stream(MIB)
    story.back(at - 60, seq, 11, R).back(at, seq + 20, 11, R)
    stream = {"streams": 1, "stream_bytes": MIB + 40, "stream_ns": round((at - 200) * MS)}
    check(story, STREAMING, OPEN, {"bytes_in": MIB + 40}, stream)


def test_the_answer_of_a_handshake_turn_is_no_stream() -> None:
    story, _, _ = _stream(MIB)
    ask = story.lines[3]
    story.lines[3] = type(ask)(ask.at_ns, True, 1, 1, ask.flags, b"\x16\3\3\0\5" + bytes(5))
    counted = {"tls_turns": 1, "bytes_out": 10, "bytes_in": MIB, "acked_bytes": 10}
    check(story, OPENED, OPEN, counted, {"net_rtt": [100 * MS]})


def test_a_synack_of_another_isn_amid_data_is_a_synack_and_nothing_else() -> None:
    story = _banner().back(30, 500, 1, flags=SYN)
    check(story, SAID, OPEN, {"synack_retrans": 1})
