"""TLS handshakes that fail (definitions §5)."""

from __future__ import annotations

import pytest
from support.builders.packets import NS_PER_MS, ethernet
from support.builders.tls_records import (
    ALERT,
    ALERT_13,
    CCS,
    CLIENT_FLIGHT_12,
    CLIENT_FLIGHT_13,
    CLOSE_NOTIFY,
    END_OF_EARLY_DATA,
    FATAL,
    FINISHED_13,
    HANDSHAKE_FAILURE,
    SERVER_FINISHED_12,
    SERVER_FLIGHT_12,
    SERVER_FLIGHT_13,
    UNRECOGNISED_NAME,
    WARNING,
    alert,
    encrypted,
    hello,
    record,
)
from support.traffic.dialogue import Dialogue
from support.traffic.stories import (
    SERVER,
    Expected,
    Telling,
    check,
    counted_by_kernels,
    counted_by_twin,
)

MS = NS_PER_MS
OPEN: Expected = {"active": 1}
FAILED: Expected = {"tls_failed": 1}
FAILED_IN = {**FAILED, "tls_failed_in": 1}
RST_OUT = {"rst": 1, "rst_out": 1}
RST_IN = {"rst": 1, "rst_in": 1}
HELLO = hello()
Q, R = encrypted(100), encrypted(2_000)
CERTIFICATE = encrypted(1_200) + encrypted(280)


def _hello() -> Dialogue:
    return Dialogue().ask(100, HELLO)


def _greeted(flight: bytes = SERVER_FLIGHT_13) -> Dialogue:
    return _hello().reply(130, flight)


def _check(story: Dialogue, *counted: Expected, n_turns: int = 1) -> None:
    check(story, story.carried, {"tls_turns": n_turns}, *counted, whole=True)


# --- before the Finished --------------------------------------------------------------------------


def test_a_fatal_alert_of_the_server_fails_the_handshake() -> None:
    _check(_hello().reply(130, alert(FATAL, HANDSHAKE_FAILURE)), FAILED_IN, OPEN)
    _check(_greeted().reply(140, alert(FATAL, HANDSHAKE_FAILURE)), FAILED_IN, OPEN)


def test_so_does_one_of_the_client() -> None:
    _check(_greeted().ask(140, alert(FATAL, HANDSHAKE_FAILURE)), FAILED, OPEN)


def test_so_does_a_close_notify_of_either_side() -> None:
    _check(_hello().reply(130, alert(WARNING, CLOSE_NOTIFY)), FAILED_IN, OPEN)
    _check(_greeted().ask(140, alert(WARNING, CLOSE_NOTIFY)), FAILED, OPEN)


def test_a_warning_ends_nothing() -> None:
    story = _hello().reply(130, alert(WARNING, UNRECOGNISED_NAME)).reply(140, SERVER_FLIGHT_13)
    _check(story.ask(150, CLIENT_FLIGHT_13), OPEN, n_turns=2)
    _check(_greeted().ask(140, alert(WARNING, UNRECOGNISED_NAME)), OPEN)


def test_an_alert_that_cannot_be_read_is_taken_for_fatal() -> None:
    # Encrypted, as TLS 1.2 does behind a ChangeCipherSpec.
    _check(_greeted(SERVER_FLIGHT_12).ask(140, record(ALERT, bytes(26))), FAILED, OPEN)


def test_an_alert_behind_other_records_counts_as_well() -> None:
    _check(_hello().reply(130, SERVER_FLIGHT_13 + alert(FATAL, HANDSHAKE_FAILURE)), FAILED_IN, OPEN)
    story = _greeted().ask(140, CCS + alert(FATAL, HANDSHAKE_FAILURE))
    _check(story, FAILED, OPEN, n_turns=2)


def test_an_alert_of_19_bytes_where_the_finished_would_be_fails_it() -> None:
    _check(_greeted().ask(140, CCS + ALERT_13), FAILED, OPEN, n_turns=2)
    _check(_greeted().ask(140, CCS).ask(141, ALERT_13), FAILED, OPEN, n_turns=2)
    _check(_greeted().ask(140, ALERT_13), FAILED, OPEN)


def test_a_fin_of_either_side_fails_it() -> None:
    fin = {"fin_out": 1}
    _check(_greeted().ask_fin(140), FAILED, OPEN, fin)
    _check(_hello().ask_fin(140), FAILED, OPEN, fin)
    _check(_greeted().reply_fin(140), FAILED_IN, OPEN, {"fin_in": 1})


def test_a_rst_of_either_side_fails_it() -> None:
    _check(_greeted().reset(140), FAILED, RST_OUT)
    _check(_greeted().reset(140, from_client=False), FAILED_IN, RST_IN)


def test_a_handshake_fails_once() -> None:
    story = _greeted().ask(140, alert(FATAL, HANDSHAKE_FAILURE)).reply_fin(150).ask_fin(160)
    _check(story.reset(170), FAILED, {"fin_in": 1, "rst_after_fin": 1})


def test_idling_and_a_new_opening_fail_nothing() -> None:
    story = _greeted()
    check(story, story.carried, {"tls_turns": 1}, until_ms=400_000, whole=True)
    story = _greeted()
    story.out(200, 77_000, flags=2)
    _check(story, {"syn": 1, "pending": 1}, OPEN)


def test_without_a_hello_nothing_fails() -> None:
    story = Dialogue().ask(100, SERVER_FINISHED_12).reply(130, alert(FATAL, HANDSHAKE_FAILURE))
    _check(story.reset(140), RST_OUT)
    story = Dialogue().ask(100, b"q").reset(110)
    check(story, story.carried, {"requests": 1, "unanswered": 1}, RST_OUT)


# --- behind the Finished --------------------------------------------------------------------------


def test_behind_the_finished_an_end_fails_nothing() -> None:
    _check(_greeted().ask(140, CLIENT_FLIGHT_13).reset(150), RST_OUT, n_turns=2)
    _check(_greeted().ask(140, CLIENT_FLIGHT_13).reply_fin(150), OPEN, {"fin_in": 1}, n_turns=2)
    _check(_greeted().ask(140, CLIENT_FLIGHT_13).reply(150, ALERT_13), OPEN, n_turns=2)
    _check(_greeted().ask(140, CLIENT_FLIGHT_13).ask(150, ALERT_13), OPEN, n_turns=2)


def test_a_server_that_refuses_the_clients_certificate_fails_it() -> None:
    story = _greeted().ask(140, CCS + CERTIFICATE + FINISHED_13).reply(170, ALERT_13)
    _check(story, FAILED_IN, OPEN, n_turns=2)


def test_the_end_of_early_data_is_no_certificate() -> None:
    story = _greeted().ask(140, CCS + END_OF_EARLY_DATA + FINISHED_13).reply(170, ALERT_13)
    _check(story, OPEN, n_turns=2)


def test_an_end_without_an_alert_refuses_nothing() -> None:
    story = _greeted().ask(140, CCS + CERTIFICATE + FINISHED_13).reply_fin(170)
    _check(story, OPEN, {"fin_in": 1}, n_turns=2)


def test_in_tls_12_the_server_refuses_in_clear() -> None:
    story = _greeted(SERVER_FLIGHT_12).ask(140, CLIENT_FLIGHT_12)
    _check(story.reply(170, alert(FATAL, HANDSHAKE_FAILURE)), FAILED_IN, OPEN, n_turns=2)
    # Behind its own Finished what it says is encrypted: a close_notify, for all one can see.
    story = _greeted(SERVER_FLIGHT_12).ask(140, CLIENT_FLIGHT_12).reply(170, SERVER_FINISHED_12)
    _check(story.reply(180, record(ALERT, bytes(26))), OPEN, n_turns=2)


# --- once a request has started -------------------------------------------------------------------


def test_once_a_request_has_started_nothing_fails() -> None:
    story = _greeted().ask(140, CCS + CERTIFICATE + FINISHED_13 + Q).reply(170, ALERT_13)
    counted = {"requests": 1, "unanswered": 1, "tls_latency": [40 * MS]}
    _check(story.reset(180), RST_OUT, counted, n_turns=2)


def test_a_request_without_a_finished_is_one() -> None:
    # The Finished was missed: nobody knows, but data flow.
    story = _greeted().ask(200, Q).reply(250, R).reset(260)
    counted = {
        "requests": 1,
        "responses": 1,
        "tls_latency": [30 * MS],
        "response_time": [50 * MS],
        "response_duration": [50 * MS],
        "server_time": [40 * MS],
        "reuse": [1],
    }
    _check(story, RST_OUT, counted)


def test_requests_before_the_hello_are_none_of_tls() -> None:
    story = Dialogue().ask(50, b"STARTTLS\r\n").reply(60, b"220 go\r\n").ask(100, HELLO)
    story.reply(130, alert(FATAL, HANDSHAKE_FAILURE))
    counted = {
        "requests": 1,
        "responses": 1,
        "response_time": [10 * MS],
        "server_time": [0],
        "response_duration": [10 * MS],
    }
    _check(story, FAILED_IN, OPEN, counted)


# --- what was captured of it ----------------------------------------------------------------------


@pytest.mark.parametrize("flight", [alert(FATAL, HANDSHAKE_FAILURE), alert(WARNING, CLOSE_NOTIFY)])
def test_a_short_capture_tells_as_much(flight: bytes) -> None:
    story = _hello().reply(130, flight)
    check(story, story.carried, FAILED_IN, OPEN, {"tls_turns": 1})


def test_an_alert_of_which_only_the_level_was_captured_is_taken_for_an_end() -> None:
    # Six bytes of it, and then a broadcast, which is no part of it.
    story = _hello().reply(130, alert(WARNING, UNRECOGNISED_NAME))
    story.raw(131, b"\xff" * 6 + ethernet(b"", 0x0806)[6:])
    packets = story.packets(Telling(caplen=14 + 20 + 20 + 6))
    rows, _ = counted_by_kernels(packets, None, True, False, {})
    assert counted_by_twin(packets, None, True, {})[0] == rows
    assert rows[SERVER]["tls_failed"] == 1
