"""A filter applied to a snapshot: the rows that it shows, in their order.

Takes a snapshot, gives one with fewer rows; totals stay those of all. What the filter asks for and
no row has is kept with it, for whoever reports.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from trtop.filters.filter import Filter
from trtop.filters.rows import Members, Rows
from trtop_core.records import DestinationKind, GroupBy
from trtop_core.snapshot import Filtered, Snapshot
from trtop_core.view import View


def filtered(snapshot: Snapshot, chosen: Filter, members: Members | None = None) -> Snapshot:
    """The rows that a filter shows.

    Args:
        snapshot: with all rows.
        chosen: the filter.
        members: what rows are made of, where one may be of several addresses.

    Raises:
        ValueError: it asks for ports, and rows have none.
    """
    table = snapshot.table
    if chosen.needs_ports and (table.keys["kind"] == DestinationKind.ADDR).any():
        raise ValueError("rows are by address only: they have no ports (group_by='addr,port')")
    shown, remarks = chosen.shown(rows_of(snapshot, members))
    return replace(
        snapshot,
        table=table if shown.all() else table.take(np.flatnonzero(shown)),
        n_destinations=int(np.count_nonzero(shown)),
        filtered=Filtered(chosen.text, len(table), tuple(remarks)),
    )


def rows_of(snapshot: Snapshot, members: Members | None = None) -> Rows:
    """The rows of a snapshot as filters are asked about them.

    Args:
        snapshot: with these rows.
        members: as for ``filtered``.
    """
    table = snapshot.table
    return Rows(
        table,
        table.row_names,
        snapshot.span_ns,
        snapshot.view.percentile,
        snapshot.window_health.loss,
        members,
    )


def with_ports(view: View, *filters: Filter | None) -> View:
    """The view, by address and port where one of some filters asks for ports."""
    needs_ports = any(chosen is not None and chosen.needs_ports for chosen in filters)
    return replace(view, group_by=GroupBy.ADDR_PORT) if needs_ports else view
