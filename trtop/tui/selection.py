"""Which row is selected: moved by keys, kept where its destination goes. Pure.

Takes a state and the rows at hand, gives another state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from trtop.tui import past
from trtop.tui.effects import Context, Updated
from trtop.tui.keys import Action
from trtop.tui.state import Mode, State
from trtop.tui.view_model import ViewModel

MAX_SCROLL = 10_000
"""Lines; drawing takes care of the real end."""

STEPS: dict[Action, Callable[[int], int]] = {
    Action.UP: lambda page: -1,
    Action.DOWN: lambda page: 1,
    Action.PAGE_UP: lambda page: -page,
    Action.PAGE_DOWN: lambda page: page,
    Action.FIRST: lambda page: -MAX_SCROLL,
    Action.LAST: lambda page: MAX_SCROLL,
}
"""How far each key goes, of a page of so many lines."""


def selecting(state: State, model: ViewModel) -> State:
    """The state with its selection on a row of a new model.

    The selected destination stays selected wherever it went; one that is gone, or beyond the rows
    at hand, leaves its place to whoever is there now. Until the user moves, it is the first row.
    """
    place = model.place(state.selected_key) if state.selected_key else None
    selected = state.selected if place is None else place
    selected = max(0, min(selected, model.n_rows - 1))
    if state.selected_key is None and selected == 0 and state.mode is Mode.LIST:
        return replace(state, selected=0)
    if state.mode is Mode.DETAIL and place is None:
        return state
    return replace(state, selected=selected, selected_key=model.key(selected))


def _moved(state: State, to: int, context: Context) -> State:
    selected = max(0, min(to, context.n_rows - 1))
    key = context.model.key(selected) if context.model else None
    return replace(state, selected=selected, selected_key=key)


def _stepping(action: Action) -> Callable[[State, Context], Updated]:
    """What a key does that moves by a number of rows."""
    step = STEPS[action]
    return lambda state, context: Updated(
        _moved(state, state.selected + step(context.page), context)
    )


def _first(state: State, context: Context) -> Updated:
    if state.period is not None and state.selected == 0 and state.offset == 0:
        return Updated(past.to_start(state, context))
    return Updated(replace(state, selected=0, selected_key=None, offset=0))


def _last(state: State, context: Context) -> Updated:
    return Updated(_moved(state, context.n_rows - 1, context))


MOVES: dict[Action, Callable[[State, Context], Updated]] = {
    **{
        action: _stepping(action)
        for action in (Action.UP, Action.DOWN, Action.PAGE_UP, Action.PAGE_DOWN)
    },
    Action.FIRST: _first,
    Action.LAST: _last,
}
"""What each key makes of a state while rows are shown."""
