"""Connections: attempts, answers, proofs of a handshake, time-outs (definitions §1, §4)."""

from __future__ import annotations

import pytest
from support.builders.packets import FIN, NS_PER_MS, NS_PER_S, RST, SYN
from support.traffic.stories import CLIENT, OPENED, SERVER, Story, check

MS, S = NS_PER_MS, NS_PER_S
NS = 0.000001
"""A nanosecond in ms."""

WAITING = {"syn": 1, "pending": 1, "active": 1}
OPEN = {"active": 1}


def test_a_syn_is_an_attempt_that_waits() -> None:
    check(Story().syn(0), WAITING)


def test_a_retransmitted_syn_counts_as_such() -> None:
    check(Story().syn(0).syn(1_000).syn(3_000), WAITING, {"syn_retrans": 2})


def test_a_syn_with_a_new_isn_supersedes_an_attempt_that_waits() -> None:
    check(Story().syn(0).out(5, 100, flags=SYN), WAITING, {"syn": 1, "timeouts": 1})


def test_a_syn_with_a_new_isn_supersedes_a_connection_that_is_open() -> None:
    story = Story().handshake().out(20, 9_000, flags=SYN)
    check(story, OPENED, WAITING)


def test_superseding_closes_with_all_that_closing_samples() -> None:
    story = (
        Story()
        .handshake()
        .out(100, 1, 1, b"q" * 10)
        .back(150, 1, 11, b"r" * 20)
        .out(200, 90_000, flags=SYN)
    )
    counted = {
        "requests": 1,
        "responses": 1,
        "bytes_out": 10,
        "bytes_in": 20,
        "acked_bytes": 10,
        "response_time": [50 * MS],
        "server_time": [40 * MS],
        "net_rtt": [50 * MS],
        "response_duration": [50 * MS],
        "reuse": [1],
    }
    check(story, OPENED, WAITING, counted)


def test_the_same_syn_after_a_rst_is_a_new_attempt() -> None:
    story = Story().syn(0).rst_back(1, 0, 1).syn(2)
    check(story, WAITING, {"syn": 1, "rst": 1, "rst_in": 1, "refused": 1})


def test_the_same_syn_after_both_fins_is_a_retransmission() -> None:
    story = Story().handshake().fin_out(20, 1, 1).fin_back(30, 1, 2).syn(40)
    check(story, OPENED, {"fin_out": 1, "acked_bytes": 1, "syn_retrans": 1})


def test_a_syn_of_the_other_end_is_another_connection() -> None:
    story = Story(server=SERVER, client_port=5_000).syn(0).back(5, 0, flags=SYN)
    check(story, {SERVER: {"syn": 1, "timeouts": 1}, CLIENT: WAITING})


def test_a_syn_with_fin_is_a_syn() -> None:
    check(Story().out(0, 0, flags=SYN | FIN), WAITING)


def test_a_syn_with_rst_is_a_rst() -> None:
    check(Story().out(0, 0, flags=SYN | RST), {"midstream": 1, "rst": 1, "rst_out": 1})


def test_a_syn_with_rst_of_another_isn_resets_the_connection_that_there_is() -> None:
    story = Story().handshake().out(20, 9_000, flags=SYN | RST)
    check(story, OPENED, {"rst": 1, "rst_out": 1})


def test_segments_belong_to_the_latest_connection_of_their_4_tuple() -> None:
    story = Story().handshake().out(20, 9_000, flags=SYN).back(30, 7_000, 9_001, flags=SYN)
    check(story, OPENED, OPEN, {"syn": 1, "synack": 1, "syn_rtt": [10 * MS]})


# --- SYN/ACK --------------------------------------------------------------------------------------


def test_a_handshake_counts_once_each() -> None:
    check(Story().handshake(), OPENED, OPEN)


@pytest.mark.parametrize("ack", [0, 2, -1])
def test_a_synack_of_another_sequence_number_is_no_answer(ack: int) -> None:
    check(Story().syn(0).synack(10, ack=ack), WAITING)


def test_a_synack_of_the_client_is_no_answer() -> None:
    check(Story().syn(0).out(10, 0, 1, flags=SYN), WAITING, {"one_sided": 1})


def test_further_synacks_are_retransmissions() -> None:
    story = Story().syn(0).synack(10).synack(12).out(13, 1, 1).synack(40)
    counted = {"synack_retrans": 2, "syn_rtt": [10 * MS], "connect_latency": [13 * MS]}
    check(story, {"syn": 1, "synack": 1, "est": 1}, counted, OPEN)


@pytest.mark.parametrize("acked", range(6))
def test_a_synack_may_acknowledge_up_to_all_data_of_the_syn(acked: int) -> None:
    story = Story().syn(0, payload=b"hello").synack(10, ack=1 + acked)
    counted = {"syn": 1, "requests": 1, "bytes_out": 5, "synack": 1, "syn_rtt": [10 * MS]}
    check(story, counted, OPEN, {"acked_bytes": acked})


def test_a_synack_beyond_the_data_of_the_syn_is_no_answer() -> None:
    story = Story().syn(0, payload=b"hello").synack(10, ack=7)
    check(story, WAITING, {"requests": 1, "bytes_out": 5})


def test_fast_open_samples_its_latency_at_the_ack_of_what_the_synack_acknowledged() -> None:
    story = Story().syn(0, payload=b"hello").synack(10, ack=6).out(11, 6, 1)
    check(story, OPENED, OPEN, {"requests": 1, "bytes_out": 5, "acked_bytes": 5})


def test_fast_open_data_that_was_not_taken_is_sent_again() -> None:
    story = Story().syn(0, payload=b"hello").synack(10).out(11, 1, 1, b"hello").back(40, 1, 6, b"x")
    counted = {
        "requests": 1,
        "bytes_out": 5,
        "retrans_out": 1,
        "slow_by_loss": 1,
        "responses": 1,
        "bytes_in": 1,
        "acked_bytes": 5,
        # From the first transmission; the payload of a SYN is not timed for net_rtt.
        "response_time": [40 * MS],
        "server_time": [30 * MS],
    }
    check(story, OPENED, OPEN, counted)


def test_a_retransmitted_syn_with_data_is_no_retransmitted_segment() -> None:
    story = Story().syn(0, payload=b"hello").syn(1_000, payload=b"hello")
    check(story, WAITING, {"syn_retrans": 1, "requests": 1, "bytes_out": 5})


@pytest.mark.parametrize(("isn", "synack_retrans"), [(0, 1), (7_000, 1)])
def test_of_synacks_with_two_isns_the_acknowledged_one_counts(
    isn: int, synack_retrans: int
) -> None:
    story = (
        Story()
        .syn(0)
        .synack(10)
        .synack(12, seq=7_000)
        .out(13, 1, isn + 1)
        .out(20, 1, isn + 1, b"q")
        .back(40, isn + 1, 2, b"answer")
        .out(41, 2, isn + 7)
    )
    counted = {
        "syn": 1,
        "synack": 1,
        "synack_retrans": synack_retrans,
        "est": 1,
        "syn_rtt": [10 * MS],
        "connect_latency": [13 * MS],
        "requests": 1,
        "responses": 1,
        "bytes_out": 1,
        "bytes_in": 6,
        "acked_bytes": 7,
        "response_time": [20 * MS],
        "server_time": [10 * MS],
        "net_rtt": [20 * MS],
    }
    check(story, counted, OPEN)


# --- proof that a handshake completed -------------------------------------------------------------


def test_without_a_captured_synack_any_ack_of_the_client_proves() -> None:
    check(Story().syn(0).out(11, 1, 1), {"syn": 1, "est": 1}, OPEN, {"one_sided": 1})


def test_data_without_ack_proves_nothing() -> None:
    story = Story().syn(0).synack(10).out(11, 1, payload=b"x")
    counted = {"syn": 1, "synack": 1, "syn_rtt": [10 * MS], "requests": 1, "bytes_out": 1}
    check(story, counted, OPEN)


def test_an_ack_below_the_servers_isn_proves_nothing() -> None:
    story = Story().syn(0).synack(10).out(11, 1, 0)
    check(story, {"syn": 1, "synack": 1, "syn_rtt": [10 * MS]}, OPEN)


def test_the_first_segment_that_fits_gives_the_latency_not_the_first_segment() -> None:
    story = Story().syn(0).synack(10).out(10.5, 1, 0).out(11, 1, 1)
    check(story, OPENED, OPEN)


def test_an_ack_of_more_than_the_isn_proves_without_a_latency() -> None:
    story = Story().syn(0).synack(10).back(20, 1, 1, b"hello").out(21, 1, 6)
    counted = {"syn": 1, "synack": 1, "est": 1, "syn_rtt": [10 * MS], "banners": 1}
    check(story, counted, OPEN, {"bytes_in": 5, "acked_bytes": 5})


def test_data_with_the_right_numbers_is_the_ack_of_the_handshake() -> None:
    story = Story().syn(0).synack(10).out(12, 1, 1, b"x")
    counted = {"connect_latency": [12 * MS], "syn_rtt": [10 * MS], "requests": 1, "bytes_out": 1}
    check(story, {"syn": 1, "synack": 1, "est": 1}, counted, OPEN)


def test_another_sequence_number_proves_without_a_latency() -> None:
    story = Story().syn(0).synack(10).out(12, 4, 1, b"x")
    counted = {"syn_rtt": [10 * MS], "requests": 1, "bytes_out": 1}
    check(story, {"syn": 1, "synack": 1, "est": 1}, counted, OPEN)


def test_after_the_proof_there_is_no_second_one_and_no_late_latency() -> None:
    story = Story().syn(0).synack(10).out(11, 2, 1).out(12, 1, 1).out(13, 1, 1)
    check(story, {"syn": 1, "synack": 1, "est": 1, "syn_rtt": [10 * MS]}, OPEN)


REACH = 1 << 30


def test_an_ack_within_reach_of_the_isn_proves() -> None:
    story = Story().syn(0).synack(10).out(11, 1, 1 + REACH)
    counted = {"acked_bytes": REACH, "gap_bytes": REACH, "capture_gaps": 1}
    check(story, {"syn": 1, "synack": 1, "est": 1, "syn_rtt": [10 * MS]}, OPEN, counted)


def test_an_ack_out_of_reach_of_the_isn_proves_nothing() -> None:
    story = Story().syn(0).synack(10).out(11, 1, 2 + REACH)
    check(story, {"syn": 1, "synack": 1, "syn_rtt": [10 * MS]}, OPEN)


def test_a_server_that_acknowledges_data_beyond_the_syn_proves() -> None:
    story = Story().syn(0).synack(10).back(30, 1, 11).out(40, 11, 1)
    missed = {"acked_bytes": 10, "gap_bytes": 10, "capture_gaps": 1}
    check(story, {"syn": 1, "synack": 1, "est": 1, "syn_rtt": [10 * MS]}, OPEN, missed)


def test_a_server_that_acknowledges_the_data_of_the_syn_proves_nothing() -> None:
    story = Story().syn(0, payload=b"hello").synack(10, ack=1).back(20, 1, 6)
    counted = {"syn": 1, "synack": 1, "syn_rtt": [10 * MS], "requests": 1, "bytes_out": 5}
    check(story, counted, OPEN, {"acked_bytes": 5})


def test_a_server_that_acknowledges_the_first_byte_beyond_the_syn_proves() -> None:
    story = Story().syn(0, payload=b"hello").synack(10, ack=6).back(20, 1, 7)
    counted = {"syn": 1, "synack": 1, "est": 1, "syn_rtt": [10 * MS], "requests": 1}
    missed = {"bytes_out": 5, "acked_bytes": 6, "gap_bytes": 1, "capture_gaps": 1}
    check(story, counted, OPEN, missed)


def test_before_a_synack_an_ack_beyond_what_the_client_sent_counts_for_nothing() -> None:
    check(Story().syn(0).back(5, 77, 500), WAITING)


def test_before_a_synack_an_ack_of_data_that_the_client_sent_proves() -> None:
    # The segment with the data has no ACK flag, so it is no proof by itself.
    story = Story().syn(0).out(10, 1, payload=b"abc").back(20, 1, 4)
    counted = {"syn": 1, "est": 1, "requests": 1, "bytes_out": 3, "acked_bytes": 3}
    check(story, counted, OPEN, {"net_rtt": [10 * MS]})


# --- latencies of the handshake -------------------------------------------------------------------


def test_the_latency_counts_from_the_first_syn_and_karn_forbids_the_round_trip() -> None:
    story = Story().syn(0).syn(1_000).synack(1_010).out(1_011, 1, 1)
    counted = {"syn": 1, "syn_retrans": 1, "synack": 1, "est": 1}
    check(story, counted, OPEN, {"connect_latency": [1_011 * MS]})


def test_a_syn_after_the_first_synack_leaves_the_round_trip_alone() -> None:
    story = Story().syn(0).synack(10).syn(12).synack(14).out(15, 1, 1)
    counted = {"syn": 1, "syn_retrans": 1, "synack": 1, "synack_retrans": 1, "est": 1}
    check(story, counted, OPEN, {"syn_rtt": [10 * MS], "connect_latency": [15 * MS]})


@pytest.mark.parametrize(
    ("at_ms", "payload", "is_sample"),
    [(31, b"x", True), (31 + NS, b"x", False), (9_000, b"x", False), (9_000, b"", True)],
)
def test_data_more_than_two_round_trips_and_1_ms_behind_the_synack_is_idleness(
    at_ms: float, payload: bytes, is_sample: bool
) -> None:
    story = Story().syn(0).synack(10).out(at_ms, 1, 1, payload)
    counted = {"syn": 1, "synack": 1, "est": 1, "syn_rtt": [10 * MS]}
    data = {"bytes_out": len(payload), "requests": len(payload)}
    latency = {"connect_latency": [round(at_ms * MS)] if is_sample else []}
    check(story, counted, OPEN, data, latency)


def test_without_a_round_trip_of_the_syn_no_data_is_late() -> None:
    story = Story().syn(0).syn(1_000).synack(1_010).out(9_000, 1, 1, b"x")
    counted = {"syn": 1, "syn_retrans": 1, "synack": 1, "est": 1, "requests": 1, "bytes_out": 1}
    check(story, counted, OPEN, {"connect_latency": [9_000 * MS]})


def test_negative_latencies_are_no_samples() -> None:
    story = Story().syn(10).synack(9).out(9.5, 1, 1)
    check(story, {"syn": 1, "synack": 1, "est": 1}, OPEN)


def test_a_latency_of_zero_is_a_sample() -> None:
    story = Story().syn(10).synack(10).out(10, 1, 1)
    counted = {"syn_rtt": [0], "connect_latency": [0]}
    check(story, {"syn": 1, "synack": 1, "est": 1}, OPEN, counted)


# --- time-outs ------------------------------------------------------------------------------------

TIMED_OUT = {"syn": 1, "timeouts": 1}


def test_an_attempt_waits_for_just_under_20_s() -> None:
    check(Story().syn(0), WAITING, until_ms=19_999.999999)


def test_an_attempt_times_out_at_20_s() -> None:
    check(Story().syn(0), TIMED_OUT, until_ms=20_000)
    check(Story().syn(0), TIMED_OUT, until_ms=20_000, finish=False)


def test_any_packet_moves_the_clock() -> None:
    check(Story().syn(0).raw(20_000, bytes(60)), TIMED_OUT, health={"not_tcp": 1})


def test_a_packet_that_cannot_be_read_moves_the_clock() -> None:
    story = Story().syn(0).raw(20_000, bytes(13))
    check(story, TIMED_OUT, health={"undecoded": {"truncated": 1}})


def test_the_clock_never_goes_back() -> None:
    late = Story(client_port=41_000).syn(19_999)
    check([Story().syn(0), late], {"syn": 2, "pending": 2, "active": 2}, until_ms=5_000)


def test_a_packet_from_the_past_counts_at_the_clock() -> None:
    # The second SYN counts at 10 s: it waits until 30 s.
    early = Story(client_port=41_000)
    story = Story().syn(10_000)
    story.lines += early.syn(0).lines
    check(story, WAITING, {"syn_retrans": 1}, until_ms=29_999)


def test_20_s_count_from_the_first_syn() -> None:
    check(Story().syn(0).syn(15_000), TIMED_OUT, {"syn_retrans": 1}, until_ms=20_000)


def test_an_answer_at_20_s_comes_too_late_and_still_counts() -> None:
    story = Story().syn(0).synack(20_000).out(20_001, 1, 1)
    counted = {"synack": 1, "est": 1, "syn_rtt": [20 * S], "connect_latency": [20_001 * MS]}
    check(story, TIMED_OUT, counted, OPEN)


def test_an_answer_in_time_ends_the_wait() -> None:
    answered = {"syn": 1, "synack": 1, "syn_rtt": [19_999 * MS]}
    check(Story().syn(0).synack(19_999), answered, OPEN, until_ms=60_000)


def test_a_proof_in_time_ends_the_wait() -> None:
    proven = {"syn": 1, "est": 1, "one_sided": 1}
    check(Story().syn(0).out(19_999, 1, 1), proven, OPEN, until_ms=60_000)


def test_a_proof_after_the_time_makes_it_active_again() -> None:
    proven = {"est": 1, "one_sided": 1}
    check(Story().syn(0).out(20_001, 1, 1), TIMED_OUT, proven, OPEN, until_ms=60_000)


def test_a_rst_of_either_side_ends_the_wait() -> None:
    refused = {"syn": 1, "rst": 1, "rst_in": 1, "refused": 1}
    check(Story().syn(0).rst_back(19_999, 0, 1), refused, until_ms=40_000)
    given_up = {"syn": 1, "rst": 1, "rst_out": 1}
    check(Story().syn(0).rst_out(19_999, 1), given_up, until_ms=40_000)


def test_an_answer_after_the_clients_rst_still_counts() -> None:
    story = Story().syn(0).rst_out(5, 1).synack(10)
    check(story, {"syn": 1, "rst": 1, "rst_out": 1, "synack": 1, "syn_rtt": [10 * MS]})


def test_a_timed_out_attempt_is_remembered_for_just_under_300_s() -> None:
    check(Story().syn(0).syn(299_999), TIMED_OUT, {"syn_retrans": 1})


def test_a_timed_out_attempt_is_forgotten_300_s_after_its_last_segment() -> None:
    check(Story().syn(0).syn(300_000), TIMED_OUT, WAITING)
    check(Story().syn(0).syn(1_000).syn(300_999), TIMED_OUT, {"syn_retrans": 2})
    check(Story().syn(0).syn(1_000).syn(301_000), TIMED_OUT, WAITING, {"syn_retrans": 1})
