"""Snapshots of several engines or machines as one snapshot.

Takes snapshots of connection-disjoint parts of a capture, taken without a limit; gives that of the
whole, or one whose rows each have the machine that saw them. Counters and bins add up exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from trtop_core.health import Health
from trtop_core.records import Window
from trtop_core.snapshot import Snapshot
from trtop_core.sorting import arrange
from trtop_core.table import Table
from trtop_core.view import View


def merge(snapshots: Sequence[Snapshot], view: View) -> Snapshot:
    """One snapshot of connection-disjoint parts of one capture, as of all of it.

    Args:
        snapshots: taken without a limit, with the same window.
        view: how to group, sort and limit the result.

    Raises:
        ValueError: there are none, windows differ, or one has left out rows.
    """
    if not snapshots:
        raise ValueError("there is nothing to merge")
    windows = {(part.view.window, part.view.period) for part in snapshots}
    if windows != {(view.window, view.period)}:
        raise ValueError("only snapshots of the same window merge")
    if any(len(part.table) != part.n_destinations for part in snapshots):
        raise ValueError("snapshots that left out rows cannot be merged")
    table = Table.concatenated([part.table for part in snapshots]).grouped(view.group_by)
    clocks = [part.clock_ns for part in snapshots if part.clock_ns is not None]
    firsts = [part.first_ns for part in snapshots if part.first_ns is not None]
    clock, first = max(clocks, default=None), min(firsts, default=None)
    if view.window is Window.ALL and clock is not None:
        # Steps of a part's clock are no time.
        begun = (part.clock_ns - part.span_ns for part in snapshots if part.clock_ns is not None)
        span = clock - min(begun)
    else:
        span = max(part.span_ns for part in snapshots)
    return Snapshot(
        view=view,
        clock_ns=clock,
        first_ns=first,
        span_ns=span,
        table=arrange(table, view),
        total=table.total(),
        n_destinations=len(table),
        health=Health.merged([part.health for part in snapshots]),
        window_health=Health.merged([part.window_health for part in snapshots]),
        is_period=any(part.is_period for part in snapshots),
    )


def merge_by_host(parts: Mapping[str, Snapshot], view: View) -> Snapshot:
    """One snapshot whose rows are those of all parts, each under its host.

    Args:
        parts: snapshots taken without a limit, with the same window, by the name of the host.
        view: how to group, sort and limit the result.

    Raises:
        ValueError: there are none, windows differ, or one has left out rows.
    """
    merged = merge(list(parts.values()), replace(view, limit=None))
    tables = [part.table.grouped(view.group_by) for part in parts.values()]
    table = Table.concatenated(tables)
    names = np.array(list(parts), np.str_)
    hosts = names[np.repeat(np.arange(len(parts)), [len(part) for part in tables])]
    rows = replace(table, hosts=hosts)
    return replace(
        merged,
        view=view,
        table=arrange(rows, view),
        total=replace(merged.total, hosts=np.array([""], np.str_)),
        n_destinations=len(rows),
    )
