"""Trends beside the rows: where there is room, of the rows in sight, never of what is unknown."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
from support.builders.screen import SIZES, DrivenScreen, trends_of
from support.builders.snapshot import FIRST_NS, destination, snapshot
from support.daemons import TRTOPD, Daemon, finished, peer
from support.golden import check_golden
from support.paths import EXAMPLE
from support.terminals import OnTerminal

from trtop.filters.filter import parse_filter
from trtop.table.text import plain
from trtop.tui.frame import Size, TerminalCaps
from trtop.tui.grid import table_of
from trtop.tui.source import Status
from trtop.tui.state import State
from trtop.tui.trend_columns import N_BARS, WIDTH, TrendColumns
from trtop.tui.trend_question import TrendQuestion
from trtop.tui.view_model import make_view_model
from trtop_core.health import Health
from trtop_core.records import NS_PER_S, GroupBy, Window
from trtop_core.snapshot import Snapshot
from trtop_core.trends import MAX_TREND_ROWS, Trends, TrendView
from trtop_core.view import View
from trtop_core.wire.questions import Question, QuestionReply

N_ROWS = 5
"""Of the incident, without the one that has a long name."""

SLIDING = (Window.LAST_10_S, Window.LAST_60_S, Window.LAST_300_S)


def stage_of(width: int, height: int = 24, **stage: object) -> DrivenScreen:
    """The rows of the incident whose names are short."""
    shown = State(filter=parse_filter("not net 2001:db8::/32"))
    made = DrivenScreen(state=shown, size=Size(width, height), **stage)  # type: ignore[arg-type]
    made.trends = trends_of(made.model, N_ROWS)
    return made


@pytest.mark.parametrize("size", SIZES)
def test_rows_with_trends_look_as_they_are_kept(size: tuple[int, int]) -> None:
    check_golden(f"screen-trends-{size[0]}.txt", stage_of(*size).text())


def test_trends_are_ascii_where_all_is() -> None:
    text = stage_of(132, caps=TerminalCaps(ascii_only=True)).text()
    assert "Trend ---" in text
    assert "Errors 60s" in text
    assert text.isascii()


@pytest.mark.parametrize("width", [40, 60, 80, *range(96, 150, 3), 220])
def test_trends_take_no_room_from_the_main_columns(width: int) -> None:
    stage = stage_of(width)
    without = replace(stage.scene, trends=None)
    shown = range(N_ROWS)
    plain_table = table_of(without, shown, width, stage.caps)
    table = table_of(stage.scene, shown, width, stage.caps)
    has_trends = "Trend" in plain(table.group)
    ranked = sorted(stage.state.columns, key=lambda column: column.importance)
    main = {column.name for column in ranked[:10]}
    drawn = [
        {placed.column.name for placed in t.layout.placed} & main for t in (plain_table, table)
    ]
    assert drawn[0] == drawn[1]
    if not has_trends:
        for part in ("group", "heading", "totals", "rows"):
            assert getattr(table, part) == getattr(plain_table, part)
    assert has_trends or width < 132
    assert not has_trends or width >= 100
    lines = [table.group, table.heading, *table.rows]
    assert all(len(plain(line)) <= width for line in lines)


def test_columns_that_were_asked_for_leave_no_sooner_for_trends() -> None:
    stage = stage_of(132)
    chosen = stage.state.columns[:20]
    stage.state = stage.state.with_columns(chosen)
    drawn = [
        {p.column.name for p in table_of(scene, range(N_ROWS), 130, stage.caps).layout.placed}
        for scene in (stage.scene, replace(stage.scene, trends=None))
    ]
    assert drawn[0] == drawn[1]


def one_row(times: list[int], errors: list[int]) -> Trends:
    rows = snapshot([destination("10.0.0.1")]).table.keys
    n = len(times)
    starts_ns = FIRST_NS + np.arange(n, dtype=np.int64) * 5 * NS_PER_S
    spans_ns = np.full(n, 5 * NS_PER_S, np.int64)
    return Trends(
        TrendView(rows.tobytes()), starts_ns, spans_ns, np.array([errors]), np.array([times])
    )


def test_what_was_not_measured_is_blank() -> None:
    trends = one_row([-1, 800, -1, 100], [0, 0, 3, 0])
    drawn = plain(TrendColumns(trends, False).row_line(trends.view.rows[0]))
    assert drawn == f" {' █ ▁':>{N_BARS}} {'  █ ':>{N_BARS}}"
    assert len(drawn) == WIDTH
    elsewhere = snapshot([destination("10.0.0.2")]).table.keys[0]
    assert plain(TrendColumns(trends, False).row_line(elsewhere)) == " " * WIDTH


@pytest.mark.parametrize("ascii_only", [False, True])
def test_errors_have_a_dot_while_what_may_become_one_waits(ascii_only: bool) -> None:
    trends = one_row([-1] * 4, [0, 2, 0, 0])
    drawn = TrendColumns(trends, ascii_only)
    row, full, dot = trends.view.rows[0], "#" if ascii_only else "█", "." if ascii_only else "·"
    for wait_s, shown in ((0, f" {full}  "), (5, f" {full} {dot}"), (6, f" {full}{dot}{dot}")):
        assert plain(drawn.row_line(row, wait_s * NS_PER_S)).endswith(shown)
    assert plain(drawn.row_line(row, 3600 * NS_PER_S)).endswith(f"{dot}{full}{dot}{dot}")


def waiting_rows() -> Snapshot:
    """One row whose request waits for 145 s, one whose SYNs do, one that waits for nothing bad."""
    many = [
        destination("10.0.0.1", syn=3, synack=3, est=3, requests=3, waiting=1, waiting_long=1),
        destination("10.0.0.2", syn=3, syn_retrans=5, pending=3, pending_retrans=3),
        destination(
            "10.0.0.3", syn=3, synack=3, est=3, requests=30, responses=29, waiting=1,
            response_time=[NS_PER_S] * 29,
        ),
    ]  # fmt: skip
    made = snapshot(
        many, health=Health(packets=100), view=View(sort="destination", descending=False)
    )
    waits = np.array([[0, 145], [7, 0], [0, 1]], np.int64) * NS_PER_S
    table = replace(made.table, waits_ns=waits)
    return replace(made, table=table, total=replace(made.total, waits_ns=waits.max(0)[None]))


def test_rows_show_since_when_something_waits() -> None:
    stage = DrivenScreen(
        waiting_rows(), State(sort="destination", is_descending=False), Size(150, 20)
    )
    stage.trends = trends_of(stage.model, 3)
    stage.trends.errors[:] = 0
    lines = stage.text().splitlines()
    (end,) = [line.index("Errors 60s") + len("Errors 60s") for line in lines if "Errors" in line]
    charts = [line[end - N_BARS : end] for line in lines if " 10.0.0." in line]
    assert charts == ["·" * N_BARS, f"{'··':>{N_BARS}}", " " * N_BARS]


def test_no_slots_are_no_bars() -> None:
    trends = one_row([], [])
    empty = replace(
        trends, errors=np.zeros((1, 0), np.int64), response_time_ns=np.zeros((1, 0), np.int64)
    )
    assert plain(TrendColumns(empty, True).row_line(trends.view.rows[0])) == " " * WIDTH


@dataclass
class Asked:
    """A source that remembers what it was asked."""

    questions: list[TrendView] = field(default_factory=list)
    is_silent: bool = False

    def step(self, budget_s: float) -> bool:
        return False

    def poll(self, view: View) -> Snapshot | None:
        return None

    def answer(self, question: Question) -> QuestionReply | None:
        assert isinstance(question, TrendView)
        self.questions.append(question)
        if self.is_silent:
            return None
        blank = np.zeros((len(question.rows), 0), np.int64)
        none = np.zeros(0, np.int64)
        return Trends(question, none, none, blank, blank)

    def status(self) -> Status:
        return Status("test")


def rows_of(n: int, **fields: object) -> Snapshot:
    many = [destination(f"10.0.{i // 250}.{i % 250}", syn=n - i) for i in range(n)]
    return replace(snapshot(many), **fields)  # type: ignore[arg-type]


STATE = State(sort="syn")


def test_only_rows_in_sight_are_asked_for_and_once_per_moment() -> None:
    source = Asked()
    trends = TrendQuestion(source, SLIDING)
    answer = rows_of(1000)
    model = make_view_model(answer, STATE, 1000, None, None)
    for _ in range(3):
        trends.ask(STATE, model, range(10, 40))
    (question,) = source.questions
    assert len(question.rows) <= MAX_TREND_ROWS
    assert question.keys.startswith(model.snapshot.table.keys[10:40].tobytes())
    assert trends.answer is not None
    assert trends.answer.view == question
    trends.ask(STATE, model, range(20, 50))  # known already
    assert len(source.questions) == 1
    trends.ask(STATE, model, range(500, 530))
    assert len(source.questions) == 2
    later = make_view_model(
        replace(answer, clock_ns=(answer.clock_ns or 0) + 1), STATE, 1000, None, None
    )
    trends.ask(STATE, later, range(500, 530))
    assert len(source.questions) == 3


def test_a_screen_higher_than_a_question_may_be_long_is_asked_for_once() -> None:
    source = Asked()
    trends = TrendQuestion(source, SLIDING)
    model = make_view_model(rows_of(400), STATE, 400, None, None)
    for _ in range(3):
        trends.ask(STATE, model, range(300))
    assert [len(question.rows) for question in source.questions] == [MAX_TREND_ROWS]


@pytest.mark.parametrize(
    ("window", "span_s", "kept", "expected"),
    [
        (Window.LAST_10_S, 900, SLIDING, Window.LAST_10_S),
        (Window.LAST_300_S, 9, SLIDING, Window.LAST_300_S),
        (Window.ALL, 9, SLIDING, Window.LAST_60_S),
        (Window.ALL, 60, SLIDING, Window.LAST_60_S),
        (Window.ALL, 61, SLIDING, Window.LAST_300_S),
        (Window.ALL, 9000, SLIDING, Window.LAST_300_S),
        (Window.ALL, 9000, (*SLIDING[:1], Window.ALL), Window.LAST_10_S),
    ],
)
def test_the_slots_are_those_of_the_window(
    window: Window, span_s: int, kept: tuple[Window, ...], expected: Window
) -> None:
    source = Asked()
    state = replace(STATE, window=window)
    model = make_view_model(rows_of(3, span_ns=span_s * NS_PER_S), state, 3, None, None)
    TrendQuestion(source, kept).ask(state, model, range(3))
    assert [question.window for question in source.questions] == [expected]


def test_nothing_is_asked_where_nothing_can_be_told() -> None:
    source = Asked()
    model = make_view_model(rows_of(3), STATE, 3, None, None)
    TrendQuestion(source, (Window.ALL,)).ask(STATE, model, range(3))
    trends = TrendQuestion(source, SLIDING)
    trends.ask(replace(STATE, with_trends=False), model, range(3))
    trends.ask(STATE, replace(model, is_since_reset=True), range(3))
    trends.ask(STATE, make_view_model(rows_of(0), STATE, 3, None, None), range(3))
    assert source.questions == []
    assert trends.answer is None


def test_an_answer_that_takes_its_time_is_taken_when_it_comes() -> None:
    source = Asked(is_silent=True)
    trends = TrendQuestion(source, SLIDING)
    model = make_view_model(rows_of(3), STATE, 3, None, None)
    trends.ask(STATE, model, range(3))
    assert trends.answer is None
    assert not trends.poll()
    source.is_silent = False
    assert trends.poll()
    assert trends.answer is not None
    assert not trends.poll()


def test_t_takes_trends_away_and_brings_them_back() -> None:
    stage = stage_of(132)
    assert stage.press("t").state.with_trends is False
    assert stage.press("t").state.with_trends is True
    stage.press(":", *"trends", "enter")
    assert stage.state.with_trends is False


def test_rows_of_several_destinations_have_no_trend() -> None:
    many = snapshot([destination("10.0.0.1", syn=2), destination("10.0.0.2", syn=1)])
    stage = DrivenScreen(many, size=Size(132, 24), names=lambda addr, port: "same.example")
    stage.trends = trends_of(stage.model, 2)
    assert "█" in stage.text()
    stage.press("g", "g")
    text = stage.text()
    assert "same.example" in text
    assert "Errors 60s" in text
    assert "█" not in text


@pytest.mark.parametrize("n_daemons", [0, 1, 2])
def test_the_screen_of_a_file_and_of_daemons_has_trends(n_daemons: int, tmp_path: Path) -> None:
    with ExitStack() as stack:
        args: tuple[object, ...] = (EXAMPLE,)
        if n_daemons:
            folders = [tmp_path / str(number) for number in range(n_daemons)]
            daemons = [stack.enter_context(replaying(folder)) for folder in folders]
            args = ("attach", "--window=all", *(daemon.path for daemon in daemons))
        terminal = stack.enter_context(OnTerminal("-m", "trtop", *args, size=(132, 24)))
        # 13 refused in the first slot of five; two that waited, and timed out in the last; one
        # without errors.
        expected = {"192.0.2.13": "█    ", "192.0.2.19": "····█", "192.0.2.12": "     "}
        terminal.wait_for(
            lambda now: all(
                errors_of(now, address) == bars.rjust(N_BARS) for address, bars in expected.items()
            )
        )
        terminal.send("t")
        terminal.wait_for(lambda now: not any("Errors" in line for line in now.screen.display))
        terminal.send("q")
        assert terminal.ended() == 0


@contextmanager
def replaying(folder: Path) -> Iterator[Daemon]:
    """A daemon that has replayed the example."""
    with Daemon(folder, "-r", EXAMPLE, "--speed=max", command=TRTOPD) as daemon:
        with peer(daemon.path) as client:
            finished(client)
        yield daemon


def errors_of(terminal: OnTerminal, address: str) -> str:
    """The second chart of a row."""
    lines = terminal.screen.display
    heading = "Errors 60s"
    end = next((line.index(heading) for line in lines if heading in line), 0) + len(heading)
    rows = (line[end - N_BARS : end] for line in lines if f" {address} " in line)
    return str(next(rows, ""))


def test_a_question_has_the_grouping_of_the_rows() -> None:
    source = Asked()
    state = STATE
    stage = DrivenScreen().press("g")
    state = stage.state
    TrendQuestion(source, SLIDING).ask(state, stage.model, range(3))
    assert source.questions[0].group_by is GroupBy.ADDR_PORT
