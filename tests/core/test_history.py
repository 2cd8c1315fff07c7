"""A history adds up to what the engine has counted: counter for counter, bin for bin."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Packet
from support.compare import SEED, batch_of
from support.traffic.generated import Faults, generate

import trtop_core.history.log as history_log
from trtop_core import Engine, EngineConfig, Snapshot, View, wire
from trtop_core._history import add_cells, mark_cells, outer_bins
from trtop_core.decode import decode
from trtop_core.detail import DetailView
from trtop_core.history.slots import Cells
from trtop_core.metrics import COUNTERS, ERRORS, SKETCHES
from trtop_core.records import NS_PER_S, DestinationKind, GroupBy, Window
from trtop_core.table import Table
from trtop_core.timeline import MAX_COLUMNS, TimelineView, length_for
from trtop_core.view import Period
from trtop_daemon.processes.engines import Engines

WINDOWS = (Window.LAST_10_S, Window.LAST_60_S, Window.LAST_300_S)
MIB = 1 << 20

PACKETS = generate(7, 80, Faults(0.03, 0.05, 0.05, 0.05))
FIRST_NS = min(packet.ts_ns for packet in PACKETS)
LAST_NS = max(packet.ts_ns for packet in PACKETS)


def fed(
    packets: list[Packet], size: int = 97, history_bytes: int = 64 * MIB, **more: Any
) -> Engine:
    config = EngineConfig(windows=WINDOWS, history_bytes=history_bytes, is_paced=True, **more)
    engine = Engine(config, SEED)
    for at in range(0, len(packets), size):
        engine.feed(batch_of(packets[at : at + size]))
    return engine


def between(engine: Engine, start_ns: int, end_ns: int) -> Snapshot:
    return engine.snapshot(View(period=Period(start_ns, end_ns), sort="destination"))


def everything(engine: Engine) -> Snapshot:
    return between(engine, FIRST_NS - 3600 * NS_PER_S, LAST_NS + 10_000 * NS_PER_S)


def assert_same_numbers(ours: Table, theirs: Table) -> None:
    """Equal counters, bins, samples and sums; least and greatest are those of the bins."""
    assert np.array_equal(ours.keys, theirs.keys)
    for name in COUNTERS:
        assert np.array_equal(ours.counters[name], theirs.counters[name]), name
    for name in SKETCHES:
        mine, other = ours.sketches[name], theirs.sketches[name]
        for field in ("count", "sum_lo", "sum_hi"):
            assert np.array_equal(mine.stats[field], other.stats[field]), (name, field)
        for field in ("indptr", "bins", "counts"):
            assert np.array_equal(getattr(mine, field), getattr(other, field)), (name, field)
        used = mine.stats["count"] > 0
        assert np.allclose(mine.stats["min"][used], other.stats["min"][used], rtol=0.006, atol=1000)
        assert np.allclose(mine.stats["max"][used], other.stats["max"][used], rtol=0.006, atol=1000)


def shown(table: Table) -> Table:
    """Rows in which something was counted."""
    fields = np.stack([table.counters[name] for name in COUNTERS]).any(axis=0)
    samples = np.stack([table.sketches[name].stats["count"] for name in SKETCHES]).any(axis=0)
    return table.take(np.flatnonzero(fields | samples))


@pytest.mark.parametrize("group_by", list(GroupBy))
def test_a_history_with_room_has_every_row_as_the_engine_does(group_by: GroupBy) -> None:
    engine = fed(PACKETS, group_by=group_by)
    whole = engine.snapshot(View(sort="destination", group_by=group_by))
    period = Period(FIRST_NS, LAST_NS + 1)
    past = engine.snapshot(View(sort="destination", group_by=group_by, period=period))
    assert_same_numbers(shown(past.table), shown(whole.table))
    assert_same_numbers(past.total, whole.total)
    assert (past.health, past.window_health) == (whole.health, whole.health)
    assert (past.first_ns, past.clock_ns) == (whole.first_ns, whole.clock_ns)
    assert past.span_ns == whole.span_ns


@settings(max_examples=10, deadline=None)
@given(
    cuts=st.lists(st.integers(FIRST_NS, LAST_NS), max_size=4),
    size=st.sampled_from([1, 13, 64, 5000]),
    history_bytes=st.sampled_from([1000, 20_000, 100_000, 64 * MIB]),
    tiers=st.sampled_from([(600, 6 * 3600), (20, 60), (0, 0)]),
)
def test_slots_add_up_at_any_split_coarsening_and_bound(
    cuts: list[int], size: int, history_bytes: int, tiers: tuple[int, int]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(history_log, "FINE_S", tiers[0])
        patch.setattr(history_log, "MIDDLE_S", tiers[1])
        engine = fed(PACKETS, size, history_bytes)
        whole = engine.snapshot(View())
        assert_same_numbers(everything(engine).total, whole.total)
        # Periods that end where slots do add up to the whole.
        edges = sorted({slot_edge(engine, cut) for cut in cuts})
        ends = [FIRST_NS - NS_PER_S, *edges, LAST_NS + NS_PER_S]
        parts = [between(engine, a, b) for a, b in pairwise(ends) if a < b]
        joined = Table.concatenated([part.total for part in parts]).total()
        assert_same_numbers(joined, whole.total)
        assert sum(part.health.packets for part in parts) == whole.health.packets
        columns = engine.timeline(TimelineView(MAX_COLUMNS)).columns
        assert columns["requests"].sum() == whole.totals.count("requests")
        assert columns["errors"].sum() == sum(whole.totals.count(name) for name in ERRORS)


def slot_edge(engine: Engine, ns: int) -> int:
    """The end of the slot that a moment lies in."""
    return between(engine, ns, ns + 1).clock_ns or ns


def test_batches_of_any_size_make_the_same_history() -> None:
    records = [
        (everything(engine).record(True), engine.timeline(TimelineView(50)).columns.tolist())
        for engine in (fed(PACKETS, size, 30_000) for size in (1, 64, 100_000))
    ]
    assert records[0] == records[1] == records[2]


def test_a_period_is_what_came_in_its_seconds() -> None:
    engine = fed(PACKETS)
    clock_ns = PACKETS[0].ts_ns
    n_compared = 0
    for n, packet in enumerate(PACKETS):
        before_ns, clock_ns = clock_ns, max(clock_ns, packet.ts_ns)
        end_ns = clock_ns // NS_PER_S * NS_PER_S
        # After a long silence a packet waits for the next one, and counts in the time before it.
        if not before_ns < end_ns < before_ns + 5 * NS_PER_S:
            continue
        then = Engine(EngineConfig(windows=WINDOWS), SEED)
        then.feed(batch_of(PACKETS[:n]))
        then.advance(end_ns - 1)
        window = then.snapshot(View(Window.LAST_10_S, sort="destination"))
        past = between(engine, end_ns - 10 * NS_PER_S, end_ns)
        assert_same_numbers(shown(past.table), shown(window.table))
        assert past.window_health.packets == window.window_health.packets
        n_compared += len(shown(past.table)) > 0
        if n_compared == 10:
            break
    assert n_compared == 10


@pytest.mark.parametrize("history_bytes", [50_000, 200_000, MIB])
def test_memory_is_bounded_and_the_worst_rows_stay(history_bytes: int) -> None:
    packets = generate(3, 400)
    engine = fed(packets, history_bytes=history_bytes)
    timeline = engine.timeline(TimelineView())
    assert timeline.n_bytes <= timeline.max_bytes == history_bytes
    whole = engine.snapshot(View(sort="destination"))
    past = everything(engine)
    assert_same_numbers(past.total, whole.total)
    by_key = {key.tobytes(): i for i, key in enumerate(whole.table.keys)}
    for i, key in enumerate(past.table.keys):
        if key["kind"] != DestinationKind.OTHER:
            for name in COUNTERS:  # what is kept of a row is at most what it has
                assert (
                    past.table.counters[name][i]
                    <= whole.table.counters[name][by_key[key.tobytes()]]
                )


def test_what_the_logs_do_not_hold_is_in_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    make = history_log.make_slot

    def forgetting(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        return None if calls % 3 == 0 else make(*args)

    monkeypatch.setattr(history_log, "make_slot", forgetting)
    engine = fed(PACKETS)
    assert calls > 5
    assert_same_numbers(everything(engine).total, engine.snapshot(View()).total)


def test_a_period_without_packets_has_no_rows() -> None:
    engine = fed(PACKETS)
    past = between(engine, LAST_NS + 100 * NS_PER_S, LAST_NS + 200 * NS_PER_S)
    assert (len(past.table), past.n_destinations, past.span_ns) == (0, 0, 0)
    assert past.totals.count("syn") == 0
    assert past.health.packets == 0


def test_a_silence_is_a_part_of_the_period_as_far_as_there_is_time() -> None:
    engine = fed(PACKETS)
    engine.advance(LAST_NS + 20 * NS_PER_S)
    last_s = LAST_NS // NS_PER_S * NS_PER_S
    past = between(engine, last_s, last_s + 10 * NS_PER_S)
    assert (past.first_ns, past.clock_ns) == (last_s, last_s + 10 * NS_PER_S)
    assert past.span_ns == 10 * NS_PER_S
    past = between(engine, last_s, last_s + 3600 * NS_PER_S)
    assert past.clock_ns == engine.clock_ns == LAST_NS + 20 * NS_PER_S
    assert between(engine, 0, last_s).first_ns == FIRST_NS


def test_without_a_history_there_is_no_period() -> None:
    engine = Engine(EngineConfig(windows=WINDOWS), SEED)
    engine.feed(batch_of(PACKETS))
    with pytest.raises(ValueError, match="no history"):
        everything(engine)
    timeline = engine.timeline(TimelineView())
    assert (len(timeline.columns), timeline.max_bytes) == (0, 0)
    with pytest.raises(ValueError, match="all windows"):
        EngineConfig(history_bytes=MIB)


def test_slots_are_longer_where_they_would_cost_more_than_counting() -> None:
    packets = generate(5, 30)
    spread = [
        replace(packets[n % len(packets)], ts_ns=FIRST_NS + n * NS_PER_S) for n in range(9000)
    ]
    config = EngineConfig(windows=WINDOWS, history_bytes=64 * MIB)
    engine = Engine(config, SEED)
    engine.feed(batch_of(spread))
    timeline = engine.timeline(TimelineView(MAX_COLUMNS))
    assert timeline.grain_ns == 60 * NS_PER_S
    past = between(engine, FIRST_NS - 1, FIRST_NS + 10_000 * NS_PER_S)
    assert_same_numbers(past.total, engine.snapshot(View()).total)


@given(
    at=st.lists(st.integers(0, 99), max_size=50),
    amounts=st.lists(st.integers(0, 2**40), min_size=50, max_size=50),
)
def test_cells_add_up_as_numpy_does(at: list[int], amounts: list[int]) -> None:
    places, values = np.array(at, np.uint32), np.array(amounts[: len(at)], np.uint64)
    expected = np.zeros(100, np.uint64)
    np.add.at(expected, places, values)
    found = np.zeros(100, np.uint64)
    parts = [Cells.of(places[i : i + 1], values[i : i + 1]) for i in range(len(at))]
    for part in [Cells.joined(parts)] if parts else []:
        add_cells(part.at, part.amounts, np.zeros(1, np.uint32), 100, found)
    assert np.array_equal(found, expected)


def test_a_cell_outside_is_refused() -> None:
    at, one = np.array([3], np.uint32), np.array([1], np.uint8)
    for rows, width, n_cells in (([0], 3, 3), ([0, 1], 2, 3), ([7] * 4, 1, 4)):
        with pytest.raises(ValueError, match="outside"):
            add_cells(at, one, np.array(rows, np.uint32), width, np.zeros(n_cells, np.uint64))
    with pytest.raises(ValueError, match="outside"):
        mark_cells(at, 1, np.zeros(3, np.uint8))
    marks = np.zeros(2, np.uint8)
    mark_cells(at, 2, marks)
    assert marks.tolist() == [0, 1]


def test_outer_bins_are_those_in_use_at_both_ends() -> None:
    pages = np.zeros((3, 8), np.uint64)
    pages[0, [2, 5]], pages[1, 7] = 1, 3
    first, last = np.full(3, 99), np.full(3, -1)
    outer_bins(np.array([10, 13, 21], np.uint32), pages, 10, first, last)
    assert (first.tolist(), last.tolist()) == ([99, 2, 99], [-1, 31, -1])
    with pytest.raises(ValueError, match="outside"):
        outer_bins(np.array([10, 13, 31], np.uint32), np.ones((3, 8), np.uint64), 10, first, last)


@pytest.mark.parametrize(
    ("span_s", "n_columns", "length_s"),
    [(5, 60, 1), (58, 60, 1), (59, 60, 2), (600, 60, 20), (6 * 3600, 200, 120), (10**6, 60, 43_200),
     (10**8, 10, 129 * 86_400)],
)  # fmt: skip
def test_columns_are_of_round_lengths(span_s: int, n_columns: int, length_s: int) -> None:
    assert length_for(span_s * NS_PER_S, n_columns) == length_s * NS_PER_S


@pytest.mark.parametrize("n_engines", [1, 2, 3])
def test_a_daemon_of_several_engines_has_the_history_of_one(n_engines: int) -> None:
    """Connections of one capture, split as a fan-out does, merge as they do for all time."""
    config = EngineConfig(windows=WINDOWS, history_bytes=64 * MIB, is_paced=True)
    engines = Engines(config, n_engines, lambda config: Engine(config, SEED))
    alone = Engine(config, SEED)
    packets = sorted(generate(11, 60), key=lambda packet: packet.ts_ns)
    last_ns = packets[-1].ts_ns
    for packet, segment in zip(packets, decode(batch_of(packets)).columns, strict=True):
        # As messages of the capture processes do, of packets and of the time up to which they came.
        for engine in (alone, *engines.engines):
            if engine.has_begun:
                engine.advance(packet.ts_ns)
        ends = sorted([bytes(segment["src"])[-4:], bytes(segment["dst"])[-4:]])
        number = sum(ends[0] + ends[1]) + int(segment["src_port"]) + int(segment["dst_port"])
        for engine in (alone, engines.engines[number % n_engines]):
            engine.feed(batch_of([packet]))
    start_ns = packets[0].ts_ns + (last_ns - packets[0].ts_ns) // 4
    for period in (Period(start_ns, start_ns + 20 * NS_PER_S), Period(0, last_ns + 1)):
        view = View(period=period, sort="destination")
        ours, theirs = engines.snapshot(view), alone.snapshot(view)
        assert_same_numbers(shown(ours.table), shown(theirs.table))
        assert_same_numbers(ours.total, theirs.total)
        assert ours.is_period
        sent = wire.decode_snapshot(wire.encode_snapshot(ours))
        assert sent.record(True) == ours.record(True)


def test_a_detail_is_of_the_period_too() -> None:
    engine = fed(PACKETS)
    period = Period(FIRST_NS + 5 * NS_PER_S, FIRST_NS + 25 * NS_PER_S)
    past = between(engine, period.start_ns, period.end_ns)
    seen = 0
    for i, key in enumerate(past.table.keys):
        if key["kind"] == DestinationKind.OTHER:
            continue
        asked = DetailView(bytes(key["addr"]), 0, int(key["kind"]), period=period)
        detail = engine.detail(asked)
        seen += 1
        for name in COUNTERS:
            assert detail.table.counters[name][0] == past.table.counters[name][i]
        assert detail.span_ns == past.span_ns
    assert seen > 0
