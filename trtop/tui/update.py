"""What a key or a click makes of a state. Pure: takes a state and a key, gives another state.

What reaches beyond the state (quitting, saving, a reset) is an ``Effect``, which the
event loop carries out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from trtop.metrics import lookup
from trtop.metrics.lookup import LOW_FIRST
from trtop.tui import commands, past
from trtop.tui.effects import WINDOWS, Context, Effect, Updated
from trtop.tui.keys import ACTION_OF, COLUMN_OF, KEY_OF, Action
from trtop.tui.pages.page import Page
from trtop.tui.pages.registry import ALL_KEYS, PAGE_OF_KEY, PAGE_OF_MODE
from trtop.tui.prompt import type_key
from trtop.tui.selection import MAX_SCROLL, MOVES, STEPS
from trtop.tui.state import Grouping, Mode, Prompt, Purpose, State
from trtop_core.records import Window
from trtop_core.snapshot import DETAIL_PERCENTILES

WHEEL_ROWS = 3

LIVE_KEYS = (*KEY_OF[Action.LIVE].keys, KEY_OF[Action.LIVE].shown)
"""In the past these go back to now, whatever else they do."""

PAUSED = "the picture is held: Space lets it go on"


def update(state: State, key: str, context: Context) -> Updated:
    """What a key makes of a state; a key without a meaning changes nothing."""
    if state.prompt is not None:
        return _typed(state, state.prompt, key, context)
    state = replace(state, message="")
    if key in LIVE_KEYS and state.period is not None and state.mode is Mode.LIST:
        return Updated(past.to_now(state))
    if key in COLUMN_OF and state.mode is Mode.LIST:
        return Updated(sorted_by(state, COLUMN_OF[key]))
    action = ACTION_OF.get(key)
    if action is Action.QUIT:
        return Updated(state, Effect.QUIT)
    if (page := PAGE_OF_MODE.get(state.mode)) is not None:
        return _on_page(page, state, key, context)
    if (opened := PAGE_OF_KEY.get(key)) is not None:
        return opened.open(state, context)
    if action is None:
        return Updated(state)
    return _LIST_ACTIONS[action](state, context)


def _typed(state: State, prompt: Prompt, key: str, context: Context) -> Updated:
    """A key while something is being typed; commands are completed and carried out here."""
    if prompt.purpose is Purpose.COMMAND and key == "tab":
        text, hint = commands.completed(prompt.text, ALL_KEYS)
        asked = replace(prompt, text=text, at=len(text), error=hint)
        return Updated(replace(state, prompt=asked))
    updated = type_key(state, prompt, key, context)
    if not updated.command:
        return updated
    try:
        name = commands.found(updated.command, ALL_KEYS)
    except ValueError as error:
        return Updated(replace(state, prompt=replace(prompt, error=str(error))))
    if name is None:
        column = lookup.column(updated.command.partition(" ")[2])
        return Updated(sorted_by(replace(updated.state, mode=Mode.LIST), column))
    return update(updated.state, name, context)


def click(state: State, row: int | None, column: str | None) -> State:
    """What a click on a row or on a heading makes of a state."""
    if state.prompt is not None:
        return state
    state = replace(state, message="")
    if column is not None and state.mode is Mode.LIST:
        return sorted_by(state, column)
    if row is None:
        return state
    page = PAGE_OF_MODE.get(state.mode)
    if page is not None and page.choose is not None:
        return page.choose(replace(state, chosen=row))
    return replace(state, selected=row, selected_key=None)


def wheel(state: State, is_down: bool, context: Context) -> State:
    """What the wheel of a mouse makes of a state."""
    page = PAGE_OF_MODE.get(state.mode)
    if page is not None and page.is_of_row:
        step = WHEEL_ROWS if is_down else -WHEEL_ROWS
        return replace(state, scroll=max(0, min(state.scroll + step, MAX_SCROLL)))
    key = "down" if is_down else "up"
    for _ in range(WHEEL_ROWS):
        state = state if state.prompt else update(state, key, context).state
    return state


def sorted_by(state: State, column: str) -> State:
    """The state sorted by a column; if it is already, in the other order."""
    if state.sort == column:
        return replace(state, is_descending=not state.is_descending)
    return replace(state, sort=column, is_descending=column not in LOW_FIRST)


def _sort_left(state: State, context: Context) -> Updated:
    return Updated(_sort_beside(state, -1))


def _sort_right(state: State, context: Context) -> Updated:
    return Updated(_sort_beside(state, 1))


def _sort_beside(state: State, step: int) -> State:
    shown = (column.key for column in state.shown_columns)
    keys = list(dict.fromkeys(("destination", "verdict", *shown)))
    at = keys.index(state.sort) if state.sort in keys else 0
    return sorted_by(state, keys[(at + step) % len(keys)]) if len(keys) > 1 else state


def _reverse(state: State, context: Context) -> Updated:
    return Updated(replace(state, is_descending=not state.is_descending))


def _filter(state: State, context: Context) -> Updated:
    return Updated(replace(state, prompt=Prompt(Purpose.FILTER)))


def _command(state: State, context: Context) -> Updated:
    return Updated(replace(state, prompt=Prompt(Purpose.COMMAND)))


def _group(state: State, context: Context) -> Updated:
    if state.is_paused:
        return Updated(state.saying(PAUSED))
    if state.shown_grouping is not state.grouping:
        return Updated(state.saying("the filter asks for a port: rows are by address:port"))
    stops = [
        grouping
        for grouping in context.groupings
        if context.has_names or grouping is not Grouping.NAME
    ]
    if len(stops) < 2:
        return Updated(state.saying("rows are kept by address only"))
    at = stops.index(state.grouping) if state.grouping in stops else -1
    grouping = stops[(at + 1) % len(stops)]
    moved = replace(state, grouping=grouping, selected=0, selected_key=None, offset=0)
    return Updated(moved.saying(f"rows by {grouping.value}"))


def _window(state: State, context: Context) -> Updated:
    if state.is_paused:
        return Updated(state.saying(PAUSED))
    stops = [window for window in WINDOWS if window in context.windows]
    if state.period is not None:
        return Updated(past.to_now(state).saying("the rows are of now again"))
    if len(stops) < 2:
        return Updated(state.saying("no other window is kept"))
    at = stops.index(state.window) if state.window in stops else -1
    return Updated(replace(state, window=stops[(at + 1) % len(stops)]))


def _live(state: State, context: Context) -> Updated:
    return Updated(past.to_now(state))


def _percentile(state: State, context: Context) -> Updated:
    larger = [float(p) for p in DETAIL_PERCENTILES if p > state.percentile]
    return Updated(replace(state, percentile=min(larger, default=float(DETAIL_PERCENTILES[0]))))


def _names(state: State, context: Context) -> Updated:
    if not context.has_names:
        return Updated(state.saying("nobody looks up names here: addresses stay"))
    shown = not state.with_names
    return Updated(replace(state, with_names=shown).saying("names" if shown else "addresses"))


def _trends(state: State, context: Context) -> Updated:
    return Updated(replace(state, with_trends=not state.with_trends))


def _pause(state: State, context: Context) -> Updated:
    return Updated(replace(state, is_paused=not state.is_paused))


def _reset(state: State, context: Context) -> Updated:
    if context.is_over:
        return Updated(state.saying("the capture is over: nothing more would be counted"))
    moved = replace(state, window=Window.ALL, period=None, selected=0, selected_key=None, offset=0)
    return Updated(moved.saying("counting from now on (u: from the beginning)"), Effect.RESET)


def _forget_reset(state: State, context: Context) -> Updated:
    return Updated(state.saying("counting from the beginning"), Effect.FORGET_RESET)


def _save(state: State, context: Context) -> Updated:
    if context.model is None:
        return Updated(state.saying("there is nothing to save yet"))
    if context.prefix is not None:
        return Updated(state, Effect.SAVE, context.prefix)
    text, note = context.proposed
    asked = Prompt(Purpose.SAVE, text, len(text), note=note)
    return Updated(replace(state, prompt=asked))


def _back(state: State, context: Context) -> Updated:
    if state.filter is not None:
        return Updated(replace(state, filter=None).saying("all rows"))
    if state.period is not None:
        return Updated(past.to_now(state))
    return Updated(state)


_LIST_ACTIONS: dict[Action, Callable[[State, Context], Updated]] = {
    **MOVES,
    Action.SORT_LEFT: _sort_left,
    Action.SORT_RIGHT: _sort_right,
    Action.REVERSE: _reverse,
    Action.FILTER: _filter,
    Action.GROUP: _group,
    Action.WINDOW: _window,
    Action.EARLIER: lambda state, context: Updated(past.earlier(state, context)),
    Action.LATER: lambda state, context: Updated(past.later(state, context)),
    Action.SHORTER: lambda state, context: Updated(past.shorter(state, context)),
    Action.LONGER: lambda state, context: Updated(past.longer(state, context)),
    Action.LIVE: _live,
    Action.PERCENTILE: _percentile,
    Action.NAMES: _names,
    Action.TRENDS: _trends,
    Action.PAUSE: _pause,
    Action.RESET: _reset,
    Action.FORGET_RESET: _forget_reset,
    Action.SAVE: _save,
    Action.COMMAND: _command,
    Action.BACK: _back,
}

_CHOOSING = (Action.PAUSE, Action.DETAIL)
"""Space and Enter."""


def _on_page(page: Page, state: State, key: str, context: Context) -> Updated:
    """What a key makes of a state while a page is shown."""
    action = ACTION_OF.get(key)
    if action is Action.COMMAND:
        return _command(state, context)
    if page.is_of_row and action in (Action.UP, Action.DOWN):
        return Updated(replace(MOVES[action](state, context).state, scroll=0))
    if action in STEPS:
        step = STEPS[action](max(1, context.page))
        if n_choices := page.count(state):
            chosen = max(0, min(state.chosen + step, n_choices - 1))
            return Updated(replace(state, chosen=chosen))
        return Updated(replace(state, scroll=max(0, min(state.scroll + step, MAX_SCROLL))))
    if page.choose is not None and action in _CHOOSING:
        return Updated(page.choose(state))
    if action in page.choice_actions:
        return Updated(page.choice_actions[action](state))
    if action in page.row_actions:
        return _LIST_ACTIONS[action](state, context)
    other = PAGE_OF_KEY.get(key)
    if action is Action.BACK or other is page:
        return Updated(replace(state, mode=Mode.LIST, scroll=0))
    if other is not None and other.is_everywhere:
        return other.open(state, context)
    return Updated(state)
