"""The page on which columns are chosen, pinned and moved. Pure."""

from __future__ import annotations

from dataclasses import replace

from trtop.table.text import Line, Role, Span, line_of
from trtop.tui.frame import TerminalCaps
from trtop.tui.grid import table_of
from trtop.tui.keys import KEY_OF, LETTER_OF, Action
from trtop.tui.pages.page import Page
from trtop.tui.scene import Scene
from trtop.tui.state import Mode, State

DRAWN, NO_ROOM, HIDDEN = "x", "-", " "
"""Marks of a column that is drawn, that is wanted and has no room, that is not wanted."""

PIN = "^"
"""Stands behind the mark of a column that stays the longest."""

N_ROWS = 60
"""Rows from the first on the screen on whose numbers must have room."""


def column_lines(scene: Scene, width: int, caps: TerminalCaps) -> list[Line]:
    """One line per column: whether it is drawn, its letter, its meaning; then what marks mean."""
    state = scene.state
    drawn = _drawn(scene, width, caps)
    lines = []
    for column in state.columns:
        mark = HIDDEN if column.name in state.hidden else NO_ROOM
        mark = DRAWN if column.name in drawn else mark
        role = Role.DIM if mark == NO_ROOM else Role.PLAIN
        letter = LETTER_OF.get(column.key, " ") if column.percentile is None else " "
        pin = PIN if column.name in state.pinned else " "
        name = column.headings[-1]
        lines.append(
            line_of(
                Span(f" [{mark}]{pin}", role),
                Span(letter, Role.BOLD),
                f" {name:<9} ",
                column.metric.help,
            )
        )
    legend = f" {DRAWN} drawn, {NO_ROOM} wanted but no room, {PIN} pinned: leaves last"
    return [*lines, line_of(Span(legend, Role.DIM))]


def _drawn(scene: Scene, width: int, caps: TerminalCaps) -> set[str]:
    """Names of the columns that the rows are drawn with."""
    state, model = scene.state, scene.model
    if model is None:
        return {column.name for column in state.shown_columns}
    first = max(0, min(state.offset, len(model.names) - 1))
    table = table_of(scene, range(first, min(first + N_ROWS, len(model.names))), width, caps)
    return {placed.column.name for placed in table.layout.placed}


def toggled(state: State) -> State:
    """The chosen column taken away or brought back."""
    if not 0 <= state.chosen < len(state.columns):
        return state
    return replace(state, hidden=state.hidden ^ {state.columns[state.chosen].name})


def pinned(state: State) -> State:
    """The chosen column pinned behind those that are, or not any more; a hidden one comes back."""
    name = state.columns[state.chosen].name
    if name in state.pinned:
        return replace(state, pinned=tuple(one for one in state.pinned if one != name))
    return replace(state, pinned=(*state.pinned, name), hidden=state.hidden - {name})


def moved(state: State, step: int) -> State:
    """The chosen column in the place of its neighbour, and still chosen."""
    to = state.chosen + step
    if not 0 <= to < len(state.columns):
        return state
    columns = list(state.columns)
    columns[state.chosen], columns[to] = columns[to], columns[state.chosen]
    return replace(state, columns=tuple(columns), chosen=to)


COLUMNS_PAGE = Page(
    mode=Mode.COLUMNS,
    key=KEY_OF[Action.COLUMNS],
    lines=column_lines,
    labels=(
        *(("Esc", "Back"), ("Space", "Show, hide"), ("p", "Pin"), ("<", "Move up")),
        *((">", "down"), ("?", "Help"), ("q", "Quit")),
    ),
    n_choices=lambda state: len(state.columns),
    choose=toggled,
    choice_actions={
        Action.PERCENTILE: pinned,
        Action.SORT_LEFT: lambda state: moved(state, -1),
        Action.SORT_RIGHT: lambda state: moved(state, 1),
    },
)
