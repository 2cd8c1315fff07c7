"""Verdicts and their sentences, each cause at its limit and just inside it."""

from __future__ import annotations

from typing import Any

import pytest
from support.builders.evidence import AT_ITS_LIMIT, CASES, MS, evidence, healthy

from trtop_core.records import NS_PER_S
from trtop_core.verdicts.because import SENTENCES, because
from trtop_core.verdicts.causes import WORDS, Cause
from trtop_core.verdicts.rules import RULES, causes_of, holding, verdicts


def verdict(row: dict[str, Any], loss: float | None = None, **limits: Any) -> Cause:
    """The verdict of one row."""
    e = evidence([row], loss, **limits)
    return Cause(int(verdicts(e._counters, e._sketches, loss, e.limits, e._waits_ns)[0]))


JUST_INSIDE: list[dict[str, Any]] = [
    {"gap_bytes": 1000, "capture_gaps": 1},
    {"refused": 9, "rst_in": 9},
    {"timeouts": 9},
    {"timeouts": 5, "pending_retrans": 4},
    {"rst_in": 4},
    {"rst_in": 8, "refused": 4},
    {"tls_failed": 4},
    {"unanswered": 19},
    {"syn_retrans": 2},
    {"connect_latency": [198 * MS] * 100},
    {"connect_latency": [290 * MS] * 100, "path_rtt": [99 * MS] * 100},
    {"connect_latency": [900 * MS] * 4 + [10 * MS] * 96},
    {"connect_latency": [900 * MS] * 9},
    {"connect_latency": [900 * MS] * 100, "path_rtt": []},
    {"retrans_out": 19, "retrans_in": 19},
    {"server_time": [99 * MS] * 100},
    {"server_time": [290 * MS] * 100, "path_rtt": [99 * MS] * 100},
    {"server_time": [900 * MS] * 9},
    {"stalls": 9},
    {"zero_window_connections_out": 4, "zero_window_connections_in": 4},
    {"path_rtt": [99 * MS] * 100, "response_time": [100 * MS] * 100},
    {"path_rtt": [100 * MS] * 100, "response_time": [210 * MS] * 100},
    {"path_rtt": [100 * MS] * 100, "response_time": [110 * MS] * 9},
    {"reuse": [1] * 19, "response_duration": [23 * MS] * 100},
    {"reuse": [2] * 20, "response_duration": [23 * MS] * 100},
    {"reuse": [1] * 20, "response_duration": [24 * MS] * 100},
    {"multiplexed_unfollowed": 49},
    {"waiting": 1, "request_wait_ns": 999 * MS},
    {"waiting": 1, "request_wait_ns": 1100 * MS, "response_time": [400 * MS] * 100},
    {"pending": 1, "attempt_wait_ns": 900 * MS},
]
"""What a healthy row bears."""


@pytest.mark.parametrize(("cause", "change"), CASES)
def test_a_cause_holds_from_its_limit_on(cause: Cause, change: dict[str, Any]) -> None:
    assert verdict(healthy(**change)) is cause


@pytest.mark.parametrize("change", JUST_INSIDE)
def test_just_inside_a_limit_a_row_is_ok(change: dict[str, Any]) -> None:
    assert verdict(healthy(**change)) is Cause.OK


def test_every_cause_has_a_case_and_a_sentence() -> None:
    ill = set(Cause) - {Cause.OK, Cause.NOTHING}
    assert AT_ITS_LIMIT.keys() == ill
    assert SENTENCES.keys() == ill
    assert [cause for cause, _ in RULES] == sorted(ill | {Cause.OK})
    assert WORDS[Cause.SLOW_SERVER] == "SLOW SERVER"
    assert WORDS[Cause.OK] == "ok"


@pytest.mark.parametrize(("cause", "change"), CASES)
def test_a_cause_that_is_switched_off_is_not_looked_for(
    cause: Cause, change: dict[str, Any]
) -> None:
    assert verdict(healthy(**change), off=frozenset({cause})) is Cause.OK


def test_of_several_causes_the_first_is_the_verdict() -> None:
    row = healthy()
    for cause in reversed(AT_ITS_LIMIT):
        row |= AT_ITS_LIMIT[cause][-1]
        if cause is Cause.SLOW_SERVER:
            row["path_rtt"] = [10 * MS] * 100
    assert verdict(row) is Cause.CAPTURE


def test_a_lossy_path_makes_no_slow_connect() -> None:
    assert verdict(healthy(syn_retrans=3, retrans_in=20)) is Cause.LOSS


def test_a_lossy_capture_makes_every_row_suspect() -> None:
    assert verdict(healthy(), loss=0.0011) is Cause.CAPTURE
    assert verdict(healthy(), loss=0.001) is Cause.OK
    assert verdict({}, loss=0.5) is Cause.CAPTURE


def test_a_share_needs_three_cases_or_all_that_there_are() -> None:
    assert verdict({"syn": 2, "timeouts": 2}) is Cause.NO_ANSWER
    assert verdict({"syn": 2, "est": 1, "synack": 1, "timeouts": 1}) is Cause.OK
    assert verdict({"syn": 3, "est": 1, "synack": 1, "timeouts": 2}) is Cause.OK
    assert verdict({"syn": 3, "timeouts": 3}) is Cause.NO_ANSWER
    assert verdict({"syn": 1, "timeouts": 1}) is Cause.NO_ANSWER


def test_one_sample_of_the_path_is_enough_ten_of_what_is_judged_are() -> None:
    row = {"syn": 9, "synack": 9, "est": 9, "path_rtt": [MS], "server_time": [500 * MS] * 10}
    assert verdict(row) is Cause.SLOW_SERVER
    assert verdict(row | {"server_time": [500 * MS] * 9}) is Cause.OK


def test_nothing_happened_in_a_row_without_connections_and_turns() -> None:
    assert verdict({}) is Cause.NOTHING
    assert verdict({"midstream": 1}) is Cause.OK
    assert verdict({"requests": 1}) is Cause.OK


@pytest.mark.parametrize(
    ("row", "cause"),
    [
        ({"timeouts": 2}, Cause.NO_ANSWER),
        ({"pending": 1, "pending_retrans": 1, "syn_retrans": 2}, Cause.NO_ANSWER),
        ({"refused": 1, "rst_in": 1}, Cause.REFUSED),
        ({"rst_in": 1}, Cause.RESET),
        ({"unanswered": 1}, Cause.SILENT),
        ({"est": 1, "synack": 1, "syn_retrans": 1}, Cause.SLOW_CONNECT),
        ({"pending": 1}, Cause.WAITING),
        ({"waiting": 1}, Cause.WAITING),
        ({}, Cause.NOTHING),
    ],
)
def test_what_began_before_a_window_is_judged_where_it_ends_or_waits(
    row: dict[str, Any], cause: Cause
) -> None:
    assert verdict(row) is cause


def in_use(**changes: Any) -> dict[str, Any]:
    """A row of a window in which no connection began, and whose path was not sampled."""
    row = {
        "requests": 20,
        "responses": 20,
        "segments_out": 20,
        "segments_in": 20,
        "response_time": [130 * MS] * 10,
        "server_time": [100 * MS] * 10,
    }
    return row | changes


def test_in_a_window_the_path_is_what_was_taken_off_where_no_sample_tells_it() -> None:
    assert verdict(in_use()) is Cause.SLOW_SERVER
    assert verdict(in_use(server_time=[99 * MS] * 10)) is Cause.OK
    # 33 ms off: 100 ms are not three times as much.
    assert verdict(in_use(response_time=[134 * MS] * 10)) is Cause.OK
    assert verdict(in_use(response_time=[200 * MS] * 10)) is Cause.FAR
    assert verdict(in_use(response_time=[199 * MS] * 10)) is Cause.OK
    # Some response times have no server time: nobody knows what was taken off the others.
    assert verdict(in_use(response_time=[130 * MS] * 11)) is Cause.OK
    assert verdict(in_use(syn=1, synack=1, est=1)) is Cause.OK
    assert verdict(in_use(midstream=1)) is Cause.OK
    assert verdict(in_use(path_rtt=[40 * MS])) is Cause.OK
    far = evidence([in_use(response_time=[200 * MS] * 10)])
    assert because(far, Cause.FAR).startswith("the path takes 100 ms of the 2")
    slow = evidence([in_use()])
    assert because(slow, Cause.SLOW_SERVER).endswith(
        "(p95), the path 30 ms: it is the service, not the network"
    )


@pytest.mark.parametrize(("side", "reader"), [("out", "here"), ("in", "there")])
def test_a_reader_without_room_since_before_a_window_stalls_in_it(side: str, reader: str) -> None:
    row = {"segments_out": 9, "segments_in": 9, f"zero_window_{side}": 3}
    assert verdict(row) is Cause.STALLS
    assert because(evidence([row]), Cause.STALLS) == (
        f"3 segments said that the reader {reader} has no room yet"
    )
    assert verdict(row | {f"zero_window_{side}": 2}) is Cause.OK
    assert verdict(row | {"midstream": 1}) is Cause.OK


def test_both_sides_that_talk_since_before_a_window_are_mixed_in_it() -> None:
    row = {"segments_out": 3, "segments_in": 3, "bytes_out": 1, "bytes_in": 1}
    assert verdict(row) is Cause.MIXED
    assert because(evidence([row]), Cause.MIXED) == (
        "earlier connections used by both sides at once: request times cannot be told"
    )
    for less in ({"segments_out": 2}, {"segments_in": 2}, {"bytes_out": 0}, {"bytes_in": 0}):
        assert verdict(row | less) is Cause.OK
    turns = ("requests", "responses", "tls_turns", "banners", "fin_out", "fin_in", "rst_out")
    for name in ("syn", "midstream", *turns):
        assert verdict(row | {name: 1}) is Cause.OK
    assert verdict(row | {"rst_in": 1}) is Cause.RESET


def test_a_row_without_any_answer_is_not_ok() -> None:
    assert verdict({"syn": 2, "pending": 2}) is Cause.WAITING
    assert verdict({"syn": 1, "synack": 1}) is Cause.NOTHING
    assert verdict({"syn": 3, "timeouts": 1}) is Cause.NOTHING
    assert verdict({"syn": 1, "synack": 1, "est": 1, "requests": 1, "waiting": 1}) is Cause.OK
    assert verdict({"requests": 1, "waiting": 1}) is Cause.WAITING
    assert verdict({"syn": 1, "pending": 1, "requests": 1, "waiting": 1}) is Cause.OK
    assert verdict({"midstream": 1, "requests": 1, "waiting": 1}) is Cause.OK
    assert verdict({"midstream": 1, "requests": 9, "responses": 8, "waiting": 1}) is Cause.OK


def test_a_host_that_never_answered_is_not_said_to_have_a_full_queue() -> None:
    """Two of three attempts are too few for NO ANSWER (§10); four SYNs sent again are enough."""
    never = evidence([{"syn": 3, "pending": 3, "pending_retrans": 2, "syn_retrans": 4}])
    assert causes_of(never)[0] == Cause.SLOW_CONNECT
    assert because(never, Cause.SLOW_CONNECT) == (
        "4 SYNs sent again for 3 attempts, none answered: SYNs are lost, or the host is down"
    )
    one = evidence([{"syn": 1, "pending": 1, "pending_retrans": 1, "syn_retrans": 1}])
    assert causes_of(one)[0] == Cause.NO_ANSWER


def test_rows_are_judged_each_for_itself() -> None:
    rows = [healthy(), *(healthy(**change) for _, change in CASES), {}]
    e = evidence(rows)
    expected = [Cause.OK, *(cause for cause, _ in CASES), Cause.NOTHING]
    assert verdicts(e._counters, e._sketches, waits_ns=e._waits_ns).tolist() == expected


def test_what_else_holds_is_told() -> None:
    holds = holding(evidence([healthy(rst_in=5, stalls=10)]))
    assert [cause for cause, mask in holds.items() if mask[0]] == [
        Cause.RESET,
        Cause.STALLS,
        Cause.OK,
    ]


def test_limits_can_be_set() -> None:
    row = healthy(server_time=[60 * MS] * 100)
    assert verdict(row) is Cause.OK
    assert verdict(row, server_ns=50 * MS) is Cause.SLOW_SERVER


SENTENCE_OF: list[tuple[dict[str, Any], float | None, str]] = [
    (
        {"gap_bytes": 4380, "capture_gaps": 3, "acked_bytes": 365_000},
        None,
        "the capture missed 1.2 % of the acknowledged bytes (3 gaps): these numbers are lower "
        "bounds",
    ),
    (
        {"synack": 99},
        0.004,
        "the capture did not see the answer of 1 handshake it saw complete and lost 0.4 % of its "
        "packets: these numbers are lower bounds",
    ),
    (
        {"syn": 13, "refused": 13, "rst_in": 13, "synack": 0, "est": 0},
        None,
        "13 of 13 attempts refused: nothing listens at that port, or a firewall answers",
    ),
    (
        {"syn": 3, "synack": 0, "est": 0, "timeouts": 2, "pending_retrans": 1, "syn_retrans": 16},
        None,
        "3 of 3 attempts without an answer (1 still waiting, 16 SYNs sent again): the host is "
        "down, or a route or firewall drops them",
    ),
    (
        {"rst_in": 50, "requests": 110, "reset_age": [5 * MS] * 50},
        None,
        "50 of 100 connections reset by the other end, half of them within 5 ms; connections "
        "carried 1.1 requests on average",
    ),
    (
        {"tls_failed": 17, "tls_failed_in": 12},
        None,
        "17 of 100 TLS handshakes failed: 12 ended by the server, 5 by the client",
    ),
    (
        {"unanswered": 23, "waiting_long": 2},
        None,
        "23 of 1,000 requests unanswered when the connection closed, 2 requests wait longer than "
        "10 s: it accepts and does not answer",
    ),
    (
        {"connect_latency": [1010 * MS] * 100, "syn_retrans": 1},
        None,
        "connecting takes 1.01 s (p95), the path 10 ms; 1 SYN and 0 SYN/ACKs sent again for 100 "
        "attempts: the listen queue is full, the host overloaded, or SYNs are lost",
    ),
    (
        {"retrans_out": 31, "slow_by_loss": 1},
        None,
        "3.1 % of the segments sent and 0 % of those received were sent again; 1 answer came later "
        "for it",
    ),
    (
        {"server_time": [150 * MS] * 100, "path_rtt": [40_000]},
        None,
        "the service takes 150 ms (p95), the path 40 µs: it is the service, not the network",
    ),
    (
        {"stalls": 12, "zero_window_connections_out": 7, "zero_window_connections_in": 1},
        None,
        "7 of 100 connections had to wait for the reader here; 1 of 100 connections had to wait "
        "for the reader there; 12 pauses above 1 s in 100 streams while the reader here was ready",
    ),
    (
        {"path_rtt": [120 * MS] * 9, "response_time": [180 * MS] * 10},
        None,
        "the path takes 120 ms of the 180 ms until an answer (p50): fewer round trips help, not a "
        "faster service",
    ),
    (
        {"reuse": [1] * 23, "response_duration": [10 * MS] * 100, "tls_latency": [30 * MS] * 100},
        None,
        "half of 23 closed connections or more carried one request; connecting takes 80 % of the "
        "time: keeping them saves 40 ms a request",
    ),
    (
        {"multiplexed_unfollowed": 60},
        None,
        "60 of 100 connections used by both sides at once: request times cannot be told",
    ),
    (
        {"waiting": 1, "request_wait_ns": 4321 * MS, "response_time": [30 * MS] * 100},
        None,
        "1 request waits for an answer, for 4.32 s; answers take 30 ms (p95)",
    ),
    (
        {"syn": 2, "synack": 0, "est": 0, "responses": 0, "pending": 2}
        | {"attempt_wait_ns": 700 * MS, "response_time": []},
        None,
        "2 attempts wait for an answer, the longest for 700 ms",
    ),
    (
        {"pending": 2, "waiting": 1, "attempt_wait_ns": 700 * MS, "request_wait_ns": 2000 * MS},
        None,
        "2 attempts and 1 request wait for an answer, the longest for 2 s; answers take 30 ms "
        "(p95)",
    ),
    (
        {"unanswered": 0, "waiting_long": 2, "request_wait_ns": 21_100 * MS},
        None,
        "2 requests wait longer than 10 s, the longest for 21.1 s: it accepts and does not answer",
    ),
    (
        {"syn": 0, "synack": 0, "est": 0, "pending_retrans": 1, "pending": 1, "syn_retrans": 2}
        | {"attempt_wait_ns": 15_000 * MS},
        None,
        "1 earlier attempt without an answer (1 still waiting, for 15 s, 2 SYNs sent again): the "
        "host is down, or a route or firewall drops them",
    ),
    (
        {"syn": 0, "synack": 0, "est": 0, "rst_in": 4, "requests": 0},
        None,
        "4 earlier connections reset by the other end",
    ),
    (
        {"syn": 3, "synack": 3, "est": 3, "rst_in": 40, "requests": 6},
        None,
        "40 connections (3 began in this time) reset by the other end; connections carried 2 "
        "requests on average",
    ),
]


@pytest.mark.parametrize(("change", "loss", "sentence"), SENTENCE_OF)
def test_a_verdict_says_its_numbers(
    change: dict[str, Any], loss: float | None, sentence: str
) -> None:
    e = evidence([healthy(**change)], loss)
    cause = Cause(int(verdicts(e._counters, e._sketches, loss, waits_ns=e._waits_ns)[0]))
    assert because(e, cause) == sentence


def test_nothing_is_said_where_nothing_is_wrong() -> None:
    assert because(evidence([healthy()]), Cause.OK) is None
    assert because(evidence([{}]), Cause.NOTHING) is None


def test_a_sentence_holds_up_without_the_numbers_beside_it() -> None:
    only_syns = evidence([{"syn": 3, "synack": 3, "syn_retrans": 3}])
    assert because(only_syns, Cause.SLOW_CONNECT) == (
        "3 SYNs and 0 SYN/ACKs sent again for 3 attempts: "
        "the listen queue is full, the host overloaded, or SYNs are lost"
    )
    waiting = evidence([{"syn": 1, "requests": 1, "waiting_long": 1}])
    assert because(waiting, Cause.SILENT) == (
        "1 request waits longer than 10 s: it accepts and does not answer"
    )
    assert NS_PER_S == 1000 * MS
