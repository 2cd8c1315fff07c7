"""Verdicts of an engine's rows, worked out of few bins, are those of whole tables."""

import random

import numpy as np
import pytest
from support.builders.snapshot import destination, sketch_column, snapshot
from support.traffic.busy import SEED, WINDOWS, busy

from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.engine import Engine
from trtop_core.groups import Groups, MergedSketches, SketchState
from trtop_core.metrics import SKETCHES
from trtop_core.query import visible_rows
from trtop_core.records import GroupBy, Window
from trtop_core.sketch import ends_known
from trtop_core.verdicts.causes import Cause
from trtop_core.verdicts.evidence import Evidence
from trtop_core.verdicts.rules import causes_of, severity
from trtop_core.view import View

MS = 1_000_000


@pytest.mark.parametrize("window", [Window.ALL, *WINDOWS])
@pytest.mark.parametrize("kept", list(GroupBy))
@pytest.mark.parametrize("one_port", [False, True])
def test_the_order_by_verdict_is_that_of_whole_tables(
    window: Window, kept: GroupBy, one_port: bool
) -> None:
    packets = busy(21, 90)
    if one_port:
        alt = (8443).to_bytes(2, "big")
        packets = [packet for packet in packets if alt not in packet[1][34:38]]
    made = Engine(EngineConfig(windows=WINDOWS, group_by=kept), SEED)
    made.feed(PacketBatch.from_packets(packets))
    table = made.snapshot(View(window=window, sort="verdict")).table
    assert len(table) > 2
    whole = severity(table.counters, table.sketches)
    assert (np.diff(whole) <= 0).all()


@pytest.mark.parametrize("is_whole", [False, True])
@pytest.mark.parametrize("by_addr_only", [False, True])
def test_percentiles_of_pages_are_those_of_whole_distributions(
    by_addr_only: bool, is_whole: bool
) -> None:
    made = Engine(EngineConfig(group_by=GroupBy.ADDR_PORT), SEED)
    made.feed(PacketBatch.from_packets(busy(5, 60)))
    keys, counters = made._state.destinations.export()
    state = SketchState(*made._state.sketches.export(len(keys)), is_whole)
    visible = visible_rows(counters, state)
    groups = Groups(keys[visible], by_addr_only)
    assert len(groups.keys) > 2
    assert (len(groups.keys) < len(visible)) == by_addr_only
    sketches = MergedSketches(state, visible, groups)
    chosen = np.arange(len(groups.keys))[::-2]
    asked = (0.1, 50.0, 95.0, 99.9, 100.0)
    for name in SKETCHES:
        late = sketches[name]
        expected = late.all().take(chosen).quantiles_at(asked)
        assert np.array_equal(late.quantiles_of(chosen, asked), expected), name
    assert (sketches["response_time"].quantiles_at((50.0,)) > 0).any()


def random_rows(seed: int) -> list[object]:
    """Rows on both sides of every limit that a percentile is compared with."""
    rng = random.Random(seed)
    times = [1, 30, 90, 99, 100, 101, 199, 200, 201, 400]
    rows = []
    for i in range(60):

        def samples(n: int) -> list[int]:
            low = rng.choice(times)
            return [rng.choice([low, low, low, rng.choice(times)]) * MS for _ in range(n)]

        rows.append(
            destination(
                f"10.0.0.{i}",
                syn=30,
                synack=30,
                est=30,
                requests=30,
                connect_latency=samples(rng.choice([0, 9, 10, 25])),
                server_time=samples(rng.choice([0, 9, 10, 25])),
                response_time=samples(rng.choice([0, 9, 10, 25])),
                response_duration=samples(5),
                path_rtt=samples(rng.choice([0, 1, 4])),
                reuse=[rng.choice([1, 1, 2]) for _ in range(rng.choice([0, 19, 20, 25]))],
            )
        )
    return rows


@pytest.mark.parametrize("seed", range(4))
def test_ends_are_known_where_percentiles_are_the_least_or_the_greatest(seed: int) -> None:
    rng = random.Random(seed)
    samples = [
        [rng.randrange(MS, 9 * MS) for _ in range(rng.choice([0, 1, 2, 3, 19, 20, 21, 40]))]
        for _ in range(60)
    ]
    column = sketch_column(samples)
    for asked in ((50.0,), (95.0,), (0.1, 100.0), (50.0, 95.0)):
        found = np.full((len(asked), len(column)), -1, np.int64)
        known = ends_known(column.stats, asked, found)
        assert np.array_equal(found[:, known], column.quantiles_at(asked)[:, known])
        assert known[[not row for row in samples]].all()
    assert known.any()
    assert not known.all()


@pytest.mark.parametrize("seed", range(8))
def test_percentiles_of_some_rows_decide_as_those_of_all(seed: int) -> None:
    table = snapshot(random_rows(seed)).table  # type: ignore[arg-type]
    e = Evidence(table.counters, table.sketches, None)
    causes = causes_of(e)
    limits, all_of = e.limits, e.percentile

    def beyond(name: str, least_ns: int) -> np.ndarray:
        latency, path = all_of(name, 95), all_of("path_rtt", 50)
        far_beyond = (path >= 0) & (latency >= limits.beyond_path * path)
        return (e.samples(name) >= 10) & far_beyond & (latency >= least_ns)

    path, response = all_of("path_rtt", 50), all_of("response_time", 50)
    far = (e.samples("response_time") >= 10) & (path >= limits.far_ns)
    far &= path >= limits.far_share * response
    connecting = e.total("connect_latency", "tls_latency")
    spent = connecting + e.total("response_duration")
    once = (e.samples("reuse") >= 20) & (all_of("reuse", 50) == 1)
    expected = np.select(
        [
            beyond("connect_latency", limits.connect_ns),
            beyond("server_time", limits.server_ns),
            far,
            once & (connecting >= limits.connecting * spent) & (spent > 0),
        ],
        [Cause.SLOW_CONNECT, Cause.SLOW_SERVER, Cause.FAR, Cause.NO_REUSE],
        Cause.OK,
    )
    assert causes.tolist() == expected.tolist()
    assert len(set(causes.tolist())) >= 4
