"""What came when: slots add up to what an engine counts, which counts as it does without them."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from support.compare import batch_of
from support.equal import assert_equal
from support.paths import CAPTURES, EXAMPLE
from support.traffic.busy import SEED, busy
from support.traffic.generated import generate

from trtop.recording import recorder
from trtop.recording.recorder import TimelineRecorder
from trtop.recording.recording import make_recording
from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.detail import DetailView
from trtop_core.engine import Engine
from trtop_core.records import NS_PER_S, GroupBy
from trtop_core.slot_record import SERIES, TIMED, SlotRecord, coarser, counters_of, percentiles_of
from trtop_core.sources import open_capture, read_into
from trtop_core.view import View

VIEW = View(sort="destination")
REAL = sorted(CAPTURES.glob("*.pcap*")) if CAPTURES.is_dir() else []


def recorded(batches: Sequence[PacketBatch], **config: object) -> tuple[Engine, SlotRecord]:
    engine = Engine(EngineConfig(**config), SEED)  # type: ignore[arg-type]
    made = TimelineRecorder(engine)
    for batch in batches:
        made.feed(batch)
    made.finish()
    return engine, made.timeline()


def plain(batches: Sequence[PacketBatch]) -> Engine:
    engine = Engine(EngineConfig(), SEED)
    for batch in batches:
        engine.feed(batch)
    engine.finish()
    return engine


def assert_adds_up(engine: Engine, timeline: SlotRecord) -> None:
    """Slots hold each row's counters, and every sample."""
    table = engine.snapshot(VIEW).table
    n_rows = len(timeline.keys)
    counters = counters_of(timeline.slots, np.arange(n_rows), n_rows).sum(axis=1)
    by_key = {key.tobytes(): i for i, key in enumerate(timeline.keys)}
    places = [by_key[key.tobytes()] for key in table.keys]
    for i, name in enumerate(SERIES):
        assert counters[places, i].tolist() == table.counters[name].tolist()
    n_samples = sum(int(slot.counts.sum()) for slot in timeline.slots)
    assert n_samples == int(table.sketches[TIMED].counts.sum())


@pytest.mark.parametrize("seed", range(6))
def test_slots_add_up_and_the_engine_counts_as_without_them(seed: int) -> None:
    packets = generate(seed, 150)
    rng = random.Random(seed)
    cuts = sorted(rng.sample(range(len(packets)), 5))
    batches = [
        batch_of(packets[a:b]) for a, b in zip([0, *cuts], [*cuts, len(packets)], strict=True)
    ]
    engine, timeline = recorded(batches)
    assert_equal(engine.snapshot(VIEW), plain(batches).snapshot(VIEW))
    assert_adds_up(engine, timeline)
    assert len(timeline.slots) > 50


@pytest.mark.skipif(not REAL, reason=f"no shared captures in {CAPTURES}")
@pytest.mark.parametrize("path", [EXAMPLE, *REAL[::4]], ids=lambda path: path.name)
def test_real_captures_count_with_a_timeline_as_without(path: object) -> None:
    engine = Engine(EngineConfig(), SEED)
    made, other = TimelineRecorder(engine), Engine(EngineConfig(), SEED)
    for counting in (made, other):
        with open_capture([str(path)]) as source:
            read_into(counting, source)
    made.finish()
    other.finish()
    assert_equal(engine.snapshot(VIEW), other.snapshot(VIEW))
    assert_adds_up(engine, made.timeline())
    assert len(made.timeline().slots) <= recorder.MAX_SLOTS


def test_a_slot_holds_the_packets_of_its_time() -> None:
    packets = busy(3, 40)
    _, timeline = recorded([PacketBatch.from_packets(packets)])
    counts = counters_of(timeline.slots, np.zeros(len(timeline.keys), int), 1)[0]
    first_ns = packets[0][0]
    assert timeline.first_ns == first_ns
    opened = [ts for ts, data in packets if data[47] == 2]  # SYN alone
    slots = np.bincount([(ts - first_ns) // timeline.slot_ns for ts in opened])
    syn = counts[:, SERIES.index("syn")]
    assert syn[: len(slots)].tolist() == slots.tolist()
    assert not syn[len(slots) :].any()


@pytest.mark.parametrize("batch_len", [1, 7, 1000])
def test_slots_are_the_same_however_packets_are_cut_into_batches(batch_len: int) -> None:
    packets = generate(2, 60)
    whole = recorded([batch_of(packets)])[1]
    parts = [batch_of(packets[i : i + batch_len]) for i in range(0, len(packets), batch_len)]
    cut = recorded(parts)[1]
    assert (cut.slot_ns, len(cut.slots)) == (whole.slot_ns, len(whole.slots))
    for mine, other in zip(cut.slots, whole.slots, strict=True):
        assert mine.rows.tolist() == other.rows.tolist()
        assert mine.counters.tolist() == other.counters.tolist()
        assert mine.cells.tolist() == other.cells.tolist()


def test_slots_widen_as_the_capture_goes_on_and_stay_bounded() -> None:
    for seconds in (5, 40, 700):
        packets = busy(1, seconds)
        _, timeline = recorded([PacketBatch.from_packets(packets)])
        assert len(timeline.slots) <= recorder.MAX_SLOTS
        covered_ns = len(timeline.slots) * timeline.slot_ns
        assert 0 < covered_ns - (packets[-1][0] - packets[0][0]) <= timeline.slot_ns


def test_many_destinations_have_fewer_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_CELLS", 60)
    engine, timeline = recorded([PacketBatch.from_packets(busy(1, 60))])
    assert len(timeline.slots) <= 60 // 3
    assert_adds_up(engine, timeline)


def test_a_clock_that_jumps_a_month_leaves_no_month_of_slots() -> None:
    before, after = busy(1, 20), busy(2, 20)
    month_ns = 30 * 24 * 3600 * NS_PER_S
    packets = before + [(ts + month_ns, data) for ts, data in after]
    engine, timeline = recorded([PacketBatch.from_packets(packets)])
    assert len(timeline.slots) * timeline.slot_ns < 90 * NS_PER_S
    assert_adds_up(engine, timeline)


def test_the_percentile_of_a_slot_is_that_of_a_capture_of_that_slot_alone() -> None:
    packets = busy(5, 30)
    _, timeline = recorded([PacketBatch.from_packets(packets)])
    one = coarser(timeline.slots, len(timeline.slots))
    everything = np.zeros(len(timeline.keys), int)
    found = int(percentiles_of(one, everything, 1)[0, 0])
    engine = plain([PacketBatch.from_packets(packets)])
    expected = engine.snapshot(VIEW).totals.quantile(TIMED, 95)
    assert found == expected
    assert (percentiles_of(timeline.slots, everything - 1, 1) == -1).all()


def test_slow_connections_are_those_of_each_detail() -> None:
    engine = Engine(EngineConfig(group_by=GroupBy.ADDR_PORT), SEED)
    engine.feed(PacketBatch.from_packets(busy(4, 60)))
    found = engine.slow_connections(5)
    assert len(found.rows) > 20
    for row, key in enumerate(found.keys):
        view = DetailView(
            bytes(key["addr"]), int(key["port"]), int(key["kind"]), GroupBy.ADDR_PORT,
            n_connections=5,
        )  # fmt: skip
        slowest = engine.detail(view).slowest["response_ns"].tolist()
        assert found.connections["response_ns"][found.rows == row].tolist() == slowest


def test_a_timeline_is_placed_in_the_rows_of_any_grouping() -> None:
    engine = Engine(EngineConfig(group_by=GroupBy.ADDR_PORT), SEED)
    made = TimelineRecorder(engine)
    made.feed(PacketBatch.from_packets(busy(4, 30)))
    recording = make_recording(engine, made)
    for view in (View(), View(group_by=GroupBy.ADDR_PORT), View(limit=1), View(limit=0)):
        snapshot = engine.snapshot(view)
        told = recording(snapshot)
        assert told is not None
        counts = counters_of(told.timeline.slots, told.places, len(snapshot.table)).sum(axis=1)
        for i, name in enumerate(SERIES):
            assert counts[:, i].tolist() == snapshot.table.counters[name].tolist()


def test_before_the_first_packet_there_is_no_slot() -> None:
    _, timeline = recorded([])
    assert timeline.slots == ()
    assert timeline.first_ns is None
