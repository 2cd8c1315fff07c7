"""The order of rows: by a column, ties by address and port.

Takes a table, or keys and a column, and a view; gives the rows in its order, cut to its limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core.memory import take_records
from trtop_core.metric_types import Counters
from trtop_core.metrics import METRIC_OF, SKETCHES
from trtop_core.records import NS_PER_S
from trtop_core.table import Table
from trtop_core.verdicts.rules import severity
from trtop_core.view import View


def arrange(table: Table, view: View, rows: npt.NDArray[np.intp] | None = None) -> Table:
    """The rows in the view's order, cut to its limit; ties go by address and port.

    Args:
        table: one row per destination.
        view: names the column, the direction and the limit.
        rows: of these, the ones that are wanted, ascending; None: all.
    """
    chosen = np.arange(len(table)) if rows is None else rows
    column: npt.NDArray[np.float64] | None
    if view.sort == "destination":
        column = None if table.names is None else _ranks(table.row_names())[chosen]
    elif view.sort == "verdict":
        some = table if len(chosen) == len(table) else table.take(chosen)
        column = severity(some.counters, some.sketches, waits_ns=some.waits_ns)
    elif view.sort in SKETCHES:
        values = table.sketches[view.sort].quantiles(view.percentile)
        column = values.astype(np.float64)[chosen]
    else:
        column = sort_column(table.counters, view.sort)[chosen]
    # What is cut off is not copied first.
    return table.take(chosen[order_of(take_records(table.keys, chosen), column, view)])


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


def sort_column(counters: Counters, name: str) -> npt.NDArray[np.float64]:
    """What to sort by, where it is a number that is no distribution; shape (n,).

    Args:
        counters: of the rows.
        name: of a counter, a gauge or a derived metric.
    """
    metric = METRIC_OF[name]
    if metric.derive is None:
        return np.asarray(counters[name], np.float64)
    # All rows cover the same time: how long that is changes nothing in their order.
    values = metric.derive(counters, NS_PER_S)
    return np.where(np.isnan(values), metric.unknown, values)
