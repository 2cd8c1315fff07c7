"""What was when: columns add up to what an engine counts, of all rows and of those asked for."""

import random
from collections.abc import Sequence

import numpy as np
import pytest
from support.compare import batch_of
from support.paths import CAPTURES, EXAMPLE
from support.traffic.busy import SEED, busy
from support.traffic.generated import generate

from trtop.reporters.html_page.recorded import make_recording
from trtop_core import activity as limits
from trtop_core.activity import SERIES, Activity, ActivityView
from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.detail import DetailView
from trtop_core.engine import Engine
from trtop_core.history import active, log
from trtop_core.merging.activities import merge_activities
from trtop_core.records import NS_PER_S, GroupBy, Window
from trtop_core.sources import open_capture, read_into
from trtop_core.view import Period, View
from trtop_core.wire.questions import answered

VIEW = View(sort="destination")
REAL = sorted(CAPTURES.glob("*.pcap*")) if CAPTURES.is_dir() else []


def new_engine(group_by: GroupBy = GroupBy.ADDR) -> Engine:
    config = EngineConfig(
        windows=tuple(Window), history_bytes=1 << 26, group_by=group_by, is_paced=True
    )
    return Engine(config, SEED)


def engine_of(batches: Sequence[PacketBatch]) -> Engine:
    engine = new_engine()
    for batch in batches:
        engine.feed(batch)
    engine.finish()
    return engine


def asked(engine: Engine, **fields: object) -> Activity:
    keys = engine.snapshot(VIEW).table.keys[: limits.MAX_ACTIVITY_ROWS]
    return engine.activity(ActivityView(keys.tobytes(), **fields))  # type: ignore[arg-type]


def assert_adds_up(engine: Engine, told: Activity) -> None:
    """Columns hold each row's counters, and those of all."""
    snapshot = engine.snapshot(VIEW)
    assert len(snapshot.table) <= log.MAX_ROWS
    for i, name in enumerate(SERIES):
        assert told.totals[:, i].sum() == snapshot.total.counters[name].sum()
        found = np.zeros(len(snapshot.table), np.uint64)
        np.add.at(found, told.cells["row"], told.cells["counters"][name])
        assert found.tolist() == snapshot.table.counters[name].tolist()


@pytest.mark.parametrize("seed", range(6))
def test_columns_add_up_to_the_counters_of_each_row_and_of_all(seed: int) -> None:
    packets = generate(seed, 150)
    rng = random.Random(seed)
    cuts = sorted(rng.sample(range(len(packets)), 5))
    batches = [
        batch_of(packets[a:b]) for a, b in zip([0, *cuts], [*cuts, len(packets)], strict=True)
    ]
    engine = engine_of(batches)
    told = asked(engine)
    assert_adds_up(engine, told)
    assert len(told.totals) > 20


@pytest.mark.skipif(not REAL, reason=f"no shared captures in {CAPTURES}")
@pytest.mark.parametrize("path", [EXAMPLE, *REAL[::4]], ids=lambda path: str(path)[-20:])
def test_columns_of_real_captures_add_up(path: object) -> None:
    engine = new_engine()
    with open_capture([str(path)]) as source:
        read_into(engine, source)
    engine.finish()
    if len(engine.snapshot(VIEW).table) <= log.MAX_ROWS:
        assert_adds_up(engine, asked(engine))


def test_a_column_holds_the_packets_of_its_time() -> None:
    packets = busy(3, 40)
    told = asked(engine_of([PacketBatch.from_packets(packets)]))
    assert told.length_ns == NS_PER_S
    assert told.first_ns == packets[0][0] // NS_PER_S * NS_PER_S
    opened = [ts for ts, data in packets if data[47] == 2]  # SYN alone
    expected = np.bincount([(ts - told.first_ns) // NS_PER_S for ts in opened])
    syn = told.totals[:, SERIES.index("syn")]
    assert syn[: len(expected)].tolist() == expected.tolist()
    assert not syn[len(expected) :].any()


@pytest.mark.parametrize("batch_len", [1, 7, 1000])
def test_columns_are_the_same_however_packets_are_cut_into_batches(batch_len: int) -> None:
    packets = generate(2, 60)
    whole = asked(engine_of([batch_of(packets)]))
    parts = [batch_of(packets[i : i + batch_len]) for i in range(0, len(packets), batch_len)]
    cut = asked(engine_of(parts))
    assert cut.totals.tolist() == whole.totals.tolist()
    assert cut.cells.tolist() == whole.cells.tolist()
    assert cut.response_time_ns.tolist() == whole.response_time_ns.tolist()


@pytest.mark.parametrize("seconds", [5, 40, 700])
def test_columns_become_longer_with_the_capture_and_stay_bounded(seconds: int) -> None:
    packets = busy(1, seconds)
    told = asked(engine_of([PacketBatch.from_packets(packets)]), n_columns=50)
    assert len(told.totals) <= 50
    assert len(told.totals) * told.length_ns >= packets[-1][0] - packets[0][0]
    assert told.totals[:, SERIES.index("syn")].sum() == told.cells["counters"]["syn"].sum()


def test_many_numbers_of_rows_make_their_columns_wider(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(active, "MAX_NUMBERS", 60)
    engine = engine_of([PacketBatch.from_packets(busy(1, 60))])
    told = asked(engine)
    assert told.factor > 1
    assert len(told.totals) >= 60
    assert_adds_up(engine, told)


def test_time_that_is_granted_keeps_slots_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "ROW_NS", 10**6)
    lengths_ns = []
    for credit_ns in (0, 10**12):
        config = EngineConfig(
            windows=tuple(Window), history_bytes=1 << 26, history_credit_ns=credit_ns
        )
        engine = Engine(config, SEED)
        engine.feed(PacketBatch.from_packets(busy(1, 200)))
        engine.finish()
        told = asked(engine)
        assert_adds_up(engine, told)
        lengths_ns.append(told.length_ns)
    assert lengths_ns[1] == NS_PER_S < lengths_ns[0]


def test_what_a_slot_keeps_no_row_of_is_in_the_totals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MAX_ROWS", 1)
    engine = engine_of([PacketBatch.from_packets(busy(1, 30))])
    told = asked(engine)
    syn = engine.snapshot(VIEW).total.counters["syn"].sum()
    assert told.totals[:, SERIES.index("syn")].sum() == syn
    assert 0 < told.cells["counters"]["syn"].sum() < syn


def test_a_clock_that_jumps_a_month_leaves_a_bounded_number_of_columns() -> None:
    before, after = busy(1, 20), busy(2, 20)
    month_ns = 30 * 24 * 3600 * NS_PER_S
    packets = before + [(ts + month_ns, data) for ts, data in after]
    engine = engine_of([PacketBatch.from_packets(packets)])
    told = asked(engine)
    assert len(told.totals) <= limits.MAX_ACTIVITY_COLUMNS
    assert_adds_up(engine, told)


def test_the_percentile_of_a_column_is_that_of_its_samples() -> None:
    packets = busy(5, 30)
    engine = engine_of([PacketBatch.from_packets(packets)])
    told = asked(engine, n_columns=2)
    assert len(told.totals) == 1
    snapshot = engine.snapshot(VIEW)
    assert told.response_time_ns[0] == snapshot.totals.quantile("response_time", 95)
    for row, figures in enumerate(snapshot.rows()):
        cell = told.cells[told.cells["row"] == row]
        expected = figures.quantile("response_time", 95)
        assert cell["response_time_ns"].tolist() == [-1 if expected is None else expected]


def test_a_period_leaves_out_what_came_before_and_after() -> None:
    packets = busy(3, 40)
    engine = engine_of([PacketBatch.from_packets(packets)])
    start_ns = (packets[0][0] // NS_PER_S + 10) * NS_PER_S
    period = Period(start_ns, start_ns + 5 * NS_PER_S)
    told = asked(engine, period=period)
    expected = engine.snapshot(View(period=period)).total.counters
    assert told.first_ns == start_ns
    assert len(told.totals) == 5
    for i, name in enumerate(SERIES):
        assert told.totals[:, i].sum() == expected[name].sum()


def test_slow_connections_are_those_of_each_detail() -> None:
    engine = new_engine(GroupBy.ADDR_PORT)
    engine.feed(PacketBatch.from_packets(busy(4, 60)))
    told = engine.activity(ActivityView(engine.keys.tobytes(), GroupBy.ADDR_PORT, n_slow=5))
    assert len(told.slow) > 20
    for row, key in enumerate(engine.keys):
        view = DetailView(
            bytes(key["addr"]), int(key["port"]), int(key["kind"]), GroupBy.ADDR_PORT,
            n_connections=5,
        )  # fmt: skip
        slowest = engine.detail(view).slowest["response_ns"].tolist()
        assert told.slow["response_ns"][told.slow_rows == row].tolist() == slowest


def test_a_page_has_what_was_when_by_its_rows_in_any_grouping() -> None:
    engine = new_engine(GroupBy.ADDR_PORT)
    engine.feed(PacketBatch.from_packets(busy(4, 30)))
    recording = make_recording(lambda question: answered([engine], question))
    for view in (View(), View(group_by=GroupBy.ADDR_PORT), View(limit=1), View(limit=0)):
        snapshot = engine.snapshot(view)
        told = recording(snapshot)
        assert told is not None
        for name in SERIES:
            found = np.zeros(len(snapshot.table), np.uint64)
            np.add.at(found, told.cells["row"], told.cells["counters"][name])
            assert found.tolist() == snapshot.table.counters[name].tolist()


def test_parts_of_a_capture_merge_to_the_activity_of_all_of_it() -> None:
    packets = busy(6, 50)
    ports = [int.from_bytes(data[34:36], "big") + int.from_bytes(data[36:38], "big")
             for _, data in packets]  # fmt: skip
    parts = [
        engine_of([PacketBatch.from_packets(
            [packet for packet, port in zip(packets, ports, strict=True) if port % 2 == half]
        )]) for half in (0, 1)
    ]  # fmt: skip
    whole = engine_of([PacketBatch.from_packets(packets)])
    view = ActivityView(whole.snapshot(VIEW).table.keys.tobytes(), n_slow=3)
    merged = merge_activities([part.activity(view) for part in parts], view)
    expected = whole.activity(view)
    assert (merged.first_ns, merged.length_ns) == (expected.first_ns, expected.length_ns)
    assert merged.totals.tolist() == expected.totals.tolist()
    for name in SERIES:
        assert merged.cells["counters"][name].tolist() == expected.cells["counters"][name].tolist()
    assert sorted(merged.slow["response_ns"]) == sorted(expected.slow["response_ns"])


def test_before_the_first_packet_and_without_a_history_there_is_no_column() -> None:
    assert len(engine_of([]).activity(ActivityView(b"")).totals) == 0
    plain = Engine(EngineConfig(), SEED)
    plain.feed(PacketBatch.from_packets(busy(1, 5)))
    told = plain.activity(ActivityView(plain.keys.tobytes(), n_slow=1))
    assert len(told.totals) == 0
    assert len(told.slow) > 0
