"""One run of the command: packets in, reports out.

Takes options and environment, drives a capture through an engine, shows how far it is, and writes
the reports. Gives the exit status. Errors of the environment are raised, not printed.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from trtop.names.engine_factory import final_snapshot, make_engine, namer_of
from trtop.options.report_options import Options
from trtop.plugins import Plugins, make_namer
from trtop.reporters.files import check_prefix, copy_report
from trtop.reporters.formats import Format, Per, Reporter, end_report, make_reporter
from trtop.runtime.allocator import share_heap
from trtop.runtime.confinement import confine_reading
from trtop.runtime.diagnostics import (
    EXIT_SIGNALLED,
    complain,
    complain_of_filter,
    complain_of_names,
    complain_of_nobody,
    complain_of_order,
    tell_of_waiting,
    worth_telling,
)
from trtop.runtime.environment import Environment, is_live
from trtop.runtime.jobs import n_jobs_of
from trtop.runtime.live_output import LiveOutput, make_live_output
from trtop.runtime.signals import Interrupt
from trtop.table.style import TableStyle
from trtop_core.argument_parser import UsageError
from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.engine import SEED_BYTES, Engine
from trtop_core.errors import (
    EXIT_INCOMPLETE,
    EXIT_OK,
    EXIT_UNUSABLE,
    TrtopError,
)
from trtop_core.records import Window
from trtop_core.snapshot import Snapshot
from trtop_core.sources import IDLE, ReadResult, Source, open_capture, read_into

if TYPE_CHECKING:
    from trtop.reporters.html_page.recorded import Recording
    from trtop_core.pace import TimedFeed

HISTORY_CREDIT_NS = 1_000_000_000
"""What short slots may cost a page: less than writing one of many destinations takes."""

DRAIN_S = 0.5
"""Time after Ctrl-C in which tcpdump (``tcpdump -w - | trtop -``) hands over what it holds."""


class Feeding(NamedTuple):
    """What takes the packets.

    Attributes:
        engine: counts.
        n_jobs: threads that read and count, this one included.
        timed: who cuts the capture at moments; None where all of it is one report.
    """

    engine: Engine
    n_jobs: int
    timed: TimedFeed | None = None


def run(options: Options, env: Environment) -> int:
    """Measure and report.

    Returns:
        The exit status.

    Raises:
        TrtopError: nothing could be measured, or a report cannot be written.
        KeyboardInterrupt: the user asked twice.
    """
    share_heap()
    if options.out_prefix is not None:
        check_prefix(options.out_prefix)
    elif _is_in_files_only(options, env):
        raise UsageError(
            "--format html is a page for a browser: add > report.html, or --out report"
        )
    if options.parts.needs_session:
        from trtop.classic.session import run_options  # noqa: PLC0415 - seldom used

        return run_options(options)
    if options.per is Per.CONNECTION:
        from trtop.cli.connections import run_connections  # noqa: PLC0415 - seldom used

        return run_connections(options, env)
    with Plugins() as plugins:
        config = _with_history(options) if options.report_format is Format.HTML else options.engine
        n_jobs = n_jobs_of(options, env)
        namer = make_namer(options, plugins)
        engine = make_engine(config, os.urandom(SEED_BYTES), namer, n_jobs)
        return _run(engine, options, env, n_jobs)


def _run(engine: Engine, options: Options, env: Environment, n_jobs: int) -> int:
    live = is_live(options)
    recording = _recording(engine) if options.report_format is Format.HTML else None
    reporter = make_reporter(
        options.report_format,
        env.stdout,
        lambda: env.table_style(options),
        options.with_bins,
        recording,
    )
    is_read, is_listening = True, True
    timed = _timed(engine, options, reporter)
    with Interrupt(env.monotonic_s, DRAIN_S if live else 0) as interrupt:
        tell_of_waiting(options, env)
        confine_reading(options, env)
        with open_capture(options.inputs, follow=options.follow) as source:
            try:
                with make_live_output(options, env, reporter, live) as output:
                    feeding = Feeding(engine, n_jobs, timed)
                    read = _measure(feeding, source, output, interrupt)
                    is_read = not read.is_unusable
            except BrokenPipeError:
                is_listening = False
        errors = worth_telling(source.errors, live and interrupt.signal is not None)
        try:
            is_listening = _finish(engine, timed) and is_listening
        except TrtopError:  # the capture ended before it would count
            complain(errors, engine.unsupported_link_types, options, env)
            raise
        found = EXIT_OK
        if is_read:
            view = options.view
            # All rows are looked through, whatever is shown of them.
            asked = view if options.fail_on is None else replace(view, limit=None)
            unread = tuple(str(error) for error in errors)
            everything = replace(final_snapshot(engine, asked), unread=unread)
            snapshot = everything.limited(view.limit)
            is_told = timed and timed.is_over and options.timing.every_ns
            if is_listening and not is_told and not _is_in_files_only(options, env):
                _report(reporter, snapshot)
            _end(reporter, is_listening)
            # What was measured is shown, though no file can be written.
            if options.out_prefix is not None:
                style = TableStyle(thresholds=options.thresholds, columns=options.columns)
                copy_report(snapshot, options.out_prefix, style, options.with_bins, recording)
            complain_of_nobody(snapshot, options, env)
            if options.report_format is not Format.TABLE:  # which says so itself
                complain_of_filter(snapshot, env)
            if options.fail_on is not None:
                from trtop.runtime.fail_on import fail_on  # noqa: PLC0415 - seldom used

                found = fail_on(everything, options.fail_on, env)
        complain_of_names(engine, env)
        complain(errors, engine.unsupported_link_types, options, env)
        complain_of_order(source, env)
    if not is_read:
        return EXIT_UNUSABLE
    if interrupt.signal is not None and not live:
        return EXIT_SIGNALLED + interrupt.signal
    is_incomplete = bool(errors or engine.unsupported_link_types)
    return found or (EXIT_INCOMPLETE if is_incomplete else EXIT_OK)


def _with_history(options: Options) -> EngineConfig:
    """A page has a timeline, which is made of a history."""
    return replace(
        options.engine,
        windows=tuple(Window),
        history_bytes=options.history_bytes,
        history_credit_ns=HISTORY_CREDIT_NS,
    )


def _recording(engine: Engine) -> Recording:
    """What a page asks besides a snapshot."""
    from trtop.reporters.html_page.recorded import make_recording  # noqa: PLC0415 - seldom used
    from trtop_core.wire.questions import answered  # noqa: PLC0415

    return make_recording(
        lambda question: answered([engine], question), namer_of(engine), lambda: engine.keys
    )


def _is_in_files_only(options: Options, env: Environment) -> bool:
    """Nobody reads markup on a terminal: ``--out`` has the page."""
    return options.report_format is Format.HTML and env.stdout.isatty()


def _timed(engine: Engine, options: Options, reporter: Reporter) -> TimedFeed | None:
    """Who cuts the capture at moments; None where all of it is one report."""
    if options.timing.is_whole:
        return None
    from trtop_core.pace import TimedFeed  # noqa: PLC0415 - seldom used

    view = options.view
    return TimedFeed(engine, options.timing, lambda: reporter.report(engine.snapshot(view)))


def _measure(
    feeding: Feeding, source: Source, output: LiveOutput, interrupt: Interrupt
) -> ReadResult:
    """Read until the capture ends or the user has had enough."""
    engine, timed = feeding.engine, feeding.timed

    def between(batch: PacketBatch) -> bool:
        if interrupt.is_due(is_idle=batch is IDLE) or (timed and timed.is_over):
            return False
        output.tick(engine, source)
        return True

    if timed is not None:
        return read_into(timed, source, between)
    if feeding.n_jobs > 1 and not engine.is_sharded:
        from trtop_core.sources.ahead import read_ahead_into  # noqa: PLC0415 - seldom used

        return read_ahead_into(engine, source, between, feeding.n_jobs)
    return read_into(engine, source, between)


def _finish(engine: Engine, timed: TimedFeed | None) -> bool:
    """The capture ends; whether the reader of the reports is still there."""
    try:
        (engine if timed is None else timed).finish()
    except BrokenPipeError:
        return False
    return True


def _report(reporter: Reporter, snapshot: Snapshot) -> None:
    try:
        reporter.report(snapshot)
    except BrokenPipeError:
        return  # `trtop | head`: the reader has seen enough


def _end(reporter: Reporter, is_listening: bool) -> None:
    """Write what a file of some formats ends with, if somebody still reads."""
    if is_listening:
        try:
            end_report(reporter)
        except BrokenPipeError:
            return
