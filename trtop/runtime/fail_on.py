"""``--fail-on``: rows that a filter finds end the command with a status of their own.

Takes a snapshot with all its rows and a filter; names the rows on standard error and gives the
exit status. A report is written before, as without it.
"""

from __future__ import annotations

from dataclasses import replace

from trtop.escape import escape
from trtop.filters.filter import Filter
from trtop.filters.snapshots import filtered, rows_of
from trtop.filters.told import numbers_told
from trtop.runtime.environment import Environment
from trtop.table.rows import quick_rows
from trtop_core.errors import EXIT_FOUND, EXIT_OK, EXIT_UNUSABLE
from trtop_core.snapshot import Snapshot
from trtop_core.verdicts.phrases import several

MAX_NAMED = 20
"""Rows that are named, one line each; of more their number is said."""


def fail_on(snapshot: Snapshot, chosen: Filter, env: Environment) -> int:
    """Say which rows a filter finds, one line each.

    Args:
        snapshot: with all rows that are reported, those beyond a limit included.
        chosen: the filter of ``--fail-on``.
        env: where it is said.

    Returns:
        ``EXIT_FOUND`` if there are any; ``EXIT_UNUSABLE`` if no packet was seen, or if a word that
        no row has is a column's or a verdict's: a check of nothing must not pass; else ``EXIT_OK``.
    """
    what = f"trtop: --fail-on {escape(chosen.text)}"
    if not snapshot.health.packets:
        env.stderr.write(f"{what}: nothing was checked: no packet was seen\n")
        return EXIT_UNUSABLE
    found = filtered(snapshot, chosen)
    if not found.n_destinations and not snapshot.n_destinations and snapshot.filtered is None:
        seen = f"no connection in {several(snapshot.health.packets, 'packet')}"
        env.stderr.write(f"{what}: no row was checked: {seen}\n")
        return EXIT_OK
    assert found.filtered is not None
    for remark in found.filtered.remarks:
        env.stderr.write(f"{what}: {escape(remark)}\n")
    n_found = found.n_destinations
    if not n_found:
        return EXIT_UNUSABLE if chosen.is_mistaken(rows_of(snapshot)) else EXIT_OK
    named = replace(found, table=found.table.cut(0, min(n_found, MAX_NAMED)))
    numbers = numbers_told(chosen, rows_of(named))
    for row, told in zip(quick_rows(named), numbers, strict=True):
        word, reason = row.judged()
        said = reason or f"{told or 'matches'}; its verdict is {word}"
        env.stderr.write(f"{what}: {escape(row.name)}: {escape(said)}\n")
    if n_found > MAX_NAMED:
        env.stderr.write(f"{what}: and {n_found - MAX_NAMED:,} more\n")
    return EXIT_FOUND
