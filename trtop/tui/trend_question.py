"""``TrendQuestion``: how the rows in sight went, asked of the source beside the rows themselves.

Takes states and models as they change. Asks again when capture time has gone on, or when rows come
into sight of which nothing is known; never about rows that nobody sees, nor while the picture is
held.
"""

from __future__ import annotations

from collections.abc import Sequence

from trtop.tui.source import SnapshotSource
from trtop.tui.state import Mode, State
from trtop.tui.view_model import ViewModel
from trtop_core.records import NS_PER_S, Window
from trtop_core.trends import MAX_TREND_ROWS, Trends, TrendView

MIN_OF_ALL = Window.LAST_60_S
"""The shortest window whose slots are shown for all of a capture."""


class TrendQuestion:
    """The trends of the rows in sight, from when they are asked for.

    Args:
        source: answers; a daemon takes a while.
        windows: that the source keeps.
    """

    def __init__(self, source: SnapshotSource, windows: Sequence[Window]) -> None:
        self._source = source
        self._windows = sorted(window for window in windows if window is not Window.ALL)
        self._asked: TrendView | None = None
        self._asked_keys: frozenset[bytes] = frozenset()
        self._clock_ns: int | None = None
        self._is_waiting = False
        self.answer: Trends | None = None

    def ask(self, state: State, model: ViewModel, shown: range) -> None:
        """Ask, if there is something new to know; take the answer, if it is there at once.

        Args:
            state: what is shown.
            model: the rows.
            shown: which of them are in sight.
        """
        # A source knows nothing of resets.
        if not state.with_trends or model.is_since_reset:
            self.answer, self._asked, self._is_waiting = None, None, False
            return
        if state.mode is not Mode.LIST or not self._windows or not len(model.names):
            self._is_waiting = False
            return
        window = self._window(state, model)
        group_by = state.view(None).group_by
        keys = model.snapshot.table.keys
        asked = self._asked
        is_same = asked is not None and (asked.window, asked.group_by) == (window, group_by)
        in_sight = {key.tobytes() for key in keys[shown.start : shown.stop]}
        is_covered = in_sight <= self._asked_keys
        if is_same and is_covered and self._clock_ns == model.snapshot.clock_ns:
            return
        wanted = keys[shown.start : shown.start + MAX_TREND_ROWS]
        self._asked = TrendView(wanted.tobytes(), group_by, window)
        self._asked_keys = frozenset(key.tobytes() for key in wanted)
        # Of a screen that is higher than a question may be long, the rest stays unknown.
        self._asked_keys |= in_sight
        self._clock_ns = model.snapshot.clock_ns
        self._is_waiting = True
        self.poll()

    def poll(self) -> bool:
        """Take the answer, if it has come; whether it has."""
        if not self._is_waiting or self._asked is None:
            return False
        answer = self._source.answer(self._asked)
        if not isinstance(answer, Trends):
            return False
        self.answer, self._is_waiting = answer, False
        return True

    def _window(self, state: State, model: ViewModel) -> Window:
        """The window that is looked at; for all of a capture the shortest that holds it."""
        if state.window in self._windows:
            return state.window
        span_ns = model.snapshot.span_ns
        at_least = (one for one in self._windows if one * NS_PER_S >= span_ns and one >= MIN_OF_ALL)
        return next(at_least, self._windows[-1])
