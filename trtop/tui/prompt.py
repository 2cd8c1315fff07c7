"""Typing a line: a filter, or where to save. Pure: takes a state and a key, gives the next.

A filter is tried on the rows while it is typed: ``tried`` is what the event loop asks for once the
keys have been still for a moment.
"""

from __future__ import annotations

import re
from dataclasses import replace

from trtop.filters.completion import complete, unfinished
from trtop.filters.errors import FilterError
from trtop.filters.filter import Filter, parse_filter
from trtop.filters.parser import MAX_CHARS
from trtop.tui.effects import Context, Effect, Updated
from trtop.tui.state import Grouping, Prompt, Purpose, State

MAX_HISTORY = 50
"""Filters that the arrows go back to."""

MAX_NAMED = 4
"""Words that are shown of those that a beginning may become."""

NO_PORTS = "rows are kept by address only: they have no ports"
HELD_WITHOUT_PORTS = "the picture is held by address: it has no ports (Space lets it go on)"

_ENDS_IN_NUMBER = re.compile(r"(?:^|[\s(!])([0-9]+)$")
"""The port that stands alone, or the beginning of an address."""


def type_key(state: State, prompt: Prompt, key: str, context: Context) -> Updated:
    """A key while something is being typed."""
    if key == "esc":
        return Updated(replace(state, prompt=None))
    if key == "enter":
        return _typed(state, prompt, context)
    is_filter = prompt.purpose is Purpose.FILTER
    if is_filter and key in ("up", "down"):
        return Updated(replace(state, prompt=_recalled(state, prompt, key == "up")))
    if is_filter and key == "tab":
        return Updated(replace(state, prompt=_completed(prompt, context)))
    edited = _edited(prompt, key)
    return Updated(state if edited is None else replace(state, prompt=edited))


def tried(state: State, context: Context) -> State:
    """The state with its rows shown by what is being typed, as far as that makes sense yet."""
    prompt = state.prompt
    if prompt is None or prompt.purpose is not Purpose.FILTER:
        return state
    plain = replace(prompt, error="", is_refused=False)
    if not prompt.text.strip():
        return replace(state, prompt=replace(plain, is_tried=False, tried=None))
    try:
        chosen = parse_filter(prompt.text)
        _check_ports(state, chosen, context)
    except FilterError as error:
        return replace(state, prompt=_wrong(plain, error))
    note = _unfinished(prompt, context)
    if note:
        return replace(state, prompt=replace(plain, note=note))
    number = _ENDS_IN_NUMBER.search(prompt.text)
    if (
        number is not None
        and len(number[1]) <= 3
        and not re.search(r"port\s*$", prompt.text[: number.start()])
    ):
        note = f"{number[1]} is a port (Enter), or the beginning of an address: go on"
        return replace(state, prompt=replace(plain, note=note))
    return replace(state, prompt=replace(plain, is_tried=True, tried=chosen))


def _unfinished(prompt: Prompt, context: Context) -> str:
    """What the word at the end may become, where no name at hand has it; the rows wait for that."""
    word, choices = unfinished(prompt.text)
    names = context.model.names if context.model else ()
    if not word or any(word.lower() in name.lower() for name in names):
        return ""
    more = ", …" if len(choices) > MAX_NAMED else ""
    begun = f"{word!r} is not finished ({', '.join(choices[:MAX_NAMED])}{more})"
    return f"{begun}: go on, or Enter for names that have it"


def _edited(prompt: Prompt, key: str) -> Prompt | None:
    """The prompt after a key that edits its text; None: the key does nothing."""
    text, at = prompt.text, prompt.at
    if key in ("left", "right", "home", "end"):
        places = {"left": at - 1, "right": at + 1, "home": 0, "end": len(text)}
        return replace(prompt, at=max(0, min(places[key], len(text))))
    if key == "backspace":
        text, at = text[: max(0, at - 1)] + text[at:], max(0, at - 1)
    elif key == "delete":
        text = text[:at] + text[at + 1 :]
    elif key == "clear":
        text, at = "", 0
    elif len(key) == 1 and key.isprintable() and len(text) < MAX_CHARS:
        text, at = text[:at] + key + text[at:], at + 1
    else:
        return None
    return replace(prompt, text=text, at=at, error="", note="", is_refused=False, back=0)


def _recalled(state: State, prompt: Prompt, is_older: bool) -> Prompt:
    """An older or a newer filter of the history."""
    back = prompt.back + (1 if is_older else -1)
    if not 0 <= back <= len(state.filters):
        return prompt
    draft = prompt.draft if prompt.back else prompt.text
    text = state.filters[-back] if back else draft
    plain = replace(prompt, error="", note="", is_refused=False)
    return replace(plain, text=text, at=len(text), back=back, draft=draft)


def _completed(prompt: Prompt, context: Context) -> Prompt:
    """The word at the cursor completed; what it may become as a note."""
    names = context.model.names if context.model else ()
    done = complete(prompt.text, prompt.at, names)
    note = "  ".join(done.choices)
    if done.text == prompt.text and not done.choices:
        note = "nothing known begins so"
    text = done.text[:MAX_CHARS]
    plain = replace(prompt, error="", is_refused=False, back=0)
    return replace(plain, text=text, at=min(done.at, len(text)), note=note)


def _typed(state: State, prompt: Prompt, context: Context) -> Updated:
    """What was typed is to be taken."""
    done = replace(state, prompt=None)
    if prompt.purpose in (Purpose.SAVE, Purpose.OVERWRITE):
        prefix = prompt.text.strip()
        if not prefix:
            return Updated(done)
        return Updated(done, Effect.SAVE, prefix, may_overwrite=prefix == prompt.confirmed)
    if prompt.purpose is Purpose.COMMAND:
        return Updated(done, command=prompt.text.strip())
    try:
        chosen = parse_filter(prompt.text)
        _check_ports(state, chosen, context)
    except FilterError as error:
        wrong = replace(_wrong(prompt, error), is_refused=True)
        return Updated(replace(state, prompt=wrong))
    done = replace(done, filter=chosen, selected=0, selected_key=None, offset=0)
    if chosen is None:
        return Updated(done)
    kept = [text for text in state.filters if text != chosen.text]
    done = replace(done, filters=(*kept, chosen.text)[-MAX_HISTORY:])
    if done.shown_grouping is not state.grouping:
        done = done.saying("rows by address:port, as long as the filter asks for a port")
    return Updated(done)


def _check_ports(state: State, chosen: Filter | None, context: Context) -> None:
    """Refuse a filter for ports where rows cannot have any.

    Raises:
        FilterError: they cannot.
    """
    if chosen is None or not chosen.needs_ports or state.shown_grouping is Grouping.ADDR_PORT:
        return
    if Grouping.ADDR_PORT not in context.groupings:
        raise FilterError(NO_PORTS, 0, len(chosen.text))
    if state.is_paused:
        raise FilterError(HELD_WITHOUT_PORTS, 0, len(chosen.text))


def _wrong(prompt: Prompt, error: FilterError) -> Prompt:
    place = (error.start, error.end)
    return replace(prompt, error=str(error), error_place=place, note="")
