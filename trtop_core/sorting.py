"""The order of rows: by a column, ties by address and port.

Takes a table, or keys and a column, and a view; gives the rows in its order, cut to its limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core.records import SKETCHES
from trtop_core.table import Table
from trtop_core.view import View


def arrange(table: Table, view: View) -> Table:
    """The rows in the view's order, cut to its limit; ties go by address and port.

    Args:
        table: all rows, one per destination.
        view: names the column, the direction and the limit.
    """
    if view.sort != "destination":
        column = _sort_column(table, view)
    elif table.names is None:
        column = None
    else:
        column = _ranks(table.names)
    return table.take(order_of(table.keys, column, view))


def _ranks(names: Sequence[str]) -> npt.NDArray[np.float64]:
    """The place of each name in their order, upper and lower case alike."""
    folded = [name.casefold() for name in names]
    place = {name: i for i, name in enumerate(sorted(set(folded)))}
    return np.array([place[name] for name in folded], np.float64)


def order_of(
    keys: npt.NDArray[Any], column: npt.NDArray[np.float64] | None, view: View
) -> npt.NDArray[np.intp]:
    """Row numbers in the view's order, cut to its limit; ties go by address and port.

    Args:
        keys: shape (n,), dtype ``records.DESTINATION_KEY``.
        column: shape (n,): what to sort by; None: by destination.
        view: names the direction and the limit.
    """
    # Addresses as two numbers each, whose order is that of their bytes.
    words = np.ascontiguousarray(keys["addr"]).view(">u8")
    by_key = np.lexsort((keys["port"], words[:, 1], words[:, 0], keys["kind"]))
    if column is None:
        order = by_key[::-1] if view.descending else by_key
    else:
        sorted_by_key = column[by_key]
        order = by_key[
            np.argsort(-sorted_by_key if view.descending else sorted_by_key, kind="stable")
        ]
    return order if view.limit is None else order[: view.limit]


def _sort_column(table: Table, view: View) -> npt.NDArray[np.float64]:
    if view.sort in SKETCHES:
        return table.sketches[view.sort].quantiles(view.percentile).astype(np.float64)
    return counter_column(table.counters, view)


def sorting_counters(view: View) -> tuple[str, ...]:
    """The counters that ``counter_column`` looks at."""
    if view.sort == "completeness":
        return ("acked_bytes", "gap_bytes")
    return (view.sort.removesuffix("_rate"),)


def counter_column(
    counters: npt.NDArray[Any] | Mapping[str, npt.NDArray[np.uint64]], view: View
) -> npt.NDArray[np.float64]:
    """What to sort by, where it is no sketch and not the destination; shape (n,).

    Args:
        counters: ``sorting_counters`` by name, or shape (n,), dtype ``records.COUNTER_ROW``.
        view: names the column.
    """
    if view.sort in ("est_rate", "syn_rate"):
        return np.asarray(counters[view.sort.removesuffix("_rate")], np.float64)
    if view.sort == "completeness":
        acked = np.maximum(counters["acked_bytes"], 1)
        return np.asarray(1 - counters["gap_bytes"] / acked, np.float64)
    return np.asarray(counters[view.sort], np.float64)
