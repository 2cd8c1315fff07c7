"""``HistoryQuestion``: what the strip above the rows asks of the source, and the answer to it.

Asks once per refresh while rows are shown; the last answer stays until there is a newer one.
"""

from __future__ import annotations

from trtop.tui.source import SnapshotSource
from trtop.tui.state import Mode, State
from trtop_core.timeline import MAX_COLUMNS, Timeline, TimelineView


class HistoryQuestion:
    """The question for the timeline of a history.

    Args:
        source: answers it; a daemon takes a while.

    Attributes:
        timeline: the newest answer; None while there is none.
    """

    def __init__(self, source: SnapshotSource) -> None:
        self.timeline: Timeline | None = None
        self._source = source
        self._asked: TimelineView | None = None

    def ask(self, state: State, n_columns: int) -> None:
        """Ask anew.

        Args:
            state: what is shown.
            n_columns: how many there is room for.
        """
        self._asked = TimelineView(max(1, min(n_columns, MAX_COLUMNS)))
        self.poll(state)

    def poll(self, state: State) -> bool:
        """Take the answer, if it has come; whether it has. Pages ask for something else."""
        if self._asked is None or state.mode is not Mode.LIST:
            return False
        answer = self._source.answer(self._asked)
        if not isinstance(answer, Timeline):
            return False
        self.timeline, self._asked = answer, None
        return True
