"""The command line of the screen: every action by its name, completed by Tab. Pure.

Takes what was typed and the table of keys, gives the key that does it, or a column to sort by.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from trtop.metrics import lookup
from trtop.tui.keys import Action, Key

SORT = "sort"
"""A command with a column behind it."""

N_NEAREST = 3

MAX_SHOWN = 8
"""Candidates that are shown where several complete what was typed."""


def name_of(key: Key) -> str:
    """What an action is called: ``page-up``; that of a page by what the bottom line says."""
    if key.action is Action.PAGE:
        return key.label.lower().replace(" ", "-")
    return key.action.name.lower().replace("_", "-")


def names(keys: Sequence[Key]) -> dict[str, str]:
    """A key for each name."""
    return {name_of(key): key.keys[0] for key in keys if key.action is not Action.COMMAND}


def found(text: str, keys: Sequence[Key]) -> str | None:
    """The key of a command; None where it sorts by a column, whose name is behind it.

    Raises:
        ValueError: there is no such command; the message has the nearest.
    """
    known = names(keys)
    word, _, rest = text.strip().partition(" ")
    if word == SORT:
        lookup.column(rest)
        return None
    if rest:
        raise ValueError(f"only {SORT} has a word behind it")
    if word in known:
        return known[word]
    starts = [name for name in known if name.startswith(word)]
    if len(starts) == 1:
        return known[starts[0]]
    near = starts or difflib.get_close_matches(word, [*known, SORT], N_NEAREST, cutoff=0)
    shown = ", ".join(near[:MAX_SHOWN])
    if starts:
        raise ValueError(f"several actions begin with {word!r}: {shown}")
    raise ValueError(f"no action {word!r}; nearest: {shown}")


def completed(text: str, keys: Sequence[Key]) -> tuple[str, str]:
    """What Tab makes of a beginning, and the candidates where there are several."""
    start, gap, last = text.rpartition(" ")
    pool = list(lookup.sortable_names()) if start.strip() == SORT else []
    if not gap:
        pool = [*names(keys), SORT]
    fits = sorted(name for name in pool if name.startswith(last.lower()))
    if not fits:
        return text, "nothing begins like that"
    first, last_fit = fits[0], fits[-1]
    lengths = range(len(first), -1, -1)
    n_shared = next(n for n in lengths if last_fit.startswith(first[:n]))
    shared = first[:n_shared]
    if len(fits) == 1:
        return f"{start}{gap}{shared}{' ' if shared == SORT else ''}", ""
    more = f", … {len(fits) - MAX_SHOWN} more" if len(fits) > MAX_SHOWN else ""
    return f"{start}{gap}{shared}", ", ".join(fits[:MAX_SHOWN]) + more
