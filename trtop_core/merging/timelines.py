"""The timelines of connection-disjoint parts of a capture as the timeline of all of it.

Requests and errors add up; a column's percentile is the greatest of the parts' (that of all is not
above it). Takes and gives frozen timelines.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trtop_core.timeline import TIMELINE, Timeline, TimelineView


def merge_timelines(parts: Sequence[Timeline], view: TimelineView) -> Timeline:
    """One timeline of several parts; columns are as long as the longest of theirs.

    Raises:
        ValueError: there are none.
    """
    if not parts:
        raise ValueError("there is nothing to merge")
    length_ns = max(part.length_ns for part in parts)
    joined = np.concatenate([part.columns for part in parts])
    numbers, places = np.unique(joined["start_ns"] // length_ns, return_inverse=True)
    places = places.reshape(-1)
    columns = np.zeros(len(numbers), TIMELINE)
    columns["start_ns"] = np.iinfo(np.int64).max
    columns["response_time_ns"] = -1
    np.minimum.at(columns["start_ns"], places, joined["start_ns"])
    for name in ("end_ns", "response_time_ns"):
        np.maximum.at(columns[name], places, joined[name])
    for name in ("requests", "errors"):
        np.add.at(columns[name], places, joined[name])
    return Timeline(
        view,
        length_ns,
        columns,
        max(part.grain_ns for part in parts),
        sum(part.n_bytes for part in parts),
        sum(part.max_bytes for part in parts),
    )
