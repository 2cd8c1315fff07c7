"""The ``Detail`` of one destination, made of an engine's arrays; read-only, numpy only.

The last minutes come from the logs that windows are made of, so they cost no memory of their own:
5 min in slots of 30 s and 60 s in slots of 5 s, exactly what these windows hold.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core._connection import STATE_BITS, TURN_BITS
from trtop_core._flows import Flows
from trtop_core._state import State
from trtop_core.detail import CONNECTION, HISTORY, ConnectionState, Detail, DetailView
from trtop_core.query import Exported, visible_rows, write_out
from trtop_core.records import DestinationKind, GroupBy
from trtop_core.slot_history import counted, response_times, slots_of
from trtop_core.table import Table
from trtop_core.verdicts.ports import standing_out

SERIES = ("syn", "requests", "rst")
"""Counters of a history."""

MINUTE_S = 60
MINUTES_S = 300


def answer_detail(
    state: State,
    flows: Flows,
    exported: Exported,
    view: DetailView,
    levels: dict[int, int],
    waits_ns: npt.NDArray[np.int64] | None,
) -> Detail:
    """Everything known of one destination.

    Args:
        state: the engine's tables, settled.
        flows: who keeps the engine's clock.
        exported: the rows of the view's window.
        view: which destination.
        levels: of the windows that are kept, by length in s.
        waits_ns: of all rows, see ``Table.waits_ns``; None: not known.
    """
    keys, _ = state.destinations.export()
    rows = _rows_of(keys, view)
    clock = flows.clock
    connections = state.table.of_destinations(rows)
    shown = shown_connections(connections, clock[0] if clock else 0)
    return Detail(
        view=view,
        clock_ns=clock[0] if clock else None,
        span_ns=exported.span_ns,
        table=_table(exported, view, waits_ns),
        minutes=_history(state, flows, rows, levels.get(MINUTES_S)),
        minute=_history(state, flows, rows, levels.get(MINUTE_S)),
        longest_open=longest_open(shown, view.n_connections),
        slowest=slowest(shown, view.n_connections),
        n_connections=len(connections),
        oldest_wait_ns=flows.oldest_wait_ns(_marks(rows, len(keys))),
    )


def _rows_of(keys: npt.NDArray[Any], view: DetailView) -> npt.NDArray[np.intp]:
    """The rows that make up the destination."""
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


def _table(exported: Exported, view: DetailView, waits_ns: npt.NDArray[np.int64] | None) -> Table:
    rows = _rows_of(exported.keys, view)
    rows = np.intersect1d(rows, visible_rows(exported.counters, exported.state, waits_ns))
    table, total = write_out(exported.keys, exported.counters, exported.state, rows, rows)
    if not len(rows):
        return replace(table, waits_ns=None if waits_ns is None else waits_ns[rows])
    key = table.keys[:1].copy()
    key["port"], key["kind"] = view.port, view.kind
    waits = None if waits_ns is None else waits_ns[rows].max(axis=0, keepdims=True)
    ports = None
    if view.group_by is GroupBy.ADDR:
        one = np.zeros(len(rows), np.intp)
        ports = standing_out(table.keys["port"], table.counters, one, 1)
    return Table(key, total.counters, total.sketches, waits_ns=waits, ports=ports)


def _history(
    state: State, flows: Flows, rows: npt.NDArray[np.intp], level: int | None
) -> npt.NDArray[Any]:
    """What happened in each slot of a window; empty where it is not kept."""
    if level is None or flows.clock is None or not len(rows):
        return np.zeros(0, HISTORY)
    slots = slots_of(state, flows, level)
    history = np.zeros(len(slots), HISTORY)
    history["start_ns"], history["span_ns"] = slots.starts_ns, slots.spans_ns
    for name, added in zip(SERIES, counted(state, slots, rows, SERIES).sum(axis=0), strict=True):
        history[name] = added
    as_one = np.zeros(len(rows), np.intp)
    history["response_time_ns"] = response_times(state, slots, rows, as_one, 1)[0]
    return history


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
