"""The ``Trends`` of some rows, made of an engine's arrays; read-only, numpy only.

Only the rows that are asked for are looked at, of however many there are.
"""

from __future__ import annotations

import numpy as np

from trtop_core._flows import Flows
from trtop_core._state import State
from trtop_core.metrics import ERRORS
from trtop_core.row_lookup import rows_of_keys
from trtop_core.slot_history import counted, response_times, slots_of
from trtop_core.trends import Trends, TrendView


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
    places = [place_of.setdefault(key.tobytes(), i) for i, key in enumerate(view.rows)]
    n_groups = len(places)
    keys, _ = state.destinations.export()
    rows, labels = rows_of_keys(keys, view.rows, view.group_by)
    errors = np.zeros((n_groups, len(slots)), np.int64)
    if len(rows) and len(slots):
        np.add.at(errors, labels, counted(state, slots, rows, ERRORS).sum(axis=1))
        times = response_times(state, slots, rows, labels, n_groups)
    else:
        times = np.full((n_groups, len(slots)), -1, np.int64)
    order = np.array(places, np.intp)
    return Trends(view, slots.starts_ns, slots.spans_ns, errors[order], times[order])
