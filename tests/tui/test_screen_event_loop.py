"""The loop with a scripted keyboard and a clock of its own: what is asked, kept and written."""

import json
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from support.builders.snapshot import snapshot
from support.html_page import data_of
from support.traffic.busy import SEED, busy

from trtop.filters.filter import parse_filter
from trtop.table.text import plain
from trtop.tui.engine_source import EngineSource, Reading
from trtop.tui.event_loop import EventLoop
from trtop.tui.frame import Frame, Size, TerminalCaps
from trtop.tui.setup import Setup
from trtop.tui.source import Status
from trtop.tui.state import Grouping, Mode, State
from trtop.tui.terminal import ClickEvent, Event, HangUpEvent, KeyEvent, WheelEvent
from trtop_core.activity import ActivityView
from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.detail import DetailView
from trtop_core.engine import Engine
from trtop_core.errors import DamagedCaptureError, NotACaptureError, TrtopError
from trtop_core.health import Health
from trtop_core.records import GroupBy, Window
from trtop_core.snapshot import Snapshot
from trtop_core.sources import IDLE
from trtop_core.timeline import TimelineView
from trtop_core.trends import MAX_TREND_ROWS, TrendView
from trtop_core.view import View
from trtop_core.wire.questions import Question, QuestionReply

WINDOWS = (Window.LAST_10_S, Window.LAST_60_S, Window.LAST_300_S)

MAX_LOOPS = 2_000


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@dataclass
class Keyboard:
    """A terminal whose user follows a script: keys, clicks, and functions to look around."""

    clock: Clock
    script: deque[object]
    size: Size = field(default_factory=lambda: Size(100, 24))
    caps: TerminalCaps = field(default_factory=TerminalCaps)
    frames: list[Frame] = field(default_factory=list)
    n_waits: int = 0

    def show(self, frame: Frame) -> None:
        self.frames.append(frame)

    def event(self, timeout_s: float) -> Event | None:
        self.n_waits += 1
        assert self.n_waits < MAX_LOOPS, "the script did not come to its end"
        if timeout_s == 0 and self.script and self.script[0] == "wait":
            return None
        self.clock.now_s += timeout_s
        while self.script:
            step = self.script.popleft()
            if step == "wait":
                self.clock.now_s += 1
                return None
            if callable(step):
                step()
                continue
            return step if not isinstance(step, str) else KeyEvent(step)
        return KeyEvent("q")

    @property
    def text(self) -> str:
        return "\n".join(plain(line) for line in self.frames[-1].lines)


@dataclass
class Recorded:
    """A source that answers from an engine and remembers what it was asked."""

    engine: Engine
    views: list[View] = field(default_factory=list)
    details: list[DetailView] = field(default_factory=list)
    trends: list[TrendView] = field(default_factory=list)
    is_over: bool = False
    is_silent: bool = False
    has_detail: bool = True
    delay: int = 0
    n_steps: int = 0

    def step(self, budget_s: float) -> bool:
        self.n_steps += 1
        return False

    def poll(self, view: View) -> Snapshot | None:
        self.views.append(view)
        if self.is_silent:
            return None
        if self.delay:
            self.delay -= 1
            return None
        return self.engine.snapshot(view)

    def answer(self, question: Question) -> QuestionReply | None:
        if isinstance(question, TrendView):
            self.trends.append(question)
            return self.engine.trends(question)
        if isinstance(question, TimelineView):
            return self.engine.timeline(question)
        if isinstance(question, ActivityView):
            return self.engine.activity(question)
        self.details.append(question)
        return self.engine.detail(question) if self.has_detail else None

    def status(self) -> Status:
        return Status("test", is_over=self.is_over)


HISTORY_BYTES = 1 << 24


def an_engine(n_packets: int | None = None) -> Engine:
    config = EngineConfig(windows=WINDOWS, group_by=GroupBy.ADDR_PORT, history_bytes=HISTORY_BYTES)
    made = Engine(config, SEED)
    made.feed(PacketBatch.from_packets(busy(9, 40)[:n_packets]))
    return made


@dataclass
class Run:
    """A session with its parts."""

    steps: list[object]
    source: Recorded = field(default_factory=lambda: Recorded(an_engine()))
    setup: Setup = field(default_factory=Setup)

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.keyboard = Keyboard(self.clock, deque(self.steps))
        self.session = EventLoop(self.source, self.keyboard, self.setup, self.clock)

    def go(self, is_due: Callable[[], bool] = lambda: False) -> "Run":
        self.session.run(is_due)
        return self

    @property
    def state(self) -> State:
        return self.session.state


def test_only_the_rows_on_the_screen_are_asked_for() -> None:
    run = Run(["wait", "wait"]).go()
    assert run.source.views
    assert all(view.limit is not None and view.limit <= 100 for view in run.source.views)
    assert "198.51.100." in run.keyboard.text


def test_a_live_source_is_asked_once_a_second() -> None:
    run = Run(["wait"] * 10).go()
    assert 9 <= len(run.source.views) <= 13


def test_trends_are_asked_for_the_rows_in_sight_and_not_while_the_picture_is_held() -> None:
    packets = []
    for i in range(300):
        packets += [
            (at, packet.replace(bytes([198, 51, 100, 7]), bytes([198, 51, i // 200, i % 200])))
            for at, packet in busy(1, 1)[:2]
        ]
    made = Engine(EngineConfig(windows=WINDOWS, group_by=GroupBy.ADDR_PORT), SEED)
    made.feed(PacketBatch.from_packets(packets))
    run = Run(["wait", "end", "wait"], Recorded(made)).go()
    assert all(len(asked.rows) <= MAX_TREND_ROWS for asked in run.source.trends)
    last = made.snapshot(run.source.views[-1]).table.keys[-1]
    assert last.tobytes() in run.source.trends[-1].keys
    run = Run(["wait", " ", "wait", "end", "wait"], Recorded(made)).go()
    assert len(run.source.trends) == 1
    run = Run(["wait", "t", "wait"], Recorded(made)).go()
    assert len(run.source.trends) == 1
    run = Run(["wait", "d", "wait", "wait"], Recorded(made)).go()
    assert len(run.source.trends) == 1


def test_a_source_that_is_over_is_asked_no_more_without_a_key() -> None:
    source = Recorded(an_engine(), is_over=True)
    Run(["wait"] * 10, source).go()
    n_asked = len(source.views)
    assert n_asked <= 2
    Run(["wait"] * 10 + ["w"] + ["wait"] * 5, source).go()
    assert len(source.views) <= 2 * n_asked + 2
    assert source.views[-1].window is Window.LAST_10_S


def test_a_terminal_that_grows_has_all_its_rows_at_once() -> None:
    """A capture that is over is not asked again by itself."""
    packets: list[tuple[int, bytes]] = []
    for i in range(100):
        for at_ns, packet in busy(1, 1)[:2]:
            packets.append(
                (at_ns, packet.replace(bytes([198, 51, 100, 7]), bytes([198, 51, 0, i])))
            )
    made = Engine(EngineConfig(windows=WINDOWS, group_by=GroupBy.ADDR_PORT), SEED)
    made.feed(PacketBatch.from_packets(packets))
    seen: list[str] = []

    def sized(width: int, height: int) -> Callable[[], None]:
        def change() -> None:
            run.keyboard.size = Size(width, height)

        return change

    def look() -> None:
        seen.append(run.keyboard.text)

    shrunk = ["/", "1", "9", "8", "enter", "esc", sized(8, 2), "resize"]
    steps = ["wait", "wait", *shrunk, sized(300, 60), "resize", look]
    run = Run(steps, Recorded(made, is_over=True))
    run.keyboard.size = Size(20, 5)
    run.go()
    assert seen[0].count("198.51.0.") > 40


def test_what_is_pressed_is_asked_at_once() -> None:
    run = Run(["wait", "R", "wait", "g", "p"]).go()
    assert run.source.views[-1] == replace(
        run.source.views[-1], sort="rst", group_by=GroupBy.ADDR_PORT, percentile=99.0
    )


def test_an_answer_that_takes_its_time_is_waited_for() -> None:
    source = Recorded(an_engine(), delay=5)
    run = Run(["wait"] * 9, source).go()
    assert "198.51.100." in run.keyboard.text
    assert "no packets yet" not in run.keyboard.text


def test_a_silent_source_leaves_the_keys_working() -> None:
    source = Recorded(an_engine(), is_silent=True)
    seen: list[str] = []

    def caps() -> None:
        seen.append(run.keyboard.text)

    run = Run(["wait", caps, "?", caps, "esc", "r", *["wait"] * 5, caps], source)
    run.go()
    assert "no packets yet" in seen[0]
    assert "this help" in seen[1]
    assert "does not answer" in seen[2]


def test_a_paused_picture_stands_still_but_can_be_sorted_and_scrolled() -> None:
    source = Recorded(an_engine(200))
    seen: list[str] = []

    def feed() -> None:
        seen.append(run.keyboard.text)
        source.engine.feed(PacketBatch.from_packets(busy(9, 40)[200:]))

    def caps() -> None:
        seen.append(run.keyboard.text)

    steps = [
        "wait", " ", feed, "wait", "wait", caps, "H", caps, "end", "d", "esc", " ", "S", "wait",
    ]  # fmt: skip
    run = Run([*steps, caps], source)
    run.go()
    before, after, sorted_by_name = seen[0], seen[1], seen[2]
    assert "paused" in before
    assert before == after
    assert sorted_by_name != after
    assert "sort Host" in sorted_by_name
    assert "paused" not in run.keyboard.text
    assert run.keyboard.text != before


def test_a_reset_counts_from_now_on_and_u_takes_it_back() -> None:
    source = Recorded(an_engine(300))
    seen: list[str] = []

    def feed() -> None:
        source.engine.feed(PacketBatch.from_packets(busy(9, 40)[300:]))

    def caps() -> None:
        seen.append(run.keyboard.text)

    steps = ["wait", caps, "r", "wait", caps, feed, "wait", caps, "g", "wait", caps, "g", "u"]
    run = Run([*steps, "wait", caps], source)
    run.go()
    whole, empty, since, by_port, undone = seen
    view = View()
    assert "total " in whole
    assert "since reset" not in whole
    assert "since reset" in empty
    assert _line(empty, "total").split()[2] == "0"
    n_all = source.engine.snapshot(view).totals.count("syn")
    n_before = an_engine(300).snapshot(view).totals.count("syn")
    assert f" {n_all - n_before}(" in _line(since, "total")
    assert f" {n_all - n_before}(" in _line(by_port, "total")
    assert ":443" in by_port
    assert f" {n_all}(" in _line(undone, "total")


def _line(text: str, name: str) -> str:
    return next(line for line in text.splitlines() if f"│ {name}" in line)


def test_the_detail_is_asked_for_while_it_is_looked_at() -> None:
    run = Run(["wait", "down", "d", "wait", "wait"]).go()
    assert len(run.source.details) >= 3
    assert "History" in run.keyboard.text
    selected = run.source.details[-1]
    assert selected.addr == run.state.selected_key.addr  # type: ignore[union-attr]
    n_asked = len(run.source.details)
    again = Run(["wait", "down", "d", "wait", "esc", "wait", "wait"]).go()
    assert len(again.source.details) < n_asked + 1
    assert again.state.mode is Mode.LIST


def test_a_source_without_details_shows_what_the_rows_have() -> None:
    source = Recorded(an_engine(), has_detail=False)
    run = Run(["wait", "d", "wait", "pgdn", "pgdn"], source).go()
    assert "Latencies" in "".join(plain(x) for frame in run.keyboard.frames for x in frame.lines)
    assert "windows are kept" in "".join(
        plain(x) for frame in run.keyboard.frames for x in frame.lines
    )


def test_scrolling_asks_for_what_is_missing() -> None:
    packets = []
    for i in range(300):
        packets += [
            (at, packet.replace(bytes([198, 51, 100, 7]), bytes([198, 51, i // 200, i % 200])))
            for at, packet in busy(1, 1)[:2]
        ]
    made = Engine(EngineConfig(windows=WINDOWS, group_by=GroupBy.ADDR_PORT), SEED)
    made.feed(PacketBatch.from_packets(packets))
    n_rows = made.snapshot(View()).n_destinations
    assert n_rows >= 300
    run = Run(["wait", "end"], Recorded(made)).go()
    assert run.state.selected == n_rows - 1
    assert f"of {n_rows}" in run.keyboard.text
    assert run.state.selected in run.keyboard.frames[-1].rows.values()
    run = Run(["wait", *["pgdn"] * 40, "wait"], Recorded(made)).go()
    assert run.state.selected == n_rows - 1
    assert run.state.selected in run.keyboard.frames[-1].rows.values()


def test_clicks_reach_headings_and_rows() -> None:
    run = Run(["wait"]).go()
    frame = run.keyboard.frames[-1]
    ((y, places),) = frame.headings.items()
    x = next(first for first, _, key in places if key == "rst")
    row_y = next(at for at, row in frame.rows.items() if row == 2)
    run = Run(["wait", ClickEvent(x + 1, y), ClickEvent(5, row_y), WheelEvent(is_down=False)]).go()
    assert run.state.sort == "rst"
    assert run.state.selected == 0
    run = Run(["wait", ClickEvent(5, row_y), ClickEvent(5, 0), ClickEvent(500, 500)]).go()
    assert run.state.selected == 2


def test_a_key_of_the_bottom_line_is_pressed_by_a_click() -> None:
    frame = Run(["wait"]).go().keyboard.frames[-1]
    at = {key: first for first, _, key in frame.keys}
    run = Run(["wait", ClickEvent(at["e"] + 2, 23)]).go()
    assert run.state.mode is Mode.EXPLAIN
    run = Run(["wait", ClickEvent(at["q"], 23), "e"]).go()
    assert run.state.mode is Mode.LIST


def test_a_double_click_on_a_row_opens_its_detail_and_two_slow_ones_do_not() -> None:
    frame = Run(["wait"]).go().keyboard.frames[-1]
    row_y = next(at for at, row in frame.rows.items() if row == 1)
    twice = [ClickEvent(5, row_y), ClickEvent(6, row_y)]
    run = Run(["wait", *twice]).go()
    assert (run.state.mode, run.state.selected) == (Mode.DETAIL, 1)
    assert Run(["wait", twice[0], "wait", twice[1]]).go().state.mode is Mode.LIST
    assert Run(["wait", twice[0], ClickEvent(5, row_y - 1)]).go().state.mode is Mode.LIST
    assert Run(["wait", *twice, twice[0]]).go().state.mode is Mode.DETAIL


def test_a_resize_is_drawn_at_once() -> None:
    def shrink() -> None:
        run.keyboard.size = Size(60, 15)

    run = Run(["wait", shrink, "resize", "wait"])
    run.go()
    assert len(run.keyboard.frames[-1].lines) == 15


@pytest.mark.parametrize("end", [HangUpEvent(), KeyEvent("q")])
def test_a_terminal_that_is_gone_ends_it(end: Event) -> None:
    run = Run(["wait", end, *["wait"] * 1000]).go()
    assert len(run.keyboard.script) == 1000


def test_a_signal_ends_it() -> None:
    answers: Iterator[bool] = iter([False, False, True])
    run = Run(["wait"] * 1000).go(lambda: next(answers))
    assert len(run.keyboard.script) > 990


def test_s_saves_the_rows_as_text_and_json(tmp_path: Path) -> None:
    prefix = str(tmp_path / "out")
    setup = Setup(prefix=prefix)
    run = Run(["wait", "/", *"syn>39", "enter", "wait", "s"], setup=setup).go()
    assert f"saved {prefix}"[:70] in run.keyboard.text
    assert run.keyboard.text.splitlines()[-1].startswith("? Help q Quit")
    document = json.loads(Path(f"{prefix}.json").read_text())
    rows = [row for row in run.source.engine.snapshot(View()).rows() if row.count("syn") > 39]
    assert [row["destination"] for row in document["destinations"]] == [row.name for row in rows]
    text = Path(f"{prefix}.trtop").read_text()
    for row in rows:
        assert row.name in text
    assert "Syn/Ack(%)" in text


def test_a_page_that_s_saves_has_the_timeline_of_its_rows(tmp_path: Path) -> None:
    setup = Setup(prefix=str(tmp_path / "out"))
    run = Run(["wait", "s"], setup=setup).go()
    data = data_of((tmp_path / "out.html").read_text())
    snapshot = run.source.engine.snapshot(View())

    def syn(series: list[Any]) -> int:
        return sum(n for i, numbers in series for n in numbers if i == 0 and n > 0)

    assert syn(data["timeline"]["all"]) == snapshot.total.counters["syn"].sum() > 0
    counted = {row.name: row.count("syn") for row in snapshot.rows()}
    told = {
        name: syn(detail["series"])
        for name, detail in zip(data["names"], data["details"], strict=True)
    }
    assert told == counted


def test_s_asks_for_a_prefix_where_there_is_none(tmp_path: Path) -> None:
    run = Run(["wait", "s", *str(tmp_path / "asked.html"), "enter"]).go()
    assert (tmp_path / "asked.trtop").exists()
    assert (tmp_path / "asked.html").read_text().startswith("<!DOCTYPE html>")
    assert (tmp_path / "asked.json").exists()
    assert "saved" in run.keyboard.text


def test_s_in_the_drill_down_saves_its_text(tmp_path: Path) -> None:
    Run(["wait", "d", "wait", "s"], setup=Setup(prefix=str(tmp_path / "d"))).go()
    text = (tmp_path / "d.trtop").read_text()
    assert "Slowest latest request" in text
    assert "\x1b" not in text


@pytest.mark.parametrize("prefix", ["/nowhere/x", "/proc/x", "a\0b"])
def test_what_cannot_be_saved_is_told(prefix: str) -> None:
    run = Run(["wait", "s"], setup=Setup(prefix=prefix)).go()
    assert "saved" not in run.keyboard.text.splitlines()[-1]
    assert run.keyboard.text.splitlines()[-1].strip()


def test_saving_overwrites_only_what_the_user_was_told_of(tmp_path: Path) -> None:
    prefix = str(tmp_path / "x")
    setup = Setup(prefix=prefix)
    (tmp_path / "x.json").write_text("kept")
    run = Run(["wait", "s", "wait", "esc"], setup=setup).go()
    shown = "\n".join(plain(line) for frame in run.keyboard.frames for line in frame.lines)
    assert "is there: Enter overwrites; or another: " in shown
    assert (tmp_path / "x.json").read_text() == "kept"
    assert not (tmp_path / "x.trtop").exists()
    Run(["wait", "s", "2", "enter"], setup=setup).go()
    assert json.loads((tmp_path / "x2.json").read_text())
    assert (tmp_path / "x.json").read_text() == "kept"
    Run(["wait", "s", "enter"], setup=setup).go()
    assert json.loads((tmp_path / "x.json").read_text())


def test_names_group_and_are_saved(tmp_path: Path) -> None:
    def names(addr: str, port: int) -> str | None:
        return "shop" if addr.endswith((".7", ".8")) else None

    prefix = str(tmp_path / "n")
    setup = Setup(names=names, prefix=prefix)
    run = Run(["wait", "g", "g", "wait", "d", "esc", "s"], setup=setup).go()
    assert run.state.grouping is Grouping.NAME
    assert "│ shop" in run.keyboard.text
    text = Path(f"{prefix}.trtop").read_text()
    assert "shop" in text
    document = json.loads(Path(f"{prefix}.json").read_text())
    assert {row["destination"] for row in document["destinations"]} == {
        "198.51.100.7",
        "198.51.100.8",
        "198.51.100.9",
    }
    assert {row["address"]: row["name"] for row in document["destinations"]} == {
        "198.51.100.7": "shop",
        "198.51.100.8": "shop",
        "198.51.100.9": None,
    }


class Batches:
    """A capture in memory, ended by an error or not."""

    def __init__(self, batches: list[PacketBatch], error: TrtopError | None = None) -> None:
        self._batches = iter(batches)
        self._error = error
        self.bytes_read, self.bytes_total = 34, 100
        self.bytes_unpacked = 34
        self.errors = [error] if error else []

    def __iter__(self) -> "Batches":
        return self

    def __next__(self) -> PacketBatch:
        batch = next(self._batches, None)
        if batch is not None:
            return batch
        if self._error is not None:
            raise self._error
        raise StopIteration


def read(batches: list[PacketBatch], error: TrtopError | None = None) -> EngineSource:
    clock = Clock()

    def ticking() -> float:
        clock.now_s += 0.03
        return clock.now_s

    made = Engine(EngineConfig(windows=WINDOWS, history_bytes=HISTORY_BYTES), SEED)
    return EngineSource(made, Batches(batches, error), Reading("x.pcap"), ticking)  # type: ignore[arg-type]


def test_a_capture_is_read_in_steps_of_the_budget() -> None:
    packets = busy(2, 10)
    pieces = [PacketBatch.from_packets(packets[i : i + 10]) for i in range(0, 100, 10)]
    source = read(pieces)
    assert source.step(0.1)
    first = source.poll(View())
    assert first is not None
    assert 0 < first.health.packets < 100
    assert "reading, 34%" in source.status().source
    assert not source.status().is_over
    for _ in range(10):
        source.step(0.1)
    last = source.poll(View())
    assert last is not None
    assert last.health.packets == 100
    assert source.status().is_over
    assert source.status().source == "x.pcap"
    assert not source.step(0.1)


def test_an_idle_capture_gives_control_back() -> None:
    source = read([IDLE, PacketBatch.from_packets(busy(2, 2)[:5]), IDLE])
    assert not source.step(100)
    assert not source.step(100)
    answer = source.poll(View())
    assert answer is not None
    assert answer.health.packets == 5


def test_a_damaged_capture_shows_what_was_read_and_tells() -> None:
    error = DamagedCaptureError("x.pcap: cut off", 99, 5)
    source = read([PacketBatch.from_packets(busy(2, 20))], error)
    source.step(100)
    assert source.error is error
    assert not source.is_unusable
    assert source.status().is_over
    assert "cut off at byte 99" in source.status().notices[0]
    session = Run(["wait"], source).go()  # type: ignore[arg-type]
    assert session.keyboard.text.count("cut off at byte 99") == 1
    assert "% of what was read" in session.keyboard.text
    labels = lambda keys: ["?"] * len(keys)  # noqa: E731
    every = parse_filter("syn>=0")
    assert every is not None
    shown = source.poll_chosen(View(), every, labels)
    assert shown is not None
    assert shown.unread == (str(error),)
    unusable = read([], NotACaptureError("x.pcap: no capture"))
    unusable.step(100)
    assert unusable.is_unusable


def test_a_picture_of_nothing_is_a_picture() -> None:
    made = snapshot([], health=Health())
    assert made.n_destinations == 0
    config = EngineConfig(windows=WINDOWS, group_by=GroupBy.ADDR_PORT)
    steps: list[object] = ["wait", "end", "pgup", "d", "/", "x", "enter", "s", "esc"]
    run = Run(steps, Recorded(Engine(config, SEED))).go()
    assert "no connections" in run.keyboard.text
