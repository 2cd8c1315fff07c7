"""``Clicks``: what is under a click, and whether it is the second of a double one.

Takes clicks and the frame that they hit, gives the next state. The clock is passed in.
"""

from __future__ import annotations

from collections.abc import Callable

from trtop.tui.effects import Context, Updated
from trtop.tui.frame import Frame
from trtop.tui.state import Mode, State
from trtop.tui.terminal import ClickEvent
from trtop.tui.update import click, update

DOUBLE_CLICK_S = 0.5
"""Two clicks on one line within this are one double click."""

NO_CLICK = (-1.0, -1)
"""When the last click was, and on which line."""


class Clicks:
    """Remembers the last click.

    Args:
        monotonic_s: a clock in seconds.
    """

    def __init__(self, monotonic_s: Callable[[], float]) -> None:
        self._monotonic_s = monotonic_s
        self._last = NO_CLICK

    def taken(
        self, event: ClickEvent, state: State, frame: Frame, height: int, context: Context
    ) -> Updated:
        """What is under a click: a key of the bottom line, a heading, a row; twice is Enter."""
        before, self._last = self._last, (self._monotonic_s(), event.y)
        if event.y == height - 1:
            for first, end, key in frame.keys:
                if first <= event.x < end:
                    return update(state, key, context)
            return Updated(state)
        for first, end, column in frame.headings.get(event.y, ()):
            if first <= event.x < end:
                return Updated(click(state, None, column))
        row = frame.rows.get(event.y)
        if event.is_double:
            state = click(state, row, None)
            before = self._last
        if before[1] == event.y and self._last[0] - before[0] <= DOUBLE_CLICK_S:
            self._last = NO_CLICK
            is_row = row is not None and state.mode is Mode.LIST and row == state.selected
            if is_row and state.prompt is None:
                return update(state, "enter", context)
        return Updated(click(state, row, None))
