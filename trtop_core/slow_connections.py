"""``slow_of_rows``: the connections of some destinations whose latest request took longest.

Made of an engine's table of connections, a part of it at a time: one copy of all of it would take
as much memory as the table itself. Read-only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core._state import State
from trtop_core.activity import ActivityView
from trtop_core.detail import CONNECTION
from trtop_core.detail_query import shown_connections
from trtop_core.row_lookup import rows_of_keys

CONNECTIONS_PER_PART = 1 << 16
"""Connections that are looked at together: 29 MB of copies."""

Slow = tuple[npt.NDArray[np.int64], npt.NDArray[Any]]
"""Whose each connection is, ascending; and these, dtype ``detail.CONNECTION``: slowest first."""


def slow_of_rows(state: State, now_ns: int, view: ActivityView) -> Slow:
    """At most ``view.n_slow`` connections of each row of a question.

    Args:
        state: the engine's tables, settled.
        now_ns: capture time.
        view: which rows.
    """
    rows, kept = np.zeros(0, np.int64), np.zeros(0, CONNECTION)
    if not view.n_slow:
        return rows, kept
    keys, _ = state.destinations.export()
    label_of = np.full(len(keys) + 1, -1, np.int64)
    numbers, labels = rows_of_keys(keys, view.rows, view.group_by)
    label_of[numbers] = labels
    for start in range(0, state.table.n_numbers, CONNECTIONS_PER_PART):
        part = state.table.part(start, start + CONNECTIONS_PER_PART)
        owners = label_of[np.minimum(part["destination"], len(keys))]
        part, owners = part[owners >= 0], owners[owners >= 0]
        shown = shown_connections(part, now_ns)
        timed = shown["response_ns"] >= 0
        rows = np.concatenate([rows, owners[timed]])
        kept = np.concatenate([kept, shown[timed]])
        rows, kept = slowest_of_each(rows, kept, view.n_slow)
    return rows, kept


def slowest_of_each(
    rows: npt.NDArray[np.int64], connections: npt.NDArray[Any], n_wanted: int
) -> Slow:
    """The slowest connections of each row, by row; the slowest first.

    Args:
        rows: shape (n,): whose each one is.
        connections: shape (n,), dtype ``detail.CONNECTION``.
        n_wanted: of one row.
    """
    order = np.lexsort((-connections["response_ns"], rows))
    ordered = rows[order]
    rank = np.arange(len(ordered)) - np.searchsorted(ordered, ordered, side="left")
    order = order[rank < n_wanted]
    return rows[order], connections[order]
