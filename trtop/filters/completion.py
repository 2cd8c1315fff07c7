"""Tab in a filter: the word at the cursor completed as far as it is clear.

Takes the text, the cursor and the names of rows, gives the text to go on with and what it might
become. Never fails: what cannot be completed stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from trtop.filters.spelling import EXACT, VERDICTS, columns
from trtop_core.metrics import METRICS

KEYWORDS = ("and", "or", "not", "tcp", "host", "net", "port", "name:", "verdict:")

PERCENTILES = ("p50", "p90", "p95", "p99", "p99.9")

MAX_CHOICES = 20

_FRAGMENT = re.compile(r"[^\s()!<>=|&/]*$")

_VERDICT = re.compile(r"verdict[:=]\s*([a-z -]*)$", re.IGNORECASE)

_NAME = re.compile(r"(?:(?:name|host)[:=]\s*|\b(?:host|dst)\s+)([^\s()]*)$", re.IGNORECASE)


class Completion(NamedTuple):
    """What Tab makes of a text.

    Attributes:
        text: the whole text.
        at: the cursor in it.
        choices: what the word may become, where that is not clear; at most ``MAX_CHOICES``.
    """

    text: str
    at: int
    choices: tuple[str, ...] = ()


def complete(text: str, at: int, names: Sequence[str]) -> Completion:
    """Complete the word before the cursor.

    Args:
        text: the filter.
        at: characters before the cursor.
        names: what rows are called.
    """
    before = text[:at]
    fragment, choices = _choices(before, names)
    if not choices:
        return Completion(text, at)
    common = _common(choices)
    if len(choices) == 1 and common[-1] not in ":(":
        common += "" if text[at : at + 1].isspace() else _behind(common)
    done = before[: len(before) - len(fragment)] + common
    shown = () if len(choices) == 1 else tuple(choices[:MAX_CHOICES])
    return Completion(done + text[at:], len(done), shown)


def unfinished(text: str) -> tuple[str, tuple[str, ...]]:
    """The word at the end of a text, if it only begins a word of the language; what it may become.

    Args:
        text: the filter, as far as it is typed.

    Returns:
        The word, and words of the language; an empty word where the last one stands for itself.
    """
    fragment, choices = _choices(text, ())
    begun = fragment.lower().replace("-", " ")
    if not fragment or not choices:
        return "", ()
    if _VERDICT.search(text) and any(f"{word} ".startswith(f"{begun} ") for word in choices):
        return "", ()
    return fragment, tuple(choices[:MAX_CHOICES])


def _choices(before: str, names: Sequence[str]) -> tuple[str, list[str]]:
    """The word to complete, and what it may become."""
    if match := _VERDICT.search(before):
        begun = match[1].lower()
        return match[1], [word for word in VERDICTS if word.startswith(begun.replace("-", " "))]
    if match := _NAME.search(before):
        return match[1], _starting(match[1], names)
    match = _FRAGMENT.search(before)
    fragment = match[0] if match else ""
    if not fragment:
        return "", []
    if re.search(r"[a-z0-9]\($", before[: len(before) - len(fragment)], re.IGNORECASE):
        return fragment, [f"{name})" for name in _columns(fragment)]
    words = [*_columns(fragment), *_starting(fragment, KEYWORDS)]
    words += [f"{name}(" for name in _starting(fragment, (*PERCENTILES, *EXACT))]
    return fragment, list(dict.fromkeys([*words, *_starting(fragment, names)]))


def _columns(fragment: str) -> list[str]:
    """Columns that begin so, each under one of its names: the heading before the field."""
    known: dict[str, str] = {}
    titles = [title.lower().partition("(")[0] for metric in METRICS for title in metric.titles]
    for name in _starting(fragment, (*titles, *columns())):
        if name in columns():
            known.setdefault(columns()[name], name)
    return sorted(known.values())


def _common(words: Sequence[str]) -> str:
    """What all words begin with."""
    low, high = min(words), max(words)
    same = (i for i, (one, other) in enumerate(zip(low, high, strict=False)) if one != other)
    return low[: next(same, len(low))]


def _starting(fragment: str, words: Sequence[str]) -> list[str]:
    begun = fragment.lower()
    return [word for word in dict.fromkeys(words) if word.lower().startswith(begun)]


def _behind(word: str) -> str:
    """What follows a word that is clear: a column wants a comparison, all else a blank."""
    return "" if word.lower().rstrip(")") in columns() or word.endswith(")") else " "
