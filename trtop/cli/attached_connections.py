"""``trtop attach --per connection``: a row for each connection that daemons see close.

Takes options, environment and clients; writes until a signal, or until the captures of all daemons
have ended. A daemon waits for nobody but when it stops: what this process was too slow for is
counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from trtop.escape import escape
from trtop.options.attach_options import DEFAULT_TIMEOUT_S, AttachOptions
from trtop.remote.client import Client
from trtop.remote.closed import ClosedReader
from trtop.remote.diagnosis import diagnose
from trtop.remote.source import DaemonSource
from trtop.reporters.connection_writer import ConnectionWriter
from trtop.runtime.environment import Environment
from trtop_core.errors import EXIT_INCOMPLETE, EXIT_OK, TrtopError

FLUSH_S = 1.0
"""How long a record is held back at most."""

WHEN_ROWS_COME = (
    "rows come when connections are forgotten: a minute after they closed, five after their SYN "
    "was not answered (Ctrl-C ends)"
)
"""Said where nothing came at first, since nothing may come for as long."""

SILENCE_S = 2.0
"""How long nothing comes before that is said."""

LAST_S = 2.0
"""What a process that has ended had sent is here within this."""

SLICE_S = 0.1
"""A signal is noticed within this."""


class _Waiting(NamedTuple):
    """What there is to wait for, and until when."""

    source: DaemonSource
    is_over: Callable[[], bool]
    are_ours: bool


def make_writer(options: AttachOptions, env: Environment) -> ConnectionWriter:
    """Who writes; made before the process gives up what it does not need.

    Raises:
        TrtopError: the format needs what is not installed, or does not go to a terminal.
    """
    return ConnectionWriter(env.stdout, options.report_format, options.schema)


def follow(
    writer: ConnectionWriter,
    options: AttachOptions,
    env: Environment,
    source: DaemonSource,
    is_over: Callable[[], bool],
    are_ours: bool,
) -> int:
    """Write what the daemons' connections were.

    Args:
        writer: as ``make_writer`` gave it.
        options: what to write.
        env: where.
        source: whose clients are asked.
        is_over: whether somebody has had enough.
        are_ours: the daemons live for this process, so it need not say that one is gone.

    Returns:
        The exit status.

    Raises:
        TrtopError: no daemon answered, or one keeps no records.
    """
    readers = [ClosedReader(client, options.interval_s) for client in source.clients]
    try:
        _write_all(readers, writer, options, env, _Waiting(source, is_over, are_ours))
        writer.close()
    except BrokenPipeError:  # `trtop … | head`: the reader has seen enough
        return EXIT_OK
    n_lost = sum(reader.n_lost for reader in readers)
    if n_lost:
        env.stderr.write(
            f"trtop: {n_lost:,} records are lost: connections closed faster than they were read "
            "(trtopd --connections N keeps more)\n"
        )
    return EXIT_INCOMPLETE if n_lost else EXIT_OK


def _write_all(
    readers: Sequence[ClosedReader],
    writer: ConnectionWriter,
    options: AttachOptions,
    env: Environment,
    waiting: _Waiting,
) -> None:
    patience_s = DEFAULT_TIMEOUT_S if options.timeout_s is None else options.timeout_s
    give_up_s = env.monotonic_s() + patience_s
    flush_s = env.monotonic_s() + FLUSH_S
    silent_s = env.monotonic_s() + SILENCE_S
    n_rows = 0
    told: set[str] = set()
    while not waiting.is_over():
        has_more = False
        for reader in readers:
            records = reader.poll(env.monotonic_s())
            if records is not None:
                writer.add(records)
                n_rows += len(records)
                has_more |= not reader.has_caught_up
            _check(reader, env, give_up_s)
        if env.monotonic_s() >= flush_s:
            writer.flush()
            flush_s = env.monotonic_s() + FLUSH_S
        if all(r.is_over or (options.once and r.has_caught_up) for r in readers):
            return
        has_begun = all(reader.has_begun for reader in readers)
        is_silent = has_begun and not n_rows and env.monotonic_s() >= silent_s
        if is_silent and WHEN_ROWS_COME not in told:
            told.add(WHEN_ROWS_COME)
            env.stderr.write(f"trtop: {WHEN_ROWS_COME}\n")
        if not waiting.are_ours:
            _tell(readers, env, told)
        waiting.source.wait(0 if has_more else SLICE_S)
    if waiting.are_ours:
        _take_last(readers, writer, env, waiting.source)


def _take_last(
    readers: Sequence[ClosedReader],
    writer: ConnectionWriter,
    env: Environment,
    source: DaemonSource,
) -> None:
    """Write what daemons said last that have ended by now."""
    end_s = env.monotonic_s() + LAST_S
    while any(reader.client.is_connected for reader in readers) and env.monotonic_s() < end_s:
        source.wait(SLICE_S)
    for reader in readers:
        records = reader.poll(env.monotonic_s())
        if records is not None:
            writer.add(records)


def _check(reader: ClosedReader, env: Environment, give_up_s: float) -> None:
    """Refuse to wait for what will not come."""
    client = reader.client
    if reader.has_begun:
        return
    if client.question_refusal:
        raise TrtopError(f"{client.endpoint}: {escape(client.question_refusal)}")
    if env.monotonic_s() >= give_up_s:
        raise TrtopError(f"{client.endpoint}: {_why_silent(client, env.monotonic_s())}")


def _why_silent(client: Client, now_s: float) -> str:
    return diagnose(client.endpoint) or client.trouble(now_s) or "no answer"


def _tell(readers: Sequence[ClosedReader], env: Environment, told: set[str]) -> None:
    """A daemon that is gone, once each time."""
    for reader in readers:
        name = str(reader.client.endpoint)
        if reader.client.is_connected:
            told.discard(name)
        elif reader.has_begun and name not in told:
            told.add(name)
            env.stderr.write(f"trtop: {name}: the daemon is gone; waiting for it to come back\n")
