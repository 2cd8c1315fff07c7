"""TLS 1.3 session tickets, which answer no request (definitions §5)."""

from __future__ import annotations

import pytest
from support.builders.packets import NS_PER_MS
from support.builders.tls_records import (
    ALERT_13,
    CLIENT_FLIGHT_12,
    CLIENT_FLIGHT_13,
    SERVER_FINISHED_12,
    SERVER_FLIGHT_12,
    SERVER_FLIGHT_13,
    TICKET,
    encrypted,
    hello,
)
from support.traffic.dialogue import Dialogue
from support.traffic.stories import Expected, check

MS = NS_PER_MS
NS = 0.000001
OPEN: Expected = {"active": 1}
HELLO = hello()
Q, R = encrypted(100), encrypted(2_000)
SMALL = encrypted(130)
"""A response that looks like a ticket, of another length than those."""
TURNS: Expected = {"tls_turns": 2, "tls_latency": [40 * MS]}


def _asked() -> Dialogue:
    """A handshake of TLS 1.3 that ends at 140 ms, a request at 200 ms; the floor is 10 ms."""
    return Dialogue().ask(100, HELLO).reply(130, SERVER_FLIGHT_13).ask(140, CLIENT_FLIGHT_13 + Q)


def _answered(after_ms: float, floor_ms: float = 10) -> Expected:
    """A request at 140 ms and its response after so many ms."""
    time_ns = round(after_ms * MS)
    return {
        "requests": 1,
        "responses": 1,
        "response_time": [time_ns],
        "server_time": [max(0, time_ns - round(floor_ms * MS))],
    }


def _check(story: Dialogue, *counted: Expected) -> None:
    check(story, story.carried, TURNS, OPEN, *counted, whole=True)


# --- tickets --------------------------------------------------------------------------------------


def test_tickets_before_the_response_answer_nothing() -> None:
    _check(_asked().reply(160, TICKET + TICKET).reply(240, R), _answered(100))
    _check(_asked().reply(160, TICKET).reply(161, TICKET).reply(240, R), _answered(100))


def test_until_something_else_follows_nothing_is_counted_and_nothing_waits() -> None:
    _check(_asked().reply(160, TICKET + TICKET), {"requests": 1, "waiting": 0})
    story = _asked().reply(160, TICKET + TICKET)
    check(
        story, story.carried, TURNS, OPEN, {"requests": 1, "waiting": 0}, finish=False, whole=True
    )


def test_what_is_not_like_a_ticket_answers_at_once() -> None:
    _check(_asked().reply(160, TICKET).reply(160.1, R), _answered(20.1))
    _check(_asked().reply(160, R), _answered(20))


@pytest.mark.parametrize("length", [60, 61, 1_399, 1_400])
def test_a_ticket_has_60_to_1400_bytes(length: int) -> None:
    _check(_asked().reply(160, encrypted(length)).reply(240, R), _answered(100))


@pytest.mark.parametrize("length", [59, 1_401])
def test_a_record_of_another_length_is_no_ticket(length: int) -> None:
    _check(_asked().reply(160, encrypted(length)).reply(240, R), _answered(20))


@pytest.mark.parametrize(
    "payload",
    [
        TICKET + encrypted(251),
        TICKET + b"x",
        TICKET[:-1],
        b"\x16" + TICKET[1:],
        TICKET + b"\x16" + TICKET[1:],
        b"x" * 255,
    ],
)
def test_a_segment_that_is_no_whole_number_of_equal_records_is_no_ticket(payload: bytes) -> None:
    is_handshake = payload[0] == 0x16  # which answers nothing, but is no ticket either
    answered = _answered(100) if is_handshake else _answered(20)
    _check(_asked().reply(160, payload).reply(240, R), answered)


def test_what_was_not_captured_of_a_segment_is_taken_for_equal_records() -> None:
    story = _asked().reply(160, TICKET + TICKET).reply(240, R)
    check(story, story.carried, TURNS, OPEN, _answered(100))


# --- a response that looks like a ticket ----------------------------------------------------------


def test_a_record_of_another_length_answers_if_it_comes_late_enough() -> None:
    # 2 x 10 ms + 5 ms behind the first ticket.
    story = _asked().reply(160, TICKET).reply(185 + NS, SMALL)
    _check(story, _answered(45 + NS))


def test_earlier_it_may_be_one_more_ticket() -> None:
    _check(_asked().reply(160, TICKET).reply(185, SMALL), {"requests": 1})
    _check(_asked().reply(160, TICKET).reply(185, SMALL).reply(240, R), _answered(100))


def test_a_record_of_the_same_length_is_one_more_ticket_however_late() -> None:
    _check(_asked().reply(160, TICKET).reply(300, TICKET).reply(340, R), _answered(200))


def test_without_a_floor_10_ms_decide() -> None:
    def asked() -> Dialogue:
        story = Dialogue()
        # In mid-stream, and no ACK of the client's data but with the response.
        story.lines = story.lines[2:]
        story.ask(100, HELLO).reply(105, SERVER_FLIGHT_13, seen=1)
        return story.ask(140, CLIENT_FLIGHT_13 + Q)

    counted: Expected = {"midstream": 1, "requests": 1, "acked_bytes": len(SERVER_FLIGHT_13)}

    def check_after(after_ms: float, answered: Expected) -> None:
        # The server acknowledges nothing new: no round trip is known.
        story = asked().reply(160, TICKET, seen=1).reply(160 + after_ms, SMALL, seen=1)
        about = {"bytes_out": story.n_bytes[True], "bytes_in": story.n_bytes[False]}
        check(story, counted, about, OPEN, answered, TURNS, whole=True)

    check_after(10, {})
    answered: Expected = {"responses": 1, "response_time": [30 * MS + 1]}
    check_after(10 + NS, answered)


def test_the_floor_is_the_least_round_trip_before_that_record() -> None:
    # An ACK of the request after 2 ms: 9 ms decide.
    story = _asked().reply(142, b"").reply(160, TICKET).reply(169 + NS, SMALL)
    _check(story, _answered(29 + NS, floor_ms=2))


def test_with_the_clients_next_data_that_saw_it_the_first_was_the_response() -> None:
    story = _asked().reply(160, SMALL).ask(300, Q).reply(350, R)
    counted = {
        "requests": 2,
        "responses": 2,
        "response_time": [20 * MS, 50 * MS],
        "server_time": [10 * MS, 40 * MS],
        "response_duration": [20 * MS],
    }
    _check(story, counted)


def test_all_that_was_held_was_the_response_then() -> None:
    # The duration goes to the last of it.
    story = _asked().reply(160, SMALL).reply(170, SMALL).reply(175, SMALL).ask(300, Q)
    counted = {**_answered(20), "requests": 2, "response_duration": [35 * MS]}
    _check(story, counted)


def test_client_data_that_has_not_seen_it_goes_on_asking() -> None:
    # Sent while the tickets were under way: the request's last segment is at 165 ms.
    unseen = 1 + len(SERVER_FLIGHT_13)
    story = _asked().reply(160, TICKET).ask(165, Q, seen=unseen).reply(240, R)
    _check(story, _answered(75))


def test_client_data_that_has_seen_a_part_of_it_goes_on_asking() -> None:
    seen = 1 + len(SERVER_FLIGHT_13) + len(TICKET)
    story = _asked().reply(160, TICKET).reply(161, TICKET).ask(165, Q, seen=seen).reply(240, R)
    _check(story, _answered(75))


@pytest.mark.parametrize("from_client", [True, False])
def test_at_closing_the_first_was_the_response(from_client: bool) -> None:
    story = _asked().reply(160, SMALL).reset(300, from_client)
    rst = {"rst": 1, "rst_out" if from_client else "rst_in": 1}
    counted = {"response_duration": [20 * MS], "reuse": [1]}
    check(story, story.carried, TURNS, rst, _answered(20), counted, whole=True)


def test_so_it_was_at_the_servers_fin_and_when_idle() -> None:
    story = _asked().reply(160, SMALL).reply_fin(300)
    ended = {"response_duration": [20 * MS]}
    _check(story, _answered(20), ended, {"fin_in": 1})
    story = _asked().reply(160, SMALL)
    check(story, story.carried, TURNS, _answered(20), ended, {"reuse": [1]}, until_ms=400_000,
          whole=True)  # fmt: skip


def test_what_was_known_at_the_first_counts() -> None:
    # Sent again before the first record: slow by loss. Missed of the server before it: withheld.
    story = _asked()
    story.out(150, 1 + len(HELLO), 1 + len(SERVER_FLIGHT_13), CLIENT_FLIGHT_13 + Q)
    story.reply(160, SMALL).ask(300, Q).reply(350, R)
    counted = {
        "requests": 2,
        "responses": 2,
        "slow_by_loss": 1,
        "retrans_out": 1,
        "response_time": [20 * MS, 50 * MS],
        "server_time": [10 * MS, 40 * MS],
        "response_duration": [20 * MS],
        # Karn: the first request's round trip is none.
        "net_rtt": [30 * MS, 50 * MS],
    }
    check(story, {**story.carried, **counted}, TURNS, OPEN, whole=True)


# --- where tickets may be -------------------------------------------------------------------------


def test_tickets_between_the_finished_and_the_request_answer_nothing_either() -> None:
    story = Dialogue().ask(100, HELLO).reply(130, SERVER_FLIGHT_13).ask(140, CLIENT_FLIGHT_13)
    story.reply(160, TICKET + TICKET).ask(200, Q).reply(240, R)
    counted = {**_answered(40)}
    _check(story, counted)


def test_and_more_of_them_in_the_first_request_turn() -> None:
    story = Dialogue().ask(100, HELLO).reply(130, SERVER_FLIGHT_13).ask(140, CLIENT_FLIGHT_13)
    story.reply(160, TICKET).ask(170, Q).reply(180, TICKET).reply(240, R)
    _check(story, _answered(70))


def test_in_a_later_turn_nothing_is_held() -> None:
    story = _asked().reply(160, R).ask(300, Q).reply(340, TICKET)
    counted = {
        "requests": 2,
        "responses": 2,
        "response_time": [20 * MS, 40 * MS],
        "server_time": [10 * MS, 30 * MS],
        "response_duration": [20 * MS],
    }
    _check(story, counted)


def test_in_tls_12_nothing_is_held() -> None:
    story = Dialogue().ask(100, HELLO).reply(120, SERVER_FLIGHT_12).ask(140, CLIENT_FLIGHT_12)
    story.reply(150, SERVER_FINISHED_12).ask(200, Q).reply(240, TICKET)
    check(story, story.carried, OPEN, {"tls_turns": 2, "tls_latency": [50 * MS]},
          _answered(40), whole=True)  # fmt: skip


def test_in_clear_nothing_is_held() -> None:
    story = Dialogue().ask(140, Q).reply(160, TICKET)
    check(story, story.carried, OPEN, _answered(20))


def test_an_alert_among_them_answers_nothing() -> None:
    _check(_asked().reply(160, TICKET).reply(165, ALERT_13).reply(240, R), _answered(100))


def test_a_held_segment_is_no_pause_of_the_response() -> None:
    # Only from its first segment on does a response grow: the tickets are none of its bytes.
    story = _asked().reply(160, TICKET)
    for n in range(22):
        story.reply(5_000 + n, encrypted(16_384) * 3)
    counted = {
        **_answered(4_860),
        "streams": 1,
        "stream_bytes": 22 * 3 * 16_389,
        "stream_ns": 21 * MS,
    }
    _check(story, counted)
