"""The page on which columns are chosen. Pure."""

from __future__ import annotations

from dataclasses import replace

from trtop.metrics.columns import COLUMNS
from trtop.table.text import Line, Role, Span, line_of
from trtop.tui.frame import TerminalCaps
from trtop.tui.keys import KEY_OF, LETTER_OF, Action
from trtop.tui.pages.page import Page
from trtop.tui.scene import Scene
from trtop.tui.state import Mode, State


def column_lines(scene: Scene, width: int, caps: TerminalCaps) -> list[Line]:
    """One line per column: whether it is wanted, its letter, its meaning."""
    lines = []
    for column in COLUMNS:
        mark = " " if column.key in scene.state.hidden else "x"
        letter = LETTER_OF.get(column.key, " ")
        lines.append(
            line_of(
                f" [{mark}] ",
                Span(letter, Role.BOLD),
                f" {column.metric.shown_name:<11} ",
                column.metric.help,
            )
        )
    return lines


def toggled(state: State) -> State:
    """The chosen column taken away or brought back."""
    if not 0 <= state.chosen < len(COLUMNS):
        return state
    return replace(state, hidden=state.hidden ^ {COLUMNS[state.chosen].key})


COLUMNS_PAGE = Page(
    mode=Mode.COLUMNS,
    key=KEY_OF[Action.COLUMNS],
    lines=column_lines,
    labels=(("Esc", "Back"), ("Space", "Show or hide"), ("?", "Help"), ("q", "Quit")),
    n_choices=len(COLUMNS),
    choose=toggled,
)
