"""``Page``: a screen of text besides the rows, with what its keys do. Data only.

A page is a file that makes one of these, and a line in the table of ``registry``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from trtop.table.text import Line
from trtop.tui.effects import Context, Updated
from trtop.tui.frame import TerminalCaps
from trtop.tui.keys import Action, Key
from trtop.tui.scene import Scene
from trtop.tui.state import Mode, State
from trtop_core.wire.questions import Question

LABELS = (("Esc", "Back"), ("Up Down", "Scroll"), ("?", "Help"), ("q", "Quit"))
"""The bottom line of a page that scrolls."""

ROW_LABELS = (
    ("Esc", "Back"),
    ("Up Down", "Other row"),
    ("PgUp PgDn", "Scroll"),
    *LABELS[2:],
)
"""The bottom line of one whose row changes by Up and Down."""


def _always(state: State, context: Context) -> State:
    return state


@dataclass(frozen=True, slots=True)
class Page:
    """A screen of text.

    Attributes:
        mode: what ``State.mode`` is while it is shown.
        key: what opens and closes it; its ``action`` is ``Action.PAGE``, unless it stands in the
            table of keys.
        lines: what it shows, of a scene, within so many characters.
        labels: keys and what they do, for the bottom line.
        prepare: the state to open it with; one whose message says why leaves it closed.
        is_everywhere: its key opens it from other pages too.
        n_choices: gives how many of its lines can be chosen; None: it scrolls.
        choose: what becomes of a state when its line is chosen.
        choice_actions: what else keys make of a state in which a line is chosen.
        row_actions: keys that do what they do where the rows are.
        question: what a source is asked for while it is shown; None: nothing.
        is_saved: ``s`` writes its text, not the table.
        is_of_row: Up and Down show it of the rows above and below; a page at a time scrolls.
    """

    mode: Mode
    key: Key
    lines: Callable[[Scene, int, TerminalCaps], list[Line]]
    labels: tuple[tuple[str, str], ...] = LABELS
    prepare: Callable[[State, Context], State] = _always
    is_everywhere: bool = False
    n_choices: Callable[[State], int] | None = None
    choose: Callable[[State], State] | None = None
    choice_actions: Mapping[Action | None, Callable[[State], State]] = field(default_factory=dict)
    row_actions: frozenset[Action] = frozenset()
    question: Callable[[State], Question | None] | None = None
    is_saved: bool = False
    is_of_row: bool = False

    def count(self, state: State) -> int:
        """How many of its lines can be chosen."""
        return self.n_choices(state) if self.n_choices else 0

    def open(self, state: State, context: Context) -> Updated:
        """The state in which it is shown, from its first line on."""
        prepared = self.prepare(state, context)
        if prepared.message:
            return Updated(prepared)
        return Updated(replace(prepared, mode=self.mode, scroll=0, chosen=0))
