"""The command line of ``trtop attach``: which daemons, what to show, how.

Takes the arguments, gives frozen ``AttachOptions``, or ``UsageError`` with one line. Opens nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from trtop.metrics.columns import Column
from trtop.options.configured import NOTHING_CONFIGURED, Configured, parse_args
from trtop.options.parser import (
    Color,
    add_grouping,
    add_look,
    add_no_sandbox,
    add_period,
    add_showing,
    check_output,
    check_period,
    one_of,
    view_of,
)
from trtop.options.plugin_arguments import add_fail_on, add_filter, add_names
from trtop.options.record_arguments import add_records, check_connections
from trtop.reporters.formats import COLUMNAR, Format, Per, Schema
from trtop.table.text import Theme
from trtop_core.argument_parser import UsageError, argument, new_parser
from trtop_core.metric_types import Thresholds
from trtop_core.moments import Moment
from trtop_core.parse import seconds
from trtop_core.records import NS_PER_S, GroupBy, Window
from trtop_core.view import View
from trtop_core.wire.endpoint import Endpoint, parse_endpoint

if TYPE_CHECKING:
    from trtop.filters.filter import Filter

DESCRIPTION = """\
Shows what daemons (trtopd) see: one, or several merged into one picture.
"""

USAGE = "trtop attach [OPTION...] [ENDPOINT...]"

EPILOG = """\
examples:
  trtop attach                                    the daemon of this machine
  trtop attach --once --format json | jq .        its numbers, for a script
  trtop attach --once --from 14:03 --every 10s    how it went, from its history
  trtop attach --per connection --format ndjson   each connection as it is forgotten
  trtop attach --by-host ipc:///run/a.sock ipc:///run/b.sock
  trtop attach --key alice.key_secret --server-key web1.key tcp://web1:7117

exit status: 0 shown; 1 no daemon answered, wrong options, no packet (with --fail-on); 2 some of
several did not answer; 3 (with --fail-on) there are such rows; 4 (with --once) nothing is captured
there now.
"""

DEFAULT_TIMEOUT_S = 5.0
DEFAULT_INTERVAL_S = 1.0

WINDOW_HELP = "10s if redrawn, else all"

ASKED_OF_DAEMONS = ("interval", "interface")
"""Options that mean something else for a capture that is read here."""

LIVE_WINDOW = Window.LAST_10_S
"""What a table that is redrawn shows; a report for a script covers all."""


@dataclass(frozen=True, slots=True)
class AttachOptions:
    """What the user asked for.

    Attributes:
        endpoints: of the daemons; empty: the default one.
        view: what a report shows.
        is_window_given: the user chose the view's window.
        once: one report, then the end.
        interval_s: wall-clock seconds between reports.
        timeout_s: how long a daemon may take to answer first; None: the default.
        by_host: keep the rows of different machines apart.
        key: the file of this user's secret key.
        server_keys: files of the daemons' public keys, one for all or one per tcp:// endpoint.
        report_format: how it is written.
        with_bins: JSON holds the sketches' bins.
        color: when to use colour.
        width: columns of the table; None asks the terminal.
        thresholds: by column key, instead of the columns' own.
        columns: which ones, in their order; empty: all, as far as there is room.
        theme: which colours stand for what.
        names: resolvers by name, the first that knows a name wins.
        allow: rules of what is shown; none: everything.
        deny: rules of what is not shown.
        filter: which rows are shown, None for all.
        fail_on: rows that end the command with a status of their own.
        notes: what the user should know of how the command line was read.
        wants_screen: nothing was asked for that only a printed report has.
        no_sandbox: the process keeps system calls and files that it does not need.
        start: numbers of the daemons' history from here on; None: of all of it, if there is an end.
        end: and up to here; None: up to now.
        every_ns: a report of each span of the history that is so long, in capture time.
        per: what a row stands for.
        schema: what the fields of a connection are called.
        writes_as: the user that the process became, who writes what is saved; empty: whoever
            started it.
    """

    endpoints: tuple[Endpoint, ...]
    view: View
    is_window_given: bool = False
    once: bool = False
    interval_s: float = DEFAULT_INTERVAL_S
    timeout_s: float | None = None
    by_host: bool = False
    key: str | None = None
    server_keys: tuple[str, ...] = ()
    report_format: Format = Format.TABLE
    with_bins: bool = False
    color: Color = Color.AUTO
    width: int | None = None
    thresholds: dict[str, Thresholds] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    theme: Theme = Theme.TERMINAL
    names: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    filter: Filter | None = None
    fail_on: Filter | None = None
    notes: tuple[str, ...] = ()
    wants_screen: bool = True
    no_sandbox: bool = False
    start: Moment | None = None
    end: Moment | None = None
    every_ns: int | None = None
    per: Per = Per.DESTINATION
    schema: Schema = Schema.TRTOP
    writes_as: str = ""

    resolver = whitelist = None
    """Parts of one's own are for captures that are read here."""


def parse(argv: Sequence[str], configured: Configured = NOTHING_CONFIGURED) -> AttachOptions:
    """Read the command line.

    Args:
        argv: arguments without the program's name and the command.
        configured: what holds where the command line says nothing.

    Raises:
        UsageError: it makes no sense.
        SystemExit: ``--help`` was printed.
    """
    given = parse_args(make_parser(), argv, configured)
    endpoints = tuple(given.endpoints)
    if len(set(endpoints)) < len(endpoints):
        raise UsageError("an endpoint is named twice: its numbers would count twice")
    n_tcp = sum(endpoint.path is None for endpoint in endpoints)
    if bool(given.key) != bool(given.server_keys):
        raise UsageError("--key and --server-key go together")
    if given.server_keys and len(given.server_keys) not in (1, n_tcp):
        raise UsageError("--server-key is given once, or once for each tcp:// endpoint")
    if any(endpoint.path is None and not endpoint.port for endpoint in endpoints):
        raise UsageError("a port of 0 cannot be connected to")
    return make_options(given, endpoints)


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line; it raises ``UsageError`` where argparse would exit."""
    parser = new_parser("trtop attach", USAGE, DESCRIPTION, EPILOG)
    _add_daemons(parser.add_argument_group("whom to ask"))
    add_display(parser)
    return parser


def add_display(parser: argparse.ArgumentParser) -> None:
    """The options that say what is shown, and how."""
    showing = parser.add_argument_group("what to show")
    add_showing(showing, WINDOW_HELP)
    add_grouping(showing)
    _add_output(parser.add_argument_group("how to show it"))
    group = parser.add_argument_group("what destinations are called, and which are shown")
    add_names(group, "hosts[:FILE]")
    add_filter(group)


def make_options(given: argparse.Namespace, endpoints: tuple[Endpoint, ...]) -> AttachOptions:
    """Options from what a parser with ``add_display`` found.

    Raises:
        UsageError: they contradict each other.
    """
    check_output(given, given.format)
    check_connections(given, ASKED_OF_DAEMONS)
    if given.per is Per.CONNECTION:
        if getattr(given, "by_host", False):
            raise UsageError("--by-host goes with rows of destinations, not with --per connection")
        if given.every is not None:
            raise UsageError("--every goes with rows of destinations, not with --per connection")
    if given.per is Per.DESTINATION and given.format in COLUMNAR:
        raise UsageError("--format parquet and arrow go with --per connection here")
    is_one = getattr(given, "once", False) and given.every is None
    if given.format is Format.HTML and not is_one:
        raise UsageError("--format html is one page: it goes with trtop attach --once")
    check_period(given)
    if given.every is not None:
        _check_every(given)
    names = tuple(name for part in given.names for name in part)
    if "capture" in names:
        raise UsageError("--names capture: the packets are not here; hosts and dns know names too")
    if getattr(given, "by_host", False) and (names or given.allow or given.deny):
        raise UsageError("--by-host goes without names and rules")
    try:
        view = view_of(given)
    except ValueError as error:
        raise UsageError(str(error)) from None
    fail_on = getattr(given, "fail_on", None)
    if fail_on is not None:
        if not given.once:
            raise UsageError("--fail-on goes with --once")
        if fail_on.needs_ports:
            view = replace(view, group_by=GroupBy.ADDR_PORT)
    return AttachOptions(
        endpoints=endpoints,
        view=view,
        is_window_given=given.window is not None,
        once=getattr(given, "once", False),
        interval_s=DEFAULT_INTERVAL_S if given.interval is None else given.interval,
        timeout_s=getattr(given, "timeout", None),
        by_host=getattr(given, "by_host", False),
        key=getattr(given, "key", None),
        server_keys=tuple(getattr(given, "server_keys", ())),
        report_format=given.format or Format.TABLE,
        with_bins=given.bins,
        color=given.color,
        width=given.width,
        thresholds={key: limit for part in given.high for key, limit in part.items()},
        columns=given.columns,
        theme=given.theme,
        names=names,
        allow=tuple(given.allow),
        deny=tuple(given.deny),
        filter=given.filter,
        fail_on=fail_on,
        no_sandbox=getattr(given, "no_sandbox", False),
        wants_screen=all(
            asked is None for asked in (given.format, given.width, given.limit, given.every)
        ),
        start=getattr(given, "start", None),
        end=getattr(given, "end", None),
        every_ns=given.every,
        per=given.per,
        schema=given.schema or Schema.TRTOP,
    )


def _check_every(given: argparse.Namespace) -> None:
    """Refuse what does not go with reports of spans.

    Raises:
        UsageError: something does not.
    """
    if given.interval is not None:
        raise UsageError("either --every (capture time) or --interval (real time), not both")
    if given.window is not None:
        raise UsageError("--every is of what lies between: it goes without --window")
    if given.every % NS_PER_S:
        raise UsageError("--every is of whole seconds here: so long are the slots of a history")


def _add_daemons(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "endpoints",
        nargs="*",
        type=argument(parse_endpoint),
        metavar="ENDPOINT",
        help="ipc:///path or tcp://host:port (default: the daemon of this machine)",
    )
    add("--by-host", action="store_true", help="keep the rows of different machines apart")
    add("--key", metavar="FILE", help="your secret key, for tcp:// (see trtop keygen)")
    add(
        "--server-key",
        dest="server_keys",
        action="append",
        default=[],
        metavar="FILE",
        help="the daemon's public key; once for all, or once per tcp:// endpoint",
    )
    add_fail_on(group)
    add_period(group, is_read_here=False)
    add("--once", action="store_true", help="one report, then the end")
    add(
        "--timeout",
        type=argument(seconds),
        metavar="S",
        help="how long to wait for the first answer (default: 5)",
    )
    add_no_sandbox(group)
    add("-h", "--help", action="help", help="show this help and exit")


def _add_output(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add(
        "--format",
        type=one_of({item.value: item for item in Format}),
        metavar="|".join(item.value for item in Format),
        help="print reports (default: the interactive screen on a terminal, else table)",
    )
    add("--bins", action="store_true", help="raw sketch bins in json, for merging elsewhere")
    add(
        "--interval",
        type=argument(seconds),
        metavar="S",
        help="a report every S seconds of real time (default: 1)",
    )
    add_look(group)
    add_records(group)
