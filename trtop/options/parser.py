"""Options that the command lines of ``trtop`` and its subcommands share.

Adds them to groups of a parser, and says what follows from those that mean the same everywhere.
Knows no subcommand.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from enum import Enum
from typing import TypeVar

from trtop.metrics import lookup
from trtop.reporters.formats import COLUMNAR, Format
from trtop.table.text import Theme
from trtop_core import parse
from trtop_core.argument_parser import UsageError, argument
from trtop_core.moments import Since, moment, span_ns
from trtop_core.records import GroupBy, Window
from trtop_core.timing import Timing
from trtop_core.view import DEFAULT_PERCENTILE, View

WITH_BINS = (Format.JSON, Format.NDJSON, *COLUMNAR)
"""Formats that have every field, and bins where they are asked for."""

MIN_WIDTH = 20
"""Columns; below this a table cannot be read."""


class Color(Enum):
    """When to use colour; the value is what ``--color`` takes."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


T = TypeVar("T")


def one_of(choices: dict[str, T]) -> Callable[[str], T]:
    """A reader of one word of several."""
    return argument(lambda text: parse.one_of(choices, text))


def add_showing(group: argparse._ArgumentGroup, window_help: str) -> None:
    """The options that say which rows and columns are shown.

    Args:
        group: takes them.
        window_help: what ``--window`` is without being given.
    """
    add = group.add_argument
    add(
        "--window",
        type=argument(parse.window),
        metavar="10s|60s|5min|all",
        help=f"only the last seconds of capture time (default: {window_help})",
    )
    add(
        "--percentile",
        type=argument(parse.percentile),
        default=DEFAULT_PERCENTILE,
        metavar="P",
        help="what latency columns show (default: 95)",
    )
    add(
        "--sort",
        type=argument(lookup.column),
        default="verdict",
        metavar="COLUMN",
        help="a heading or a field name, such as rtt, lat, rst, bytes_in "
        "(default: verdict, the worst first)",
    )
    add("--reverse", action="store_true", help="the other way round")
    add(
        "--limit",
        type=argument(parse.whole),
        metavar="N",
        help="only the first N rows, 0 for the total alone",
    )
    add(
        "--columns",
        type=argument(lookup.columns),
        default=(),
        metavar="COLUMN,COLUMN",
        help="which columns of table, csv and screen, in this order: syn,rtt,p99(rtt),server",
    )
    add("--high", type=argument(lookup.thresholds), action="append", default=[],
        metavar="COLUMN=VALUE",
        help="what stands out, such as lat=50ms,rst=1/5; classic: as in 2016")  # fmt: skip


def add_period(group: argparse._ArgumentGroup, is_read_here: bool = True) -> None:
    """The options that say which part of a capture counts, and when there is a report.

    Args:
        group: takes them.
        is_read_here: packets are read by this command.
    """
    add = group.add_argument
    add(
        "--from",
        dest="start",
        type=argument(moment),
        metavar="TIME",
        help="count from here on: 14:03, 14:03:05.2 (UTC), +90s after the first packet, or an "
        "ISO time",
    )
    add("--to", dest="end", type=argument(moment), metavar="TIME", help="count up to here")
    add_every(
        group,
        " (with --window: of the window up to then)"
        if is_read_here
        else ": from the daemons' history, and as time goes on",
    )


def add_every(group: argparse._ArgumentGroup, more: str) -> None:
    """``--every``.

    Args:
        group: takes it.
        more: what else is to be said of it.
    """
    group.add_argument(
        "--every",
        type=argument(span_ns),
        metavar="SPAN",
        help=f"a report for every 10s, 2min, 1h of capture time, each of what lies between{more}",
    )


def check_period(given: argparse.Namespace) -> None:
    """Refuse an end before the start, where both are known without a capture.

    A time of day before another one is of the next day.

    Raises:
        UsageError: it is.
    """
    start, end = getattr(given, "start", None), getattr(given, "end", None)
    if start is None or end is None or start.since is not end.since:
        return
    if start.since is not Since.MIDNIGHT and end.ns <= start.ns:
        raise UsageError(f"--to {end.text} is not after --from {start.text}")


def timing_of(given: argparse.Namespace) -> Timing:
    """The timing that ``add_period`` describes.

    Raises:
        UsageError: it ends before it begins.
    """
    check_period(given)
    every_ns: int | None = getattr(given, "every", None)
    return Timing(given.start, given.end, every_ns, given.window is None)


def add_grouping(group: argparse._ArgumentGroup) -> None:
    """``--group-by``."""
    group.add_argument(
        "--group-by",
        type=argument(parse.grouping),
        default=GroupBy.ADDR,
        metavar="addr|addr,port",
        help="what makes a row (default: addr)",
    )


def add_look(group: argparse._ArgumentGroup) -> None:
    """The options that say how a table looks."""
    add = group.add_argument
    add(
        "--color",
        type=one_of({item.value: item for item in Color}),
        default=Color.AUTO,
        metavar="auto|always|never",
        help="(default: auto; NO_COLOR is respected)",
    )
    add(
        "--theme",
        type=one_of({item.value: item for item in Theme}),
        default=Theme.TERMINAL,
        metavar="|".join(item.value for item in Theme),
        help="colours for a dark or a light background, none, or the terminal's own (default)",
    )
    add(
        "--width",
        type=argument(parse.whole),
        metavar="N",
        help="columns of the table (default: those of the terminal)",
    )


def add_no_sandbox(group: argparse._ArgumentGroup) -> None:
    """``--no-sandbox``."""
    group.add_argument(
        "--no-sandbox",
        action="store_true",
        help="keep system calls and files that are not needed (see SECURITY.md)",
    )


def check_output(given: argparse.Namespace, report_format: Format | None) -> None:
    """Refuse what no report can be.

    Raises:
        UsageError: options contradict each other.
    """
    if given.bins and report_format not in WITH_BINS:
        raise UsageError("--bins goes with --format json, ndjson, parquet or arrow")
    if given.columns and report_format in WITH_BINS:
        raise UsageError(
            "--columns goes with table, csv and the screen; json has every field, as have parquet "
            "and arrow"
        )
    if given.width is not None and given.width < MIN_WIDTH:
        raise UsageError(f"--width is at least {MIN_WIDTH} columns")


def view_of(given: argparse.Namespace) -> View:
    """The view that ``add_showing`` and ``add_grouping`` describe.

    Raises:
        ValueError: a field is out of range.
    """
    return View(
        window=given.window or Window.ALL,
        group_by=given.group_by,
        sort=given.sort,
        descending=(given.sort not in lookup.LOW_FIRST) != given.reverse,
        limit=given.limit,
        percentile=given.percentile,
    )
