"""One run of the command with ``--per connection``: packets in, a record of each connection out.

Takes options and environment, as ``report`` does; gives the exit status. Records are written while
packets are read, in memory that does not grow with the capture.
"""

from __future__ import annotations

import itertools
import os
from dataclasses import replace

from trtop.options.report_options import Options
from trtop.reporters.connection_writer import ConnectionWriter
from trtop.runtime.confinement import confine_reading
from trtop.runtime.diagnostics import (
    EXIT_SIGNALLED,
    complain,
    complain_of_order,
    tell_of_waiting,
    worth_telling,
)
from trtop.runtime.environment import Environment, is_live
from trtop.runtime.jobs import n_jobs_of
from trtop.runtime.signals import Interrupt
from trtop_core.batch import PacketBatch
from trtop_core.engine import SEED_BYTES, Engine
from trtop_core.errors import EXIT_INCOMPLETE, EXIT_OK, EXIT_UNUSABLE
from trtop_core.sources import IDLE, ReadResult, Source, open_capture, read_into

DRAIN_S = 0.5
"""Time after Ctrl-C in which tcpdump (``tcpdump -w - | trtop -``) hands over what it holds."""

BATCHES_TOGETHER = 8
"""Where several threads count, whoever takes records waits for all of them: after so many batches,
some 100 MB of records at most."""

FLUSH_S = 1.0
"""How long a record of a live capture is held back at most."""


def run_connections(options: Options, env: Environment) -> int:
    """Write a record of each connection.

    Returns:
        The exit status.

    Raises:
        TrtopError: nothing could be measured, or the format needs what is not installed.
    """
    live = is_live(options)
    writer = ConnectionWriter(env.stdout, options.report_format, options.schema)
    config = replace(options.engine, keeps_connections=True)
    engine = Engine(config, os.urandom(SEED_BYTES), n_jobs_of(options, env))
    with Interrupt(env.monotonic_s, DRAIN_S if live else 0) as interrupt:
        tell_of_waiting(options, env)
        confine_reading(options, env)
        with open_capture(options.inputs, follow=options.follow) as source:
            read = _write_all(engine, source, writer, interrupt, _Pace(options, env, live))
        errors = worth_telling(source.errors, live and interrupt.signal is not None)
        complain(errors, engine.unsupported_link_types, options, env)
        complain_of_order(source, env)
    if engine.n_lost_connections:
        env.stderr.write(
            f"trtop: no memory for the records of {engine.n_lost_connections:,} connections\n"
        )
    if read is not None and read.is_unusable:
        return EXIT_UNUSABLE
    if interrupt.signal is not None and not live:
        return EXIT_SIGNALLED + interrupt.signal
    is_incomplete = errors or engine.unsupported_link_types or engine.n_lost_connections
    return EXIT_INCOMPLETE if is_incomplete else EXIT_OK


class _Pace:
    """When records are written: at once where somebody waits for them, else in blocks."""

    def __init__(self, options: Options, env: Environment, live: bool) -> None:
        self._env = env
        self._live = live
        self._next_s = env.monotonic_s() + FLUSH_S

    def is_due(self, is_idle: bool) -> bool:
        """Whether what is held back has to be written."""
        now_s = self._env.monotonic_s()
        if not self._live or not (is_idle or now_s >= self._next_s):
            return False
        self._next_s = now_s + FLUSH_S
        return True


def _write_all(
    engine: Engine, source: Source, writer: ConnectionWriter, interrupt: Interrupt, pace: _Pace
) -> ReadResult | None:
    """Read and write until either ends; None if nobody reads the records any more."""
    together = itertools.cycle(range(BATCHES_TOGETHER if engine.is_sharded else 1))

    def between(batch: PacketBatch) -> bool:
        if interrupt.is_due(is_idle=batch is IDLE):
            return False
        if next(together) == 0:
            writer.add(engine.take_connections())
        if pace.is_due(batch is IDLE):
            writer.flush()
        return True

    try:
        read = read_into(engine, source, between)
        engine.finish()
        if not read.is_unusable:
            writer.add(engine.take_connections())
            for records in engine.remaining_connections():
                writer.add(records)
            writer.close()
    except BrokenPipeError:  # `trtop … | head`: the reader has seen enough
        return None
    return read
