"""A period of a capture is exactly what was counted in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Packet, Twin
from support.compare import SEED, batch_of, plain_row
from support.equal import assert_equal_tables
from support.traffic.generated import Faults, generate

from trtop_core import Engine, EngineConfig, Snapshot, View
from trtop_core.metrics import COUNTERS, GAUGES, METRIC_OF, SKETCHES
from trtop_core.moments import Moment, Since
from trtop_core.pace import TimedFeed
from trtop_core.records import NS_PER_S, GroupBy, Window
from trtop_core.table import Table
from trtop_core.timing import Timing

PACKETS = generate(7, 80, Faults(0.03, 0.05, 0.05, 0.05))
FIRST_NS = PACKETS[0].ts_ns
SPAN_NS = max(packet.ts_ns for packet in PACKETS) - FIRST_NS


ALL = View()


def exactly(ns: int) -> Moment:
    return Moment(Since.EPOCH, ns, "then")


def measured(
    packets: list[Packet], timing: Timing, size: int = 97, view: View = ALL
) -> list[Snapshot]:
    """The reports of a timing; the last one is as of the end."""
    found: list[Snapshot] = []
    engine = Engine(EngineConfig(group_by=GroupBy.ADDR_PORT, windows=(Window.LAST_10_S,)), SEED)
    timed = TimedFeed(engine, timing, lambda: found.append(engine.snapshot(view)))
    for at in range(0, len(packets), size):
        if timed.is_over:
            break
        timed.feed(batch_of(packets[at : at + size]))
    timed.finish()
    if not (timed.is_over and timing.every_ns):
        found.append(engine.snapshot(view))
    return found


def before(packets: list[Packet], moment_ns: int) -> list[Packet]:
    """The packets that were counted while the clock was before a moment."""
    clock_ns = packets[0].ts_ns
    for n, packet in enumerate(packets):
        clock_ns = max(clock_ns, packet.ts_ns)
        if clock_ns >= moment_ns:
            return packets[:n]
    return packets


def twin_at(packets: list[Packet], moment_ns: int) -> Twin:
    twin = Twin()
    for packet in before(packets, moment_ns):
        twin.feed(packet)
    twin.advance(moment_ns)
    return twin


@pytest.mark.parametrize("seed", range(12))
def test_a_period_is_what_the_reference_counted_between_its_ends(seed: int) -> None:
    packets = generate(seed, 60)
    last_ns = max(packet.ts_ns for packet in packets)
    span_ns = last_ns - packets[0].ts_ns
    start_ns = packets[0].ts_ns + span_ns * (seed % 5 + 1) // 8
    end_ns = start_ns + span_ns * (seed % 3 + 1) // 9
    (shown,) = measured(packets, Timing(exactly(start_ns), exactly(end_ns)))
    assert (shown.first_ns, shown.clock_ns) == (start_ns, end_ns)
    assert (shown.span_ns, shown.window_name) == (end_ns - start_ns, "period")
    past, present = twin_at(packets, start_ns), twin_at(packets, end_ns)
    then, now = (twin.report(False)["destinations"] for twin in (past, present))
    rows = {row.name: row for row in shown.rows()}
    for name in now:
        row = plain_row(rows[name]) if name in rows else {}
        for key in COUNTERS:
            counted = now[name].get(key, 0) - then.get(name, {}).get(key, 0)
            assert row.get(key, 0) == counted, (name, key)
        for sketch in SKETCHES:
            old = Counter(past.samples.get(name, {}).get(sketch, []))
            new = Counter(present.samples.get(name, {}).get(sketch, []))
            assert old <= new, (name, sketch)
            check_sketch(row.get(sketch), list((new - old).elements()), sketch)
    assert set(rows) <= set(now)


def check_sketch(stats: dict[str, Any] | None, samples: list[int], sketch: str) -> None:
    if not samples:
        assert stats is None, sketch
        return
    assert stats is not None, sketch
    unit = METRIC_OF[sketch].unit.suffix
    found = [stats["count"], *(stats[f"{name}{unit}"] for name in ("sum", "min", "max"))]
    assert found == [len(samples), sum(samples), min(samples), max(samples)], sketch


@settings(max_examples=12, deadline=None)
@given(
    every_ns=st.integers(SPAN_NS // 40, 2 * SPAN_NS),
    start=st.none() | st.integers(-SPAN_NS, SPAN_NS - 1),
    size=st.sampled_from([1, 7, 64, 500]),
)
def test_periods_add_up_to_what_lies_between_their_ends(
    every_ns: int, start: int | None, size: int
) -> None:
    begin = None if start is None else exactly(FIRST_NS + start)
    parts = measured(PACKETS, Timing(begin, None, every_ns, is_between=True), size)
    (whole,) = measured(PACKETS, Timing(begin))
    joined = Table.concatenated([part.table for part in parts])
    summed = joined.total()
    for gauge in GAUGES:
        summed.counters[gauge] = whole.total.counters[gauge]
    assert_equal_tables(summed, whole.total)
    assert sum(part.span_ns for part in parts) == whole.span_ns
    assert sum(part.health.packets for part in parts) == whole.health.packets
    ends = [part.clock_ns for part in parts]
    assert [part.first_ns for part in parts][1:] == ends[:-1]
    # An even grid: all but the first and the last are as long as asked for.
    assert {part.span_ns for part in parts[1:-1]} <= {every_ns}


@pytest.mark.parametrize("size", [1, 2, 63, 64, 1000])
def test_batches_of_any_size_make_the_same_periods(size: int) -> None:
    timing = Timing(
        exactly(FIRST_NS + SPAN_NS // 7), exactly(FIRST_NS + SPAN_NS // 2), SPAN_NS // 9
    )
    expected = [found.record(True) for found in measured(PACKETS, timing)]
    assert len(expected) == 4
    assert [found.record(True) for found in measured(PACKETS, timing, size)] == expected


def test_a_period_of_whole_seconds_is_what_a_window_holds() -> None:
    end_ns = (FIRST_NS + SPAN_NS // 2) // NS_PER_S * NS_PER_S + NS_PER_S // 2
    start_ns = (end_ns // NS_PER_S - 9) * NS_PER_S
    (shown,) = measured(PACKETS, Timing(exactly(start_ns), exactly(end_ns)))
    (window,) = measured(PACKETS, Timing(None, exactly(end_ns)), view=View(Window.LAST_10_S))
    assert_equal_tables(shown.table, window.table)
    assert_equal_tables(shown.total, window.total)
    assert shown.span_ns == window.span_ns


def test_rows_of_a_period_are_sorted_grouped_and_cut_as_those_of_all() -> None:
    timing = Timing(exactly(FIRST_NS + SPAN_NS // 3))
    (wide,) = measured(PACKETS, timing, view=View(group_by=GroupBy.ADDR_PORT))
    (shown,) = measured(PACKETS, timing, view=View(sort="response_time", limit=2))
    grouped = wide.table.grouped(GroupBy.ADDR)
    assert shown.n_destinations == len(grouped)
    assert_equal_tables(shown.total, wide.total)
    values = list(quantiles(shown))
    assert values == sorted(values, reverse=True)
    assert len(values) == 2


def quantiles(snapshot: Snapshot) -> Iterator[int]:
    for row in snapshot.rows():
        yield row.quantile("response_time", 95) or -1


def test_a_start_at_or_before_the_first_packet_leaves_nothing_out() -> None:
    (whole,) = measured(PACKETS, Timing())
    for start_ns in (FIRST_NS, FIRST_NS - NS_PER_S):
        (shown,) = measured(PACKETS, Timing(exactly(start_ns)))
        assert shown.record(True) == whole.record(True)
