"""Requests, responses, banners and their latencies (definitions §5)."""

from __future__ import annotations

from support.builders.packets import NS_PER_MS, NS_PER_S
from support.traffic.stories import OPENED, Story, check

MS, S = NS_PER_MS, NS_PER_S

OPEN = {"active": 1}
Q, R = b"q" * 10, b"r" * 20


def _open() -> Story:
    return Story().handshake()


def _asked() -> Story:
    """A request of 10 bytes at 100 ms."""
    return _open().out(100, 1, 1, Q)


ASKED = {**OPENED, "requests": 1, "bytes_out": 10}
ANSWER = {
    "responses": 1,
    "bytes_in": 20,
    "acked_bytes": 10,
    "response_time": [50 * MS],
    "server_time": [40 * MS],
    "net_rtt": [50 * MS],
}
"""What an answer of 20 bytes at 150 ms adds."""
ANSWERED = {**ASKED, **ANSWER}


def _answered() -> Story:
    return _asked().back(150, 1, 11, R)


# --- runs -----------------------------------------------------------------------------------------


def test_a_request_and_its_response() -> None:
    check(_asked(), ASKED, OPEN)
    check(_answered(), ANSWERED, OPEN)


def test_a_pipelined_batch_is_one_request() -> None:
    story = _asked().out(110, 11, 1, Q).out(125, 21, 1, Q).back(150, 1, 31, R)
    counted = {
        "requests": 1,
        "responses": 1,
        "bytes_out": 30,
        "bytes_in": 20,
        "acked_bytes": 30,
        # From the last segment of the request; the round trip is that of the first.
        "response_time": [25 * MS],
        "server_time": [15 * MS],
        "net_rtt": [50 * MS],
    }
    check(story, OPENED, OPEN, counted)


def test_a_response_of_several_segments_is_one() -> None:
    story = _answered().back(160, 21, 11, R).back(170, 41, 11, R)
    check(story, ANSWERED, OPEN, {"bytes_in": 40})


def test_the_next_request_begins_with_the_clients_next_data() -> None:
    story = _answered().out(200, 11, 21, Q).back(230, 21, 21, R)
    counted = {
        "requests": 1,
        "bytes_out": 10,
        "responses": 1,
        "bytes_in": 20,
        "acked_bytes": 30,
        "response_duration": [50 * MS],
        "response_time": [30 * MS],
        "server_time": [20 * MS],
        "net_rtt": [30 * MS],
    }
    check(story, ANSWERED, OPEN, counted)


def test_acks_start_nothing() -> None:
    story = _open().back(20, 1, 1).out(21, 1, 1)
    check(story, OPENED, OPEN)


def test_retransmitted_data_starts_nothing() -> None:
    # After the answer the request again: the response goes on, no second request begins.
    story = _answered().out(160, 1, 21, Q).back(170, 21, 11, R)
    check(story, ANSWERED, OPEN, {"retrans_out": 1, "acked_bytes": 20, "bytes_in": 20})


def test_reordered_data_starts_nothing() -> None:
    story = _asked().out(101, 21, 1, Q).out(102, 11, 1, Q).back(150, 1, 31, R)
    counted = {"bytes_out": 20, "out_of_order": 1, "acked_bytes": 20}
    answer = {**ANSWER, "response_time": [49 * MS], "server_time": [39 * MS]}
    # The hole lies before the request's last segment but was filled: nothing was missed.
    check(story, ASKED, OPEN, counted, answer)


def test_keepalives_start_nothing() -> None:
    story = _answered().out(151, 11, 21).out(60_000, 10, 21, b"q").back(60_001, 21, 11, R)
    check(story, ANSWERED, OPEN, {"keepalives": 1, "acked_bytes": 20, "bytes_in": 20})


def test_new_data_behind_old_in_one_segment_is_a_request() -> None:
    story = _answered().out(200, 6, 21, Q)
    counted = {"requests": 1, "bytes_out": 5, "acked_bytes": 20, "response_duration": [50 * MS]}
    check(story, ANSWERED, OPEN, counted)


# --- banners --------------------------------------------------------------------------------------


def test_what_the_server_says_first_is_a_banner() -> None:
    story = _open().back(20, 1, 1, R).back(25, 21, 1, R)
    check(story, OPENED, OPEN, {"banners": 1, "bytes_in": 40})


def test_after_a_banner_requests_are_answered() -> None:
    story = _open().back(20, 1, 1, R).out(100, 1, 21, Q).back(150, 21, 11, R)
    counted = {"banners": 1, "bytes_in": 20, "acked_bytes": 20}
    check(story, ANSWERED, OPEN, counted)


def test_in_mid_stream_the_server_has_no_banner() -> None:
    story = Story().back(20, 1, 1, R)
    check(story, {"midstream": 1, "bytes_in": 20}, OPEN)
    story.out(100, 1, 21, Q).back(150, 21, 11, R)
    counted = {
        "midstream": 1,
        "requests": 1,
        "bytes_out": 10,
        "responses": 1,
        "bytes_in": 40,
        "acked_bytes": 10,
        "response_time": [50 * MS],
        "net_rtt": [50 * MS],
    }
    check(story, counted, OPEN)


def test_a_banner_needs_no_completed_handshake() -> None:
    story = Story().syn(0).synack(10).back(20, 1, 1, R)
    check(story, {"syn": 1, "synack": 1, "syn_rtt": [10 * MS], "banners": 1, "bytes_in": 20}, OPEN)


# --- response times -------------------------------------------------------------------------------


def test_a_retransmitted_request_keeps_its_first_time_and_is_slow_by_loss() -> None:
    story = _asked().out(300, 1, 1, Q).back(350, 1, 11, R)
    counted = {
        "responses": 1,
        "bytes_in": 20,
        "acked_bytes": 10,
        "retrans_out": 1,
        "slow_by_loss": 1,
        "response_time": [250 * MS],
        "server_time": [240 * MS],
    }
    check(story, ASKED, OPEN, counted)


def test_a_request_that_is_never_answered_is_not_slow_by_loss() -> None:
    check(_asked().out(300, 1, 1, Q), ASKED, OPEN, {"retrans_out": 1})


def test_an_older_request_that_is_sent_again_slows_nothing() -> None:
    story = _answered().out(200, 11, 21, Q).out(210, 1, 21, Q).back(230, 21, 21, R)
    counted = {
        "requests": 1,
        "bytes_out": 10,
        "retrans_out": 1,
        "responses": 1,
        "bytes_in": 20,
        "acked_bytes": 30,
        "response_duration": [50 * MS],
        "response_time": [30 * MS],
        "server_time": [20 * MS],
        "net_rtt": [30 * MS],
    }
    check(story, ANSWERED, OPEN, counted)


def test_one_byte_of_the_request_sent_again_is_slow_by_loss() -> None:
    story = _answered().out(200, 11, 21, Q).out(210, 1, 21, b"q" * 11).back(230, 21, 21, R)
    counted = {
        "requests": 1,
        "bytes_out": 10,
        "retrans_out": 1,
        "slow_by_loss": 1,
        "responses": 1,
        "bytes_in": 20,
        "acked_bytes": 30,
        "response_duration": [50 * MS],
        "response_time": [30 * MS],
        "server_time": [20 * MS],
    }
    check(story, ANSWERED, OPEN, counted)


def test_a_response_of_the_past_gives_no_time() -> None:
    story = _asked().back(99, 1, 11, R).out(99.5, 11, 21, flags=1)
    counted = {"responses": 1, "bytes_in": 20, "acked_bytes": 30, "fin_out": 1}
    check(story, ASKED, OPEN, counted)


def test_a_response_at_once_takes_no_time() -> None:
    story = _asked().back(100, 1, 11, R)
    counted = {"response_time": [0], "server_time": [0], "net_rtt": [0]}
    check(story, ASKED, OPEN, {**ANSWER, **counted})


# --- response durations ---------------------------------------------------------------------------


def test_the_duration_ends_with_the_responses_last_data() -> None:
    story = _answered().back(400, 21, 11, R).back(401, 41, 11).out(402, 11, 41).rst_out(500, 11)
    counted = {"bytes_in": 20, "acked_bytes": 40, "response_duration": [300 * MS]}
    check(story, ANSWERED, counted, {"rst": 1, "rst_out": 1, "reuse": [1]})


def test_without_an_end_there_is_no_duration() -> None:
    check(_answered().out(151, 11, 21), ANSWERED, OPEN, {"acked_bytes": 20}, until_ms=200_000)


def test_a_duration_is_sampled_once() -> None:
    story = _answered().fin_back(200, 21, 11).out(210, 11, 22, Q).fin_out(220, 21, 22)
    counted = {
        "fin_in": 1,
        "requests": 1,
        "bytes_out": 10,
        "acked_bytes": 21,
        "response_duration": [50 * MS],
        "reuse": [1],
    }
    check(story, ANSWERED, counted)


def test_data_of_the_server_behind_its_fin_lengthens_nothing() -> None:
    story = _answered().fin_back(200, 21, 11).back(210, 22, 11, R).rst_out(220, 11)
    counted = {"fin_in": 1, "bytes_in": 20, "response_duration": [50 * MS], "reuse": [1]}
    check(story, ANSWERED, counted, {"rst_after_fin": 1})


# --- net_rtt --------------------------------------------------------------------------------------


def test_one_segment_is_timed_at_a_time() -> None:
    story = _asked().out(110, 11, 1, Q).back(120, 1, 11).back(125, 1, 21).out(130, 21, 1, Q)
    story.back(137, 1, 31)
    counted = {"bytes_out": 20, "acked_bytes": 30, "net_rtt": [20 * MS, 7 * MS]}
    check(story, ASKED, OPEN, counted)


def test_an_ack_must_cover_the_end_of_the_segment() -> None:
    story = _asked().back(120, 1, 10).back(130, 1, 11)
    check(story, ASKED, OPEN, {"acked_bytes": 10, "net_rtt": [30 * MS]})


def test_an_ack_beyond_the_end_covers_it() -> None:
    story = _asked().out(110, 11, 1, Q).back(120, 1, 21)
    check(story, ASKED, OPEN, {"bytes_out": 10, "acked_bytes": 20, "net_rtt": [20 * MS]})


def test_a_retransmission_drops_the_timed_segment_and_frees_the_timer() -> None:
    story = _asked().out(300, 1, 1, Q).out(310, 11, 1, Q).back(350, 1, 21)
    counted = {"bytes_out": 10, "retrans_out": 1, "acked_bytes": 20, "net_rtt": [40 * MS]}
    check(story, ASKED, OPEN, counted)


def test_a_retransmission_of_one_byte_of_it_drops_the_timed_segment() -> None:
    story = _asked().out(300, 10, 1, b"q").back(350, 1, 11)
    check(story, ASKED, OPEN, {"retrans_out": 1, "acked_bytes": 10})


def test_a_retransmission_beside_it_leaves_the_timed_segment() -> None:
    # Timed is 11 … 20; sent again is 1 … 10.
    story = _asked().back(120, 1, 11).out(130, 11, 1, Q).out(140, 1, 1, Q).back(150, 1, 21)
    counted = {"bytes_out": 10, "retrans_out": 1, "acked_bytes": 20, "net_rtt": [20 * MS] * 2}
    check(story, ASKED, OPEN, counted)


def test_behind_a_hole_nothing_is_timed() -> None:
    story = _open().out(100, 11, 1, Q).out(101, 1, 1, Q).back(150, 1, 21)
    counted = {"requests": 1, "bytes_out": 20, "out_of_order": 1, "acked_bytes": 20}
    check(story, OPENED, OPEN, counted)


def test_a_filled_hole_does_not_keep_the_next_from_being_timed() -> None:
    story = _open().out(100, 11, 1, Q).out(101, 1, 1, Q).out(102, 21, 1, Q).back(150, 1, 31)
    counted = {"requests": 1, "bytes_out": 30, "out_of_order": 1, "acked_bytes": 30}
    check(story, OPENED, OPEN, counted, {"net_rtt": [48 * MS]})


def test_an_ack_of_the_past_is_no_round_trip_and_frees_the_timer() -> None:
    story = _asked().back(99, 1, 11).out(110, 11, 1, Q).back(115, 1, 21)
    check(story, ASKED, OPEN, {"bytes_out": 10, "acked_bytes": 20, "net_rtt": [5 * MS]})


def test_a_rst_acknowledges_no_timed_segment() -> None:
    check(_asked().rst_back(150, 1, 11), ASKED, {"rst": 1, "rst_in": 1, "unanswered": 1})


def test_after_a_rst_no_round_trip_is_sampled() -> None:
    story = _asked().rst_out(110, 11).back(150, 1, 11)
    check(story, ASKED, {"rst": 1, "rst_out": 1, "unanswered": 1, "acked_bytes": 10})


def test_the_servers_data_is_never_timed() -> None:
    story = _open().back(20, 1, 1, R).out(90, 1, 21)
    check(story, OPENED, OPEN, {"banners": 1, "bytes_in": 20, "acked_bytes": 20})


# --- server_time ----------------------------------------------------------------------------------


def test_server_time_is_never_below_zero() -> None:
    story = _asked().back(105, 1, 11, R)
    counted = {"response_time": [5 * MS], "server_time": [0], "net_rtt": [5 * MS]}
    check(story, ASKED, OPEN, {**ANSWER, **counted})


def test_the_floor_is_the_least_round_trip_before_the_response() -> None:
    # 10 ms of the handshake, then 4 ms of an ACK of its own, then 30 ms.
    story = _asked().back(104, 1, 11).back(150, 1, 11, R).out(200, 11, 21, Q).back(230, 21, 21, R)
    counted = {
        "requests": 2,
        "responses": 2,
        "bytes_out": 20,
        "bytes_in": 40,
        "acked_bytes": 40,
        "net_rtt": [4 * MS, 30 * MS],
        "response_time": [50 * MS, 30 * MS],
        "server_time": [46 * MS, 26 * MS],
        "response_duration": [50 * MS],
    }
    check(story, OPENED, OPEN, counted)


def test_the_round_trip_of_the_responses_own_ack_is_no_floor_yet() -> None:
    # 2 ms, known with the response's first segment, counts from the next response on.
    story = _asked().back(102, 1, 11, R).out(200, 11, 21, Q).back(230, 21, 21, R)
    counted = {
        "requests": 2,
        "responses": 2,
        "bytes_out": 20,
        "bytes_in": 40,
        "acked_bytes": 40,
        "net_rtt": [2 * MS, 30 * MS],
        "response_time": [2 * MS, 30 * MS],
        "server_time": [0, 28 * MS],
        "response_duration": [2 * MS],
    }
    check(story, OPENED, OPEN, counted)


def test_without_a_floor_there_is_no_server_time() -> None:
    story = Story().syn(0).syn(5).synack(10).out(11, 1, 1).out(100, 1, 1, Q).back(150, 1, 11, R)
    counted = {"syn": 1, "syn_retrans": 1, "synack": 1, "est": 1, "connect_latency": [11 * MS]}
    answer = {**ANSWER, "requests": 1, "bytes_out": 10}
    del answer["server_time"]
    check(story, counted, OPEN, answer)


# --- what the capture missed ----------------------------------------------------------------------


def test_a_missed_request_segment_withholds_the_times() -> None:
    # 11 … 20 of the request were acknowledged and never seen.
    story = _asked().back(150, 1, 21, R).rst_out(200, 21)
    counted = {
        "responses": 1,
        "withheld": 1,
        "bytes_in": 20,
        "acked_bytes": 20,
        "net_rtt": [50 * MS],
        "capture_gaps": 1,
        "gap_bytes": 10,
        "reuse": [1],
    }
    check(story, ASKED, counted, {"rst": 1, "rst_out": 1})


def test_a_hole_just_before_the_request_withholds_the_times() -> None:
    story = _open().out(100, 11, 1, Q).back(150, 1, 1, R).rst_out(200, 21)
    counted = {"requests": 1, "responses": 1, "bytes_out": 10, "bytes_in": 20, "reuse": [1]}
    check(story, OPENED, counted, {"withheld": 1, "rst": 1, "rst_out": 1})


def test_a_hole_inside_the_request_withholds_the_times() -> None:
    story = _asked().out(110, 21, 1, Q).back(150, 1, 11, R).rst_out(200, 31)
    counted = {"responses": 1, "bytes_out": 10, "bytes_in": 20, "acked_bytes": 10, "reuse": [1]}
    check(story, ASKED, counted, {"withheld": 1, "net_rtt": [50 * MS], "rst": 1, "rst_out": 1})


def test_a_hole_of_an_earlier_request_withholds_nothing() -> None:
    # 11 … 20 were missed and acknowledged before the second request: they belong to the first.
    story = _asked().back(150, 1, 21, R).out(200, 21, 21, Q).back(250, 21, 31, R)
    story.out(300, 31, 41, Q).back(350, 41, 41, R)
    counted = {
        "requests": 2,
        "responses": 3,
        "bytes_out": 20,
        "bytes_in": 60,
        "acked_bytes": 40 + 40,
        "withheld": 1,
        "net_rtt": [50 * MS],
        "response_time": [50 * MS] * 2,
        "server_time": [40 * MS] * 2,
        "response_duration": [50 * MS],
        "capture_gaps": 1,
        "gap_bytes": 10,
    }
    check(story, ASKED, OPEN, counted)


def test_a_missed_segment_of_the_server_before_the_response_withholds_the_times() -> None:
    story = _asked().back(150, 21, 11, R).rst_out(200, 11)
    counted = {"responses": 1, "bytes_in": 20, "acked_bytes": 10, "net_rtt": [50 * MS]}
    check(story, ASKED, counted, {"withheld": 1, "reuse": [1], "rst": 1, "rst_out": 1})


def test_a_missed_segment_of_the_server_before_the_request_withholds_nothing() -> None:
    # The first 20 bytes were missed; when the request begins the server has reached 41.
    story = _open().back(20, 21, 1, R).out(100, 1, 41, Q).back(150, 41, 11, R)
    counted = {"banners": 1, "bytes_in": 20, "acked_bytes": 40, "capture_gaps": 1, "gap_bytes": 20}
    check(story, ANSWERED, OPEN, counted)


def test_a_missed_segment_of_the_server_behind_the_response_withholds_nothing() -> None:
    story = _answered().back(160, 41, 11, R).rst_out(200, 11)
    counted = {"bytes_in": 20, "response_duration": [60 * MS], "reuse": [1]}
    check(story, ANSWERED, counted, {"rst": 1, "rst_out": 1})


def test_a_withheld_response_still_counts_as_slow_by_loss() -> None:
    story = _asked().out(120, 1, 1, Q).back(150, 1, 21, R)
    counted = {
        "retrans_out": 1,
        "slow_by_loss": 1,
        "responses": 1,
        "withheld": 1,
        "bytes_in": 20,
        "acked_bytes": 20,
        "capture_gaps": 1,
        "gap_bytes": 10,
    }
    check(story, ASKED, OPEN, counted)


def test_a_judged_hole_of_the_request_still_withholds_the_times() -> None:
    # Acknowledged at 150 ms, judged at 1,150 ms; the response comes at 2 s.
    story = _asked().back(150, 1, 21).back(2_000, 1, 21, R)
    counted = {
        "responses": 1,
        "withheld": 1,
        "bytes_in": 20,
        "acked_bytes": 20,
        "net_rtt": [50 * MS],
        "capture_gaps": 1,
        "gap_bytes": 10,
    }
    check(story, ASKED, OPEN, counted)
