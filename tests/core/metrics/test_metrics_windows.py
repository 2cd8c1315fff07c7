"""Windows, rates and percentiles by hand (definitions §7)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pytest
from support.builders.packets import NS_PER_MS, NS_PER_S, SYN
from support.compare import SEED, batch_of, plain, plain_row
from support.traffic.generated import generate
from support.traffic.stories import OPENED, SERVER, START_NS, Story, Telling

from trtop_core import Engine, EngineConfig, PacketBatch, Snapshot, View, merge
from trtop_core._sketch import SketchStore
from trtop_core.batch import CaptureCounters
from trtop_core.decode import decode
from trtop_core.health import Health
from trtop_core.records import Window
from trtop_core.sketch import FIRST_BIN, MAX_VALUE, MIDDLE, MIN_VALUE, bin_of

MS, S = NS_PER_MS, NS_PER_S
WINDOWS = (Window.LAST_10_S, Window.LAST_60_S, Window.LAST_300_S)


def _seen(stories: Iterable[Story], until_ms: float, window: Window) -> Snapshot:
    engine = Engine(EngineConfig(windows=WINDOWS), SEED)
    packets = [packet for story in stories for packet in story.packets(Telling())]
    engine.feed(batch_of(sorted(packets, key=lambda packet: packet.ts_ns)))
    engine.advance(START_NS + round(until_ms * MS))
    return engine.snapshot(View(window=window))


def _row(snapshot: Snapshot) -> dict[str, Any]:
    return {key: value for row in snapshot.rows() for key, value in plain_row(row).items()}


def _syns(*at_ms: float) -> list[Story]:
    return [Story(client_port=30_000 + i).syn(ms) for i, ms in enumerate(at_ms)]


# The clock starts at a multiple of 10 s. Windows go on in slots: of 1 s, of 5 s, of 30 s.
EDGES = (
    # window, first moment that is in it, clock
    (Window.LAST_10_S, 1_000, 10_000),
    (Window.LAST_10_S, 1_000, 10_999.999999),
    (Window.LAST_10_S, 2_000, 11_000),
    (Window.LAST_60_S, 5_000, 60_000),
    (Window.LAST_60_S, 5_000, 64_999.999999),
    (Window.LAST_60_S, 10_000, 65_000),
    # The first slot of 30 s ends 10 s after the start.
    (Window.LAST_300_S, 10_000, 280_000),
    (Window.LAST_300_S, 10_000, 309_999.999999),
    (Window.LAST_300_S, 40_000, 310_000),
)


@pytest.mark.parametrize(("window", "first_ms", "until_ms"), EDGES)
def test_a_window_begins_with_a_slot(window: Window, first_ms: float, until_ms: float) -> None:
    before, inside = first_ms - 0.000001, first_ms
    last = until_ms - 0.001
    shown = _seen(_syns(0, before, inside, last), until_ms, window)
    assert _row(shown)["syn"] == 2
    assert shown.span_ns == round((until_ms - first_ms) * MS)
    assert shown.totals.rate("syn") == 2 * S / shown.span_ns
    assert shown.window_health.packets == 2
    assert shown.health.packets == 4


@pytest.mark.parametrize("window", WINDOWS)
def test_a_young_capture_fills_no_window(window: Window) -> None:
    shown = _seen(_syns(3_000, 4_000), 7_000, window)
    assert _row(shown)["syn"] == 2
    assert shown.span_ns == 4 * S
    assert shown.totals.rate("syn") == 0.5


def test_a_rate_over_all_divides_by_the_time_since_the_first_packet() -> None:
    shown = _seen(_syns(3_000, 4_000, 5_000), 9_000, Window.ALL)
    assert shown.span_ns == 6 * S
    assert shown.totals.rate("syn") == 0.5
    assert shown.totals.rate("est") == 0
    assert _seen(_syns(3_000), 3_000, Window.ALL).totals.rate("syn") is None


def test_gauges_have_no_window() -> None:
    shown = _seen(_syns(0, 1), 15_000, Window.LAST_10_S)
    assert _row(shown) == {"pending": 2, "active": 2}


def test_what_a_timer_counts_is_in_the_window_in_which_it_ran_out() -> None:
    # The attempt of 0.5 s times out at 20.5 s.
    assert _row(_seen(_syns(500), 29_999, Window.LAST_10_S)) == {"timeouts": 1}
    assert _row(_seen(_syns(500), 30_000, Window.LAST_10_S)) == {}


def test_a_timer_that_runs_out_at_the_first_moment_of_a_window_is_in_it() -> None:
    assert _row(_seen(_syns(1_000), 30_999, Window.LAST_10_S)) == {"timeouts": 1}
    assert _row(_seen(_syns(1_000), 31_000, Window.LAST_10_S)) == {}
    assert _row(_seen(_syns(999.999999), 30_000, Window.LAST_10_S)) == {}


def test_latencies_of_a_window_are_those_sampled_in_it() -> None:
    late = Story(client_port=41_000).syn(20_000).synack(20_003).out(20_007, 1, 1)
    shown = _seen([Story().handshake(), late], 25_000, Window.LAST_10_S)
    row = next(iter(shown.rows()))
    record = row.sketch_record("connect_latency", with_bins=True)
    assert {key: record[key] for key in ("count", "sum_ns", "min_ns", "max_ns", "p50_ns")} == {
        "count": 1,
        "sum_ns": 7 * MS,
        "min_ns": 7 * MS,
        "max_ns": 7 * MS,
        "p50_ns": 7 * MS,
    }
    assert record["bins"] == [[int(bin_of([7 * MS])[0]) + FIRST_BIN, 1]]
    everything = next(iter(_seen([Story().handshake(), late], 25_000, Window.ALL).rows()))
    assert everything.sketch_record("syn_rtt")["sum_ns"] == 13 * MS


def test_a_row_that_has_samples_only_is_shown() -> None:
    # Idle at 300,150 ms: closed without any packet, which counts in no counter.
    story = Story().handshake().out(100, 1, 1, b"q").back(150, 1, 2, b"r")
    row = _row(_seen([story], 305_000, Window.LAST_10_S))
    assert {name: sketch["count"] for name, sketch in row.items()} == {
        "response_duration": 1,
        "path_rtt": 1,
        "reuse": 1,
    }
    assert _row(_seen([story], 299_999, Window.LAST_10_S)) == {"active": 1}


def test_every_window_of_one_story() -> None:
    stories = [Story().handshake(), *_syns(50_000, 200_000)]
    counts = {window: _row(_seen(stories, 205_000, window)).get("syn", 0) for window in WINDOWS}
    assert counts == {Window.LAST_10_S: 1, Window.LAST_60_S: 1, Window.LAST_300_S: 3}
    assert _row(_seen(stories, 205_000, Window.LAST_300_S))["est"] == OPENED["est"]


# --- sketches -------------------------------------------------------------------------------------


def _quantile(values: list[int], percentile: float, sketch: int = 0) -> tuple[int | None, Any]:
    """A percentile of samples, and the exact statistics of their sketch."""
    engine = Engine(EngineConfig(), SEED)
    engine.feed(batch_of(Story().syn(0).packets(Telling())))
    store: SketchStore = engine._state.sketches  # samples without packets
    for value in values:
        store.record(0, sketch, value)
    row = next(iter(engine.snapshot(View()).rows()))
    name = "reuse" if sketch == 9 else "connect_latency"
    return row.quantile(name, percentile), row.sketch_record(name)


@pytest.mark.parametrize("value", [MIN_VALUE, 1_234_567, 87_654_321, 5 * S, MAX_VALUE])
@pytest.mark.parametrize("percentile", [0.1, 1, 50, 90, 95, 99, 99.9])
def test_a_percentile_is_within_1_percent_at_any_quantile(value: int, percentile: float) -> None:
    values = [max(MIN_VALUE, value * n // 1_000) for n in range(500, 1_001)]
    ranked = sorted(values)
    exact = ranked[max(1, math.ceil(percentile * len(ranked) / 100)) - 1]
    found, _ = _quantile(values, percentile)
    assert found is not None
    assert abs(found - exact) <= exact / 100


def test_the_middle_of_every_bin_is_within_1_percent_of_its_ends() -> None:
    # The values at which the bin changes are the worst ones.
    for value in range(MIN_VALUE, 100_000):
        middle = int(MIDDLE[bin_of([value])[0]])
        assert abs(middle - value) * 100 <= value, value


def test_below_1_us_and_above_1000_s_only_the_percentiles_are_clamped() -> None:
    found, record = _quantile([0, 0, 1, 2_000 * S, 2_000 * S, 3_000 * S], 50)
    assert record["sum_ns"] == 1 + 7_000 * S
    assert (record["min_ns"], record["max_ns"]) == (0, 3_000 * S)
    # 1 µs, though not one sample is as long; likewise 1,000 s.
    assert found is not None
    assert abs(found - MIN_VALUE) * 100 <= MIN_VALUE
    assert abs(record["p90_ns"] - 3_000 * S) == 0
    found, _ = _quantile([0, 0, 1, 2_000 * S, 2_000 * S, 3_000 * S], 80)
    assert found is not None
    assert abs(found - MAX_VALUE) * 100 <= MAX_VALUE


def test_reuse_counts_from_1() -> None:
    found, record = _quantile([1, 1, 2, 5, 1_000, 1_000_000], 50, sketch=9)
    assert (found, record["min"], record["max"], record["sum"]) == (2, 1, 1_000_000, 1_001_009)
    assert [_quantile([1, 1, 2, 5, 1_000, 1_000_000], p, sketch=9)[0] for p in (20, 60)] == [1, 5]


def test_a_sum_may_exceed_64_bits() -> None:
    value = (1 << 62) - 1
    _, record = _quantile([value] * 9, 50)
    assert record["sum_ns"] == 9 * value
    assert record["count"] == 9


# --- merging --------------------------------------------------------------------------------------

PACKETS = generate(11, 120)


def _parts(n_parts: int) -> list[list[Any]]:
    segments = decode(batch_of(PACKETS)).columns
    parts: list[list[Any]] = [[] for _ in range(n_parts)]
    for packet, segment in zip(PACKETS, segments, strict=True):
        ends = {
            (segment["src"].tobytes(), int(segment["src_port"])),
            (segment["dst"].tobytes(), int(segment["dst_port"])),
        }
        parts[sum(port + sum(addr) for addr, port in ends) % n_parts].append(packet)
    return parts


@pytest.mark.parametrize("window", [Window.ALL, *WINDOWS])
@pytest.mark.parametrize("share", [0.3, 0.6, 1.0])
def test_engines_with_other_seeds_and_disjoint_connections_merge(
    window: Window, share: float
) -> None:
    first_ns, last_ns = PACKETS[0].ts_ns, max(packet.ts_ns for packet in PACKETS)
    until_ns = first_ns + round((last_ns - first_ns) * share)
    config, view = EngineConfig(windows=WINDOWS), View(window=window)

    def snapshot(packets: list[Any], seed: int) -> Snapshot:
        engine = Engine(config, bytes([seed]) * 16)
        # The clock is that of all packets, whoever takes them.
        theirs = {id(packet) for packet in packets}
        engine.advance(first_ns)
        for packet in PACKETS:
            if packet.ts_ns <= until_ns:
                if id(packet) in theirs:
                    engine.feed(batch_of([packet]))
                else:
                    engine.advance(packet.ts_ns)
        engine.advance(until_ns)
        return engine.snapshot(view)

    parts = [snapshot(part, i + 1) for i, part in enumerate(_parts(3))]
    assert all(part.health.packets for part in parts)
    whole, merged = snapshot(PACKETS, 99), merge(parts, view)
    assert plain(merged) == plain(whole)
    assert merged.span_ns == whole.span_ns
    assert merged.window_health.record() == whole.window_health.record()
    assert merged.n_destinations == whole.n_destinations
    assert merged.record(True) == whole.record(True)


# --- bounds ---------------------------------------------------------------------------------------


def test_a_full_table_evicts_the_longest_idle_and_counts_it() -> None:
    # 23 attempts in a table of 7: 16 go; who was heard of last stays.
    stories = _syns(*range(23))
    engine = Engine(EngineConfig(max_connections=7), SEED)
    packets = [packet for story in stories for packet in story.packets(Telling())]
    engine.feed(batch_of(packets))
    shown = engine.snapshot(View())
    assert shown.health.evicted == 16
    assert _row(shown) == {"syn": 23, "pending": 7, "active": 7}
    # The 17th is known, the 16th is not: its SYN starts a connection.
    known = Story(client_port=30_016).syn(30).packets(Telling())
    engine.feed(batch_of(known))
    assert _row(engine.snapshot(View())) == {
        "syn": 23,
        "syn_retrans": 1,
        "pending": 7,
        "pending_retrans": 1,
        "active": 7,
    }
    unknown = Story(client_port=30_015).syn(31).packets(Telling())
    engine.feed(batch_of(unknown))
    shown = engine.snapshot(View())
    assert shown.health.evicted == 17
    assert _row(shown) == {
        "syn": 24,
        "syn_retrans": 1,
        "pending": 7,
        "pending_retrans": 1,
        "active": 7,
    }


def test_an_evicted_attempt_counts_as_nothing_more() -> None:
    stories = _syns(0, 1)
    engine = Engine(EngineConfig(max_connections=1), SEED)
    engine.feed(batch_of([p for story in stories for p in story.packets(Telling())]))
    engine.advance(START_NS + 100 * S)
    shown = engine.snapshot(View())
    assert _row(shown) == {"syn": 2, "timeouts": 1}
    assert shown.health.evicted == 1


def test_an_evicted_connection_is_closed_and_judged() -> None:
    story = Story().handshake().out(20, 1, 31)
    packets = story.packets(Telling()) + Story(client_port=41_000).syn(30).packets(Telling())
    engine = Engine(EngineConfig(max_connections=1), SEED)
    engine.feed(batch_of(packets))
    row = _row(engine.snapshot(View()))
    assert {key: row[key] for key in ("capture_gaps", "gap_bytes", "active", "pending")} == {
        "capture_gaps": 1,
        "gap_bytes": 30,
        "active": 1,
        "pending": 1,
    }


def test_destinations_beyond_the_bound_share_one_row() -> None:
    stories = [Story(server=f"198.51.100.{i + 1}").syn(i) for i in range(9)]
    engine = Engine(EngineConfig(max_destinations=4), SEED)
    engine.feed(batch_of([p for story in stories for p in story.packets(Telling())]))
    shown = engine.snapshot(View(sort="destination", descending=False))
    counted = {row.name: row.count("syn") for row in shown.rows()}
    assert counted == {**{f"198.51.100.{i + 1}": 1 for i in range(4)}, "(other)": 5}
    assert shown.totals.count("syn") == 9


def test_a_syn_with_another_destination_is_another_row() -> None:
    story = Story(server=SERVER).out(0, 0, flags=SYN)
    assert [row.name for row in _seen([story], 1, Window.ALL).rows()] == [SERVER]


# --- the capture's own counters ------------------------------------------------------------------


def test_what_the_capturing_side_reports_adds_up_and_unknown_stays_unknown() -> None:
    engine = Engine(EngineConfig(), SEED)
    batch = batch_of(Story().syn(0).packets(Telling()))
    assert engine.snapshot(View()).health.record() == Health().record()
    for counters in (CaptureCounters(5, 2), CaptureCounters(7, 3), None):
        engine.feed(PacketBatch(batch.data, batch.index[:0], counters, n_untimed=2))
    health = engine.snapshot(View()).health
    assert health == Health(received=12, kernel_dropped=5, interface_dropped=None, untimed=6)
    assert health.loss == 5 / 12
    counters = CaptureCounters(None, None, 4)
    engine.feed(PacketBatch(batch.data, batch.index[:0], counters))
    health = engine.snapshot(View()).health
    assert health == Health(received=12, kernel_dropped=5, interface_dropped=4, untimed=6)
    assert Health().loss is None
