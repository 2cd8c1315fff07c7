"""Where the client's TLS handshake ends: records, their places, the Finished (definitions §5)."""

from __future__ import annotations

import pytest
from support.builders.packets import NS_PER_MS
from support.builders.tls_records import (
    ALERT_13,
    CCS,
    CLIENT_FLIGHT_12,
    CLIENT_FLIGHT_13,
    END_OF_EARLY_DATA,
    FINISHED_13,
    HANDSHAKE,
    SERVER_FINISHED_12,
    SERVER_FLIGHT_12,
    SERVER_FLIGHT_13,
    encrypted,
    hello,
    record,
)
from support.traffic.dialogue import Dialogue
from support.traffic.stories import check

MS = NS_PER_MS
OPEN = {"active": 1}
HELLO = hello()
Q, R = encrypted(100), encrypted(2_000)
ANSWERED = {
    "requests": 1,
    "responses": 1,
    "response_time": [50 * MS],
    "server_time": [40 * MS],
}
"""A request at 200 ms that is answered at 250 ms."""


def _greeted(flight: bytes = SERVER_FLIGHT_13) -> Dialogue:
    """ClientHello at 100 ms, the server's flight at 130 ms."""
    return Dialogue().ask(100, HELLO).reply(130, flight)


def _finished(*flights: bytes) -> Dialogue:
    """Behind that, the client's last flight from 140 ms on, a segment each ms."""
    story = _greeted()
    for n, flight in enumerate(flights):
        story.ask(140 + n, flight)
    return story


def _served(story: Dialogue) -> Dialogue:
    return story.ask(200, Q).reply(250, R)


TURNS = {"tls_turns": 2, "tls_latency": [40 * MS]}


# --- the Finished ---------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [53, 69])
def test_in_tls_13_the_finished_is_an_application_record_of_53_or_69_bytes(length: int) -> None:
    story = _served(_finished(CCS + encrypted(length)))
    check(story, story.carried, ANSWERED, OPEN, TURNS)


@pytest.mark.parametrize("length", [52, 54, 68, 70])
def test_an_application_record_of_another_length_is_no_finished(length: int) -> None:
    # What follows it belongs to the handshake turn still; its answer answers that.
    story = _served(_finished(CCS + encrypted(length)))
    check(story, story.carried, OPEN, {"tls_turns": 2})


def test_in_tls_12_the_finished_is_the_record_behind_the_20() -> None:
    story = _served(_greeted(SERVER_FLIGHT_12).ask(140, CLIENT_FLIGHT_12))
    check(story, story.carried, ANSWERED, OPEN, TURNS, whole=True)


def test_data_behind_the_finished_in_one_segment_starts_a_request_at_its_time() -> None:
    story = _greeted().ask(140, CLIENT_FLIGHT_13 + Q).reply(190, R)
    check(story, story.carried, ANSWERED, OPEN, TURNS)


def test_only_what_is_behind_the_finished_starts_one() -> None:
    story = _greeted().ask(140, CLIENT_FLIGHT_13).reply(190, R)
    check(story, story.carried, OPEN, {"tls_turns": 2})


def test_records_that_are_no_finished_may_stand_before_it() -> None:
    # A client's certificate, and the end of early data.
    for before in (encrypted(1_200) + encrypted(280), END_OF_EARLY_DATA):
        story = _served(_finished(CCS + before + FINISHED_13))
        check(story, story.carried, ANSWERED, OPEN, TURNS, whole=True)


def test_without_a_20_a_run_that_begins_with_a_finished_is_a_handshake_turn() -> None:
    story = _served(_finished(FINISHED_13))
    check(story, story.carried, ANSWERED, OPEN, TURNS)


def test_so_is_one_that_begins_with_the_end_of_early_data_and_a_finished() -> None:
    story = _served(_finished(END_OF_EARLY_DATA + FINISHED_13))
    check(story, story.carried, ANSWERED, OPEN, TURNS)
    story = _served(_finished(END_OF_EARLY_DATA, FINISHED_13))
    check(story, story.carried, ANSWERED, OPEN, TURNS | {"tls_latency": [41 * MS]})


def test_a_run_that_begins_with_the_end_of_early_data_and_something_else_is_a_request() -> None:
    story = _greeted().ask(200, END_OF_EARLY_DATA + encrypted(54)).reply(250, R)
    check(story, story.carried, ANSWERED, OPEN, {"tls_turns": 1, "tls_latency": [30 * MS]})


def test_so_it_is_where_only_the_header_of_that_is_in_the_segment() -> None:
    other = encrypted(54)
    story = _greeted().ask(200, END_OF_EARLY_DATA + other[:5]).ask(200, other[5:]).reply(250, R)
    check(story, story.carried, ANSWERED, OPEN, {"tls_turns": 1, "tls_latency": [30 * MS]})


def test_without_a_hello_nothing_that_looks_like_a_finished_is_one() -> None:
    story = Dialogue().ask(200, FINISHED_13).reply(250, R)
    check(story, story.carried, ANSWERED, OPEN)


def test_behind_a_finished_nothing_that_looks_like_one_is_another() -> None:
    story = _finished(CLIENT_FLIGHT_13).ask(200, FINISHED_13).reply(250, R)
    check(story, story.carried, ANSWERED, OPEN, TURNS)


def test_early_data_behind_the_hello_is_part_of_the_handshake() -> None:
    story = Dialogue().ask(100, HELLO + CCS + encrypted(300)).reply(130, SERVER_FLIGHT_13)
    story.ask(140, END_OF_EARLY_DATA + FINISHED_13)
    check(_served(story), story.carried, ANSWERED, OPEN, TURNS)


def test_a_second_hello_behind_a_20_is_no_finished() -> None:
    # HelloRetryRequest (RFC 8446 §4.1.4): the first 20 comes with the second ClientHello.
    story = Dialogue().ask(100, HELLO).reply(110, record(HANDSHAKE, b"\2" + bytes(87)) + CCS)
    story.ask(120, CCS + HELLO).reply(130, SERVER_FLIGHT_13).ask(140, FINISHED_13)
    check(_served(story), story.carried, ANSWERED, OPEN, TURNS | {"tls_turns": 3})


def test_an_encrypted_finished_that_begins_like_a_hello_is_a_finished() -> None:
    # 1 and three more bytes that are not its length.
    flight = CCS + record(HANDSHAKE, b"\1\x7f\x7f\x7f" + bytes(36))
    story = _served(_greeted(SERVER_FLIGHT_12).ask(140, flight))
    check(story, story.carried, ANSWERED, OPEN, TURNS)


# --- places ---------------------------------------------------------------------------------------


def test_a_header_follows_from_the_length_before_it_across_segments() -> None:
    # A certificate of 3,000 bytes; the 20 and the Finished lie in the third segment.
    flight = record(HANDSHAKE, b"\13" + bytes(2_999)) + CCS + record(HANDSHAKE, bytes(40))
    story = _served(_finished(flight[:1_400], flight[1_400:2_800], flight[2_800:]))
    check(story, story.carried, ANSWERED, OPEN, TURNS | {"tls_latency": [42 * MS]}, whole=True)


@pytest.mark.parametrize("cut", [2, 3, 4, 5, 6, 7, 10, 11, 12, 40, 63, 64, 65, 68, 69])
def test_a_segment_boundary_may_lie_anywhere_behind_two_bytes(cut: int) -> None:
    flight = CCS + FINISHED_13 + Q
    story = _greeted().ask(140, flight[:cut]).ask(141, flight[cut:]).reply(191, R)
    # The Finished ends at 64; with a first byte behind it the request begins at 140 ms.
    latency = {"tls_latency": [(41 if cut < 64 else 40) * MS]}
    check(story, story.carried, ANSWERED, OPEN, TURNS | latency, whole=True)


def test_every_further_byte_may_come_in_a_segment_of_its_own() -> None:
    flight = CCS + FINISHED_13 + Q[:9]
    story = _greeted().ask(141, flight[:2])
    for n in range(2, len(flight)):
        story.ask(140 + n, flight[n : n + 1])
    story.reply(139 + len(flight) + 50, R)
    latency = {"tls_latency": [(39 + len(CCS + FINISHED_13)) * MS]}
    check(story, story.carried, ANSWERED, OPEN, TURNS | latency)


def test_what_lies_behind_a_header_that_was_not_captured_is_of_no_known_type() -> None:
    # 46 bytes are captured: the header of the Finished, at 75 + 6, is not.
    story = _greeted(SERVER_FLIGHT_12).ask(140, CLIENT_FLIGHT_12).reply(170, SERVER_FINISHED_12)
    story.ask(200, Q).reply(250, R)
    packets = story.carried
    check(story, packets, ANSWERED, OPEN, TURNS | {"tls_latency": [70 * MS]})


def test_a_new_segment_may_start_with_a_header_where_none_is_known() -> None:
    # The record of 70 bytes ends at 75; a header of the unknown type 24 stands there.
    flight = record(HANDSHAKE, b"\20" + bytes(69)) + record(24, b"x")
    story = _served(_finished(flight, CCS + record(HANDSHAKE, bytes(40))))
    check(story, story.carried, ANSWERED, OPEN, TURNS | {"tls_latency": [41 * MS]})


def test_a_missed_segment_hides_a_header_but_not_that_of_the_next_segment() -> None:
    story = _greeted().ask(140, record(HANDSHAKE, b"\13" + bytes(99)) + b"\x16\3\3")
    story.next[True] += 20
    story.ask(142, CLIENT_FLIGHT_13 + Q).reply(192, R)
    counted = {
        "requests": 1,
        "responses": 1,
        "withheld": 1,
        "tls_turns": 2,
        "tls_latency": [42 * MS],
        "capture_gaps": 1,
        "gap_bytes": 20,
    }
    check(story, story.carried, counted, OPEN, whole=True)


# --- what answers ---------------------------------------------------------------------------------


def test_behind_the_finished_a_server_segment_of_type_20_or_22_answers_no_request() -> None:
    # False Start (RFC 7918): the request leaves before the server's Finished.
    story = _greeted(SERVER_FLIGHT_12).ask(140, CLIENT_FLIGHT_12 + Q)
    story.reply(170, SERVER_FINISHED_12).reply(190, R)
    check(story, story.carried, ANSWERED, OPEN, TURNS, whole=True)
    story = _greeted(SERVER_FLIGHT_12).ask(140, CLIENT_FLIGHT_12 + Q)
    story.reply(160, record(HANDSHAKE, bytes(200))).reply(170, SERVER_FINISHED_12).reply(190, R)
    check(story, story.carried, ANSWERED, OPEN, TURNS, whole=True)


def test_without_a_finished_it_does() -> None:
    story = Dialogue().ask(100, b"q" * 10).reply(150, SERVER_FINISHED_12)
    check(story, story.carried, ANSWERED, OPEN)


def test_a_lone_alert_behind_the_finished_starts_no_request() -> None:
    story = _finished(CLIENT_FLIGHT_13).ask(150, ALERT_13)
    check(story, story.carried, OPEN, {"tls_turns": 2})


# --- the latency ----------------------------------------------------------------------------------


def test_the_latency_ends_with_the_finished_not_with_what_is_behind_it() -> None:
    story = _finished(CLIENT_FLIGHT_13).ask(160, Q).ask(170, Q).reply(220, R)
    check(story, story.carried, ANSWERED, OPEN, TURNS)


def test_a_server_segment_of_type_20_or_22_behind_the_finished_lengthens_it() -> None:
    story = _greeted(SERVER_FLIGHT_12).ask(140, CLIENT_FLIGHT_12).reply(170, SERVER_FINISHED_12)
    check(_served(story), story.carried, ANSWERED, OPEN, TURNS | {"tls_latency": [70 * MS]},
          whole=True)  # fmt: skip


def test_while_the_server_was_never_seen_there_is_no_latency() -> None:
    # Asymmetric routing: only the client's side is there, and counts no times.
    story = Dialogue()
    story.lines = [line for line in story.lines if line.from_client]
    story.ask(100, HELLO, seen=1).ask(140, CCS + FINISHED_13, seen=1).ask(200, Q, seen=700)
    counted = {
        "syn": 1,
        "est": 1,
        "tls_turns": 1,
        "requests": 1,
        "one_sided": 1,
        "bytes_out": len(HELLO + CCS + FINISHED_13 + Q),
        "waiting": 0,
    }
    check(story, counted, OPEN, whole=True)
