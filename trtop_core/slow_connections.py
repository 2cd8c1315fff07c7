"""``SlowConnections``: the connections of every destination whose latest request took longest.

Made of an engine's table of connections, a part of it at a time: one copy of all of it would take
as much memory as the table itself. Read-only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core._state import State
from trtop_core.detail import CONNECTION
from trtop_core.detail_query import shown_connections

CONNECTIONS_PER_PART = 1 << 16
"""Connections that are looked at together: 29 MB of copies."""


@dataclass(frozen=True, slots=True)
class SlowConnections:
    """Connections, each with its destination; the slowest of a destination first.

    Attributes:
        keys: shape (n_destinations,), dtype ``records.DESTINATION_KEY``.
        rows: shape (n,): the place in ``keys`` of each one's destination, ascending.
        connections: shape (n,), dtype ``detail.CONNECTION``.
    """

    keys: npt.NDArray[Any]
    rows: npt.NDArray[np.intp]
    connections: npt.NDArray[Any]


def slow_connections(state: State, clock: tuple[int, int] | None, n_wanted: int) -> SlowConnections:
    """At most so many connections of each destination.

    Args:
        state: the engine's tables, settled.
        clock: capture time now, and at the first packet; None before it.
        n_wanted: of one destination.
    """
    keys, _ = state.destinations.export()
    rows, kept = np.zeros(0, np.intp), np.zeros(0, CONNECTION)
    now_ns = clock[0] if clock else 0
    for start in range(0, state.table.n_numbers, CONNECTIONS_PER_PART):
        part = state.table.part(start, start + CONNECTIONS_PER_PART)
        part = part[part["destination"] < len(keys)]
        shown = shown_connections(part, now_ns)
        timed = shown["response_ns"] >= 0
        rows = np.concatenate([rows, part["destination"][timed].astype(np.intp)])
        kept = np.concatenate([kept, shown[timed]])
        rows, kept = slowest_of_each(rows, kept, n_wanted)
    return SlowConnections(keys, rows, kept)


def slowest_of_each(
    rows: npt.NDArray[np.intp], connections: npt.NDArray[Any], n_wanted: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[Any]]:
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
