"""One run of the command on the screen: packets in, the user looks around.

Takes options and environment; gives the exit status when the user quits. The terminal is given
back first, then errors are told on stderr.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import replace

from trtop.escape import escape
from trtop.names.engine_factory import make_engine
from trtop.names.namer import Namer
from trtop.options.report_options import STDIN, Options
from trtop.plugins import Plugins, make_namer
from trtop.reporters.files import check_prefix, copy_report
from trtop.runtime.confinement import confine_reading
from trtop.runtime.diagnostics import (
    EXIT_SIGNALLED,
    complain,
    complain_of_names,
    complain_of_order,
    worth_telling,
)
from trtop.runtime.environment import Environment, is_live
from trtop.runtime.screen_setup import HEAD_START_S, make_display_options, make_setup
from trtop.runtime.signals import Interrupt
from trtop.table.style import TableStyle
from trtop.tui.app import show
from trtop.tui.effects import WINDOWS
from trtop.tui.engine_source import EngineSource, Reading
from trtop.tui.terminal import keyboard_on_stdin
from trtop_core.config import EngineConfig
from trtop_core.engine import SEED_BYTES, Engine
from trtop_core.errors import EXIT_INCOMPLETE, EXIT_OK, EXIT_UNUSABLE
from trtop_core.records import GroupBy
from trtop_core.sources import Source, open_capture
from trtop_core.sources.files import STDIN_NAME

HISTORY_CREDIT_NS = 50_000_000
"""What the strip of a file may cost before packets have earned it: too short to be seen."""

POLL_S = 0.001
"""A capture that has nothing says so at once: keys are waited for instead."""


def view(options: Options, env: Environment) -> int:
    """Measure, and show what is measured until the user quits.

    Returns:
        The exit status.

    Raises:
        TrtopError: nothing could be measured, or a report cannot be written.
        KeyboardInterrupt: the user asked twice.
    """
    if options.out_prefix is not None:
        check_prefix(options.out_prefix)
    config = replace(
        options.engine,
        windows=WINDOWS[:-1],
        group_by=GroupBy.ADDR_PORT,
        history_bytes=options.history_bytes,
        history_credit_ns=HISTORY_CREDIT_NS,
        is_paced=is_live(options),
    )
    with Plugins() as plugins, closing(make_namer(options, plugins) or Namer()) as namer:
        confine_reading(options, env, has_screen=True)
        return _view(options, config, env, namer)


def _view(options: Options, config: EngineConfig, env: Environment, namer: Namer) -> int:
    """The same, once names are known and nothing else is to be opened but captures."""
    live = is_live(options)
    with (
        Interrupt(env.monotonic_s, 0) as interrupt,
        keyboard_on_stdin(STDIN in options.inputs) as stdin_fd,
        open_capture(
            options.inputs,
            follow=options.follow,
            poll_s=POLL_S,
            wait=lambda seconds: None,
            stdin_fd=stdin_fd,
        ) as capture,
    ):
        engine = make_engine(config, os.urandom(SEED_BYTES), namer)
        namer.is_enabled = False  # the screen names rows itself
        reading = Reading(_name(options), live, options.timing)
        source = EngineSource(engine, capture, reading, env.monotonic_s, namer)
        is_over = _show(source, options, env, interrupt, live)
        source.finish()
        _tell(source, capture, engine, options, env)
        if source.is_unusable:
            return EXIT_UNUSABLE
        if options.out_prefix is not None:
            namer.is_enabled = True
            snapshot = engine.snapshot(options.view)
            style = TableStyle(thresholds=options.thresholds, columns=options.columns)
            copy_report(snapshot, options.out_prefix, style, options.with_bins)
    if interrupt.signal is not None and not live and not is_over:
        return EXIT_SIGNALLED + interrupt.signal
    is_incomplete = source.error is not None or engine.unsupported_link_types
    return EXIT_INCOMPLETE if is_incomplete else EXIT_OK


def _show(
    source: EngineSource,
    options: Options,
    env: Environment,
    interrupt: Interrupt,
    live: bool,
) -> bool:
    """The screen, until the user quits; whether everything was read by then."""
    source.step(HEAD_START_S)
    if source.is_unusable or interrupt.signal is not None:
        return source.status().is_over
    display = make_display_options(options, env)

    def is_due() -> bool:
        return interrupt.signal is not None or source.is_unusable

    setup = make_setup(options, live, source.namer, options.out_prefix)
    show(source, setup, display, is_due)
    return source.status().is_over


def _tell(
    source: EngineSource,
    capture: Source,
    engine: Engine,
    options: Options,
    env: Environment,
) -> None:
    """What could not be read, and who could not name, on stderr."""
    complain_of_names(engine, env)
    ended_by_user = source.error is None
    errors = worth_telling(capture.errors, ended_by_user)
    if source.error is not None and source.error not in capture.errors:
        env.stderr.write(f"trtop: {escape(str(source.error))}\n")
    complain(errors, engine.unsupported_link_types, options, env)
    complain_of_order(capture, env)


def _name(options: Options) -> str:
    """What is read, as short as a title needs."""
    first = options.inputs[0]
    name = STDIN_NAME if first == STDIN else os.path.basename(first)
    n_more = len(options.inputs) - 1
    return f"{name} and {n_more} more" if n_more else name
