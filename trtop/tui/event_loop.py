"""The loop: a source, a terminal and a state, until the user quits.

Takes events and answers as they come, keeps what must be remembered between them (the last answer,
the baseline of a reset), and has the terminal show one frame per change. Clock and signals are
passed in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from trtop.reporters.html_page.recorded import make_recording
from trtop.tui.clicks import Clicks
from trtop.tui.draw import draw, first_row
from trtop.tui.effects import Context, Effect, Updated
from trtop.tui.frame import Frame
from trtop.tui.history_question import HistoryQuestion
from trtop.tui.page_question import PageQuestion, question_of
from trtop.tui.pages.registry import PAGE_OF_MODE
from trtop.tui.prompt import tried
from trtop.tui.save import is_there, prefix_of, save
from trtop.tui.saving_place import proposal, refusal
from trtop.tui.scene import Scene
from trtop.tui.selection import selecting
from trtop.tui.setup import Screen, Setup
from trtop.tui.source import SnapshotSource
from trtop.tui.state import Grouping, Prompt, Purpose, State
from trtop.tui.strip import n_bars
from trtop.tui.terminal import Event, HangUpEvent, KeyEvent, WheelEvent
from trtop.tui.trend_question import TrendQuestion
from trtop.tui.update import update, wheel
from trtop.tui.view_model import (
    ViewModel,
    ask,
    asked_by,
    everything,
    make_view_model,
)
from trtop_core.records import Window
from trtop_core.snapshot import Snapshot
from trtop_core.view import View
from trtop_core.wire.questions import Question, QuestionReply

Reply = TypeVar("Reply")

FIRST_REFRESHES_S = 0.2
"""While a file is read, until there is something to see."""

STEP_S = 0.04
"""How long a source may work before keys are looked at: too short to be felt."""

IDLE_S = 0.05
"""How long keys are waited for before a source is looked at again."""

MAX_EXTRA_ROWS = 200
"""Rows asked for beyond the page, so that scrolling has something to show at once."""

PATIENCE_S = 3.0
"""How long a remote source may take to answer a key that needs all rows."""

MAX_KEPT_EVENTS = 100

STILL_S = 0.15
"""Without a key for as long, the rows are shown by what is being typed."""


class EventLoop:
    """Takes keys and answers as they come, and shows a frame for each change.

    Args:
        source: gives snapshots.
        screen: the terminal.
        setup: what is looked at first, and what there is.
        monotonic_s: a clock in seconds.
    """

    def __init__(
        self,
        source: SnapshotSource,
        screen: Screen,
        setup: Setup,
        monotonic_s: Callable[[], float],
    ) -> None:
        self.state = setup.state
        self._source = source
        self._screen = screen
        self._setup = setup
        self._monotonic_s = monotonic_s
        self._held: Snapshot | None = None
        self._baselines: dict[Grouping, Snapshot] = {}
        self._page_question = PageQuestion(source)
        self._trends = TrendQuestion(source, setup.windows)
        self._history = HistoryQuestion(source)
        self._model: ViewModel | None = None
        self._frame = Frame(())
        self._kept: deque[Event] = deque()
        self._next_s = 0.0
        self._try_at_s: float | None = None
        self._all_rows: Snapshot | None = None
        self._is_asking = True
        self._was_over = False
        self._clicks = Clicks(monotonic_s)

    def run(self, is_due: Callable[[], bool]) -> None:
        """Go on until the user quits.

        Args:
            is_due: whether something else ends it, such as a signal.
        """
        self._draw()
        while not is_due():
            is_busy = self._source.step(STEP_S)
            is_tried = self._try()
            is_new = self._refresh() or self._page_question.poll(self.state)
            is_told = self._history.poll(self.state)
            if self._trends.poll() or is_told or is_new or is_tried:
                self._draw()
            event = self._event(0 if is_busy else self._patience_s())
            while event is not None:
                if not self._take(event):
                    return
                event = self._event(0)

    def _event(self, timeout_s: float) -> Event | None:
        """The next key or click, those that were kept first."""
        return self._kept.popleft() if self._kept else self._screen.event(timeout_s)

    def _patience_s(self) -> float:
        """How long keys may be waited for."""
        if self._try_at_s is not None:
            return max(0.0, min(IDLE_S, self._try_at_s - self._monotonic_s()))
        if self._was_over and not self._is_asking:
            return self._setup.refresh_s
        return max(0.0, min(IDLE_S, self._next_s - self._monotonic_s()))

    def _take(self, event: Event) -> bool:
        """What an event changes; False to quit."""
        before = self.state
        if isinstance(event, HangUpEvent):
            return False
        if isinstance(event, KeyEvent):
            updated = update(self.state, event.key, self._context())
        elif isinstance(event, WheelEvent):
            updated = Updated(wheel(self.state, event.is_down, self._context()))
        else:
            height = self._screen.size.height
            updated = self._clicks.taken(event, self.state, self._frame, height, self._context())
        self.state = updated.state
        if updated.effect is Effect.QUIT:
            return False
        self._carry_out(updated)
        self._follow(before)
        if self.state.prompt is None:
            self._try_at_s = None
        elif before.prompt is None or before.prompt.text != self.state.prompt.text:
            self._try_at_s = self._monotonic_s() + STILL_S
        self._draw()
        return True

    def _try(self) -> bool:
        """Show the rows by what is being typed, once the keys have been still; whether to draw."""
        if self._try_at_s is None or self._monotonic_s() < self._try_at_s:
            return False
        self._try_at_s = None
        before = self.state
        self.state = tried(self.state, self._context())
        self._follow(before)
        return True

    def _context(self) -> Context:
        return Context(
            model=self._model,
            page=self._frame.page,
            windows=self._setup.windows,
            groupings=self._setup.groupings,
            has_names=self._setup.names is not None,
            prefix=self._setup.prefix,
            is_over=self._was_over,
            timeline=self._history.timeline,
            proposed=proposal(self._setup.writes_as),
        )

    def _carry_out(self, updated: Updated) -> None:
        if updated.effect is Effect.RESET:
            self._reset()
        elif updated.effect is Effect.FORGET_RESET:
            self._baselines.clear()
            self._is_asking = True
        elif updated.effect is Effect.SAVE:
            self._save(updated.prefix, updated.may_overwrite)

    def _follow(self, before: State) -> None:
        """What another state needs: another question, or another arrangement of the answer."""
        after = self.state
        if after.is_paused and not before.is_paused:
            self._held = self._ask(everything(after))
        if not after.is_paused:
            self._held = None
        if question_of(self.state) is not None and (
            before.mode is not after.mode or after.selected_key != before.selected_key
        ):
            self._page_question.forget()
            self._is_asking = True
        if after.is_paused != before.is_paused or asked_by(after) != asked_by(before):
            self._is_asking = True
        if not after.is_paused and self._lacks_rows():
            self._is_asking = True
        if self._held is not None:
            self._arrange(self._held)
            return
        kept = self._all_rows
        is_same_question = kept is not None and kept.view == everything(after)
        if kept is not None and is_same_question and after.shown_filter != before.shown_filter:
            # At once: a daemon's answer takes a while, and these rows are of a moment ago.
            self._arrange(kept)
        if self._is_asking:
            self._refresh()

    def _lacks_rows(self) -> bool:
        """Whether rows are nearly in sight that were not asked for: by moving, or by a resize."""
        model = self._model
        if model is None or len(model.names) >= model.n_rows:
            return False
        return self.state.selected + self._page >= len(model.names)

    def _refresh(self) -> bool:
        """Ask the source if it is time, and take its answer; whether to draw."""
        now_s = self._monotonic_s()
        is_over = self._source.status().is_over
        if is_over and not self._was_over:
            self._is_asking = True
        self._was_over = is_over
        is_time = now_s >= self._next_s
        if is_time:
            is_early = self._model is None or not self._model.n_rows
            self._next_s = now_s + (FIRST_REFRESHES_S if is_early else self._setup.refresh_s)
            if not is_over or self._model is None:
                self._is_asking = True
        if not self._is_asking:
            return is_time
        if self._held is not None:
            # Paused: only what the source says of itself is new.
            self._is_asking = False
            return True
        n_rows = self._n_rows_wanted()
        is_since_reset = bool(self._baselines)
        answer = ask(self._source, self.state, n_rows, is_since_reset, self._setup.names)
        if answer is None:
            # What the source says of itself may be new.
            return is_time
        self._is_asking = False
        self._all_rows = answer if answer.view == everything(self.state) else None
        self._arrange(answer, n_rows)
        if self._lacks_rows():
            self._is_asking = True
        if self._model is not None:
            is_since_reset = bool(self._baselines) and self.state.covers_all
            self._page_question.ask(self.state, self._model, is_since_reset)
        self._history.ask(self.state, n_bars(self._screen.size.width - 2))
        return True

    def _arrange(self, answer: Snapshot, n_rows: int | None = None) -> None:
        """Make the model of an answer."""
        n_wanted = self._n_rows_wanted() if n_rows is None else n_rows
        self._model = make_view_model(
            answer,
            self.state,
            n_wanted,
            self._baselines.get(self.state.shown_grouping),
            self._setup.names,
        )
        self.state = selecting(self.state, self._model)

    def _n_rows_wanted(self) -> int:
        """Rows up to the end of the page that the selection is on, and some more."""
        last = max(self.state.offset, self.state.selected)
        return last + self._page + min(self._page, MAX_EXTRA_ROWS)

    @property
    def _page(self) -> int:
        """Rows of a page at most; the terminal may have grown since the last frame."""
        return max(self._frame.page, self._screen.size.height)

    def _draw(self) -> None:
        if self._model is not None and self._held is None:
            n_rows = self._frame.page or self._screen.size.height
            first = first_row(self.state, self._model, n_rows)
            self._trends.ask(self.state, self._model, range(first, first + n_rows))
        scene = self._scene()
        self._frame = draw(scene, self._screen.size, self._screen.caps)
        page = PAGE_OF_MODE.get(self.state.mode)
        if page is None:
            self.state = replace(self.state, offset=self._frame.first)
        elif not page.n_choices:
            self.state = replace(self.state, scroll=self._frame.first)
        self._screen.show(self._frame)

    def _scene(self) -> Scene:
        answer = self._page_question.answer(self.state)
        return Scene(
            self.state,
            self._model,
            self._source.status(),
            answer,
            self._setup.thresholds,
            self._trends.answer,
            self._history.timeline,
        )

    def _reset(self) -> None:
        """Count from now on, whatever rows are grouped by."""
        self._baselines.clear()
        for grouping in self._setup.groupings:
            state = replace(
                self.state, grouping=grouping, window=Window.ALL, period=None, filter=None
            )
            answer = self._ask(everything(state))
            if answer is None:
                self._baselines.clear()
                self.state = self.state.saying("the source does not answer: nothing is reset")
                break
            self._baselines[grouping] = answer
        self._is_asking = True

    def _ask(self, view: View) -> Snapshot | None:
        """Ask for what a key needs, and wait a little for it; keys are kept for later."""
        return self._waited_for(lambda: self._source.poll(view))

    def _ask_question(self, question: Question) -> QuestionReply | None:
        """Ask something else, as ``_ask`` does."""
        return self._waited_for(lambda: self._source.answer(question))

    def _waited_for(self, ask: Callable[[], Reply]) -> Reply:
        end_s = self._monotonic_s() + PATIENCE_S
        while True:
            answer = ask()
            if answer is not None or self._monotonic_s() >= end_s:
                return answer
            if not self._source.step(STEP_S):
                event = self._screen.event(IDLE_S)
                if event is not None and len(self._kept) < MAX_KEPT_EVENTS:
                    self._kept.append(event)

    def _save(self, prefix: str, may_overwrite: bool) -> None:
        """Write what is looked at, with all its rows; a file that is there only if told so."""
        prefix = prefix_of(prefix)
        if not may_overwrite and is_there(prefix):
            asked = Prompt(Purpose.OVERWRITE, prefix, len(prefix), confirmed=prefix)
            self.state = replace(self.state, prompt=asked)
            return
        answer = self._held or self._ask(everything(self.state))
        if answer is None:
            self.state = self.state.saying("the source does not answer: nothing is saved")
            return
        baseline = self._baselines.get(self.state.shown_grouping)
        names, recording = self._setup.names, make_recording(self._ask_question)
        try:
            done = save(prefix, self._scene(), answer, baseline, names, recording)
        except PermissionError as error:
            done = refusal(str(error.filename or prefix), self._setup.writes_as)
        self.state = self.state.saying(done)
