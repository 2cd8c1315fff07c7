"""``trtop explain``: what is wrong with the worst destinations of a capture, in words.

Takes options as ``trtop FILE`` does, and destinations; prints the text of the screen's page of that
name. Errors of the environment are raised, not printed.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace

from trtop.escape import escape
from trtop.filters.errors import FilterError
from trtop.filters.filter import Filter, parse_filter
from trtop.filters.snapshots import filtered, with_ports
from trtop.filters.tree import Text
from trtop.names.engine_factory import final_snapshot, make_engine
from trtop.names.namer import Namer
from trtop.options.report_arguments import make_parser as report_parser
from trtop.options.report_options import Options, parse
from trtop.plugins import Plugins, make_namer
from trtop.runtime.config_file import read_config
from trtop.runtime.confinement import confine_reading
from trtop.runtime.diagnostics import (
    complain,
    complain_of_filter,
    complain_of_names,
    complain_of_nobody,
    complain_of_order,
)
from trtop.runtime.environment import Environment
from trtop.runtime.fail_on import fail_on
from trtop.table.rows import QuickRow, quick_rows
from trtop.tui.pages.explain import lines_of
from trtop_core.argument_parser import UsageError
from trtop_core.engine import SEED_BYTES
from trtop_core.errors import EXIT_INCOMPLETE, EXIT_OK, EXIT_UNUSABLE, TrtopError
from trtop_core.pace import read_timed
from trtop_core.records import GroupBy
from trtop_core.snapshot import Snapshot
from trtop_core.sources import open_capture
from trtop_core.verdicts.causes import Cause

USAGE = "trtop explain [OPTION...] FILE [DESTINATION...]"

DESCRIPTION = """\
What is wrong with the worst destinations of a capture, or with those that are named: the verdict,
the numbers and limits that it rests on, what to look at next. A DESTINATION is an address or a
name, or what --filter takes: 192.0.2.12:443, 10/8, 'verdict:slow'. More captures: -i FILE.
"""

EPILOG = """\
examples:
  trtop explain incident.pcap
  trtop explain incident.pcap 192.0.2.12 10.1.0.0/16
  trtop explain incident.pcap 192.0.2.12:443
  trtop explain --names capture --limit 1 incident.pcap
"""

N_WORST = 3
"""Destinations that are explained unless ``--limit`` says otherwise."""

N_FOUND = 20
"""Destinations that are explained of those that one filter finds, unless ``--limit`` says more."""

NUMERIC = re.compile(r"[0-9A-Fa-f.:/\[\]]*[.:/][0-9A-Fa-f.:/\[\]]*")
"""An address, a network or a port: what is like it is another one."""

WIDTH = 100
"""Characters of a line where there is no terminal."""


def main(argv: Sequence[str], env: Environment) -> int:
    """Run the command.

    Raises:
        TrtopError: nothing could be measured, or nobody has such a name.
    """
    configured = read_config(env.environ, os.geteuid()).configured
    options = parse(argv, parser=make_parser(), configured=configured)
    for note in options.notes:
        env.stderr.write(f"trtop: {escape(note)}\n")
    if options.timing.every_ns is not None:
        raise UsageError(
            "trtop explain tells of one time, that of --from and --to: "
            "--every goes with trtop FILE, whose reports have verdicts"
        )
    if options.report_format_given or options.parts.needs_session or options.follow:
        raise UsageError("trtop explain prints text, of files, once (see trtop explain --help)")
    n_more = options.n_more_inputs
    inputs = options.inputs[: n_more or 1]
    wanted = options.inputs[len(inputs) :]
    options = replace(options, inputs=inputs)
    filters = {text: _understood(text) for text in wanted}
    snapshot, by_port, status = _measured(options, filters.values(), env)
    if wanted:
        rows = _named(snapshot, by_port, filters, options.view.limit or N_FOUND, env)
    else:
        rows = _worst(snapshot, options.view.limit)
    left = snapshot.filtered
    if left is not None and not snapshot.n_destinations:
        env.stdout.write(f"no destination matches the filter (of {left.n_before:,})\n")
    elif not snapshot.n_destinations:
        n_packets = snapshot.health.packets
        env.stdout.write(f"no connection was seen, so none is judged ({n_packets:,} packets)\n")
    elif not rows:
        n_all = f"{snapshot.n_destinations:,}"
        env.stdout.write(f"nothing is wrong with any destination ({n_all})\n")
    style = env.table_style(options)
    blocks = []
    for row in rows:
        name = escape(row.name, style.ascii_only)
        lines = lines_of(row, name, style.width or WIDTH, style.ascii_only)
        blocks.append("".join(f"{style.painted(line).rstrip()}\n" for line in lines))
    env.stdout.write("\n".join(blocks))
    n_left = 0 if wanted else len(_ill(snapshot)) - len(rows)
    if n_left > 0:
        what = "destination is" if n_left == 1 else "destinations are"
        env.stderr.write(f"trtop: {n_left:,} more {what} not ok: --limit N explains more\n")
    if options.fail_on is not None:
        return fail_on(snapshot, options.fail_on, env) or status
    return status


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line; it raises ``UsageError`` where argparse would exit."""
    return report_parser("trtop explain", USAGE, DESCRIPTION, EPILOG)


def _measured(
    options: Options, filters: Iterable[Filter | None], env: Environment
) -> tuple[Snapshot, Snapshot, int]:
    """All that the capture holds, by port too if a filter asks for that; and the exit status."""
    with Plugins() as plugins, closing(make_namer(options, plugins) or Namer()) as namer:
        # By port, so that a port that stands out in an address can be named.
        config = replace(options.engine, group_by=GroupBy.ADDR_PORT)
        engine = make_engine(config, os.urandom(SEED_BYTES), namer)
        confine_reading(options, env)
        with open_capture(options.inputs) as source:
            result = read_timed(engine, source, options.timing)
            if result.is_unusable and result.failure is not None:
                raise result.failure
            view = replace(options.view, limit=None)
            snapshot = by_port = final_snapshot(engine, view)
            if with_ports(view, *filters) != view:
                by_port = final_snapshot(engine, with_ports(view, *filters))
            complain_of_nobody(snapshot, options, env)
            complain_of_filter(snapshot, env)
            complain_of_names(engine, env)
            complain(source.errors, engine.unsupported_link_types, options, env)
            complain_of_order(source, env)
            is_whole = not source.errors and not engine.unsupported_link_types
    if result.is_unusable:
        return snapshot, by_port, EXIT_UNUSABLE
    return snapshot, by_port, EXIT_OK if is_whole else EXIT_INCOMPLETE


def _worst(snapshot: Snapshot, limit: int | None) -> list[QuickRow]:
    """Rows where something is wrong, in the order of the table, as many as are asked for."""
    return _ill(snapshot)[: N_WORST if limit is None else limit]


def _ill(snapshot: Snapshot) -> list[QuickRow]:
    """All rows where something is wrong, in the order of the table."""
    fine = (Cause.OK, Cause.NOTHING)
    return [row for row in quick_rows(snapshot) if row.cause not in fine]


def _understood(text: str) -> Filter | None:
    """A destination as a filter; None: it can only be a whole name or address.

    Raises:
        UsageError: it is neither.
    """
    try:
        chosen = parse_filter(text)
    except FilterError as error:
        raise UsageError(f"{text}: {error}") from None
    return None if chosen is None or isinstance(chosen.tree, Text) else chosen


def _named(
    snapshot: Snapshot,
    by_port: Snapshot,
    wanted: Mapping[str, Filter | None],
    limit: int,
    env: Environment,
) -> list[QuickRow]:
    """The rows of these names, addresses or filters.

    Raises:
        TrtopError: nobody is called like that.
    """
    rows = list(quick_rows(snapshot))
    found: list[QuickRow] = []
    for text, chosen in wanted.items():
        here = [row for row in rows if text in (row.name, row.origin.address, row.origin.name)]
        if not here and chosen is not None:
            shown = filtered(by_port if chosen.needs_ports else snapshot, chosen)
            here = list(quick_rows(shown))[:limit]
            if (n_more := shown.n_destinations - len(here)) > 0:
                more = f"{n_more:,} more destinations match {escape(text)}"
                env.stderr.write(f"trtop: {more}: --limit N explains more\n")
        if not here:
            raise TrtopError(_unknown(text, [row.name for row in rows]))
        found += here
    return found


def _unknown(text: str, names: Sequence[str]) -> str:
    """That there is no such destination; of names, not of addresses, those that are like it."""
    missing = f"no destination {text} in the capture"
    if NUMERIC.fullmatch(text):
        return f"{missing}: no such address or port among {len(names):,}"
    called = [name for name in names if not NUMERIC.fullmatch(name)]
    near = difflib.get_close_matches(text, called, 3)
    return f"{missing}; the nearest: {', '.join(near)}" if near else f"{missing} ({len(names):,})"
