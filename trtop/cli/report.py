"""One run of the command: packets in, reports out.

Takes options and surroundings, drives a capture through an engine, shows how far it is, and writes
the reports. Gives the exit status. Errors of the surroundings are raised, not printed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TextIO

from trtop.escape import escape
from trtop.names.engine_factory import final_snapshot, make_engine, name_failures
from trtop.options.report_options import STDIN, Options
from trtop.plugins import Plugins, make_namer
from trtop.reporters import Format, Reporter, make_reporter
from trtop.reporters.files import JSON_SUFFIX, TABLE_SUFFIX, check_prefix, write_copies
from trtop.runtime.environment import Surroundings, is_live
from trtop.runtime.live_output import Display, make_display
from trtop.runtime.signals import Interrupt
from trtop.table.style import TableStyle
from trtop_core.engine import Engine
from trtop_core.errors import (
    EXIT_INCOMPLETE,
    EXIT_OK,
    EXIT_UNUSABLE,
    DamagedCaptureError,
    TrtopError,
)
from trtop_core.link_types import unsupported_lines
from trtop_core.records import Direction, Window
from trtop_core.snapshot import Snapshot
from trtop_core.sources import IDLE, Source, open_capture

EXIT_SIGNALLED = 128
"""Plus the number of the signal: the shells' convention."""

DRAIN_S = 0.5
"""After Ctrl-C in ``tcpdump -w - | trtop -`` tcpdump still hands over what it holds."""

SEED_BYTES = 16


def run(options: Options, around: Surroundings) -> int:
    """Measure and report.

    Returns:
        The exit status.

    Raises:
        TrtopError: nothing could be measured, or a report cannot be written.
        KeyboardInterrupt: the user asked twice.
    """
    if options.out_prefix is not None:
        check_prefix(options.out_prefix)
    if options.parts.needs_session:
        from trtop.classic.session import run_options  # noqa: PLC0415 - seldom used

        return run_options(options)
    with Plugins() as plugins:
        engine = make_engine(options.engine, os.urandom(SEED_BYTES), make_namer(options, plugins))
        return _run(engine, options, around)


def _run(engine: Engine, options: Options, around: Surroundings) -> int:
    live = is_live(options)
    reporter = make_reporter(
        options.report_format,
        around.stdout,
        lambda: around.table_style(options),
        options.with_bins,
    )
    is_read, is_listening = True, True
    with Interrupt(around.monotonic_s, DRAIN_S if live else 0) as interrupt:
        tell_of_waiting(options, around)
        with open_capture(options.inputs, follow=options.follow) as source:
            try:
                with make_display(options, around, reporter, live) as display:
                    _measure(engine, source, display, interrupt)
            except BrokenPipeError:
                is_listening = False
            except TrtopError as error:  # raised after all that could be read
                is_read = error.exit_status != EXIT_UNUSABLE
        errors = worth_telling(source.errors, live and interrupt.signal is not None)
        engine.finish()
        if is_read:
            snapshot = final_snapshot(engine, options.view)
            if options.out_prefix is not None:
                copy_report(snapshot, options)
            if is_listening:
                _report(reporter, snapshot)
            complain_of_nobody(snapshot, options, around)
        complain_of_names(engine, around)
        complain(errors, engine.unsupported_link_types, options, around)
        complain_of_order(source, around)
    if not is_read:
        return EXIT_UNUSABLE
    if interrupt.signal is not None and not live:
        return EXIT_SIGNALLED + interrupt.signal
    return EXIT_INCOMPLETE if errors or engine.unsupported_link_types else EXIT_OK


def _measure(engine: Engine, source: Source, display: Display, interrupt: Interrupt) -> None:
    """Read until the capture ends or the user has had enough."""
    for batch in source:
        if len(batch) or batch.counters or batch.n_untimed:
            engine.feed(batch)
        if interrupt.is_due(is_idle=batch is IDLE):
            return
        display.tick(engine, source)


def worth_telling(errors: Sequence[TrtopError], is_ended_by_user: bool) -> Sequence[TrtopError]:
    """Ctrl-C ends the other side of a pipe too, maybe inside a packet: that is no error."""
    is_cut = bool(errors) and isinstance(errors[-1], DamagedCaptureError)
    return errors[:-1] if is_ended_by_user and is_cut else errors


def _report(reporter: Reporter, snapshot: Snapshot) -> None:
    try:
        reporter.report(snapshot)
    except BrokenPipeError:
        return  # `trtop | head`: the reader has seen enough


def complain_of_names(engine: Engine, around: Surroundings) -> None:
    """One line on stderr for each resolver or whitelist that raised."""
    for failure in name_failures(engine):
        around.stderr.write(f"trtop: {escape(failure)}\n")


def complain(
    errors: Sequence[TrtopError],
    link_types: dict[int, int],
    options: Options,
    around: Surroundings,
) -> None:
    """One line on stderr for each thing that could not be read."""
    for error in errors:
        around.stderr.write(f"trtop: {escape(str(error))}\n")
    where = f"{escape(options.inputs[0])}: " if len(options.inputs) == 1 else ""
    for line in unsupported_lines(link_types):
        around.stderr.write(f"trtop: {where}{line}\n")


def complain_of_nobody(snapshot: Snapshot, options: Options, around: Surroundings) -> None:
    """One line on stderr if TCP is there, but none that the local networks take part in."""
    config, health = options.engine, snapshot.health
    is_tcp = health.packets > health.not_tcp + sum(health.undecoded.values())
    is_all = options.view.window is Window.ALL and not (
        options.allow or options.deny or options.whitelist
    )
    if config.local and is_tcp and is_all and not snapshot.n_destinations:
        word = {Direction.OUT: "opened by", Direction.IN: "opened to", Direction.BOTH: "of"}
        around.stderr.write(
            f"trtop: no connection {word[config.direction]} the networks of --local; "
            "without --local every connection counts\n"
        )


def complain_of_order(source: Source, around: Surroundings) -> None:
    """One line on stderr if files seem to stand in the wrong order: connections fall apart then."""
    if source.early:
        around.stderr.write(
            f"trtop: {escape(source.early[0])}: begins before the file in front of it ended; "
            "numbers are right only for files in the order of their packets\n"
        )


def tell_of_waiting(options: Options, around: Surroundings) -> None:
    """One line on stderr if the file to follow is not there yet."""
    last = options.inputs[-1]
    if options.follow and last != STDIN and not os.path.exists(last):
        around.stderr.write(f"trtop: waiting for {escape(last)}, which is not there yet\n")
        around.stderr.flush()


def copy_report(snapshot: Snapshot, options: Options) -> None:
    """The final report as files, each complete or absent.

    Raises:
        TrtopError: one of them cannot be written.
    """
    style = TableStyle(thresholds=options.thresholds)

    def write_as(report_format: Format) -> Callable[[TextIO], None]:
        return lambda stream: make_reporter(
            report_format, stream, lambda: style, options.with_bins
        ).report(snapshot)

    write_copies(
        options.out_prefix or "",
        {TABLE_SUFFIX: write_as(Format.TABLE), JSON_SUFFIX: write_as(Format.JSON)},
    )
