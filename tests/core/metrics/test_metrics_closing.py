"""How connections end: RST, FIN, idling, what is forgotten when (definitions §4, §9)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from support.builders.packets import ACK, FIN, NS_PER_MS, NS_PER_S, RST, SYN
from support.traffic.stories import OPENED, Story, check

MS, S = NS_PER_MS, NS_PER_S

OPEN = {"active": 1}
RST_OUT = {"rst": 1, "rst_out": 1}
RST_IN = {"rst": 1, "rst_in": 1}
MID = {"midstream": 1}

EXCHANGED = {
    **OPENED,
    "requests": 1,
    "responses": 1,
    "bytes_out": 10,
    "bytes_in": 20,
    "acked_bytes": 30,
    "response_time": [50 * MS],
    "server_time": [40 * MS],
    "net_rtt": [50 * MS],
}
CLOSED = {"response_duration": [50 * MS], "reuse": [1]}
"""What any first closing of ``_exchanged`` samples."""


def _exchanged() -> Story:
    """One request at 100 ms, its response at 150 ms; the next is 11 of the client, 21 back."""
    return (
        Story().handshake().out(100, 1, 1, b"q" * 10).back(150, 1, 11, b"r" * 20).out(151, 11, 21)
    )


def test_an_exchange_before_it_closes() -> None:
    check(_exchanged(), EXCHANGED, OPEN)


# --- RST ------------------------------------------------------------------------------------------


def test_a_rst_of_the_client_ends_the_connection() -> None:
    check(_exchanged().rst_out(200, 11), EXCHANGED, CLOSED, RST_OUT)


def test_a_rst_of_the_server_ends_the_connection() -> None:
    check(_exchanged().rst_back(200, 21, 11), EXCHANGED, CLOSED, RST_IN)


def test_a_second_rst_counts_nothing() -> None:
    story = _exchanged().rst_out(200, 11).rst_out(201, 11).rst_back(202, 21).rst_out(203, 11)
    check(story, EXCHANGED, CLOSED, RST_OUT)


def test_an_attempt_that_is_reset_instead_of_answered_is_refused() -> None:
    check(Story().syn(0).rst_back(1, 0, 1), {"syn": 1, "refused": 1}, RST_IN)


def test_a_rst_after_a_wrong_synack_is_a_refusal() -> None:
    story = Story().syn(0).synack(5, ack=9).rst_back(10, 1)
    check(story, {"syn": 1, "refused": 1}, RST_IN)


def test_a_rst_after_the_synack_is_no_refusal() -> None:
    story = Story().syn(0).synack(10).rst_back(11, 1)
    check(story, {"syn": 1, "synack": 1, "syn_rtt": [10 * MS]}, RST_IN)


def test_a_rst_after_a_proof_without_synack_is_no_refusal() -> None:
    story = Story().syn(0).out(10, 1, 1).rst_back(11, 1)
    check(story, {"syn": 1, "est": 1}, RST_IN)


def test_a_client_that_gives_up_is_no_refusal() -> None:
    check(Story().syn(0).rst_out(5, 1), {"syn": 1}, RST_OUT)


def test_a_midstream_connection_is_never_refused() -> None:
    check(Story().rst_back(0, 1, 1), MID, RST_IN)
    check(Story().rst_out(0, 1, 1), MID, RST_OUT)


def test_a_rst_after_a_timeout_is_a_refusal_and_a_timeout() -> None:
    story = Story().syn(0).rst_back(30_000, 0, 1)
    check(story, {"syn": 1, "timeouts": 1, "refused": 1}, RST_IN)


@pytest.mark.parametrize("rst", [Story.rst_out, Story.rst_back])
@pytest.mark.parametrize("fin", [Story.fin_out, Story.fin_back])
def test_after_a_fin_a_rst_is_another_counter(
    fin: Callable[..., Story], rst: Callable[..., Story]
) -> None:
    is_out = fin is Story.fin_out
    story = fin(_exchanged(), 200, *((11, 21) if is_out else (21, 11)))
    story = rst(story, 210, 12 if rst is Story.rst_out else 22)
    counted = {"fin_out" if is_out else "fin_in": 1, "rst_after_fin": 1}
    check(story, EXCHANGED, CLOSED, counted)


def test_after_both_fins_a_rst_counts_once() -> None:
    story = _exchanged().fin_out(200, 11, 21).fin_back(210, 21, 12)
    story.rst_out(220, 12).rst_out(221, 12)
    counted = {"fin_out": 1, "rst_after_fin": 1, "acked_bytes": 1}
    check(story, EXCHANGED, CLOSED, counted)


def test_a_rst_carries_no_data_and_acknowledges_nothing() -> None:
    story = Story().handshake().out(100, 1, 1, b"q" * 10)
    story.back(150, 1, 11, b"because", flags=RST)
    check(story, OPENED, {"requests": 1, "unanswered": 1, "bytes_out": 10}, RST_IN)


# --- after a RST ----------------------------------------------------------------------------------


def test_after_a_rst_turns_stop_and_bytes_go_on() -> None:
    story = _exchanged().rst_back(200, 21)
    story.out(210, 11, 21, b"q" * 5).back(220, 21, 16, b"r" * 7)
    counted = {"bytes_out": 5, "bytes_in": 7, "acked_bytes": 5}
    check(story, EXCHANGED, CLOSED, RST_IN, counted)


def test_after_a_rst_a_request_gets_no_response() -> None:
    story = Story().handshake().out(100, 1, 1, b"q" * 10).rst_out(120, 11)
    story.back(150, 1, 11, b"r" * 20)
    counted = {"requests": 1, "unanswered": 1, "bytes_out": 10, "bytes_in": 20, "acked_bytes": 10}
    check(story, OPENED, RST_OUT, counted)


def test_after_a_rst_no_fin_counts() -> None:
    story = _exchanged().rst_back(200, 21).fin_out(210, 11, 21).fin_back(220, 21, 12)
    check(story, EXCHANGED, CLOSED, RST_IN, {"acked_bytes": 1})


def test_after_a_rst_retransmissions_go_on() -> None:
    story = _exchanged().rst_back(200, 21)
    story.out(210, 1, 21, b"q" * 10).back(220, 11, 11, b"r" * 10)
    check(story, EXCHANGED, CLOSED, RST_IN, {"retrans_out": 1, "retrans_in": 1})


def test_after_a_rst_holes_go_on() -> None:
    story = _exchanged().rst_back(200, 21).out(210, 31, 21, b"q").back(220, 21, 32)
    counted = {"bytes_out": 1, "acked_bytes": 21, "capture_gaps": 1, "gap_bytes": 20}
    check(story, EXCHANGED, CLOSED, RST_IN, counted)


def test_after_a_rst_zero_windows_and_keepalives_go_on() -> None:
    story = _exchanged().rst_back(200, 21).out(210, 10, 21).back(220, 21, 11, window=0)
    check(story, EXCHANGED, CLOSED, RST_IN, {"keepalives": 1, "zero_window_in": 1})


def test_after_a_rst_answers_and_proofs_go_on() -> None:
    story = Story().syn(0).rst_out(5, 1).synack(10).out(11, 1, 1)
    check(story, OPENED, RST_OUT)


# --- FIN ------------------------------------------------------------------------------------------


def test_the_first_fin_tells_who_closed() -> None:
    story = _exchanged().fin_out(200, 11, 21).fin_back(210, 21, 12).out(211, 12, 22)
    check(story, EXCHANGED, CLOSED, {"fin_out": 1, "acked_bytes": 2})
    story = _exchanged().fin_back(200, 21, 11).fin_out(210, 11, 22).back(211, 22, 12)
    check(story, EXCHANGED, CLOSED, {"fin_in": 1, "acked_bytes": 2})


def test_one_fin_leaves_a_connection_open() -> None:
    check(_exchanged().fin_out(200, 11, 21), EXCHANGED, OPEN, {"fin_out": 1})


def test_the_servers_fin_ends_its_response() -> None:
    story = _exchanged().fin_back(200, 21, 11)
    check(story, EXCHANGED, OPEN, {"fin_in": 1, "response_duration": [50 * MS]})


def test_data_of_a_fin_belongs_to_the_response_that_it_ends() -> None:
    story = _exchanged().fin_back(200, 21, 11, b"end")
    counted = {"fin_in": 1, "bytes_in": 3, "response_duration": [100 * MS]}
    check(story, EXCHANGED, OPEN, counted)


def test_a_repeated_fin_is_no_retransmitted_segment() -> None:
    story = _exchanged().fin_out(200, 11, 21).fin_out(400, 11, 21).fin_out(800, 11, 21)
    check(story, EXCHANGED, OPEN, {"fin_out": 1, "fin_retrans": 2})
    story = _exchanged().fin_back(200, 21, 11).fin_back(400, 21, 11)
    counted = {"fin_in": 1, "fin_retrans": 1, "response_duration": [50 * MS]}
    check(story, EXCHANGED, OPEN, counted)


def test_a_repeated_segment_with_a_fin_is_a_retransmission() -> None:
    story = _exchanged().fin_out(200, 11, 21, b"q" * 5).fin_out(400, 11, 21, b"q" * 5)
    counted = {"requests": 1, "fin_out": 1, "retrans_out": 1, "bytes_out": 5}
    check(story, EXCHANGED, OPEN, counted, {"response_duration": [50 * MS]})


def test_a_first_fin_makes_a_repeated_segment_new() -> None:
    story = _exchanged().fin_out(200, 1, 21, b"q" * 10)
    check(story, EXCHANGED, OPEN, {"fin_out": 1})


def test_both_fins_of_one_side_close_nothing() -> None:
    check(_exchanged().fin_out(200, 11, 21).fin_out(300, 11, 21), EXCHANGED, OPEN,
          {"fin_out": 1, "fin_retrans": 1})  # fmt: skip


def test_a_fin_without_ack_counts() -> None:
    story = _exchanged().out(200, 11, flags=FIN).back(201, 21, flags=FIN)
    check(story, EXCHANGED, CLOSED, {"fin_out": 1})


def test_fin_in_mid_stream() -> None:
    check(Story().fin_out(0, 1, 1), MID, OPEN, {"fin_out": 1})
    check(Story().fin_back(0, 1, 1), MID, OPEN, {"fin_in": 1})


def test_a_fin_in_a_synack_is_none() -> None:
    story = Story().syn(0).synack(10, flags=SYN | FIN).out(11, 1, 1)
    check(story, OPENED, OPEN)


# --- reuse ----------------------------------------------------------------------------------------


def test_reuse_is_the_number_of_responses_when_it_closes() -> None:
    story = _exchanged()
    story.out(200, 11, 21, b"q").back(210, 21, 12, b"r").out(300, 12, 22, b"q")
    story.back(320, 22, 13, b"r").rst_out(400, 13)
    counted = {
        "requests": 2,
        "responses": 2,
        "bytes_out": 2,
        "bytes_in": 2,
        "acked_bytes": 3,
        "response_time": [10 * MS, 20 * MS],
        "server_time": [0, 10 * MS],
        "net_rtt": [10 * MS, 20 * MS],
        "response_duration": [50 * MS, 10 * MS, 20 * MS],
        "reuse": [3],
    }
    check(story, EXCHANGED, RST_OUT, counted)


def test_without_a_response_there_is_no_reuse() -> None:
    story = Story().handshake().out(100, 1, 1, b"q" * 10).rst_back(120, 1)
    check(story, OPENED, RST_IN, {"requests": 1, "unanswered": 1, "bytes_out": 10})


def test_a_second_closing_is_no_second_sample() -> None:
    story = _exchanged().out(400_000, 11, 21, b"q").back(400_010, 21, 12, b"r").rst_out(400_020, 12)
    counted = {
        "requests": 1,
        "responses": 1,
        "bytes_out": 1,
        "bytes_in": 1,
        "acked_bytes": 1,
        "response_time": [10 * MS],
        "server_time": [0],
        "net_rtt": [10 * MS],
        "response_duration": [10 * MS],
    }
    check(story, EXCHANGED, CLOSED, RST_OUT, counted)


def test_the_first_closing_with_a_response_is_the_sample() -> None:
    # Idle for 300 s without one, then a response, then closed.
    story = Story().handshake().out(400_000, 1, 1, b"q").back(400_010, 1, 2, b"r")
    counted = {
        "requests": 1,
        "responses": 1,
        "bytes_out": 1,
        "bytes_in": 1,
        "acked_bytes": 1,
        "response_time": [10 * MS],
        "server_time": [0],
        "net_rtt": [10 * MS],
        "response_duration": [10 * MS],
        "reuse": [1],
    }
    check(story.rst_out(400_020, 2), OPENED, RST_OUT, counted)


# --- idling, and what is forgotten ----------------------------------------------------------------


def test_idling_closes_at_300_s() -> None:
    check(_exchanged(), EXCHANGED, OPEN, until_ms=300_150.999999)
    check(_exchanged(), EXCHANGED, CLOSED, until_ms=300_151)
    check(_exchanged(), EXCHANGED, CLOSED, until_ms=300_151, finish=False)


def test_the_idle_timeout_can_be_set() -> None:
    check(_exchanged(), EXCHANGED, OPEN, until_ms=5_150, idle_timeout_s=5)
    check(_exchanged(), EXCHANGED, CLOSED, until_ms=5_151, idle_timeout_s=5)


def test_idling_is_counted_from_any_segment_of_either_side() -> None:
    story = _exchanged().back(200_000, 21, 11)
    check(story, EXCHANGED, OPEN, until_ms=499_999)
    check(story, EXCHANGED, CLOSED, until_ms=500_000)


def test_an_idle_connection_goes_on_and_is_active_again() -> None:
    check(_exchanged().out(900_000, 11, 21), EXCHANGED, CLOSED, OPEN)


def test_an_idle_connection_is_never_forgotten() -> None:
    a_year_ms = 365 * 86_400_000
    check(_exchanged().out(a_year_ms, 11, 21), EXCHANGED, CLOSED, OPEN)


def test_idling_ends_a_response_once() -> None:
    # What comes later goes on with the response, whose duration is sampled already.
    story = _exchanged().back(400_000, 21, 11, b"more")
    check(story, EXCHANGED, CLOSED, OPEN, {"bytes_in": 4})


def test_an_idle_connection_that_is_reset_counts_its_rst() -> None:
    check(_exchanged().rst_back(400_000, 21), EXCHANGED, CLOSED, RST_IN)


def test_a_closed_connection_is_remembered_for_just_under_60_s() -> None:
    story = _exchanged().rst_out(200, 11).back(60_199, 21, 11, b"late")
    check(story, EXCHANGED, CLOSED, RST_OUT, {"bytes_in": 4})


def test_a_closed_connection_is_forgotten_60_s_after_its_last_segment() -> None:
    story = _exchanged().rst_out(200, 11).back(60_200, 21, 11, b"late")
    check(story, EXCHANGED, CLOSED, RST_OUT, MID, OPEN, {"bytes_in": 4})


def test_each_segment_keeps_a_closed_connection_for_60_s_more() -> None:
    story = _exchanged().fin_out(200, 11, 21).fin_back(210, 21, 12)
    story.out(60_000, 12, 22).out(119_999, 12, 22)
    check(story, EXCHANGED, CLOSED, {"fin_out": 1, "acked_bytes": 2})
    story.out(180_000, 12, 22)
    check(story, EXCHANGED, CLOSED, {"fin_out": 1, "acked_bytes": 2}, MID, OPEN)


def test_what_was_acknowledged_after_closing_is_judged_when_forgotten() -> None:
    story = _exchanged().rst_out(200, 11).back(60_000, 21, 16)
    missed = {"acked_bytes": 5, "capture_gaps": 1, "gap_bytes": 5}
    check(story, EXCHANGED, CLOSED, RST_OUT, missed, until_ms=130_000, finish=False)


# --- one-sided ------------------------------------------------------------------------------------

ONE_SIDED = {"one_sided": 1}


def test_a_connection_of_one_direction_that_acknowledges_is_one_sided() -> None:
    check(Story().out(0, 1, 1).out(10, 1, 1), MID, OPEN, ONE_SIDED)
    check(Story().back(0, 1, 1).back(10, 1, 1), MID, OPEN, ONE_SIDED)


def test_one_segment_is_not_enough_to_be_one_sided() -> None:
    check(Story().out(0, 1, 1), MID, OPEN)


def test_without_an_ack_nothing_tells_that_the_other_side_is_missing() -> None:
    check(Story().syn(0).syn(1_000), {"syn": 1, "syn_retrans": 1, "pending": 1}, OPEN)
    story = Story().syn(0).out(10, 1, 1, flags=RST)
    check(story, {"syn": 1}, RST_OUT)


def test_any_segment_of_the_other_side_makes_it_two_sided() -> None:
    check(Story().out(0, 1, 1).out(10, 1, 1).rst_back(20, 1), MID, RST_IN)


def test_one_sided_is_decided_at_the_first_closing() -> None:
    story = Story().out(0, 1, 1).rst_out(10, 1)
    check(story, MID, RST_OUT, ONE_SIDED, finish=False)
    check(story.back(20, 1, 1), MID, RST_OUT, ONE_SIDED)


def test_one_sided_is_not_decided_before_the_end() -> None:
    check(Story().out(0, 1, 1).out(10, 1, 1), MID, OPEN, finish=False)


def test_idling_decides_one_sided_once() -> None:
    story = Story().out(0, 1, 1).out(10, 1, 1).back(400_000, 1, 1)
    check(story, MID, OPEN, ONE_SIDED)


def test_a_one_sided_connection_gives_no_latency() -> None:
    story = Story().syn(0).out(11, 1, 1).out(20, 1, 1, b"q" * 5).out(40, 6, 30).rst_out(50, 6, 30)
    counted = {"syn": 1, "est": 1, "requests": 1, "bytes_out": 5, "acked_bytes": 0}
    check(story, counted, RST_OUT, ONE_SIDED)


def test_closing_counts_once_however_it_goes_on() -> None:
    story = (
        _exchanged().fin_back(200, 21, 11).fin_out(210, 11, 22).out(220, 12, 22, flags=RST | ACK)
    )
    counted = {"fin_in": 1, "rst_after_fin": 1, "acked_bytes": 1}
    check(story, EXCHANGED, CLOSED, counted, until_ms=1_000_000)
