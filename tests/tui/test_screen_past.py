"""Moving in time: what the keys make of a state, and the strip above the rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.builders.screen import SIZES, DrivenScreen, timeline
from support.builders.snapshot import destination, snapshot
from support.golden import check_golden

from trtop.table.text import Role, plain
from trtop.tui.frame import Size, TerminalCaps
from trtop.tui.past import IS_LIVE, NO_HISTORY
from trtop.tui.strip import n_bars, strip_lines
from trtop_core.health import Health
from trtop_core.records import NS_PER_S, Window
from trtop_core.timeline import TIMELINE, Timeline, TimelineView
from trtop_core.view import Period

TIMES = timeline()
FIRST_NS = int(TIMES.columns["start_ns"][0])
LAST_NS = int(TIMES.columns["end_ns"][-1])


def a_screen(**more: object) -> DrivenScreen:
    return DrivenScreen(timeline=TIMES, **more)  # type: ignore[arg-type]


def length_s(stage: DrivenScreen) -> int:
    assert stage.state.period is not None
    return (stage.state.period.end_ns - stage.state.period.start_ns) // NS_PER_S


@pytest.mark.parametrize("size", SIZES)
def test_the_past_looks_as_it_is_kept(size: tuple[int, int]) -> None:
    shown = []
    stage = a_screen(size=Size(*size))
    for keys in ([], ["["], ["[", "[", "["], ["}"], ["home", "home"], ["L"]):
        shown.append(stage.press(*keys).text())
    check_golden(f"screen-past-{size[0]}.txt", "".join(shown))


def test_a_bracket_goes_back_by_spans_that_lie_side_by_side() -> None:
    stage = a_screen().press("[")
    first = stage.state.period
    assert first is not None
    assert first.end_ns <= LAST_NS
    assert first.start_ns % (first.end_ns - first.start_ns) == 0
    second = stage.press("[").state.period
    assert second is not None
    assert second.end_ns == first.start_ns
    assert stage.press("]").state.period == first
    assert stage.state.view(10).period == first
    assert length_s(stage) == 60  # of a history of 15 min


def test_behind_the_last_span_is_now() -> None:
    stage = a_screen().press("[")
    for _ in range(3):
        if stage.state.period is not None:
            stage.press("]")
    assert stage.state.period is None
    assert stage.press("]").state.message == IS_LIVE


def test_the_first_span_is_as_long_as_the_window() -> None:
    stage = a_screen()
    stage.state = stage.state.saying("")
    stage.press("w")
    assert stage.state.window is Window.LAST_10_S
    assert length_s(stage.press("[")) == 10


def test_spans_get_shorter_and_longer_around_the_same_moment() -> None:
    stage = a_screen().press("[", "[")
    before = stage.state.period
    assert before is not None
    assert length_s(stage.press("{")) == 30
    assert stage.state.period is not None
    assert stage.state.period.start_ns == before.start_ns
    for expected in (60, 120, 300, 600):
        assert length_s(stage.press("}")) == expected
        assert stage.state.period is not None
        assert stage.state.period.start_ns <= before.start_ns < stage.state.period.end_ns
    for _ in range(20):
        stage.press("{")
    assert length_s(stage) == 1
    assert stage.state.message == "no span is shorter"


def test_home_again_is_the_start_and_no_span_lies_before_it() -> None:
    stage = a_screen().press("[", "down", "home")
    assert stage.state.period is not None
    there = stage.state.period
    assert stage.press("home").state.period != there
    start = stage.state.period
    assert start is not None
    assert start.start_ns <= FIRST_NS < start.end_ns
    assert stage.press("[").state.period == start


@pytest.mark.parametrize("key", ["L", "w", "esc"])
def test_keys_that_go_back_to_now(key: str) -> None:
    stage = a_screen().press("[", "[", key)
    assert stage.state.period is None
    assert (stage.state.sort, stage.state.window) == ("verdict", Window.ALL)


def test_now_l_sorts_by_lat_as_before() -> None:
    assert a_screen().press("L").state.sort == "connect_latency"


def test_without_a_history_time_cannot_be_moved() -> None:
    assert DrivenScreen().press("[").state.message == NO_HISTORY
    empty = Timeline(TimelineView(), NS_PER_S, np.zeros(0, TIMELINE), 0, 0, 1 << 20)
    stage = DrivenScreen(timeline=empty).press("[")
    assert stage.state.period is None
    assert "no past yet" in stage.state.message
    assert a_screen().press(" ", "[").state.period is None  # held


def test_the_commands_have_names() -> None:
    stage = a_screen().press(":", *"earlier", "enter")
    assert stage.state.period is not None
    assert stage.press(":", *"live", "enter").state.period is None


def test_a_timeline_that_is_too_wide_is_drawn_to_its_end() -> None:
    period = Period(LAST_NS - 60 * NS_PER_S, LAST_NS)
    for width in (40, 60, 80):
        lines = strip_lines(TIMES, period, width, TerminalCaps())
        assert all(len(plain(line)) <= width for line in lines[1:])
        marked = [span for span in lines[1] if span.role is Role.SELECTED]
        assert len(marked) == 1
        assert lines[1][lines[1].index(marked[0]) + 1].text.strip().isdigit()


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("width", [30, 58, 78, 130, 218])
def test_the_strip_fits_and_marks_the_span(width: int, ascii_only: bool) -> None:
    period = Period(FIRST_NS + 300 * NS_PER_S, FIRST_NS + 360 * NS_PER_S)
    caps = TerminalCaps(ascii_only=ascii_only)
    lines = strip_lines(timeline(n_bars(width)), period, width, caps)
    assert len(lines) == 4
    for line in lines[1:]:
        text = plain(line)
        assert len(text) <= width
        assert text.isascii() or not ascii_only
        marked = [span for span in line if span.role is Role.SELECTED]
        if n_bars(width) > 36:
            assert [len(span.text) for span in marked] in ([6], [7])


def test_a_history_of_one_silence_is_drawn() -> None:
    columns = np.zeros(2, TIMELINE)
    columns["start_ns"] = [0, 50 * NS_PER_S]
    columns["end_ns"] = [NS_PER_S, 51 * NS_PER_S]
    columns["response_time_ns"] = -1
    quiet = Timeline(TimelineView(), NS_PER_S, columns, NS_PER_S, 100, 200)
    lines = strip_lines(quiet, None, 100, TerminalCaps())
    assert all(plain(line).rstrip().endswith("-") for line in lines[1:])


def test_the_strip_shows_since_when_requests_wait() -> None:
    """Nothing is counted while all wait: without a mark, an outage would look as silence does."""
    row = destination("10.0.0.1", syn=3, synack=3, est=3, requests=3, waiting=1, waiting_long=1)
    made = snapshot([row], health=Health(packets=9), span_ns=60 * NS_PER_S)
    waits = np.array([[0, 30 * NS_PER_S]], np.int64)
    made = replace(
        made, table=replace(made.table, waits_ns=waits), total=replace(made.total, waits_ns=waits)
    )
    columns = np.zeros(2, TIMELINE)
    columns["start_ns"] = FIRST_NS + np.arange(2) * 10 * NS_PER_S
    columns["end_ns"] = columns["start_ns"] + 10 * NS_PER_S
    columns["requests"], columns["response_time_ns"] = 1, -1
    before = Timeline(TimelineView(), 10 * NS_PER_S, columns, NS_PER_S, 100, 200)
    stage = DrivenScreen(made, size=Size(80, 30), timeline=before)
    (errors,) = [line for line in stage.text().splitlines() if "errors " in line]
    assert "errors      ····" in errors
    idle = replace(made, total=replace(made.total, waits_ns=np.zeros((1, 2), np.int64)))
    assert "····" not in DrivenScreen(idle, size=Size(80, 30), timeline=before).text()
