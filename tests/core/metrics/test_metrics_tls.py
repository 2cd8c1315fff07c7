"""TLS handshake turns, the requests behind them, and alerts (definitions §5, §9)."""

from __future__ import annotations

import pytest
from support.builders.packets import NS_PER_MS
from support.traffic.stories import (
    OPENED,
    SERVER,
    Story,
    Telling,
    check,
    counted_by_kernels,
    counted_by_twin,
)

MS = NS_PER_MS

OPEN = {"active": 1}
CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, DATA = 20, 21, 22, 23
CLIENT_HELLO, SERVER_HELLO = 1, 2


def record(kind: int, body: bytes) -> bytes:
    """A TLS 1.2 record (RFC 5246 §6.2)."""
    return bytes([kind, 3, 3]) + len(body).to_bytes(2, "big") + body


def message(kind: int, length: int) -> bytes:
    """A handshake record that holds one message; ``length`` bytes in all."""
    return record(HANDSHAKE, bytes([kind]) + bytes(length - 6))


HELLO = message(CLIENT_HELLO, 30)
SERVER_FLIGHT = message(SERVER_HELLO, 40)
CCS = record(CHANGE_CIPHER_SPEC, b"\1")  # 6 bytes
FLIGHT = CCS + record(HANDSHAKE, bytes(9))  # 20 bytes: the Finished of TLS 1.2 is behind the 20
APPLICATION = record(DATA, bytes(25))  # 30 bytes
ENCRYPTED_ALERT = record(DATA, bytes(19))  # 24 bytes
PLAIN_ALERT = record(ALERT, b"\1\0")  # 7 bytes
RST_OUT = {"rst": 1, "rst_out": 1}


def _hello() -> Story:
    """ClientHello at 100 ms, the server's flight at 130 ms: 31 and 41 are next."""
    return Story().handshake().out(100, 1, 1, HELLO).back(130, 1, 31, SERVER_FLIGHT)


SAID_HELLO = {
    **OPENED,
    "tls_turns": 1,
    "bytes_out": 30,
    "bytes_in": 40,
    "acked_bytes": 30,
    "net_rtt": [30 * MS],
}


def test_a_handshake_turn_is_no_request_and_its_answer_no_response() -> None:
    about = {"tls_failed": 1, "tls_hellos": 1}
    check(_hello().rst_out(200, 31), SAID_HELLO, RST_OUT, about)


@pytest.mark.parametrize("kind", [CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE])
def test_a_run_that_starts_with_a_record_of_the_handshake_is_a_handshake_turn(kind: int) -> None:
    story = Story().handshake().out(100, 1, 1, record(kind, bytes(5)) + b"x")
    check(story, OPENED, OPEN, {"tls_turns": 1, "bytes_out": 11, "tls_hellos": 0})


@pytest.mark.parametrize("head", [b"\x13\3", b"\x17\3", b"\x18\3", b"\x16\2", b"\x16\4", b"\x16"])
def test_any_other_run_is_a_request(head: bytes) -> None:
    story = Story().handshake().out(100, 1, 1, head)
    check(story, OPENED, OPEN, {"requests": 1, "bytes_out": len(head)})


def test_the_first_new_byte_decides_not_the_first_of_the_segment() -> None:
    story = _hello().out(140, 26, 41, bytes(5) + FLIGHT)
    check(story, SAID_HELLO, OPEN, {"tls_turns": 1, "bytes_out": 20, "acked_bytes": 40})


def test_the_last_flight_and_the_first_request_share_a_run() -> None:
    story = (
        _hello()
        .out(140, 31, 41, FLIGHT)
        .out(150, 51, 41, APPLICATION)
        .back(190, 41, 81, APPLICATION)
    )
    counted = {
        "tls_turns": 1,
        "requests": 1,
        "responses": 1,
        "bytes_out": 50,
        "bytes_in": 30,
        "acked_bytes": 40 + 50,
        # To the last flight at 140 ms.
        "tls_latency": [40 * MS],
        "response_time": [40 * MS],
        "server_time": [30 * MS],
        "net_rtt": [50 * MS],
    }
    check(story, SAID_HELLO, OPEN, counted)


def test_in_the_first_handshake_turn_application_data_starts_no_request() -> None:
    # 0-RTT data behind the ClientHello.
    story = Story().handshake().out(100, 1, 1, HELLO).out(101, 31, 1, APPLICATION)
    check(story, OPENED, OPEN, {"tls_turns": 1, "bytes_out": 60})


def test_application_data_in_the_same_segment_as_the_flight_is_a_request() -> None:
    story = _hello().out(140, 31, 41, FLIGHT + APPLICATION).back(190, 41, 81, APPLICATION)
    counted = {
        "tls_turns": 1,
        "requests": 1,
        "responses": 1,
        "bytes_out": 50,
        "bytes_in": 30,
        "acked_bytes": 90,
        "tls_latency": [40 * MS],
        "response_time": [50 * MS],
        "server_time": [40 * MS],
        "net_rtt": [50 * MS],
    }
    check(story, SAID_HELLO, OPEN, counted)


def test_application_data_behind_the_servers_answer_is_a_request() -> None:
    story = _hello().out(150, 31, 41, APPLICATION)
    counted = {"requests": 1, "bytes_out": 30, "acked_bytes": 40, "tls_latency": [30 * MS]}
    check(story, SAID_HELLO, OPEN, counted)


# --- tls_latency ----------------------------------------------------------------------------------


def test_the_latency_counts_from_the_hellos_first_segment_to_the_last_of_the_handshake() -> None:
    story = (
        Story()
        .handshake()
        .out(100, 1, 1, HELLO)
        .out(110, 31, 1, bytes(10))
        .back(130, 1, 41, SERVER_FLIGHT)
        .back(140, 41, 41, record(CHANGE_CIPHER_SPEC, b"\1"))
        .back(160, 47, 41, bytes(10))
        .out(200, 41, 57, APPLICATION)
    )
    counted = {
        "tls_turns": 1,
        "requests": 1,
        "bytes_out": 70,
        "bytes_in": 56,
        "acked_bytes": 40 + 56,
        # The server's last segment that starts with a record of type 20 or 22 is at 140 ms.
        "tls_latency": [40 * MS],
        "net_rtt": [30 * MS],
    }
    check(story, OPENED, OPEN, counted)


def test_further_client_segments_of_the_handshake_lengthen_the_latency() -> None:
    story = Story().handshake().out(100, 1, 1, HELLO).out(115, 31, 1, bytes(10))
    story.back(130, 1, 41, bytes(20)).out(200, 41, 21, APPLICATION)
    counted = {
        "tls_turns": 1,
        "requests": 1,
        "bytes_out": 70,
        "bytes_in": 20,
        "acked_bytes": 60,
        "tls_latency": [15 * MS],
        "net_rtt": [30 * MS],
    }
    check(story, OPENED, OPEN, counted)


def test_a_server_alert_is_no_part_of_the_handshake_time() -> None:
    story = _hello().back(150, 41, 31, PLAIN_ALERT).out(200, 31, 48, APPLICATION)
    counted = {
        # It closes the connection: a handshake without a Finished.
        "tls_failed": 1,
        "tls_failed_in": 1,
        "requests": 1,
        "bytes_out": 30,
        "bytes_in": 7,
        "acked_bytes": 47,
        "tls_latency": [30 * MS],
    }
    check(story, SAID_HELLO, OPEN, counted)


def test_the_latency_is_sampled_once() -> None:
    story = _hello().out(150, 31, 41, APPLICATION).back(190, 41, 61, APPLICATION)
    story.out(300, 61, 71, APPLICATION)
    counted = {
        "requests": 2,
        "responses": 1,
        "bytes_out": 60,
        "bytes_in": 30,
        "acked_bytes": 40 + 30 + 30,
        "tls_latency": [30 * MS],
        "response_time": [40 * MS],
        "server_time": [30 * MS],
        "response_duration": [40 * MS],
        "net_rtt": [40 * MS],
    }
    check(story, SAID_HELLO, OPEN, counted)


def test_a_second_hello_starts_no_second_latency() -> None:
    # HelloRetryRequest (RFC 8446 §4.1.4): the time counts from the first.
    story = _hello().out(140, 31, 41, HELLO).back(170, 41, 61, SERVER_FLIGHT)
    story.out(180, 61, 81, FLIGHT).out(190, 81, 81, APPLICATION)
    counted = {
        "tls_hellos": 1,
        "tls_turns": 2,
        "requests": 1,
        "bytes_out": 80,
        "bytes_in": 40,
        "acked_bytes": 80 + 30,
        "tls_latency": [80 * MS],
        "net_rtt": [30 * MS],
    }
    check(story, SAID_HELLO, OPEN, counted)


def test_a_handshake_without_its_hello_has_no_latency() -> None:
    story = Story().out(0, 1, 1, FLIGHT).back(20, 1, 21, FLIGHT).out(30, 21, 21, APPLICATION)
    counted = {
        "midstream": 1,
        "tls_turns": 1,
        "requests": 1,
        "bytes_out": 50,
        "bytes_in": 20,
        "net_rtt": [20 * MS],
    }
    # Of either side the first ACK only says where counting begins.
    check(story, counted, OPEN, {"acked_bytes": 20})


def test_without_a_request_there_is_no_latency() -> None:
    story = _hello().out(140, 31, 41, FLIGHT).rst_out(200, 51)
    check(story, SAID_HELLO, RST_OUT, {"tls_turns": 1, "bytes_out": 20, "acked_bytes": 40})


def test_a_plain_request_before_starttls_leaves_the_latency_alone() -> None:
    story = (
        Story()
        .handshake()
        .out(50, 1, 1, b"STARTTLS\r\n")
        .back(60, 1, 11, b"220 go\r\n")
        .out(100, 11, 9, HELLO)
        .back(130, 9, 41, SERVER_FLIGHT)
        .out(150, 41, 49, APPLICATION)
    )
    counted = {
        "requests": 2,
        "responses": 1,
        "tls_turns": 1,
        "bytes_out": 70,
        "bytes_in": 48,
        "acked_bytes": 40 + 48,
        "response_time": [10 * MS],
        "server_time": [0],
        "response_duration": [10 * MS],
        "tls_latency": [30 * MS],
        "net_rtt": [10 * MS, 30 * MS],
    }
    check(story, OPENED, OPEN, counted)


# --- alerts ---------------------------------------------------------------------------------------

ALERTS = (PLAIN_ALERT, ENCRYPTED_ALERT)


def _served() -> Story:
    """A request of application data at 150 ms, answered at 190 ms: 61 and 71 are next."""
    return _hello().out(150, 31, 41, APPLICATION).back(190, 41, 61, APPLICATION)


SERVED = {
    **SAID_HELLO,
    "requests": 1,
    "responses": 1,
    "bytes_out": 60,
    "bytes_in": 70,
    "acked_bytes": 100,
    "tls_latency": [30 * MS],
    "response_time": [40 * MS],
    "server_time": [30 * MS],
    "net_rtt": [30 * MS, 40 * MS],
}
ENDED = {"response_duration": [40 * MS]}


def test_application_data_and_its_answer_are_request_and_response() -> None:
    check(_served(), SERVED, OPEN)


@pytest.mark.parametrize("alert", ALERTS)
def test_a_lone_alert_of_the_client_ends_the_response_and_starts_nothing(alert: bytes) -> None:
    story = _served().out(60_000, 61, 71, alert)
    check(story, SERVED, OPEN, ENDED, {"bytes_out": len(alert), "acked_bytes": 30})


@pytest.mark.parametrize("alert", ALERTS)
def test_server_data_behind_the_clients_alert_belongs_to_no_turn(alert: bytes) -> None:
    story = _served().out(60_000, 61, 71, alert).back(60_020, 71, 61 + len(alert), APPLICATION)
    # The alert is new data all the same: its round trip counts.
    counted = {"bytes_in": 30, "bytes_out": len(alert), "acked_bytes": 30 + len(alert)}
    check(story, SERVED, OPEN, ENDED, counted, {"net_rtt": [20 * MS]})


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_of_the_server_lengthens_no_response(alert: bytes) -> None:
    story = _served().back(60_000, 71, 61, alert).rst_out(60_001, 61)
    check(story, SERVED, ENDED, RST_OUT, {"bytes_in": len(alert), "reuse": [1]})


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_of_the_server_answers_no_request(alert: bytes) -> None:
    story = _hello().out(150, 31, 41, APPLICATION).back(160, 41, 61, alert)
    story.back(190, 41 + len(alert), 61, APPLICATION)
    counted = {
        "requests": 1,
        "responses": 1,
        "bytes_out": 30,
        "bytes_in": 30 + len(alert),
        "acked_bytes": 70,
        "tls_latency": [30 * MS],
        "response_time": [40 * MS],
        "server_time": [30 * MS],
        "net_rtt": [10 * MS],
    }
    # The floor is the least round trip before the response: that of the alert's own ACK, 10 ms.
    check(story, SAID_HELLO, OPEN, counted)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_inside_a_request_is_part_of_it(alert: bytes) -> None:
    story = _hello().out(150, 31, 41, APPLICATION).out(160, 61, 41, alert)
    story.back(190, 41, 61 + len(alert), APPLICATION)
    counted = {
        "requests": 1,
        "responses": 1,
        "bytes_out": 30 + len(alert),
        "bytes_in": 30,
        "acked_bytes": 70 + len(alert),
        "tls_latency": [30 * MS],
        "response_time": [30 * MS],
        "server_time": [20 * MS],
        "net_rtt": [40 * MS],
    }
    check(story, SAID_HELLO, OPEN, counted)


def test_an_encrypted_alert_in_a_later_handshake_turn_starts_no_request() -> None:
    story = _hello().out(140, 31, 41, FLIGHT).out(150, 51, 41, ENCRYPTED_ALERT)
    check(story, SAID_HELLO, OPEN, {"tls_turns": 1, "bytes_out": 44, "acked_bytes": 40})


@pytest.mark.parametrize(
    "not_quite",
    [
        record(DATA, bytes(18)),
        record(DATA, bytes(20)),
        ENCRYPTED_ALERT + b"x",
        ENCRYPTED_ALERT[:-1],
        bytes([DATA, 2]) + ENCRYPTED_ALERT[2:],
    ],
)
def test_what_is_not_exactly_an_alert_is_a_request(not_quite: bytes) -> None:
    story = _served().out(60_000, 61, 71, not_quite)
    counted = {"requests": 1, "bytes_out": len(not_quite), "acked_bytes": 30}
    check(story, SERVED, OPEN, ENDED, counted)


@pytest.mark.parametrize("not_quite", [PLAIN_ALERT + b"x", PLAIN_ALERT[:-1]])
def test_what_starts_with_an_alert_is_a_handshake_turn(not_quite: bytes) -> None:
    story = _served().out(60_000, 61, 71, not_quite)
    counted = {"tls_turns": 1, "bytes_out": len(not_quite), "acked_bytes": 30}
    check(story, SERVED, OPEN, ENDED, counted)


def test_an_alert_of_the_server_is_no_banner() -> None:
    story = Story().handshake().back(20, 1, 1, PLAIN_ALERT).back(30, 8, 1, b"hello")
    check(story, OPENED, OPEN, {"banners": 1, "bytes_in": 12})
    story = Story().handshake().back(20, 1, 1, PLAIN_ALERT)
    check(story, OPENED, OPEN, {"bytes_in": 7})


# --- what was not captured -----------------------------------------------------------------------


@pytest.mark.parametrize(("caplen", "is_tls"), [(55, False), (56, True)])
def test_a_record_whose_first_two_bytes_are_not_captured_is_not_known(
    caplen: int, is_tls: bool
) -> None:
    packets = Story().handshake().out(100, 1, 1, HELLO).packets(Telling(caplen=caplen))
    rows, _ = counted_by_kernels(packets, None, True, False, {})
    assert counted_by_twin(packets, None, True, {})[0] == rows
    row = rows[SERVER]
    assert row["bytes_out"] == 30
    assert row.get("tls_turns", 0) == is_tls
    assert row.get("requests", 0) == (not is_tls)


@pytest.mark.parametrize(("caplen", "has_hello"), [(59, False), (60, True)])
def test_a_hello_is_known_by_its_sixth_byte(caplen: int, has_hello: bool) -> None:
    packets = _hello().out(150, 31, 41, APPLICATION).packets(Telling(caplen=caplen))
    rows, _ = counted_by_kernels(packets, None, True, False, {})
    assert counted_by_twin(packets, None, True, {})[0] == rows
    row = rows[SERVER]
    assert row["tls_turns"] == row["requests"] == 1
    assert ("tls_latency" in row) == has_hello


@pytest.mark.parametrize(("caplen", "is_alert"), [(58, False), (59, True)])
def test_an_alert_is_known_by_its_record_header(caplen: int, is_alert: bool) -> None:
    story = Story().handshake().out(100, 1, 1, b"q").back(150, 1, 2, b"r")
    packets = story.out(200, 2, 2, ENCRYPTED_ALERT).packets(Telling(caplen=caplen))
    rows, _ = counted_by_kernels(packets, None, True, False, {})
    assert counted_by_twin(packets, None, True, {})[0] == rows
    row = rows[SERVER]
    assert row["requests"] == (1 if is_alert else 2)
