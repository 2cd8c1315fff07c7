"""Cleartext HTTP/2, followed by the frames of each stream (definitions §5)."""

from __future__ import annotations

import pytest
from support.builders.http2_frames import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PUSH_PROMISE,
    SETTINGS,
    SETTINGS_ACK,
    WINDOW_UPDATE,
    data,
    frame,
    headers,
    rst_stream,
    settings,
)
from support.builders.packets import NS_PER_MS, NS_PER_S
from support.traffic.dialogue import Dialogue
from support.traffic.stories import (
    OPENED,
    SERVER,
    SNAPLEN,
    WHOLE,
    Expected,
    Story,
    Telling,
    check,
    counted_by_kernels,
    counted_by_twin,
)

MS, S = NS_PER_MS, NS_PER_S
OPEN: Expected = {"active": 1}
MULTIPLEXED: Expected = {"multiplexed": 1}
GREETING = PREFACE + settings()
UPDATE = frame(WINDOW_UPDATE, 0, 0, bytes(4))


def _open() -> Dialogue:
    """Preface and settings of both sides by 60 ms; the floor is 10 ms."""
    story = Dialogue(server_port=50_051).ask(40, GREETING).reply(50, settings() + SETTINGS_ACK)
    return story.ask(60, SETTINGS_ACK)


def _answered(*times_ms: float, durations_ms: tuple[float, ...] | None = None) -> Expected:
    """So many requests and their responses, after these times to first and to last byte."""
    times = [round(ms * MS) for ms in times_ms]
    ends = times if durations_ms is None else [round(ms * MS) for ms in durations_ms]
    return {
        "requests": len(times),
        "responses": len(times),
        "response_time": times,
        "server_time": [max(0, ns - 10 * MS) for ns in times],
        "response_duration": ends,
    }


def _check(story: Dialogue, *counted: Expected) -> None:
    check(story, story.carried, MULTIPLEXED, OPEN, *counted, whole=True)


# --- requests and responses -----------------------------------------------------------------------


def test_headers_of_a_new_stream_are_a_request_and_the_servers_its_response() -> None:
    story = _open().ask(100, headers(1, ends=True)).reply(150, headers(1) + data(1, 500, ends=True))
    _check(story, _answered(50))


def test_the_greeting_is_neither() -> None:
    _check(_open(), {"waiting": 0})


def test_streams_are_told_apart() -> None:
    # Asked at 100, 110 and 120 ms, answered in another order.
    story = _open()
    for n, stream_id in enumerate((1, 3, 5)):
        story.ask(100 + 10 * n, headers(stream_id, ends=True))
    story.reply(150, headers(3, ends=True)).reply(160, headers(5)).reply(170, headers(1, ends=True))
    story.reply(190, data(5, 100, ends=True))
    times = {
        "response_time": [40 * MS, 40 * MS, 70 * MS],
        "response_duration": [40 * MS, 70 * MS, 70 * MS],
    }
    counted = {"requests": 3, "responses": 3, **times, "server_time": [30 * MS, 30 * MS, 60 * MS]}
    _check(story, counted)


def test_numbers_of_streams_have_31_bits() -> None:
    story = _open()
    stream_ids = (1, 0x81, 0x101, 0x8001, 0x10001, 0x800001, 0x1000001, 2**31 - 1)
    for n, stream_id in enumerate(stream_ids):
        at_ms = 100 + 100 * n
        story.ask(at_ms, headers(stream_id, ends=True))
        story.reply(at_ms + 50, headers(stream_id, ends=True))
    _check(story, _answered(*[50] * 8))


def test_several_requests_in_one_segment_are_several() -> None:
    story = _open().ask(100, headers(1, ends=True) + headers(3, ends=True) + headers(5, ends=True))
    story.reply(150, headers(1, ends=True) + headers(3, ends=True)).reply(
        170, headers(5, ends=True)
    )
    _check(story, _answered(50, 50, 70))


def test_a_request_ends_with_its_last_data() -> None:
    # As gRPC: HEADERS, then DATA that ends the stream. The response's trailers end it.
    story = _open().ask(100, headers(1)).ask(120, data(1, 90, ends=True))
    story.reply(150, headers(1)).reply(160, data(1, 40)).reply(175, headers(1, ends=True))
    _check(story, _answered(30, durations_ms=(55,)))


def test_data_of_other_streams_do_not_lengthen_it() -> None:
    story = _open().ask(100, headers(1, ends=True)).ask(120, headers(3)).ask(130, UPDATE)
    story.reply(150, headers(1, ends=True)).reply(170, headers(3, ends=True))
    _check(story, _answered(50, 50))


def test_trailers_of_the_client_are_no_second_request() -> None:
    story = _open().ask(100, headers(1)).ask(110, data(1, 10)).ask(120, headers(1, ends=True))
    story.reply(150, headers(1, ends=True))
    _check(story, _answered(30))


def test_a_server_that_answers_before_the_request_has_ended_answers_it() -> None:
    story = _open().ask(100, headers(1)).reply(130, headers(1)).ask(140, data(1, 10, ends=True))
    story.reply(150, data(1, 10, ends=True))
    _check(story, _answered(30, durations_ms=(50,)))


def test_headers_that_go_on_end_their_stream_with_the_last_of_them() -> None:
    # CONTINUATION (RFC 9113 §6.10).
    story = _open().ask(100, headers(1, ends=True))
    story.reply(150, frame(HEADERS, END_STREAM, 1, bytes(20)))
    story.reply(160, frame(CONTINUATION, 0, 1, bytes(20)))
    story.reply(170, frame(CONTINUATION, END_HEADERS, 1, bytes(20)))
    _check(story, _answered(50, durations_ms=(70,)))


def test_frames_of_other_kinds_are_neither() -> None:
    others = frame(PING, 0, 0, bytes(8)) + frame(GOAWAY, 0, 0, bytes(8)) + frame(99, 1, 1, b"x")
    story = _open().ask(100, others + headers(1, ends=True)).reply(120, others + UPDATE)
    story.reply(150, headers(1, ends=True)).reply(160, others)
    _check(story, _answered(50))


def test_a_push_of_the_server_is_no_response() -> None:
    push = frame(PUSH_PROMISE, END_HEADERS, 1, bytes(30))
    story = _open().ask(100, headers(1, ends=True)).reply(120, push).reply(130, headers(2))
    story.reply(140, data(2, 50, ends=True)).reply(150, headers(1, ends=True))
    _check(story, _answered(50))


def test_only_odd_streams_that_were_not_open_yet_are_requests() -> None:
    story = _open().ask(100, headers(3, ends=True)).ask(101, headers(1)).ask(102, headers(4))
    story.reply(150, headers(3, ends=True)).ask(160, headers(3, ends=True))
    _check(story, _answered(50))


def test_data_of_a_stream_without_headers_answer_nothing() -> None:
    story = _open().ask(100, headers(1, ends=True)).reply(120, data(1, 10)).reply(150, headers(1))
    _check(story, {**_answered(50), "response_duration": []})


# --- closing --------------------------------------------------------------------------------------


def test_reuse_counts_the_responses_of_all_streams() -> None:
    story = _open().ask(100, headers(1, ends=True) + headers(3, ends=True))
    story.reply(150, headers(1, ends=True) + headers(3, ends=True)).reset(200)
    counted = {"reuse": [2], "rst": 1, "rst_out": 1, "multiplexed_unfollowed": 0}
    check(story, story.carried, MULTIPLEXED, _answered(50, 50), counted, whole=True)


def test_open_streams_without_an_answer_wait_and_at_closing_are_unanswered() -> None:
    story = _open().ask(100, headers(1, ends=True) + headers(3) + headers(5, ends=True))
    story.reply(150, headers(3))
    counted: Expected = {**_answered(50), "requests": 3, "response_duration": []}
    _check(story, counted, {"waiting": 2})
    ended: Expected = {"response_duration": [50 * MS], "reuse": [1], "unanswered": 2, "waiting": 0}
    rst = {"rst": 1, "rst_in": 1}
    closed = story.reset(200, from_client=False)
    check(closed, story.carried, MULTIPLEXED, counted, ended, rst, whole=True)


def test_behind_the_clients_fin_they_are_not() -> None:
    story = _open().ask(100, headers(1, ends=True)).ask_fin(110).reply_fin(120)
    counted = {"requests": 1, "fin_out": 1}
    check(story, story.carried, MULTIPLEXED, counted, whole=True)


@pytest.mark.parametrize("from_client", [True, False])
def test_a_stream_that_is_reset_without_an_answer_is_unanswered(from_client: bool) -> None:
    story = _open().ask(100, headers(1, ends=True))
    (story.ask if from_client else story.reply)(120, rst_stream(1))
    # What comes for it later belongs to nothing.
    story.reply(150, headers(1, ends=True))
    _check(story, {"requests": 1, "unanswered": 1, "waiting": 0})


def test_a_response_that_is_reset_ends_with_its_last_data() -> None:
    story = _open().ask(100, headers(1, ends=True)).reply(150, headers(1)).reply(160, data(1, 10))
    story.reply(200, rst_stream(1))
    _check(story, _answered(50, durations_ms=(60,)))


def test_the_servers_fin_ends_responses() -> None:
    story = _open().ask(100, headers(1, ends=True)).reply(150, headers(1)).reply(160, data(1, 10))
    _check(story.reply_fin(200), _answered(50, durations_ms=(60,)), {"fin_in": 1})


# --- what a response counts -----------------------------------------------------------------------


def test_every_stream_is_a_stream_of_its_own() -> None:
    # Two of 600 kB each are none of 1 MiB; the third of 1.2 MB is.
    story = _open().ask(100, headers(1, ends=True) + headers(3, ends=True) + headers(5, ends=True))
    story.reply(150, headers(1) + headers(3) + headers(5))
    for n in range(20):
        story.reply(160 + n, data(1, 30_000)).reply(160.5 + n, data(3, 30_000))
    for n in range(24):
        story.reply(200 + 10 * n, data(5, 50_000))
    # Of the fifth: 21 x 50,009 bytes and headers of 39 are 1,050,228.
    counted = {
        **_answered(50, 50, 50),
        "response_duration": [],
        "streams": 1,
        "stream_bytes": 39 + 24 * 50_009,
        "stream_ns": 280 * MS,
    }
    _check(story, counted)


def test_a_pause_of_its_own_stalls_a_stream() -> None:
    story = _open().ask(100, headers(1, ends=True) + headers(3, ends=True))
    story.reply(150, headers(1) + headers(3))
    for n in range(21):
        story.reply(160 + n, data(1, 50_000))
    # 1.5 s without data of the first stream, but of the other.
    story.reply(900, data(3, 10)).reply(1_680 + NS, data(1, 10))
    counted = {
        **_answered(50, 50),
        "response_duration": [],
        "streams": 1,
        "stalls": 1,
        "stream_bytes": 39 + 21 * 50_009 + 19,
        "stream_ns": 1_530 * MS + 1,
    }
    _check(story, counted)


NS = 0.000001


def test_a_request_that_was_sent_again_is_slow_by_loss() -> None:
    story = _open().ask(100, headers(1, ends=True)).ask(110, headers(3, ends=True))
    at = story.next[True] - 39
    story.out(130, at, story.next[False], headers(3, ends=True))
    story.reply(150, headers(1, ends=True) + headers(3, ends=True))
    counted = {**_answered(50, 40), "retrans_out": 1, "slow_by_loss": 1}
    _check(story, counted)


def test_a_missed_byte_of_the_server_withholds_the_times_of_open_streams() -> None:
    # 50 bytes in the middle of a DATA frame: no header is missed, so the frames are followed.
    story = _open().ask(100, headers(1, ends=True) + headers(3, ends=True))
    body = data(1, 150)
    story.reply(150, headers(1) + body[:50])
    story.next[False] += 50
    story.reply(160, body[100:]).reply(170, headers(3, ends=True))
    counted = {**_answered(50), "requests": 2, "responses": 2, "response_duration": []}
    _check(story, counted, {"withheld": 1})


# --- following ------------------------------------------------------------------------------------


def test_any_cut_into_segments_gives_the_same_requests() -> None:
    asked = GREETING + SETTINGS_ACK + headers(1) + data(1, 30, ends=True) + headers(3, ends=True)
    for cut in range(14, len(asked)):
        story = Dialogue(server_port=50_051).ask(100, asked[:cut]).ask(100, asked[cut:])
        story.reply(150, settings() + headers(1, ends=True) + headers(3, ends=True))
        packets = story.carried
        check(story, packets, MULTIPLEXED, OPEN, _answered(50, 50), whole=True)


def test_every_byte_of_the_server_may_come_alone() -> None:
    story = _open().ask(100, headers(1, ends=True) + headers(3, ends=True))
    answer = headers(1, length=5) + data(1, 20, ends=True) + headers(3, ends=True, length=3)
    for n in range(len(answer)):
        story.reply(150 + n, answer[n : n + 1])
    # Its first byte, not that which completes its header, begins a response.
    first, second = len(headers(1, length=5) + data(1, 20)), len(answer)
    counted = _answered(50, 50 + first, durations_ms=(50 + first - 1, 50 + second - 1))
    _check(story, counted)


def test_settings_of_the_server_may_come_before_the_preface() -> None:
    # They are a banner, as nobody knows yet what it will be.
    story = Dialogue(server_port=50_051).reply(30, settings()).ask(40, GREETING)
    story.ask(100, headers(1, ends=True)).reply(150, SETTINGS_ACK + headers(1, ends=True))
    _check(story, _answered(50), {"banners": 1})


@pytest.mark.parametrize("stream_id", [1, 0x100, 0x10000, 0x1000000])
def test_settings_of_a_stream_before_the_preface_are_no_frames(stream_id: int) -> None:
    story = Dialogue(server_port=50_051).reply(30, frame(SETTINGS, 0, stream_id, bytes(12)))
    story.ask(40, GREETING).ask(100, headers(1, ends=True)).reply(150, headers(1, ends=True))
    _check(story, {"banners": 1, "multiplexed_unfollowed": 1})


def test_a_connection_first_seen_with_its_preface_is_followed() -> None:
    story = Dialogue(server_port=80).ask(40, GREETING).reply(50, settings())
    story.lines = story.lines[3:]
    story.ask(100, headers(1, ends=True)).reply(150, headers(1, ends=True))
    carried = {name: value for name, value in story.carried.items() if name not in OPENED}
    # Of the client the first ACK only says where counting begins: the greeting does not count.
    carried["acked_bytes"] = len(headers(1)) + len(settings())
    check(story, carried, MULTIPLEXED, OPEN, _answered(50), {"midstream": 1}, whole=True)


@pytest.mark.parametrize("from_client", [True, False])
def test_when_a_header_was_missed_it_is_merely_multiplexed(from_client: bool) -> None:
    story = _open().ask(100, headers(1, ends=True)).reply(150, headers(1, ends=True))
    story.ask(200, headers(3, ends=True))
    # The first bytes of a frame are missed; what was open counts in nothing any more.
    story.next[from_client] += 9
    say = story.ask if from_client else story.reply
    say(210, data(3, 30)).reply(250, headers(3, ends=True)).ask(300, headers(5, ends=True))
    story.reply(350, headers(5, ends=True)).reset(400)
    counted = {
        **_answered(50),
        "requests": 2,
        "rst": 1,
        "rst_out": 1,
        "capture_gaps": 1,
        "gap_bytes": 9,
    }
    # Behind a hole of its own the client's segment of 300 ms is not timed.
    further = [50 * MS] if from_client else [10 * MS, 50 * MS]
    carried = {**story.carried, "net_rtt": [10 * MS, 90 * MS, *further]}
    check(story, carried, MULTIPLEXED, counted, {"waiting": 0}, whole=True)


@pytest.mark.parametrize(("caplen", "is_followed"), [(SNAPLEN, False), (WHOLE, True)])
def test_a_header_beyond_the_captured_bytes_is_missed(caplen: int, is_followed: bool) -> None:
    # With 46 bytes of each segment the frame behind the 69 of the first request is not there.
    story = Dialogue(server_port=50_051).ask(40, PREFACE + settings(0)).reply(50, settings(0))
    story.ask(100, headers(1, ends=True, length=60) + UPDATE).reply(150, headers(1, ends=True))
    packets = story.packets(Telling(caplen=caplen))
    rows, _ = counted_by_kernels(packets, None, True, False, {})
    assert counted_by_twin(packets, None, True, {})[0] == rows
    row = rows[SERVER]
    assert (row["multiplexed"], row["requests"]) == (1, 1)
    assert row.get("responses", 0) == is_followed


def test_a_late_segment_that_held_a_header_was_missed_when_it_was_due() -> None:
    # Reordered: the frames behind it could not be followed.
    story = _open()
    at = story.next[True]
    story.next[True] += 39
    story.ask(100.5, headers(3, ends=True))
    story.out(101, at, story.next[False], headers(1, ends=True))
    story.reply(150, headers(1, ends=True) + headers(3, ends=True))
    counted: Expected = {"out_of_order": 1, "bytes_out": 39}
    # Neither what lies behind a hole is timed nor what fills it, but the segment of 60 ms.
    carried = {**story.carried, "net_rtt": [10 * MS, 90 * MS]}
    check(story, carried, MULTIPLEXED, OPEN, counted, whole=True)


def test_more_than_128_open_streams_are_not_followed() -> None:
    def story(n: int) -> Dialogue:
        told = _open()
        for i in range(n):
            told.ask(100, headers(2 * i + 1, ends=True))
        return told.reply(150, headers(1, ends=True))

    told = story(128)
    counted: Expected = {**_answered(50), "requests": 128, "waiting": 127}
    check(told, told.carried, MULTIPLEXED, OPEN, counted, whole=True)
    told = story(129)
    check(told, told.carried, MULTIPLEXED, OPEN, {"requests": 128, "waiting": 0}, whole=True)


def test_in_mid_stream_without_a_preface_frames_are_none() -> None:
    story = Story(server_port=8_080).out(0, 1, 1, headers(1, ends=True)).back(50, 1, 40, headers(1))
    counted = {
        "midstream": 1,
        "requests": 1,
        "responses": 1,
        "bytes_out": 39,
        "bytes_in": 39,
        "response_time": [50 * MS],
        "net_rtt": [50 * MS],
    }
    check(story, counted, OPEN)
