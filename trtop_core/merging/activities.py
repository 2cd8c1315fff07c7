"""The activities of connection-disjoint parts of a capture as the activity of all of it.

Counters add up; a column's percentile is the greatest of the parts' (that of all is not above it).
Takes and gives frozen activities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core.activity import (
    CELL,
    MAX_ACTIVITY_COLUMNS,
    MAX_NUMBERS,
    SERIES,
    Activity,
    ActivityView,
)
from trtop_core.slow_connections import slowest_of_each


def merge_activities(parts: Sequence[Activity], view: ActivityView) -> Activity:
    """One activity of several parts; columns are as long as the longest of theirs, or longer.

    Raises:
        ValueError: there are none.
    """
    if not parts:
        raise ValueError("there is nothing to merge")
    slow_rows = np.concatenate([part.slow_rows for part in parts])
    slow = np.concatenate([part.slow for part in parts])
    slow_rows, slow = slowest_of_each(slow_rows, slow, view.n_slow)
    told = [part for part in parts if len(part.totals)] or list(parts[:1])
    length_ns = max(part.length_ns for part in told)
    firsts = [part.first_ns for part in told]
    ends = [part.first_ns + part.length_ns * len(part.totals) for part in told]
    while max(ends) // length_ns - min(firsts) // length_ns >= MAX_ACTIVITY_COLUMNS:
        length_ns *= 2
    first = min(firsts) // length_ns
    factor = max(-(-part.length_ns * part.factor // length_ns) for part in told)
    places = [
        (part.first_ns + part.length_ns * np.arange(len(part.totals))) // length_ns - first
        for part in told
    ]
    n_columns = max((int(at[-1]) + 1 for at in places if len(at)), default=0)
    totals = np.zeros((n_columns, len(SERIES)), np.int64)
    times = np.full(n_columns, -1, np.int64)
    for part, at in zip(told, places, strict=True):
        np.add.at(totals, at, part.totals)
        np.maximum.at(times, at, part.response_time_ns)
    pairs = zip(told, places, strict=True)
    cells = _summed(np.concatenate([_moved(part, at, factor) for part, at in pairs]))
    while len(cells) > MAX_NUMBERS:
        factor *= 2
        cells["column"] //= 2
        cells = _summed(cells)
    return Activity(
        view, first * length_ns, length_ns, totals, times, factor, cells, slow_rows, slow
    )


def _moved(part: Activity, places: npt.NDArray[np.int64], factor: int) -> npt.NDArray[Any]:
    """A part's cells in columns of the whole."""
    cells = part.cells.copy()
    if len(cells):
        at = cells["column"].astype(np.int64) * part.factor
        cells["column"] = places[at] // factor
    return cells


def _summed(cells: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Cells of one row and column as one."""
    codes = cells["row"].astype(np.int64) << 16 | cells["column"]
    unique, at = np.unique(codes, return_inverse=True)
    at = at.reshape(-1)
    merged = np.zeros(len(unique), CELL)
    merged["row"], merged["column"] = unique >> 16, unique & 0xFFFF
    merged["response_time_ns"] = -1
    for name in SERIES:
        np.add.at(merged["counters"][name], at, cells["counters"][name])
    np.maximum.at(merged["response_time_ns"], at, cells["response_time_ns"])
    return merged


def regrouped(activity: Activity, places: npt.NDArray[np.intp], n_slow: int) -> Activity:
    """An activity by other rows, each of which is made of any number of those.

    Args:
        activity: of the rows of its question.
        places: shape (n,): the number of what each of these is part of; below 0: nothing.
        n_slow: at most so many slow connections of each.
    """
    cells = activity.cells[places[activity.cells["row"]] >= 0]
    cells["row"] = places[cells["row"]]
    is_kept = places[activity.slow_rows] >= 0
    slow_rows, slow = slowest_of_each(
        places[activity.slow_rows[is_kept]].astype(np.int64), activity.slow[is_kept], n_slow
    )
    return replace(activity, cells=_summed(cells), slow_rows=slow_rows, slow=slow)
