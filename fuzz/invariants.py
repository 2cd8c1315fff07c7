"""What holds for every answer of an engine, whatever packets it was fed."""

from __future__ import annotations

import json

import numpy as np
from support.equal import assert_equal, assert_equal_details

from trtop_core import Engine, EngineConfig, View, wire
from trtop_core.activity import ActivityView
from trtop_core.detail import Detail, DetailView
from trtop_core.metrics import COUNTERS, GAUGES
from trtop_core.records import DESTINATION_KEY, DestinationKind, Window
from trtop_core.snapshot import Snapshot
from trtop_core.timeline import TimelineView
from trtop_core.trends import TrendView
from trtop_core.view import Period
from trtop_core.wire.questions import (
    Question,
    answered,
    ask_of,
    decode_answer,
    encode_answer,
    head_of,
)

COUNTER_LIMIT = 1 << 62
"""What no counter reaches: one below zero would lie beyond it."""


def check_written(snapshot: Snapshot) -> None:
    """A snapshot can be written down, and comes back from the wire as it was."""
    json.dumps(snapshot.record(with_bins=True), allow_nan=False)
    assert_equal(wire.decode_snapshot(wire.encode_snapshot(snapshot)), snapshot)


def check_snapshot(snapshot: Snapshot) -> None:
    """Counters agree with each other."""
    for table in (snapshot.table, snapshot.total):
        counters = table.counters
        for name in COUNTERS + GAUGES:
            assert (counters[name] < COUNTER_LIMIT).all(), name
        assert (counters["refused"] <= counters["rst_in"]).all()
        assert (counters["rst"] == counters["rst_in"] + counters["rst_out"]).all()
        if snapshot.view.window is Window.ALL and snapshot.view.period is None:
            assert (counters["responses"] <= counters["requests"]).all()
        for name, column in table.sketches.items():
            n_unbinned = column.stats["count"].sum() - column.counts.sum()
            assert 0 <= n_unbinned <= snapshot.health.samples_unbinned, name


def ask_everything(engine: Engine, config: EngineConfig) -> None:
    """Every question that is answered, and each answer travels."""
    for window in (Window.ALL, *config.windows):
        snapshot = engine.snapshot(View(window=window, group_by=config.group_by, sort="net_rtt"))
        check_snapshot(snapshot)
    for question in _questions(engine, config):
        answer = answered([engine], question)
        head = head_of(ask_of(1, question))
        again = decode_answer(head, [encode_answer(answer)])
        if isinstance(answer, Detail):
            assert isinstance(again, Detail)
            assert_equal_details(again, answer)
        else:
            assert encode_answer(again) == encode_answer(answer)
    engine.take_connections()


def _questions(engine: Engine, config: EngineConfig) -> list[Question]:
    keys = engine.keys
    kept = keys[keys["kind"] != DestinationKind.OTHER][:3]
    raw = np.asarray(kept, DESTINATION_KEY).tobytes()
    found: list[Question] = [
        DetailView(key["addr"].tobytes(), int(key["port"]), int(key["kind"]), config.group_by)
        for key in kept
    ]
    if config.windows:
        found.append(TrendView(raw, config.group_by, config.windows[0]))
    if config.history_bytes:
        now_ns = engine.clock_ns or 0
        found += [TimelineView(), ActivityView(raw, config.group_by, 40, 3)]
        found.append(ActivityView(raw, config.group_by, 7, 1, Period(now_ns - 10**10, now_ns + 1)))
    return found
