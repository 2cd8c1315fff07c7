"""The page of help: keys, the filter language, marks, columns and their letters. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from trtop.metrics.columns import COLUMNS
from trtop.table.text import Line, Role, Span, line_of
from trtop.tui.keys import LETTER_OF, Key

FILTERS = (
    ("db-7", "a part of a name or an address; *.example.com the whole; ~db-[0-9] a pattern"),
    ("10.0.0.0/8", "addresses in a network; host X one, name:X a name"),
    (":443", "the port; also: port 443, port>1024"),
    ("rtt>100ms", "a latency, at the percentile shown; us, ms, s; p99(rtt)>1s at another"),
    ("rst>0", "a count; k, M, G"),
    ("est<90%", "a share; server/rtt>0.8 one of two columns"),
    ("verdict:slow", "the verdict begins so"),
    ("!refused>0", "not this; also: not, and, or, ( )"),
    ("Tab, Up", "while typing: complete the word; earlier filters"),
)

MARKS = (
    ("Red", "what the verdict rests on, strongest, and what is high (! without colours)"),
    ("Yellow", "notable, in a row where something is wrong"),
    ("?", "the capture missed part of it: counters are lower bounds"),
)

WIDTH_OF_KEYS = 11


def help_lines(keys: Sequence[Key], width: int) -> list[Line]:
    """Keys, the filter language, the marks, the letters of columns."""
    lines: list[Line] = [_title("Keys")]
    for key in keys:
        if key.meaning:
            lines += _entry(key.shown, key.meaning, width)
    lines += _entry("A letter", "sort by the column that it stands for, again: reverse", width)
    lines += _entry(
        "Mouse",
        "a heading sorts, a row is selected (twice: its detail), the wheel scrolls, "
        "the keys of the bottom line are pressed",
        width,
    )
    lines += [(), _title("Filter: all must hold, or those beside an or")]
    for example, meaning in FILTERS:
        lines += _entry(example, meaning, width)
    lines += [(), _title("Marks")]
    for mark, meaning in MARKS:
        lines += _entry(mark, meaning, width)
    lines += [(), _title("Columns and their letters")]
    lines += _entry(f"{LETTER_OF['destination']} Host", "address, or name", width)
    for column in COLUMNS:
        heading = f"{LETTER_OF.get(column.key, ' ')} {column.metric.shown_name}"
        lines += _entry(heading, column.metric.help, width)
    return lines


def _title(text: str) -> Line:
    return line_of(" ", Span(text, Role.SORTED))


def _entry(name: str, meaning: str, width: int) -> list[Line]:
    indent = WIDTH_OF_KEYS + 3
    room = max(10, width - indent - 1)
    parts = textwrap.wrap(meaning, room) or [""]
    first = line_of("  ", Span(f"{name:<{WIDTH_OF_KEYS}}", Role.BOLD), " ", parts[0])
    return [first, *(line_of(" " * indent, part) for part in parts[1:])]
