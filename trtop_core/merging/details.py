"""The details of connection-disjoint parts of a capture as the detail of all of it.

Takes what engines gave to one question, gives one ``Detail``; numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core._window import EPOCH_NS, LEVELS
from trtop_core.detail import HISTORY, Detail, DetailView
from trtop_core.detail_query import MINUTE_S, MINUTES_S, SERIES, longest_open, slowest
from trtop_core.records import Window
from trtop_core.table import Table


def merge_details(parts: Sequence[Detail], view: DetailView) -> Detail:
    """One detail of connection-disjoint parts of one capture.

    The row, the connections and the counters of a history are those of one engine. Three things
    are not exact: a slot's percentile of response times is the greatest of the parts' (that of all
    is not above it), a history begins with the first part that knows the destination, and a
    request without an answer has waited as of its own part's clock.

    Args:
        parts: answers to ``view``, each of another part.
        view: the question.

    Raises:
        ValueError: there are none.
    """
    if not parts:
        raise ValueError("there is nothing to merge")
    tables = Table.concatenated([part.table for part in parts])
    keys = tables.keys[:1]
    table = tables.merged(keys, np.zeros(len(tables), np.intp)) if len(tables) else tables
    begun = [(part.clock_ns, part.span_ns) for part in parts if part.clock_ns is not None]
    clock_ns = max((clock for clock, _ in begun), default=None)
    span_ns = max(part.span_ns for part in parts)
    if view.window is Window.ALL and clock_ns is not None:
        span_ns = clock_ns - min(clock - span for clock, span in begun)
    still = np.concatenate([part.longest_open for part in parts])
    timed = np.concatenate([part.slowest for part in parts])
    return Detail(
        view=view,
        clock_ns=clock_ns,
        span_ns=span_ns,
        table=table,
        minutes=_merged_history([part.minutes for part in parts], MINUTES_S),
        minute=_merged_history([part.minute for part in parts], MINUTE_S),
        longest_open=longest_open(still, view.n_connections),
        slowest=slowest(timed, view.n_connections),
        n_connections=sum(part.n_connections for part in parts),
        oldest_wait_ns=max(part.oldest_wait_ns for part in parts),
    )


def _merged_history(parts: Sequence[npt.NDArray[Any]], window_s: int) -> npt.NDArray[Any]:
    """Histories summed slot by slot, as many slots as the window has."""
    slots = np.concatenate(parts)
    if not len(slots):
        return np.zeros(0, HISTORY)
    _, n_epochs, max_slots = next(spec for spec in LEVELS if spec[0] == window_s)
    numbers = slots["start_ns"] // (n_epochs * EPOCH_NS)
    last = int(numbers.max())
    first = max(int(numbers.min()), last - max_slots + 1)
    is_kept = numbers >= first
    slots, places = slots[is_kept], numbers[is_kept] - first
    # Between a part that stopped long ago and the others there may be slots that nobody has.
    starts = (first + np.arange(last - first + 1)) * n_epochs * EPOCH_NS
    merged = np.zeros(len(starts), HISTORY)
    merged["start_ns"] = starts + n_epochs * EPOCH_NS
    np.minimum.at(merged["start_ns"], places, slots["start_ns"])
    has_any = np.isin(np.arange(len(starts)), places)
    merged["start_ns"] = np.where(has_any, merged["start_ns"], starts)
    ends = np.where(has_any, merged["start_ns"], starts + n_epochs * EPOCH_NS)
    np.maximum.at(ends, places, slots["start_ns"] + slots["span_ns"])
    merged["span_ns"] = ends - merged["start_ns"]
    for name in SERIES:
        np.add.at(merged[name], places, slots[name])
    merged["response_time_ns"] = -1
    np.maximum.at(merged["response_time_ns"], places, slots["response_time_ns"])
    return merged
