"""Rows of counters and samples for verdicts: sound ones, and each ill in one way."""

from __future__ import annotations

from typing import Any

import numpy as np

from support.builders.snapshot import sketch_column
from trtop_core.records import NS_PER_MS, Wait
from trtop_core.sketch import LEAST
from trtop_core.verdicts.causes import Cause, Limits
from trtop_core.verdicts.evidence import Evidence

COUNTERS = (
    *("syn", "synack", "est", "midstream", "refused", "rst_in", "timeouts", "pending_retrans"),
    *("tls_hellos", "tls_failed", "tls_failed_in", "unanswered", "waiting_long", "requests"),
    *("responses", "syn_retrans", "synack_retrans", "retrans_out", "retrans_in", "segments_out"),
    *("segments_in", "slow_by_loss", "stalls", "streams", "zero_window_connections_out"),
    *("zero_window_connections_in", "multiplexed_unfollowed", "acked_bytes", "gap_bytes"),
    *("capture_gaps", "tls_turns", "banners", "pending", "waiting"),
    *("zero_window_out", "zero_window_in", "bytes_out", "bytes_in", "fin_out", "fin_in"),
    "rst_out",
)
SKETCHES = (
    *("connect_latency", "tls_latency", "response_time", "response_duration", "server_time"),
    *("path_rtt", "reuse", "reset_age"),
)

MS = NS_PER_MS


WAITS = {Wait.ATTEMPT: "attempt_wait_ns", Wait.REQUEST: "request_wait_ns"}
"""For how long the oldest attempt and the oldest request of a row wait."""


def evidence(rows: list[dict[str, Any]], loss: float | None = None, **limits: Any) -> Evidence:
    """The evidence of rows told as keywords: a list is samples, an int a counter or a wait."""
    for row in rows:
        assert row.keys() <= {*COUNTERS, *SKETCHES, *WAITS.values()}
    counters = {name: np.array([row.get(name, 0) for row in rows], np.uint64) for name in COUNTERS}
    sketches = {
        name: sketch_column([row.get(name, []) for row in rows], LEAST[name]) for name in SKETCHES
    }
    waits = np.array([[row.get(WAITS[wait], 0) for wait in Wait] for row in rows], np.int64)
    return Evidence(counters, sketches, loss, Limits(**limits), waits.reshape(len(rows), len(Wait)))


def healthy(**changes: Any) -> dict[str, Any]:
    """A row with which nothing is wrong, changed."""
    row: dict[str, Any] = {
        "syn": 100,
        "synack": 100,
        "est": 100,
        "requests": 1000,
        "responses": 1000,
        "segments_out": 1000,
        "segments_in": 1000,
        "acked_bytes": 1_000_000,
        "tls_hellos": 100,
        "streams": 100,
        "connect_latency": [10 * MS] * 100,
        "response_time": [30 * MS] * 100,
        "response_duration": [30 * MS] * 100,
        "server_time": [20 * MS] * 100,
        "path_rtt": [10 * MS] * 100,
        "reuse": [10] * 100,
    }
    return row | changes


AT_ITS_LIMIT: dict[Cause, list[dict[str, Any]]] = {
    Cause.CAPTURE: [{"gap_bytes": 1001, "capture_gaps": 1}, {"synack": 99}],
    Cause.REFUSED: [{"refused": 10, "rst_in": 10}],
    Cause.NO_ANSWER: [{"timeouts": 10}, {"timeouts": 6, "pending_retrans": 4}],
    Cause.RESET: [{"rst_in": 5}, {"rst_in": 9, "refused": 4}],
    Cause.TLS_FAILS: [{"tls_failed": 5}],
    Cause.SILENT: [{"unanswered": 20}, {"waiting_long": 1}],
    Cause.SLOW_CONNECT: [
        {"syn_retrans": 3},
        {"syn_retrans": 2, "synack_retrans": 1},
        {"connect_latency": [200 * MS] * 100},
    ],
    Cause.LOSS: [{"retrans_out": 20}, {"retrans_in": 20}],
    Cause.SLOW_SERVER: [{"server_time": [100 * MS] * 100}],
    Cause.STALLS: [
        {"stalls": 10},
        {"zero_window_connections_out": 5},
        {"zero_window_connections_in": 5},
    ],
    Cause.FAR: [{"path_rtt": [100 * MS] * 100, "response_time": [200 * MS] * 100}],
    Cause.NO_REUSE: [{"reuse": [1] * 20, "response_duration": [23 * MS] * 100}],
    Cause.MIXED: [{"multiplexed_unfollowed": 50}],
    Cause.WAITING: [{"waiting": 1, "request_wait_ns": 1000 * MS}],
}
"""What makes a healthy row ill, exactly as much as it takes."""

CASES = [(cause, change) for cause, changes in AT_ITS_LIMIT.items() for change in changes]
