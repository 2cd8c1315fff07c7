"""The command line: what may be given, and what it means.

Takes the arguments, gives frozen ``Options``, or ``UsageError`` with one line that says what is
wrong. Opens nothing.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from trtop.metrics.columns import Column
from trtop.options.configured import NOTHING_CONFIGURED, Configured, parse_args
from trtop.options.old_spellings import respell_follow
from trtop.options.parser import Color, check_output, timing_of, view_of
from trtop.options.plugin_arguments import SNAPSHOT_MINUTES, RunMode, check_spelling
from trtop.options.record_arguments import check_connections
from trtop.options.report_arguments import make_parser
from trtop.reporters.formats import Format, Per, Schema
from trtop.table.text import Theme
from trtop_core.argument_parser import UsageError
from trtop_core.config import DEFAULT_HISTORY_BYTES, MIN_HISTORY_BYTES, EngineConfig, engine_config
from trtop_core.metric_types import Thresholds
from trtop_core.records import GroupBy
from trtop_core.timing import WHOLE, Timing
from trtop_core.view import View

if TYPE_CHECKING:
    from trtop.filters.filter import Filter

STDIN = "-"

HINT = "no capture given; try: trtop FILE.pcap, or tcpdump -w - | trtop -, or trtop --help"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run is made of, where it is not trtop's own: a module or a name each.

    Attributes:
        analyzer: who takes the packets.
        collector: where they come from.
        reporter: who shows what they say.
        resolver: what destinations are called.
        whitelist: which of them are shown.
        interface: capture here instead of reading files.
        bpf_filter: which packets to capture.
        mode: when to end.
        minutes: of a snapshot.
    """

    analyzer: str | None = None
    collector: str | None = None
    reporter: str | None = None
    resolver: str | None = None
    whitelist: str | None = None
    interface: str | None = None
    bpf_filter: str | None = None
    mode: RunMode | None = None
    minutes: float = SNAPSHOT_MINUTES

    @property
    def needs_session(self) -> bool:
        """More than names and rules: the run is put together as a script's is."""
        return any((self.analyzer, self.collector, self.reporter, self.interface, self.mode))


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for.

    Attributes:
        inputs: paths, ``-`` for standard input; at least one.
        engine: how packets are read.
        view: what a report shows.
        report_format: how it is written.
        with_bins: JSON holds the sketches' bins.
        follow: files are still being written.
        interval_s: wall-clock seconds between reports; None for a final one only, or by default.
        out_prefix: where a copy of the final report goes, without its suffixes.
        color: when to use colour.
        width: columns of the table; None asks the terminal.
        with_progress: show progress on a terminal.
        thresholds: by column key, instead of the columns' own.
        columns: which ones, in their order; empty: all, as far as there is room.
        theme: which colours stand for what.
        names: resolvers by name, the first that knows a name wins.
        allow: rules of what is shown; none: everything.
        deny: rules of what is not shown.
        filter: which rows are shown, None for all.
        fail_on: rows that end the command with a status of their own.
        timing: which part of the capture counts, and whether there are reports of its parts.
        history_bytes: what the screen keeps of the past, at most.
        notes: what the user should know of how the command line was read.
        parts: what a run of one's own is made of.
        wants_screen: nothing was asked for that only a printed report has.
        is_window_given: the window is the user's choice.
        report_format_given: the format is the user's choice.
        n_more_inputs: how many of the inputs were given with ``-i``: these are the first.
        per: what a row stands for.
        schema: whose names a connection's fields have.
        no_sandbox: the process keeps system calls and files that it does not need.
        n_jobs: cores used for files; None: those that are free.
    """

    inputs: tuple[str, ...]
    engine: EngineConfig
    view: View
    report_format: Format = Format.TABLE
    with_bins: bool = False
    follow: bool = False
    interval_s: float | None = None
    out_prefix: str | None = None
    color: Color = Color.AUTO
    width: int | None = None
    with_progress: bool = True
    thresholds: dict[str, Thresholds] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    theme: Theme = Theme.TERMINAL
    names: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    filter: Filter | None = None
    fail_on: Filter | None = None
    timing: Timing = WHOLE
    history_bytes: int = DEFAULT_HISTORY_BYTES
    notes: tuple[str, ...] = ()
    parts: Parts = Parts()
    wants_screen: bool = False
    is_window_given: bool = False
    report_format_given: bool = False
    n_more_inputs: int = 0
    per: Per = Per.DESTINATION
    schema: Schema = Schema.TRTOP
    no_sandbox: bool = False
    n_jobs: int | None = None

    @property
    def resolver(self) -> str | None:
        """A resolver of one's own."""
        return self.parts.resolver

    @property
    def whitelist(self) -> str | None:
        """A whitelist of one's own."""
        return self.parts.whitelist


def parse(
    argv: Sequence[str],
    needs_input: bool = True,
    parser: argparse.ArgumentParser | None = None,
    configured: Configured = NOTHING_CONFIGURED,
) -> Options:
    """Read the command line.

    Args:
        argv: arguments without the program's name.
        needs_input: refuse a command line without a capture.
        parser: of the command that reads captures; None: of ``trtop`` itself.
        configured: what holds where the command line says nothing.

    Raises:
        UsageError: it makes no sense.
        SystemExit: ``--help`` or ``--version`` was printed.
    """
    argv, notes = respell_follow(argv)
    check_spelling(argv)
    given = parse_args(parser or make_parser(), argv, configured)
    inputs = (*given.more_inputs, *given.inputs)
    if inputs and given.interface:
        raise UsageError("either --interface or files, not both")
    if needs_input and not inputs and not given.interface and not given.collector:
        raise UsageError(HINT)
    if inputs.count(STDIN) > 1:
        raise UsageError("standard input (-) can be read only once")
    if given.format is not None and given.reporter is not None:
        raise UsageError("--format goes without --reporter (-rm): each says how numbers are shown")
    report_format = given.format or Format.TABLE
    check_output(given, report_format)
    check_connections(given)
    if report_format is Format.HTML and given.interval is not None:
        raise UsageError("--format html is one page, at the end: leave out --interval")
    try:
        engine, view = _engine_config(given), view_of(given)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if given.history < MIN_HISTORY_BYTES:
        raise UsageError(f"--history is {MIN_HISTORY_BYTES >> 20}MiB or more")
    timing = timing_of(given)
    if timing.every_ns is not None and given.interval is not None:
        raise UsageError("either --every (capture time) or --interval (real time), not both")
    if not timing.is_whole and _parts(given).needs_session:
        raise UsageError("--from, --to, --every go with captures, not with parts of your own")
    if given.fail_on is not None:
        if _parts(given).needs_session:
            raise UsageError("--fail-on goes with captures, not with parts of your own")
        if given.fail_on.needs_ports:
            view = replace(view, group_by=GroupBy.ADDR_PORT)
            engine = replace(engine, group_by=GroupBy.ADDR_PORT)
    return Options(
        inputs=inputs,
        engine=engine,
        view=view,
        report_format=report_format,
        with_bins=given.bins,
        follow=given.follow,
        interval_s=given.interval,
        out_prefix=given.out,
        color=given.color,
        width=given.width,
        with_progress=not given.no_progress,
        thresholds={key: limit for part in given.high for key, limit in part.items()},
        columns=given.columns,
        theme=given.theme,
        names=tuple(name for part in given.names for name in part),
        allow=tuple(given.allow),
        deny=tuple(given.deny),
        filter=given.filter,
        fail_on=given.fail_on,
        timing=timing,
        history_bytes=given.history,
        notes=tuple(notes),
        parts=_parts(given),
        wants_screen=all(
            asked is None
            for asked in (given.format, given.width, given.limit, given.fail_on, given.every)
        ),
        is_window_given=given.window is not None,
        per=given.per,
        schema=given.schema or Schema.TRTOP,
        report_format_given=given.format is not None,
        n_jobs=given.jobs,
        n_more_inputs=len(given.more_inputs),
        no_sandbox=given.no_sandbox,
    )


def _parts(given: argparse.Namespace) -> Parts:
    if given.minutes is not None and given.mode is not RunMode.SNAPSHOT:
        raise UsageError("--minutes goes with --mode snapshot")
    return Parts(
        analyzer=given.analyzer,
        collector=given.collector,
        reporter=given.reporter,
        resolver=given.resolver,
        whitelist=given.whitelist,
        interface=given.interface,
        bpf_filter=given.bpf_filter,
        mode=given.mode,
        minutes=SNAPSHOT_MINUTES if given.minutes is None else given.minutes,
    )


def _engine_config(given: argparse.Namespace) -> EngineConfig:
    return engine_config(
        local=(network for part in given.local for network in part),
        direction=given.direction,
        group_by=given.group_by,
        decap=not given.no_decap,
        windows=() if given.window is None else (given.window,),
        idle_timeout_s=given.idle_timeout,
        max_connections=given.max_connections,
    )
