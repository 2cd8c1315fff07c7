"""The ``Trends`` of some rows, made of an engine's arrays; read-only, numpy only.

Only the rows that are asked for are looked at, of however many there are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core._flows import Flows
from trtop_core._state import State
from trtop_core.metrics import ERRORS
from trtop_core.records import DestinationKind, GroupBy
from trtop_core.slot_history import counted, response_times, slots_of
from trtop_core.trends import Trends, TrendView

_MIX = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
"""Odd multipliers: equal keys have equal sums, and few others do."""


def answer_trends(state: State, flows: Flows, view: TrendView, level: int) -> Trends:
    """How some rows went.

    Args:
        state: the engine's tables, settled.
        flows: who keeps the engine's clock.
        view: which rows.
        level: of the view's window.
    """
    slots = slots_of(state, flows, level)
    place_of: dict[bytes, int] = {}
    places = [place_of.setdefault(key.tobytes(), len(place_of)) for key in view.rows]
    n_groups = len(place_of)
    keys, _ = state.destinations.export()
    rows, labels = _rows_of(keys, place_of, view)
    errors = np.zeros((n_groups, len(slots)), np.int64)
    if len(rows) and len(slots):
        np.add.at(errors, labels, counted(state, slots, rows, ERRORS).sum(axis=1))
        times = response_times(state, slots, rows, labels, n_groups)
    else:
        times = np.full((n_groups, len(slots)), -1, np.int64)
    order = np.array(places, np.intp)
    return Trends(view, slots.starts_ns, slots.spans_ns, errors[order], times[order])


def _rows_of(
    keys: npt.NDArray[Any], place_of: dict[bytes, int], view: TrendView
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """An engine's rows that make up those of the view, ascending, and the place of each."""
    shown = keys.copy()
    if view.group_by is GroupBy.ADDR:
        shown["port"] = 0
        shown["kind"][shown["kind"] == DestinationKind.ADDR_PORT] = DestinationKind.ADDR
    likely = np.flatnonzero(np.isin(_mixed(shown), _mixed(view.rows)))
    found = [(row, place_of.get(shown[row].tobytes(), -1)) for row in likely.tolist()]
    pairs = np.array([pair for pair in found if pair[1] >= 0], np.intp).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _mixed(keys: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """One number for each key."""
    words = np.ascontiguousarray(keys).view(np.uint64).reshape(len(keys), len(_MIX))
    mixed = np.zeros(len(keys), np.uint64)
    for column, factor in zip(words.T, _MIX, strict=True):
        mixed ^= column * np.uint64(factor)
    return mixed
