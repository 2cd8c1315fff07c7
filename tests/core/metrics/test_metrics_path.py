"""The round trip of the path (definitions §5): a connection's floor, once per slot of 10 s."""

from __future__ import annotations

import pytest
from support.builders.packets import NS_PER_MS
from support.traffic.dialogue import Dialogue
from support.traffic.stories import OPENED, Expected, Story, check

MS = NS_PER_MS
NS = 0.000001
"""A nanosecond in ms."""
OPEN: Expected = {"active": 1}
RST_OUT: Expected = {"rst": 1, "rst_out": 1}
Q, R = b"q" * 10, b"r" * 20


def test_an_open_connection_gives_none_before_its_slot_is_over() -> None:
    story = Story().handshake()
    check(story, OPENED, OPEN, {"path_rtt": []}, until_ms=9_999, finish=False)
    check(story, OPENED, OPEN, {"path_rtt": [10 * MS]}, until_ms=10_000, finish=False)
    check(story, OPENED, OPEN, {"path_rtt": [10 * MS]}, until_ms=50_000, finish=False)


def test_closing_gives_that_of_the_slot_that_is_not_over() -> None:
    check(Story().handshake().rst_out(9_000, 1), OPENED, RST_OUT, {"path_rtt": [10 * MS]})


def test_closing_a_second_time_gives_none() -> None:
    story = Story().handshake().rst_out(100, 1).rst_back(120, 1)
    check(story, OPENED, {**RST_OUT, "rst": 1}, {"path_rtt": [10 * MS]})


def test_slots_without_a_segment_give_none() -> None:
    # Slots count from the SYN: a segment at 25 s lies in the third.
    story = Dialogue().ask(25_000, Q).reply(25_020, R)
    counted: Expected = {
        "requests": 1,
        "responses": 1,
        "response_time": [20 * MS],
        "server_time": [10 * MS],
    }
    for until_ms, n_samples in ((25_100, 1), (29_999, 1), (30_000, 2), (41_000, 2)):
        about = {"path_rtt": [10 * MS] * n_samples}
        check(story, story.carried, OPEN, counted, about, until_ms=until_ms, finish=False)


def test_a_segment_a_nanosecond_before_the_end_of_a_slot_is_in_it() -> None:
    story = Dialogue().ask(10_000 - NS, Q)
    about: Expected = {"requests": 1, "path_rtt": [10 * MS]}
    check(story, story.carried, OPEN, about, until_ms=10_000, finish=False)


@pytest.mark.parametrize(("ack_ms", "floor_ms"), [(104, 4), (109, 9), (110, 10), (130, 10)])
def test_the_floor_is_the_least_round_trip_so_far(ack_ms: int, floor_ms: int) -> None:
    story = Dialogue().ask(100, Q).reply(ack_ms).reset(200)
    counted: Expected = {"requests": 1, "unanswered": 1, **RST_OUT}
    check(story, story.carried, counted, {"path_rtt": [floor_ms * MS]})


def test_each_slot_gives_the_floor_at_its_end() -> None:
    story = Dialogue().ask(12_000, Q).reply(12_004)
    about: Expected = {"requests": 1, "path_rtt": [10 * MS, 4 * MS]}
    check(story, story.carried, OPEN, about, until_ms=20_000, finish=False)


def test_without_a_floor_there_is_none() -> None:
    # Its beginning was not captured, and nothing of the client's was acknowledged.
    story = Story().back(0, 500, 1, R).back(5, 520, 1, R)
    counted: Expected = {"midstream": 1, "bytes_in": 40, "active": 1, "path_rtt": []}
    check(story, counted, until_ms=30_000, finish=False)


def test_so_does_a_slot_far_ahead_of_the_clock_that_its_only_segment_found() -> None:
    # The segment waits for the packet behind it, which moves the clock to the fifth slot.
    story = Dialogue().ask(45_000, Q)
    other = Story(client_port=41_000).syn(45_001)
    attempt: Expected = {"syn": 1, "pending": 1, "active": 1}
    about: Expected = {"requests": 1, "path_rtt": [10 * MS, 10 * MS]}
    check([story, other], story.carried, OPEN, about, attempt, until_ms=50_000, finish=False)
