"""The gauges ``waiting`` and ``waiting_long``: requests without an answer now (definitions §5)."""

from __future__ import annotations

import pytest
from support.builders.packets import NS_PER_MS
from support.traffic.dialogue import Dialogue
from support.traffic.stories import OPENED, Expected, Story, check

MS = NS_PER_MS
OPEN: Expected = {"active": 1}
ASKED: Expected = {"requests": 1}
ANSWERED: Expected = {"responses": 1, "response_time": [50 * MS], "server_time": [40 * MS]}
Q, R = b"q" * 10, b"r" * 20


def _asked() -> Dialogue:
    return Dialogue().ask(100, Q)


@pytest.mark.parametrize(
    ("until_ms", "n_long"), [(101, 0), (5_000, 0), (10_099, 0), (10_100, 1), (60_000, 1)]
)
def test_a_request_waits_until_it_is_answered(until_ms: int, n_long: int) -> None:
    about: Expected = {"waiting": 1, "waiting_long": n_long}
    story = _asked()
    check(story, story.carried, OPEN, ASKED, about, until_ms=until_ms, finish=False)


def test_an_acknowledgement_is_no_answer() -> None:
    story = _asked().reply(110)
    check(story, story.carried, OPEN, ASKED, {"waiting": 1}, finish=False)


def test_an_answered_request_waits_no_more() -> None:
    story = _asked().reply(150, R)
    check(
        story, story.carried, OPEN, ASKED, ANSWERED, {"waiting": 0}, until_ms=20_000, finish=False
    )


def test_more_of_a_request_waits_from_its_last_segment_on() -> None:
    story = _asked().ask(5_000, Q)
    counted = {**ASKED, "waiting": 1}
    for until_ms, n_long in ((14_999, 0), (15_000, 1)):
        about: Expected = {"waiting_long": n_long}
        check(story, story.carried, OPEN, counted, about, until_ms=until_ms, finish=False)


def test_what_is_unanswered_waits_no_more() -> None:
    story = _asked().reset(200, from_client=False)
    about: Expected = {"unanswered": 1, "waiting": 0, "rst": 1, "rst_in": 1}
    check(story, story.carried, ASKED, about, until_ms=20_000, finish=False)


def test_behind_the_clients_fin_it_may_still_be_answered() -> None:
    # Unanswered it will not be: the last run before the client's FIN is a farewell.
    story = _asked().ask_fin(110)
    about: Expected = {"waiting": 1, "waiting_long": 1, "fin_out": 1}
    check(story, story.carried, OPEN, ASKED, about, until_ms=20_000, finish=False)


def test_behind_the_servers_fin_it_waits_while_a_hole_before_that_is_open() -> None:
    # The hole is of the answer before: nothing of the second one is missing.
    story = Story().handshake().out(100, 1, 1, Q).back(150, 11, 11, R)
    story.out(200, 11, 1, Q).fin_back(210, 31, 21)
    counted: Expected = {
        **{**OPENED, **OPEN, "requests": 2, "responses": 1, "withheld": 1, "fin_in": 1},
        **{"bytes_out": 20, "bytes_in": 20, "acked_bytes": 20, "net_rtt": [50 * MS, 10 * MS]},
    }
    check(story, counted, {"waiting": 1}, finish=False)
    story.back(220, 1, 21, b"r" * 10)
    filled: Expected = {"bytes_in": 10, "retrans_in": 1, "unanswered": 1, "waiting": 0}
    check(story, counted, filled, finish=False)


def test_each_connection_waits_by_itself() -> None:
    stories = [Dialogue(client_port=40_000 + n).ask(100 + n, Q) for n in range(3)]
    counted = [part for story in stories for part in (story.carried, OPEN, ASKED)]
    about: Expected = {"waiting": 3, "waiting_long": 2}
    check(stories, counted[0], *counted[1:], about, until_ms=10_101, finish=False)
