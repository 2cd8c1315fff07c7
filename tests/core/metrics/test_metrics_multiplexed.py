"""Connections on which both sides talk at once (definitions §5)."""

from __future__ import annotations

import pytest
from support.builders.http2_frames import PREFACE
from support.builders.packets import ACK, FIN, NS_PER_MS
from support.builders.tls_records import (
    CLIENT_FLIGHT_12,
    CLIENT_FLIGHT_13,
    HANDSHAKE,
    SERVER_FINISHED_12,
    SERVER_FLIGHT_12,
    SERVER_FLIGHT_13,
    TICKET,
    encrypted,
    hello,
    record,
)
from support.traffic.dialogue import Dialogue
from support.traffic.stories import (
    OPENED,
    SERVER,
    SNAPLEN,
    Expected,
    Story,
    Telling,
    added,
    check,
    counted_by_kernels,
    counted_by_twin,
)

MS = NS_PER_MS
OPEN: Expected = {"active": 1}
MULTIPLEXED: Expected = {"multiplexed": 1}
Q, R = b"q" * 10, b"r" * 20


def _first_answered(story: Dialogue) -> Dialogue:
    """A request at 100 ms, answered at 150 ms: 11 and 21 are next."""
    return story.ask(100, Q).reply(150, R)


ANSWERED: Expected = {
    "requests": 1,
    "responses": 1,
    "response_time": [50 * MS],
    "server_time": [40 * MS],
}


# --- crossed runs ---------------------------------------------------------------------------------


def _crossed(n_runs: int) -> Dialogue:
    """An answered request, then runs of which none has seen the byte before it; 40 ms apart."""
    story = _first_answered(Dialogue())
    for n in range(n_runs):
        unseen = story.next[False] - 1
        story.ask(200 + 40 * n, Q, seen=unseen).reply(220 + 40 * n, R)
    return story


def test_one_crossed_run_is_a_request() -> None:
    story = _crossed(1)
    counted = {
        "multiplexed_unfollowed": 0,
        "requests": 2,
        "responses": 2,
        "response_time": [50 * MS, 20 * MS],
        "server_time": [40 * MS, 10 * MS],
        "response_duration": [50 * MS],
    }
    check(story, story.carried, OPEN, counted)


def test_from_the_second_on_the_connection_is_multiplexed() -> None:
    # What was counted before stays: two requests and their answers, but not how long the second
    # answer took, which the second crossed run would have ended.
    counted = {
        **MULTIPLEXED,
        "requests": 2,
        "responses": 2,
        "response_time": [50 * MS, 20 * MS],
        "server_time": [40 * MS, 10 * MS],
        "response_duration": [50 * MS],
        "waiting": 0,
        "multiplexed_unfollowed": 1,
    }
    for n_runs in (2, 3, 7):
        story = _crossed(n_runs)
        check(story, story.carried, OPEN, counted)


def test_then_reuse_is_not_sampled_and_nothing_is_unanswered() -> None:
    story = _crossed(2).ask(400, Q).reset(410)
    counted = {
        **MULTIPLEXED,
        "requests": 2,
        "responses": 2,
        "response_time": [50 * MS, 20 * MS],
        "server_time": [40 * MS, 10 * MS],
        "response_duration": [50 * MS],
        "rst": 1,
        "rst_out": 1,
    }
    check(story, story.carried, counted)


def test_a_run_that_saw_all_is_not_crossed_whatever_its_later_segments_saw() -> None:
    story = _first_answered(Dialogue())
    for n in range(3):
        seen = story.next[False]
        story.ask(200 + 40 * n, Q).reply(210 + 40 * n, b"", seen=None)
        story.ask(215 + 40 * n, Q, seen=seen).reply(220 + 40 * n, R)
    times = [50 * MS, 5 * MS, 5 * MS, 5 * MS]
    counted = {
        "requests": 4,
        "responses": 4,
        "response_time": times,
        "server_time": [40 * MS, 0, 0, 0],
        "response_duration": times[:3],
    }
    check(story, story.carried, OPEN, counted)


def test_data_counts_that_the_server_had_sent_when_the_run_was_captured() -> None:
    # A banner is data as well: two runs that have not seen it make the connection multiplexed.
    story = Dialogue().reply(20, R).ask(100, Q, seen=1).reply(150, R).ask(200, Q, seen=21)
    counted = {
        **MULTIPLEXED,
        "banners": 1,
        "requests": 1,
        "responses": 1,
        "response_time": [50 * MS],
        "server_time": [40 * MS],
    }
    check(story, story.carried, OPEN, counted)


def test_tickets_that_a_run_has_not_seen_do_not_cross_it() -> None:
    # Captured beside the server: the tickets leave before the request arrives.
    story = Dialogue().ask(100, hello()).reply(130, SERVER_FLIGHT_13).ask(140, CLIENT_FLIGHT_13)
    seen = story.next[False]
    story.reply(141, TICKET).reply(142, TICKET).ask(145, encrypted(90), seen=seen)
    story.reply(195, encrypted(2_000)).ask(300, encrypted(90)).reply(350, encrypted(2_000))
    # One crossed run is needed yet: this is the first.
    story.ask(400, encrypted(90), seen=story.next[False] - 1)
    counted = {
        "tls_turns": 2,
        "tls_latency": [40 * MS],
        "requests": 3,
        "responses": 2,
        "response_time": [50 * MS] * 2,
        "server_time": [49 * MS, 49 * MS],
        "response_duration": [50 * MS] * 2,
    }
    check(story, story.carried, OPEN, counted, whole=True)


def test_what_was_held_and_seen_is_no_ticket_any_more() -> None:
    # Its first request's answer looks like a ticket; the runs behind it have seen it.
    story = Dialogue().ask(100, hello()).reply(130, SERVER_FLIGHT_13)
    story.ask(140, CLIENT_FLIGHT_13 + encrypted(90)).reply(160, TICKET)
    story.ask(200, encrypted(90)).reply(220, TICKET)
    story.ask(240, encrypted(90), seen=story.next[False] - 1)
    counted = {
        "tls_turns": 2,
        "tls_latency": [40 * MS],
        "requests": 3,
        "responses": 2,
        "response_time": [20 * MS] * 2,
        "server_time": [10 * MS] * 2,
        "response_duration": [20 * MS] * 2,
    }
    check(story, story.carried, OPEN, counted, whole=True)


def test_handshake_turns_and_alerts_are_no_runs() -> None:
    # Each of them has seen nothing of the server.
    story = Dialogue().ask(100, hello()).reply(130, SERVER_FLIGHT_13)
    story.ask(140, CLIENT_FLIGHT_13, seen=1).ask(200, encrypted(90)).reply(250, encrypted(2_000))
    story.ask(300, encrypted(90), seen=1)
    counted = {
        "tls_turns": 2,
        "tls_latency": [40 * MS],
        "requests": 2,
        "responses": 1,
        "response_time": [50 * MS],
        "server_time": [40 * MS],
        "response_duration": [50 * MS],
    }
    check(story, story.carried, OPEN, counted, whole=True)


def test_keepalives_and_what_is_sent_again_cross_nothing() -> None:
    story = _first_answered(Dialogue())
    for n in range(3):
        story.out(200 + n, 1, 1, Q)
    story.ask(300, Q).reply(350, R)
    counted = {
        "requests": 2,
        "responses": 2,
        "retrans_out": 3,
        "response_time": [50 * MS] * 2,
        "server_time": [40 * MS] * 2,
        "response_duration": [50 * MS],
    }
    check(story, story.carried, OPEN, counted)


# --- runs that data of the server crossed ---------------------------------------------------------


def _crossed_back(n_runs: int, answer: bytes = R, first: bytes = R, n_seen: int = 0) -> Dialogue:
    """An answered request, then runs followed by data that were sent before they had arrived."""
    story = Dialogue().ask(100, Q).reply(150, first)
    for n in range(n_runs):
        asked = story.next[True]
        story.ask(200 + 40 * n, Q).reply(205 + 40 * n, answer, seen=asked + n_seen)
    return story


def _taking_turns(n_runs: int) -> Expected:
    return {
        "requests": 1 + n_runs,
        "responses": 1 + n_runs,
        "response_time": [50 * MS] + [5 * MS] * n_runs,
        "server_time": [40 * MS] + [0] * n_runs,
        "response_duration": [50 * MS] + [5 * MS] * (n_runs - 1),
    }


CROSSED_TWICE: Expected = {
    **MULTIPLEXED,
    "requests": 3,
    "responses": 2,
    "response_time": [50 * MS, 5 * MS],
    "server_time": [40 * MS, 0],
    "response_duration": [50 * MS, 5 * MS],
    "waiting": 0,
    "multiplexed_unfollowed": 1,
}


def test_one_run_that_the_server_had_not_seen_is_answered_all_the_same() -> None:
    story = _crossed_back(1)
    check(story, story.carried, OPEN, _taking_turns(1), {"multiplexed_unfollowed": 0})


@pytest.mark.parametrize("n_runs", [2, 3, 7])
def test_what_crosses_the_second_one_is_no_response(n_runs: int) -> None:
    story = _crossed_back(n_runs)
    check(story, story.carried, OPEN, CROSSED_TWICE)


def test_a_run_of_which_one_byte_was_acknowledged_is_not_crossed() -> None:
    story = _crossed_back(3, n_seen=1)
    check(story, story.carried, OPEN, _taking_turns(3))


@pytest.mark.parametrize("n_bytes", [535, 536])
def test_only_a_message_of_its_own_crosses(n_bytes: int) -> None:
    # A longer one may be the rest of a response under way.
    story = _crossed_back(1)
    asked = story.next[True]
    story.ask(240, Q).reply(245, b"r" * n_bytes, seen=asked)
    check(story, story.carried, OPEN, CROSSED_TWICE if n_bytes < 536 else _taking_turns(2))


@pytest.mark.parametrize("n_bytes", [535, 536])
def test_behind_a_longer_response_nothing_crosses(n_bytes: int) -> None:
    story = _crossed_back(2, first=b"r" * n_bytes)
    check(story, story.carried, OPEN, CROSSED_TWICE if n_bytes < 536 else _taking_turns(2))


def test_the_length_of_a_response_is_that_of_all_its_segments() -> None:
    def story(n_more: int) -> Dialogue:
        told = Dialogue().ask(100, Q).reply(150, b"r" * 500).reply(151, b"r" * n_more)
        for n in range(2):
            asked = told.next[True]
            told.ask(200 + 40 * n, Q).reply(205 + 40 * n, R, seen=asked)
        return told

    for n_more in (35, 36):
        told = story(n_more)
        counted = CROSSED_TWICE if n_more < 36 else _taking_turns(2)
        duration = {"response_duration": [51 * MS, 5 * MS]}
        check(told, told.carried, OPEN, {**counted, **duration})


def test_a_greeting_that_crosses_the_first_run_says_nothing() -> None:
    story = Dialogue().ask(100, Q).reply(105, R, seen=1).ask(200, Q).reply(205, R, seen=11)
    counted = {
        "requests": 2,
        "responses": 2,
        "response_time": [5 * MS] * 2,
        "server_time": [0, 0],
        "response_duration": [5 * MS],
    }
    check(story, story.carried, OPEN, counted)


def test_what_crosses_the_first_run_behind_a_handshake_says_nothing() -> None:
    story = Dialogue().ask(100, hello()).reply(130, SERVER_FLIGHT_12).ask(140, CLIENT_FLIGHT_12)
    story.reply(150, SERVER_FINISHED_12)
    for n in range(2):
        asked = story.next[True]
        story.ask(200 + 40 * n, encrypted(90)).reply(205 + 40 * n, encrypted(99), seen=asked)
    turns = {"tls_turns": 2, "tls_latency": [50 * MS]}
    counted = {
        "requests": 2,
        "responses": 2,
        "response_time": [5 * MS] * 2,
        "server_time": [0, 0],
        "response_duration": [5 * MS],
    }
    check(story, story.carried, OPEN, turns, counted, whole=True)
    asked = story.next[True]
    story.ask(300, encrypted(90)).reply(305, encrypted(99), seen=asked)
    more = {**MULTIPLEXED, "requests": 1, "response_duration": [5 * MS]}
    check(story, story.carried, OPEN, turns, counted, more, whole=True)


@pytest.mark.parametrize("n_bytes", [535, 536])
def test_tickets_are_no_part_of_the_response_before(n_bytes: int) -> None:
    # The answer is held like the ticket before it until the client has seen it.
    story = Dialogue().ask(100, hello()).reply(130, SERVER_FLIGHT_13).ask(140, CLIENT_FLIGHT_13)
    story.ask(200, encrypted(90)).reply(205, encrypted(700)).reply(210, encrypted(n_bytes - 5))
    for n in range(2):
        asked = story.next[True]
        story.ask(240 + 40 * n, encrypted(90)).reply(245 + 40 * n, encrypted(99), seen=asked)
    counted = {
        "tls_turns": 2,
        "tls_latency": [40 * MS],
        "requests": 3,
        "responses": 2,
        "response_time": [5 * MS] * 2,
        "server_time": [0, 0],
        "response_duration": [10 * MS, 5 * MS],
    }
    third = {"responses": 1, "response_time": [5 * MS], "server_time": [0]}
    more = MULTIPLEXED if n_bytes < 536 else third
    check(story, story.carried, OPEN, counted, more, whole=True)


def test_a_run_that_is_crossed_both_ways_counts_once() -> None:
    story = _first_answered(Dialogue())
    asked, unseen = story.next[True], story.next[False] - 1
    story.ask(200, Q, seen=unseen).reply(205, R, seen=asked)
    check(story, story.carried, OPEN, _taking_turns(1))


def test_two_runs_that_are_crossed_one_way_each_are_two() -> None:
    story = _crossed_back(1)
    story.ask(240, Q, seen=story.next[False] - 1).reply(245, R)
    check(story, story.carried, OPEN, _taking_turns(1), MULTIPLEXED)


def test_data_that_the_client_had_acknowledged_were_captured_late() -> None:
    # A capture that delays the server's packets: each is acknowledged before it is seen.
    story = _first_answered(Dialogue())
    for n in range(3):
        asked, end = story.next[True], story.next[False] + len(R)
        story.ask(200 + 40 * n, Q, seen=end).reply(205 + 40 * n, R, seen=asked)
    check(story, story.carried, OPEN, _taking_turns(3))


def test_a_lone_alert_crosses_nothing() -> None:
    story = _first_answered(Dialogue())
    for n in range(3):
        asked = story.next[True]
        story.ask(200 + 40 * n, Q).reply(205 + 40 * n, encrypted(19), seen=asked)
        story.reply(210 + 40 * n, R)
    times = [50 * MS] + [10 * MS] * 3
    counted = {
        "requests": 4,
        "responses": 4,
        "response_time": times,
        "server_time": [40 * MS, 0, 0, 0],
        "response_duration": times[:3],
    }
    check(story, story.carried, OPEN, counted)


def test_behind_a_lone_alert_of_the_client_nothing_crosses() -> None:
    story = _crossed_back(1).ask(230, encrypted(19))
    asked = story.next[True]
    story.ask(240, Q).reply(245, R, seen=asked)
    check(story, story.carried, OPEN, _taking_turns(2))


def test_where_something_is_missing_nothing_crosses() -> None:
    # A segment of the client was missed within each run.
    story = _first_answered(Dialogue())
    for n in range(3):
        asked = story.next[True]
        story.ask(200 + 40 * n, Q)
        story.next[True] += 10
        story.ask(201 + 40 * n, Q).reply(205 + 40 * n, R, seen=asked)
    counted = {
        "requests": 3,
        "responses": 3,
        "withheld": 3,
        "capture_gaps": 2,
        "gap_bytes": 20,
        "response_duration": [50 * MS],
    }
    check(story, story.carried, OPEN, ANSWERED, counted)


def test_what_fills_a_hole_crosses_nothing() -> None:
    # Its end, the FIN, came first.
    story = _crossed_back(1)
    asked, start = story.next[True], story.next[False]
    story.ask(240, Q)
    story.back(244, start + len(R), asked, flags=FIN | ACK)
    story.reply(245, R, seen=asked)
    carried = {**story.carried, "net_rtt": [50 * MS, 44 * MS]}
    check(story, carried, OPEN, _taking_turns(2), {"fin_in": 1, "out_of_order": 1})


# --- the preface of HTTP/2 ------------------------------------------------------------------------


def test_the_http2_preface_makes_a_connection_multiplexed_from_its_first_byte() -> None:
    # Frames whose header lies beyond the captured bytes are not followed.
    story = Dialogue(server_port=80).ask(100, PREFACE + bytes(500)).reply(150, R).ask(160, Q)
    check(story, story.carried, OPEN, MULTIPLEXED, {"waiting": 0})


@pytest.mark.parametrize("n_bytes", [13, 14])
def test_fourteen_bytes_of_the_preface_are_enough(n_bytes: int) -> None:
    story = Dialogue(server_port=80).ask(100, PREFACE[:n_bytes]).ask(101, PREFACE[n_bytes:])
    counted: Expected = MULTIPLEXED if n_bytes == 14 else {"requests": 1}
    check(story, story.carried, OPEN, counted)


def test_later_in_a_connection_it_says_nothing() -> None:
    story = _first_answered(Dialogue(server_port=80)).ask(200, PREFACE)
    check(story, story.carried, OPEN, ANSWERED, {"requests": 1, "response_duration": [50 * MS]})


def test_in_the_data_of_a_syn_it_does() -> None:
    story = Story().syn(0, payload=PREFACE).synack(10, ack=1 + len(PREFACE))
    story.out(11, 1 + len(PREFACE), 1)
    counted = {**OPENED, **MULTIPLEXED, "bytes_out": len(PREFACE), "acked_bytes": len(PREFACE)}
    check(story, counted, OPEN)


# --- the shape of HTTP/2 under TLS ----------------------------------------------------------------

H2 = hello("h2", "http/1.1")
RESPONSE = encrypted(2_000)


def _open_13(hello_record: bytes = H2) -> Dialogue:
    """A handshake of TLS 1.3 that ends at 140 ms."""
    return Dialogue().ask(100, hello_record).reply(130, SERVER_FLIGHT_13).ask(140, CLIENT_FLIGHT_13)


TURNS: Expected = {"tls_turns": 2, "tls_latency": [40 * MS]}


def _check(story: Dialogue, *counted: Expected) -> None:
    check(story, story.carried, TURNS, OPEN, *counted, whole=True)


def _sides(client: bytes, server: bytes, hello_record: bytes = H2) -> Dialogue:
    return _open_13(hello_record).ask(200, client).reply(250, server)


# Preface and two settings; settings of the server.
PREFACE_13, SETTINGS_13 = encrypted(24 + 9 + 12 + 17), encrypted(9 + 18 + 17)
ONE_REQUEST: Expected = {
    "requests": 1,
    "responses": 1,
    "response_time": [50 * MS],
    "server_time": [40 * MS],
}


@pytest.mark.parametrize("n_settings", range(11))
@pytest.mark.parametrize("update", [0, 13])
def test_a_preface_with_settings_and_settings_of_the_server_are_http2(
    n_settings: int, update: int
) -> None:
    client = encrypted(24 + 9 + 6 * n_settings + update + 17)
    _check(_sides(client, SETTINGS_13), MULTIPLEXED)


@pytest.mark.parametrize("n_settings", [0, 2, 10])
@pytest.mark.parametrize("update", [0, 13])
@pytest.mark.parametrize("ack", [0, 9])
def test_the_server_may_add_an_update_and_an_acknowledgement(
    n_settings: int, update: int, ack: int
) -> None:
    server = encrypted(9 + 6 * n_settings + update + ack + 17)
    # What is as long as a ticket is known for none once the client answers it.
    _check(_sides(PREFACE_13, server).ask(300, encrypted(90)), MULTIPLEXED)


@pytest.mark.parametrize("length", [24 + 9 + 66 + 17, 24 + 9 + 11 + 17, 24 + 8 + 17, 9 + 12 + 17])
def test_a_client_record_of_another_length_is_a_request(length: int) -> None:
    _check(_sides(encrypted(length), SETTINGS_13), ONE_REQUEST)


@pytest.mark.parametrize("length", [9 + 17 + 1, 17, 9 + 5 + 17, 9 + 17 - 1, 2_000])
def test_with_a_server_record_of_another_length_it_was_a_request_all_the_same(length: int) -> None:
    _check(_sides(PREFACE_13, encrypted(length)), ONE_REQUEST)


def test_the_preface_may_be_followed_by_its_settings() -> None:
    bare, client_settings = encrypted(24 + 17), encrypted(9 + 12 + 17)
    _check(_sides(bare + client_settings, SETTINGS_13), MULTIPLEXED)
    story = _open_13().ask(200, bare).ask(210, client_settings).reply(250, SETTINGS_13)
    _check(story, MULTIPLEXED)
    _check(_sides(bare + encrypted(10), SETTINGS_13), ONE_REQUEST)
    # Answered before anything followed.
    _check(_sides(bare, SETTINGS_13), ONE_REQUEST)


def test_in_tls_12_a_record_adds_24_bytes() -> None:
    def story(extra: int) -> Dialogue:
        told = Dialogue().ask(100, H2).reply(120, SERVER_FLIGHT_12).ask(130, CLIENT_FLIGHT_12)
        told.reply(140, SERVER_FINISHED_12).ask(200, encrypted(24 + 9 + 12 + extra))
        return told.reply(250, encrypted(9 + 18 + extra))

    _check(story(24), MULTIPLEXED)
    _check(story(17), ONE_REQUEST)


def test_the_client_hello_must_offer_h2() -> None:
    _check(_sides(PREFACE_13, SETTINGS_13, hello("http/1.1")), ONE_REQUEST)
    _check(_sides(PREFACE_13, SETTINGS_13, hello()), ONE_REQUEST)
    _check(_sides(PREFACE_13, SETTINGS_13, hello("http/1.1", "h2")), MULTIPLEXED)


def test_a_name_that_ends_behind_its_list_is_not_offered() -> None:
    # The extension ends behind the "h"; what follows it is no part of it.
    whole, short = b"\0\20\0\5\0\3\2h2", b"\0\20\0\4\0\3\2h2"
    assert whole in hello("h2")
    _check(_sides(PREFACE_13, SETTINGS_13, hello("h2").replace(whole, short)), ONE_REQUEST)


def test_a_hello_that_was_not_captured_whole_may_have_offered_it() -> None:
    long = hello("http/1.1", n_ciphers=300)
    story = Dialogue().ask(100, long[:400]).ask(101, long[400:]).reply(130, SERVER_FLIGHT_13)
    story.ask(140, CLIENT_FLIGHT_13).ask(200, PREFACE_13).reply(250, SETTINGS_13)
    _check(story, MULTIPLEXED)
    short = _sides(PREFACE_13, SETTINGS_13, hello("http/1.1")).packets(Telling(caplen=SNAPLEN))
    rows, _ = counted_by_kernels(short, None, True, False, {})
    assert counted_by_twin(short, None, True, {})[0] == rows
    assert rows[SERVER]["multiplexed"] == 1


def test_a_finished_is_no_preface_where_the_record_behind_it_was_not_captured() -> None:
    # With SHA-384 it is as long as a preface with a setting and an update.
    story = Dialogue().ask(100, H2).reply(130, SERVER_FLIGHT_13)
    story.ask(140, encrypted(69) + encrypted(30)).reply(190, SETTINGS_13)
    check(story, story.carried, TURNS, OPEN, ONE_REQUEST)


def _asked_at_once(length: int, server: bytes, hello_record: bytes = H2) -> Dialogue:
    """Preface, settings and a first request in one record, as h2load, nghttp and Java send them."""
    return _sides(encrypted(length), server, hello_record)


CONFIRMED_13 = encrypted(9 + 18 + 9 + 17)


@pytest.mark.parametrize("length", [24 + 10 + 17, 215 + 17, 400, 1_200])
@pytest.mark.parametrize("update", [0, 13])
def test_with_more_behind_the_settings_the_server_must_confirm_them(
    length: int, update: int
) -> None:
    confirmed = encrypted(9 + 12 + update + 9 + 17)
    _check(_asked_at_once(length, confirmed).ask(300, encrypted(9 + 17)), MULTIPLEXED)
    _check(_asked_at_once(length, encrypted(9 + 12 + 17)), ONE_REQUEST)
    _check(_asked_at_once(length, RESPONSE), ONE_REQUEST)


def test_with_more_behind_them_too_the_client_must_have_offered_it() -> None:
    _check(_asked_at_once(400, CONFIRMED_13, hello("http/1.1")), ONE_REQUEST)
    # A record too short for a preface with settings and more.
    _check(_asked_at_once(24 + 9 - 1 + 17, CONFIRMED_13), ONE_REQUEST)


def test_settings_that_the_server_sent_before_it_got_the_clients_need_not_confirm_them() -> None:
    bare = encrypted(9 + 18 + 13 + 17)
    before = _open_13().reply(150, TICKET + bare).ask(200, encrypted(129 + 17)).reply(250, RESPONSE)
    _check(before, MULTIPLEXED)
    crossed = _open_13().ask(200, encrypted(129 + 17))
    asked = crossed.next[True]
    crossed.reply(205, bare, seen=asked - 129 - 17 - 5)
    _check(crossed, MULTIPLEXED)
    answered = _open_13().ask(200, encrypted(129 + 17)).reply(250, bare)
    _check(answered, ONE_REQUEST)


# Acknowledgements of SETTINGS that travel alone, as nghttp and Apache send them.
ACK_13, ACK_12 = encrypted(9 + 17), encrypted(9 + 24)


def _told_late(
    client: bytes = ACK_13,
    server: bytes = ACK_13,
    hello_record: bytes = H2,
    settings: bytes = SETTINGS_13,
) -> Dialogue:
    """Settings and a request in one record, settings of the server that confirm none; then what
    each side sends next, the client first."""
    story = _asked_at_once(400, settings, hello_record)
    return story.ask(260, client).reply(300, server)


# What was counted before both sides had acknowledged: the second request has no answer.
TOLD_LATE: Expected = {
    **MULTIPLEXED,
    "requests": 2,
    "responses": 1,
    "response_time": [50 * MS],
    "server_time": [40 * MS],
    "response_duration": [50 * MS],
}
NOT_TOLD = added(
    ONE_REQUEST,
    {
        "requests": 1,
        "responses": 1,
        "response_time": [40 * MS],
        "server_time": [30 * MS],
        "response_duration": [50 * MS],
    },
)


def test_settings_that_both_sides_acknowledge_behind_them_are_confirmed() -> None:
    _check(_told_late(), TOLD_LATE)
    _check(_told_late().ask(400, encrypted(90)).reply(450, RESPONSE), TOLD_LATE)


def test_the_server_may_acknowledge_before_the_client() -> None:
    story = _asked_at_once(400, SETTINGS_13).reply(251, ACK_13)
    # Its answers may follow at once.
    story.reply(252, RESPONSE).ask(260, ACK_13).reply(300, RESPONSE)
    _check(story, MULTIPLEXED, ONE_REQUEST)


@pytest.mark.parametrize("length", [9 + 16, 9 + 18, 9 + 13 + 17, 2_000])
def test_an_acknowledgement_has_nine_bytes(length: int) -> None:
    other = encrypted(length)
    _check(_told_late(client=other), NOT_TOLD)
    _check(_told_late(server=other), NOT_TOLD)


def test_an_acknowledgement_travels_alone() -> None:
    _check(_told_late(client=ACK_13 + ACK_13), NOT_TOLD)
    _check(_told_late(server=ACK_13 + encrypted(90)), NOT_TOLD)
    _check(_told_late(client=ACK_13 + b"."), NOT_TOLD)
    _check(_told_late(client=encrypted(9 + 16) + b"."), NOT_TOLD)
    handshake = record(HANDSHAKE, bytes(9 + 17))
    ended = {"tls_turns": 1, "response_duration": [50 * MS]}
    _check(_told_late(client=handshake), ONE_REQUEST, ended)


def test_only_the_first_segment_behind_the_settings_acknowledges_them() -> None:
    again = {"requests": 1, "response_duration": [40 * MS]}
    late = _told_late(client=encrypted(90)).ask(400, ACK_13)
    _check(late, NOT_TOLD, again)
    late = _told_late(server=encrypted(90)).reply(301, ACK_13)
    _check(late, NOT_TOLD)


def test_acknowledgements_alone_are_no_settings() -> None:
    _check(_told_late(settings=encrypted(9 + 5 + 17)), NOT_TOLD)
    _check(_told_late(hello_record=hello("http/1.1")), NOT_TOLD)


def test_acknowledgements_tell_only_where_h2_was_seen_to_be_offered() -> None:
    long = hello("h2", n_ciphers=300)
    _check(_told_late(hello_record=long), TOLD_LATE)
    cut = Dialogue().ask(90, long[:400]).ask(100, long[400:]).reply(130, SERVER_FLIGHT_13)
    cut.ask(140, CLIENT_FLIGHT_13).ask(200, encrypted(400)).reply(250, SETTINGS_13)
    cut.ask(260, ACK_13).reply(300, ACK_13)
    turns = {"tls_turns": 2, "tls_latency": [50 * MS]}
    check(cut, cut.carried, OPEN, NOT_TOLD, turns, whole=True)


def test_in_tls_12_too_acknowledgements_confirm() -> None:
    def story(ack: bytes) -> Dialogue:
        told = Dialogue().ask(100, H2).reply(120, SERVER_FLIGHT_12).ask(130, CLIENT_FLIGHT_12)
        told.reply(140, SERVER_FINISHED_12).ask(200, encrypted(400))
        return told.reply(250, encrypted(9 + 18 + 24)).ask(260, ack).reply(300, ack)

    _check(story(ACK_12), TOLD_LATE)
    _check(story(ACK_13), NOT_TOLD)


@pytest.mark.parametrize(("at_ms", "n"), [(10_199, 0), (10_200, 1)])
def test_a_server_that_says_nothing_for_10_s_lets_wait_whatever_it_speaks(
    at_ms: int, n: int
) -> None:
    story = _open_13().ask(200, encrypted(400))
    waits = {"waiting": n, "waiting_long": n}
    check(story, story.carried, TURNS, OPEN, waits, until_ms=at_ms, finish=False, whole=True)


def test_leading_records_of_one_length_before_another_are_tickets() -> None:
    _check(_open_13().ask(200, PREFACE_13).reply(220, TICKET * 2).reply(250, SETTINGS_13),
           MULTIPLEXED)  # fmt: skip
    _check(_sides(PREFACE_13, TICKET + TICKET + SETTINGS_13), MULTIPLEXED)
    # Of the length of tickets, and settings by its own: the record behind them decides.
    _check(_sides(PREFACE_13, encrypted(62) + encrypted(62) + encrypted(300)), ONE_REQUEST)


def test_settings_may_come_before_the_preface() -> None:
    story = _open_13().reply(150, TICKET + SETTINGS_13).ask(200, PREFACE_13).reply(250, RESPONSE)
    _check(story, MULTIPLEXED)
    # Too short for a preface with settings, whatever the server said.
    story = _open_13().reply(150, SETTINGS_13).ask(200, encrypted(40)).reply(250, RESPONSE)
    _check(story, ONE_REQUEST)


def test_until_it_is_decided_nothing_is_counted_and_nothing_waits() -> None:
    _check(_open_13().ask(200, PREFACE_13), {"waiting": 0})
    _check(_open_13().ask(200, PREFACE_13).reply(220, TICKET), {"waiting": 0})


def test_at_closing_it_was_a_request_if_the_server_said_nothing() -> None:
    story = _open_13().ask(200, PREFACE_13).reset(300)
    counted = {"requests": 1, "unanswered": 1, "rst": 1, "rst_out": 1}
    check(story, story.carried, TURNS, counted, whole=True)


def test_a_record_that_looks_like_a_ticket_is_judged_once_it_is_none() -> None:
    # Seen by the client's next data: the first response, and settings by its length.
    story = _sides(PREFACE_13, encrypted(62)).ask(300, encrypted(90)).reply(350, RESPONSE)
    _check(story, MULTIPLEXED)
    story = _sides(PREFACE_13, encrypted(64)).ask(300, encrypted(90)).reply(350, RESPONSE)
    counted = {
        "requests": 2,
        "responses": 2,
        "response_time": [50 * MS] * 2,
        "server_time": [40 * MS] * 2,
        "response_duration": [50 * MS],
    }
    _check(story, counted)


def test_only_the_first_application_records_tell() -> None:
    story = _open_13().ask(200, encrypted(400)).reply(250, RESPONSE).ask(300, PREFACE_13)
    _check(
        story.reply(350, SETTINGS_13), ONE_REQUEST, ONE_REQUEST, {"response_duration": [50 * MS]}
    )


def test_a_connection_that_is_multiplexed_by_shape_counts_nothing_further() -> None:
    story = _sides(PREFACE_13, SETTINGS_13).ask(300, encrypted(90)).reply(350, RESPONSE)
    story.ask(400, encrypted(90)).reset(500)
    check(story, story.carried, TURNS, MULTIPLEXED, {"rst": 1, "rst_out": 1}, whole=True)


def test_the_handshake_is_timed_multiplexed_or_not() -> None:
    # Two crossed runs of plain text before the handshake.
    story = _crossed(2)
    story.ask(1_000, hello()).reply(1_030, SERVER_FLIGHT_13).ask(1_040, CLIENT_FLIGHT_13)
    story.ask(1_100, encrypted(90)).reply(1_150, RESPONSE)
    counted = {
        **MULTIPLEXED,
        **TURNS,
        "requests": 2,
        "responses": 2,
        "response_time": [50 * MS, 20 * MS],
        "server_time": [40 * MS, 10 * MS],
        "response_duration": [50 * MS],
    }
    check(story, story.carried, OPEN, counted, whole=True)
