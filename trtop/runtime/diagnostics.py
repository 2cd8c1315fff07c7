"""What a run says on standard error: what could not be read, and what the user should know.

Takes errors, an engine, options and the environment; writes one line each, escaped. Never raises
and never ends the program.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace

from trtop.escape import escape
from trtop.names.engine_factory import name_failures
from trtop.options.report_options import STDIN, Options
from trtop.runtime.environment import Environment
from trtop.table.health import unmatched_local
from trtop_core.engine import Engine
from trtop_core.errors import DamagedCaptureError, TrtopError
from trtop_core.link_types import unsupported_lines
from trtop_core.records import Window
from trtop_core.snapshot import Snapshot
from trtop_core.sources import OUT_OF_ORDER, Source

EXIT_SIGNALLED = 128
"""Plus the number of the signal: the shells' convention."""


def worth_telling(errors: Sequence[TrtopError], is_ended_by_user: bool) -> Sequence[TrtopError]:
    """Ctrl-C ends the other side of a pipe too, maybe inside a packet: that is no error."""
    is_cut = bool(errors) and isinstance(errors[-1], DamagedCaptureError)
    return errors[:-1] if is_ended_by_user and is_cut else errors


def complain_of_names(engine: Engine, env: Environment) -> None:
    """One line on stderr for each resolver or whitelist that raised."""
    for failure in name_failures(engine):
        env.stderr.write(f"trtop: {escape(failure)}\n")


def complain(
    errors: Sequence[TrtopError],
    link_types: dict[int, int],
    options: Options,
    env: Environment,
) -> None:
    """One line on stderr for each thing that could not be read."""
    for error in errors:
        env.stderr.write(f"trtop: {escape(str(error))}\n")
    where = f"{escape(options.inputs[0])}: " if len(options.inputs) == 1 else ""
    for line in unsupported_lines(link_types):
        env.stderr.write(f"trtop: {where}{line}\n")


def complain_of_nobody(snapshot: Snapshot, options: Options, env: Environment) -> None:
    """One line on stderr if TCP is there, but none that the local networks take part in."""
    if options.view.window is not Window.ALL:
        return
    if not (options.allow or options.deny or options.whitelist):
        left = snapshot.filtered
        counted = snapshot if left is None else replace(snapshot, n_destinations=left.n_before)
        for line in unmatched_local(counted, options.engine, "--local"):
            env.stderr.write(f"trtop: {line}\n")


def complain_of_filter(snapshot: Snapshot, env: Environment) -> None:
    """Lines on stderr if no row has what ``--filter`` asks for."""
    left = snapshot.filtered
    if left is None or not left.n_before:
        return
    said = list(left.remarks)
    if not said and not snapshot.n_destinations:
        said = [f"no row matches {left.text!r}"]
    for text in said:
        env.stderr.write(f"trtop: --filter: {escape(text)} ({left.n_before:,} rows without it)\n")


def complain_of_order(source: Source, env: Environment) -> None:
    """One line on stderr if files seem to stand in the wrong order: connections fall apart then."""
    if source.early:
        env.stderr.write(f"trtop: {escape(source.early[0])}: {OUT_OF_ORDER}\n")


def tell_of_waiting(options: Options, env: Environment) -> None:
    """One line on stderr if the file to follow is not there yet."""
    last = options.inputs[-1]
    if options.follow and last != STDIN and not os.path.exists(last):
        env.stderr.write(f"trtop: waiting for {escape(last)}, which is not there yet\n")
        env.stderr.flush()
