"""``PageQuestion``: what the page that is shown asks of the source, and the answer to it.

Takes states and models as they change. Asks only what a source can answer: about a row that stands
for one destination, without a reset.
"""

from __future__ import annotations

from trtop.tui.pages.registry import PAGE_OF_MODE
from trtop.tui.source import SnapshotSource
from trtop.tui.state import State
from trtop.tui.view_model import ViewModel
from trtop_core.detail import Detail
from trtop_core.wire.questions import Question


class PageQuestion:
    """The question of a page, from when it is asked to when the page is left.

    Args:
        source: answers it; a daemon takes a while.
    """

    def __init__(self, source: SnapshotSource) -> None:
        self._source = source
        self._answer: Detail | None = None
        self._is_waiting = False

    def answer(self, state: State) -> Detail | None:
        """What is known for the page that is shown; None if nothing is."""
        answer = self._answer
        return answer if answer is not None and answer.view == question_of(state) else None

    def forget(self) -> None:
        """Drop the answer: another page is shown, or one about another destination."""
        self._answer = None

    def ask(self, state: State, model: ViewModel, is_since_reset: bool) -> None:
        """Ask, if the page has a question and the source can answer it.

        Args:
            state: what is shown.
            model: the rows, of which the page may be about one.
            is_since_reset: numbers count from a reset on, of which a source knows nothing.
        """
        if question_of(state) is None:
            return
        place = model.place(state.selected_key) if state.selected_key else None
        is_one = place is None or model.members[place] == 1
        self._is_waiting = is_one and not is_since_reset
        if not self._is_waiting:
            self._answer = None
        self.poll(state)

    def poll(self, state: State) -> bool:
        """Take the answer, if it has come; whether it has."""
        question = question_of(state)
        if not self._is_waiting or question is None:
            return False
        answer = self._source.answer(question)
        if not isinstance(answer, Detail):
            return False
        self._answer, self._is_waiting = answer, False
        return True


def question_of(state: State) -> Question | None:
    """What the page that is shown wants to know; None: there is no page, or it knows all."""
    page = PAGE_OF_MODE.get(state.mode)
    return page.question(state) if page is not None and page.question else None
