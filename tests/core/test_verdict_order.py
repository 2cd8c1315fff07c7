"""Rows by verdict: the worst first, and of equal ones those that affect the most."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.builders.evidence import AT_ITS_LIMIT, evidence, healthy
from support.builders.snapshot import MS, destination, incident, snapshot
from support.compare import batch_of
from support.traffic.generated import Faults, generate

from trtop_core.config import EngineConfig
from trtop_core.engine import Engine
from trtop_core.merging.snapshots import merge
from trtop_core.records import GroupBy
from trtop_core.sorting import arrange
from trtop_core.verdicts.causes import Cause
from trtop_core.verdicts.rules import causes_of, severity
from trtop_core.view import View

SEED = b"\7" * 16
WORST_FIRST = View(sort="verdict")


def test_each_cause_stands_before_those_that_follow_it() -> None:
    rows = [healthy(**changes[0]) for changes in AT_ITS_LIMIT.values()]
    e = evidence([*rows, healthy(), {}])
    ranks = severity(e._counters, e._sketches, waits_ns=e._waits_ns)
    assert (np.diff(ranks) < 0).all()
    assert causes_of(e).tolist() == list(range(len(Cause)))


def test_of_equal_causes_the_one_that_affects_more_stands_first() -> None:
    e = evidence([healthy(refused=10), healthy(refused=11), healthy(refused=10, requests=10**9)])
    ranks = severity(e._counters, e._sketches, waits_ns=e._waits_ns).tolist()
    assert ranks[1] > ranks[0] == ranks[2]
    e = evidence([healthy(), healthy(requests=1001), healthy(syn=101, synack=101, est=101)])
    ranks = severity(e._counters, e._sketches, waits_ns=e._waits_ns).tolist()
    assert ranks[1] == ranks[2] > ranks[0]


def test_what_the_capture_lost_altogether_moves_no_row() -> None:
    rows = [
        destination("10.0.0.1", syn=9, synack=9, est=9),
        destination("10.0.0.2", syn=9, refused=9),
    ]
    table = arrange(snapshot(rows).table, WORST_FIRST)
    assert table.row_names() == ["10.0.0.2", "10.0.0.1"]


def test_the_rows_of_an_incident_come_worst_first() -> None:
    table = arrange(incident().table, WORST_FIRST)
    assert [name.partition(":")[0] for name in table.row_names()] == [
        "2001", "10.20.0.99", "203.0.113.200", "10.20.0.37", "10.20.0.11", "192.0.2.7",
    ]  # fmt: skip
    turned = arrange(incident().table, replace(WORST_FIRST, descending=False))
    assert turned.row_names()[-1].startswith("2001")


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("group_by", list(GroupBy))
def test_an_engine_gives_the_same_rows_as_a_table_of_all(seed: int, group_by: GroupBy) -> None:
    packets = generate(seed, 30, Faults(0.05, 0.05, 0.05, 0.05))
    engine = Engine(EngineConfig(group_by=GroupBy.ADDR_PORT), SEED)
    engine.feed(batch_of(packets))
    engine.finish()
    view = View(sort="verdict", group_by=group_by)
    everything = engine.snapshot(replace(view, sort="destination", descending=False))
    expected = arrange(everything.table, view).row_names()
    assert engine.snapshot(view).table.row_names() == expected
    assert engine.snapshot(replace(view, limit=3)).table.row_names() == expected[:3]
    assert merge([everything], view).table.row_names() == expected


def test_a_slow_service_stands_before_a_sound_one_however_busy() -> None:
    slow = destination("10.0.0.9", syn=1, synack=1, est=1, requests=23, responses=23,
                       segments_out=23, segments_in=23, server_time=[150 * MS] * 23,
                       path_rtt=[MS])  # fmt: skip
    busy = destination("10.0.0.1", syn=10**6, synack=10**6, est=10**6, requests=10**7)
    assert arrange(snapshot([busy, slow]).table, WORST_FIRST).row_names()[0] == "10.0.0.9"
