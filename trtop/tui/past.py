"""Moving in time: which span of a history the rows are of. Pure: takes a state, gives another.

Knows the history by its timeline alone. Spans are of round lengths and begin at multiples of them.
"""

from __future__ import annotations

from dataclasses import replace

from trtop.tui.effects import Context
from trtop.tui.state import State
from trtop_core.records import NS_PER_S, Window
from trtop_core.timeline import LENGTHS_S
from trtop_core.view import Period

NO_HISTORY = "no history is kept here"
NOTHING_YET = "there is no past yet"
IS_LIVE = "the rows are of now: [ goes back in time"
HELD = "the picture is held: Space lets it go on"

N_STEPS = 20
"""Of a history whose numbers are shown as a whole, the first span is about so small a part."""


def earlier(state: State, context: Context) -> State:
    """The span before the one that is looked at."""
    return _moved(state, context, -1)


def later(state: State, context: Context) -> State:
    """The span behind it; behind the last one: now."""
    if state.period is None:
        return state.saying(IS_LIVE)
    return _moved(state, context, 1)


def shorter(state: State, context: Context) -> State:
    """A shorter span, from the same moment on."""
    return _resized(state, context, -1)


def longer(state: State, context: Context) -> State:
    """A longer span, around the same moment."""
    return _resized(state, context, 1)


def to_start(state: State, context: Context) -> State:
    """The first span of the history."""
    ends = _ends(context)
    if state.period is None or ends is None:
        return state
    length_ns = state.period.end_ns - state.period.start_ns
    return _at(state, ends[0] // length_ns * length_ns, length_ns)


def to_now(state: State) -> State:
    """The rows of now."""
    return replace(state, period=None, selected=0, offset=0)


def _moved(state: State, context: Context, step: int) -> State:
    ends = _ends(context)
    if state.is_paused:
        return state.saying(HELD)
    if ends is None:
        return state.saying(NO_HISTORY if _has_none(context) else NOTHING_YET)
    first_ns, last_ns = ends
    if state.period is None:
        length_ns = _first_length(state, last_ns - first_ns)
        start_ns = (last_ns - 1) // length_ns * length_ns
        if start_ns > first_ns:
            start_ns -= length_ns
    else:
        length_ns = state.period.end_ns - state.period.start_ns
        start_ns = state.period.start_ns + step * length_ns
    if start_ns >= last_ns:
        return to_now(state)
    return _at(state, max(start_ns, first_ns // length_ns * length_ns), length_ns)


def _resized(state: State, context: Context, step: int) -> State:
    ends = _ends(context)
    if state.is_paused:
        return state.saying(HELD)
    if ends is None:
        return state.saying(NO_HISTORY if _has_none(context) else NOTHING_YET)
    if state.period is None:
        return _moved(state, context, -1)
    length_s = (state.period.end_ns - state.period.start_ns) // NS_PER_S
    fitting = [n for n in LENGTHS_S if (n < length_s if step < 0 else n > length_s)]
    if not fitting:
        return state.saying("no span is shorter" if step < 0 else "no span is longer")
    length_ns = (max(fitting) if step < 0 else min(fitting)) * NS_PER_S
    return _at(state, state.period.start_ns // length_ns * length_ns, length_ns)


def _at(state: State, start_ns: int, length_ns: int) -> State:
    return replace(state, period=Period(start_ns, start_ns + length_ns))


def _ends(context: Context) -> tuple[int, int] | None:
    """Where the history begins and ends; None where there is none."""
    timeline = context.timeline
    if timeline is None or not len(timeline.columns):
        return None
    return int(timeline.columns["start_ns"][0]), int(timeline.columns["end_ns"][-1])


def _has_none(context: Context) -> bool:
    return context.timeline is None or not context.timeline.max_bytes


def _first_length(state: State, span_ns: int) -> int:
    """How long the first span is: as the window, or a small part of all."""
    if state.window is not Window.ALL:
        return int(state.window) * NS_PER_S
    return next(
        (n for n in LENGTHS_S if n * NS_PER_S * N_STEPS >= span_ns), LENGTHS_S[-1]
    ) * NS_PER_S  # fmt: skip
