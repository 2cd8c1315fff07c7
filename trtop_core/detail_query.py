"""The ``Detail`` of one destination, made of an engine's arrays; read-only, numpy only.

The last minutes come from the logs that windows are made of, so they cost no memory of their own:
5 min in slots of 30 s and 60 s in slots of 5 s, exactly what these windows hold.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core._flows import Flows
from trtop_core._sketch import BINS_IN_PAGE, PAGES_PER_SKETCH
from trtop_core._state import State
from trtop_core._table import STATE_BITS, TURN_BITS
from trtop_core._window import EPOCH_NS, LEVELS
from trtop_core.detail import CONNECTION, HISTORY, ConnectionState, Detail, DetailView
from trtop_core.metrics import SKETCHES
from trtop_core.query import Exported, visible_rows, write_out
from trtop_core.records import DestinationKind, GroupBy
from trtop_core.sketch import MIDDLE, nearest_rank
from trtop_core.table import Table

HISTORY_PERCENTILE = 95

SERIES = ("syn", "requests", "rst")
"""Counters of a history."""

MINUTE_S = 60
MINUTES_S = 300


def answer_detail(
    state: State, flows: Flows, exported: Exported, view: DetailView, levels: dict[int, int]
) -> Detail:
    """Everything known of one destination.

    Args:
        state: the engine's tables, settled.
        flows: who keeps the engine's clock.
        exported: every row of the view's window.
        view: which destination.
        levels: of the windows that are kept, by length in s.
    """
    rows = _rows_of(exported.keys, view)
    clock = flows.clock
    connections = state.table.of_destinations(rows)
    shown = shown_connections(connections, clock[0] if clock else 0)
    return Detail(
        view=view,
        clock_ns=clock[0] if clock else None,
        span_ns=exported.span_ns,
        table=_table(exported, rows, view),
        minutes=_history(state, flows, rows, levels.get(MINUTES_S)),
        minute=_history(state, flows, rows, levels.get(MINUTE_S)),
        longest_open=longest_open(shown, view.n_connections),
        slowest=slowest(shown, view.n_connections),
        n_connections=len(connections),
        oldest_wait_ns=flows.oldest_wait_ns(_marks(rows, len(exported.keys))),
    )


def _rows_of(keys: npt.NDArray[Any], view: DetailView) -> npt.NDArray[np.intp]:
    """The engine's rows that make up the destination."""
    is_it = (keys["addr"] == np.frombuffer(view.addr, np.uint8)).all(axis=1)
    is_other = keys["kind"] == DestinationKind.OTHER
    is_it &= is_other == (view.kind == DestinationKind.OTHER)
    if view.group_by is GroupBy.ADDR_PORT:
        is_it &= keys["port"] == view.port
    return np.flatnonzero(is_it)


def _marks(rows: npt.NDArray[np.intp], n_rows: int) -> npt.NDArray[np.uint8]:
    marks = np.zeros(n_rows, np.uint8)
    marks[rows] = 1
    return marks


def _table(exported: Exported, rows: npt.NDArray[np.intp], view: DetailView) -> Table:
    rows = np.intersect1d(rows, visible_rows(exported.counters, exported.state))
    table, total = write_out(exported.keys, exported.counters, exported.state, rows, rows)
    if not len(rows):
        return table
    key = table.keys[:1].copy()
    key["port"], key["kind"] = view.port, view.kind
    return Table(key, total.counters, total.sketches)


def _history(
    state: State, flows: Flows, rows: npt.NDArray[np.intp], level: int | None
) -> npt.NDArray[Any]:
    """What happened in each slot of a window; empty where it is not kept."""
    if level is None or flows.clock is None or not len(rows):
        return np.zeros(0, HISTORY)
    now_ns, first_ns, to_capture_time_ns = flows.window_clock
    slot_ns = LEVELS[level][1] * EPOCH_NS
    first = max(state.destinations.first_slot(level), state.sketches.first_slot(level))
    first = max(first, first_ns // slot_ns)
    last = max(first, now_ns // slot_ns)
    n_slots = last - first + 1

    history = np.zeros(n_slots, HISTORY)
    history["start_ns"] = np.maximum((first + np.arange(n_slots)) * slot_ns, first_ns)
    ends = np.minimum((first + 1 + np.arange(n_slots)) * slot_ns, now_ns)
    history["span_ns"] = ends - history["start_ns"]
    history["start_ns"] += to_capture_time_ns

    _, now = state.destinations.export()
    items, slots, saved = state.destinations.saved(level, first, rows)
    for name in SERIES:
        added = (items, slots - first, saved[name])
        increments = _increments(now[name][rows], rows, added, n_slots)
        history[name] = increments.sum(axis=0)
    history["response_time_ns"] = _response_times(state, rows, level, first, n_slots)
    return history


def _response_times(
    state: State, rows: npt.NDArray[np.intp], level: int, first: int, n_slots: int
) -> npt.NDArray[np.int64]:
    """A percentile of each slot's response times from the bins that it added; -1 without any."""
    _, page_keys, pages = state.sketches.export(0)
    of_sketch = page_keys // PAGES_PER_SKETCH
    wanted = rows * len(SKETCHES) + SKETCHES.index("response_time")
    numbers = np.flatnonzero(np.isin(of_sketch, wanted))
    items, slots, saved = state.sketches.saved_pages(level, first, numbers)
    bins = np.zeros((PAGES_PER_SKETCH, BINS_IN_PAGE, n_slots), np.int64)
    for i in range(BINS_IN_PAGE):
        now = pages[numbers, i]
        added = _increments(now, numbers, (items, slots - first, saved[:, i]), n_slots)
        np.add.at(bins[:, i], page_keys[numbers] % PAGES_PER_SKETCH, added)
    before = np.cumsum(bins.reshape(-1, n_slots), axis=0)
    result = np.full(n_slots, -1, np.int64)
    for slot in range(n_slots):
        n_samples = int(before[-1, slot])
        if n_samples:
            rank = nearest_rank(n_samples, HISTORY_PERCENTILE)
            result[slot] = MIDDLE[np.searchsorted(before[:, slot], rank, side="left")]
    return result


def _increments(
    now: npt.NDArray[np.uint64],
    numbers: npt.NDArray[np.intp],
    saved: tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32], npt.NDArray[np.uint64]],
    n_slots: int,
) -> npt.NDArray[np.int64]:
    """How much values grew in each slot, shape (n, n_slots).

    Args:
        now: shape (n,), the values.
        numbers: shape (n,), ascending: the items whose values they are.
        saved: shape (n_saved,) each: which of these was saved, in which slot (from 0), and the
            value that it had before that slot.
        n_slots: slots, the last one being now.
    """
    starts = np.full((len(numbers), n_slots + 1), -1, np.int64)
    starts[:, n_slots] = now
    items, slots, before = saved
    starts[np.searchsorted(numbers, items), slots] = before
    for slot in range(n_slots - 1, -1, -1):
        unknown = starts[:, slot] < 0
        starts[unknown, slot] = starts[unknown, slot + 1]
    return np.diff(starts, axis=1)


def shown_connections(connections: npt.NDArray[Any], clock_ns: int) -> npt.NDArray[Any]:
    """Connections as a detail shows them, shape (n,), dtype ``detail.CONNECTION``.

    Args:
        connections: shape (n,), copies of records of the table of connections.
        clock_ns: capture time now.
    """
    shown = np.zeros(len(connections), CONNECTION)
    has = {name: (connections["state"] & bit) != 0 for name, bit in STATE_BITS.items()}
    request = connections["turn"]
    turn = {name: (request["flags"] & bit) != 0 for name, bit in TURN_BITS.items()}
    is_high = has["client_is_high"]
    for end, other, mine in (("client", "low", "high"), ("server", "high", "low")):
        shown[f"{end}_addr"] = np.where(
            is_high[:, None], connections[f"{mine}_addr"], connections[f"{other}_addr"]
        )
        shown[f"{end}_port"] = np.where(
            is_high, connections[f"{mine}_port"], connections[f"{other}_port"]
        )
    is_asked = turn["open"] & ~turn["handshake"] & turn["counted"]
    is_waiting = is_asked & ~turn["answered"] & ~has["closed"]
    shown["state"] = np.select(
        [
            has["rst"],
            has["closed"] & has["idle"],
            has["closed"],
            has["unanswered"],
            has["waiting"],
            has["fin"],
            has["attempt"] & ~has["est"],
            is_waiting,
        ],
        [
            ConnectionState.RESET,
            ConnectionState.IDLE,
            ConnectionState.CLOSED,
            ConnectionState.TIMED_OUT,
            ConnectionState.PENDING,
            ConnectionState.CLOSING,
            ConnectionState.OPENING,
            ConnectionState.WAITING,
        ],
        ConnectionState.OPEN,
    )
    shown["is_midstream"] = ~has["attempt"]
    shown["opened_ns"] = np.where(has["attempt"], connections["began_ns"], -1)
    shown["last_ns"] = connections["last_ns"]
    answered_ns = request["first_ns"] - request["asked_ns"]
    waited_ns = clock_ns - request["asked_ns"]
    response_ns = np.where(
        is_asked & turn["answered"], answered_ns, np.where(is_waiting, waited_ns, -1)
    )
    shown["response_ns"] = np.maximum(response_ns, -1)
    shown["responses"] = connections["n_responses"]
    return shown


def longest_open(connections: npt.NDArray[Any], n_wanted: int) -> npt.NDArray[Any]:
    """The connections that are open, in the order of ``Detail.longest_open``."""
    over = (
        ConnectionState.CLOSED,
        ConnectionState.RESET,
        ConnectionState.IDLE,
        ConnectionState.TIMED_OUT,
    )
    still = connections[~np.isin(connections["state"], over)]
    order = np.lexsort((still["last_ns"], still["opened_ns"], still["is_midstream"]))
    return still[order[:n_wanted]]


def slowest(connections: npt.NDArray[Any], n_wanted: int) -> npt.NDArray[Any]:
    """The connections that have a response time, in the order of ``Detail.slowest``."""
    timed = connections[connections["response_ns"] >= 0]
    order = np.argsort(-timed["response_ns"], kind="stable")
    return timed[order[:n_wanted]]
