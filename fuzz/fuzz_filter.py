"""Fuzz target: any text is a filter that means the same once printed, or an error with its place.

A filter shows the rows that its twin shows, which looks at one row after the other.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator

from filters.row_by_row import OneRow, holds
from support.builders.snapshot import incident
from target import Target

from trtop.filters.completion import complete, unfinished
from trtop.filters.errors import FilterError
from trtop.filters.filter import Filter, nodes_of, parse_filter
from trtop.filters.parser import MAX_CHARS
from trtop.filters.rows import Rows
from trtop.filters.tree import Pattern, text_of
from trtop_core.metrics import METRICS
from trtop_core.snapshot import Row
from trtop_core.table import destination_names

PERCENTILE = 95.0

REPEATS = "*+?{"
MAX_REPEATS = 1
"""Of a regular expression that the twin is asked: it may take time beyond all bounds for more."""

NAMES = ("db-7.internal", "Cache", None, "a.example.com", "10.0.0.9", None)

SNAPSHOT = incident()
ADDRESSES = destination_names(SNAPSHOT.table.keys)
LABELS = [name or address for name, address in zip(NAMES, ADDRESSES, strict=True)]
ONES = [
    OneRow(
        Row(row.table, i, SNAPSHOT.span_ns, None, LABELS[i]),
        ADDRESSES[i],
        None,
        NAMES[i],
        PERCENTILE,
    )
    for i, row in enumerate(SNAPSHOT.rows())
]


def run(data: bytes) -> None:
    """One text."""
    text = data.decode("utf-8", "surrogateescape")
    _complete(text)
    try:
        chosen = parse_filter(text)
    except FilterError as error:
        said = str(error)
        assert said, text
        assert said.isprintable() or not text.isprintable(), said
        assert "\n" not in said, said
        assert 0 <= error.start < error.end, (error.start, error.end)
        assert error.start <= len(text)
        return
    if chosen is None:
        assert not text.strip()
        return
    _print(chosen)
    _ask(chosen)


def _complete(text: str) -> None:
    """Tab and half a filter never fail, and the cursor stays in the text."""
    for at in {len(text), len(text) // 2}:
        done = complete(text, at, LABELS)
        assert 0 <= done.at <= len(done.text)
    kept, _ = unfinished(text)
    assert len(kept) <= len(text)


def _print(chosen: Filter) -> None:
    """What a filter is printed as means the same."""
    printed = text_of(chosen.tree)
    if len(printed) <= MAX_CHARS:
        again = parse_filter(printed)
        assert again is not None
        assert again.tree == chosen.tree, printed


def _ask(chosen: Filter) -> None:
    rows = Rows(SNAPSHOT.table, lambda: LABELS, SNAPSHOT.span_ns, PERCENTILE)
    shown = chosen.mask(rows).tolist()
    assert len(shown) == len(ONES)
    for said in chosen.remarks(rows):
        assert "\n" not in said
    patterns = [node.pattern for node in nodes_of(chosen.tree) if isinstance(node, Pattern)]
    if all(map(_is_known_to_twin, patterns)):
        assert shown == [holds(chosen.tree, one) for one in ONES], text_of(chosen.tree)


def _is_known_to_twin(pattern: str) -> bool:
    """Whether Python's own regular expressions take a pattern, and end in time."""
    if sum(map(pattern.count, REPEATS)) > MAX_REPEATS:
        return False
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of what will mean something else one day
        try:
            re.compile(pattern)
        except (re.error, FutureWarning):
            return False
    return True


EXAMPLES = (
    "rst>5%", "est<=7%", "est/syn>0.07", "server/rtt>80%", "p50(rtt)>=1ms", "mean(lat)>1ms",
    "verdict:slow", "verdict:no", "syn_rate>0.5", "completeness<99.9%", "count(rtt)>2",
    "bytes_in/requests>1k", "rtt>net", "port!=443", "not port 443", "~^1", "*.internal",
    "10.0.0.0/8 or net 2001:db8::/32", "host db-7.internal and (rst>1 | !tcp)", "name:~db.7$",
    'name:"a b" "not"', "name=cache", ":443", "tcp port 443", "dst host 10.0.0.9", "192.0.2",
    "p99.9(rtt)>1.5s && max(rtt)<10min", "min(reuse)=1", "100ms<rtt", "bytes_in>10MiB",
    "verdict:'slow server'", "~[a-c]+|x{2,3}\\d", "a?c*[!x]", "not (not (not syn>0))",
)  # fmt: skip


def seeds() -> Iterator[bytes]:
    """Filters of every form."""
    yield from (text.encode() for text in EXAMPLES)


TARGET = Target(
    run,
    seeds,
    max_bytes=200,
    words=(
        *(metric.name.encode() for metric in METRICS),
        b"and", b"or", b"not", b"tcp", b"host", b"net", b"port", b"dst", b"name:", b"verdict:",
        b">=", b"<=", b"!=", b"==", b"(", b")", b"~", b"\"", b"'", b"/", b"%", b"p99(", b"p50(",
        b"mean(", b"min(", b"max(", b"count(", b"100ms", b"10MiB", b"5%", b"1e9", b"10.0.0.0/8",
        b"2001:db8::/32", b"::1", b"[a-z]", b"\\d", b"\\b", b".*", b"|", b"&&", b"||", b"\\",
    ),
)  # fmt: skip
