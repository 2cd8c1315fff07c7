"""Typing a line: a filter, or where to save. Pure: takes a state and a key, gives the next."""

from __future__ import annotations

from dataclasses import replace

from trtop.tui.effects import Context, Effect, Updated
from trtop.tui.filters import MAX_FILTER_CHARS, parse_filter
from trtop.tui.state import Grouping, Prompt, Purpose, State


def type_key(state: State, prompt: Prompt, key: str, context: Context) -> Updated:
    """A key while something is being typed."""
    text, at = prompt.text, prompt.at
    if key == "esc":
        return Updated(replace(state, prompt=None))
    if key == "enter":
        return _typed(state, prompt, context)
    if key == "backspace":
        text, at = text[: max(0, at - 1)] + text[at:], max(0, at - 1)
    elif key == "delete":
        text = text[:at] + text[at + 1 :]
    elif key == "clear":
        text, at = "", 0
    elif key in ("left", "right", "home", "end"):
        places = {"left": at - 1, "right": at + 1, "home": 0, "end": len(text)}
        at = max(0, min(places[key], len(text)))
    elif len(key) == 1 and key.isprintable() and len(text) < MAX_FILTER_CHARS:
        text, at = text[:at] + key + text[at:], at + 1
    else:
        return Updated(state)
    return Updated(replace(state, prompt=replace(prompt, text=text, at=at, error="")))


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
    except ValueError as error:
        return Updated(replace(state, prompt=replace(prompt, error=str(error))))
    done = replace(done, filter=chosen, selected=0, selected_key=None, offset=0)
    needs_ports = chosen is not None and chosen.needs_ports
    if needs_ports and state.grouping is not Grouping.ADDR_PORT:
        if Grouping.ADDR_PORT not in context.groupings:
            refusal = "rows are kept by address only: they have no ports"
            return Updated(replace(state, prompt=replace(prompt, error=refusal)))
        done = replace(done, grouping=Grouping.ADDR_PORT)
        done = done.saying("rows by address:port, since the filter asks for a port")
    return Updated(done)
