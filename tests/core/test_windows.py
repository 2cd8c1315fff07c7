"""A window holds exactly what was counted since it began."""

from __future__ import annotations

from typing import Any

import pytest
from reference import Packet, Twin
from support.compare import SEED, batch_of, plain_row
from support.traffic.generated import generate

from trtop_core import Engine, EngineConfig, PacketBatch, View
from trtop_core.batch import CaptureCounters
from trtop_core.metrics import COUNTERS, METRIC_OF, SKETCHES
from trtop_core.records import NS_PER_S, Window

WINDOWS = (Window.LAST_10_S, Window.LAST_60_S, Window.LAST_300_S)
SLOT_S = {Window.LAST_10_S: 1, Window.LAST_60_S: 5, Window.LAST_300_S: 30}
N_SLOTS = {Window.LAST_10_S: 10, Window.LAST_60_S: 12, Window.LAST_300_S: 10}


def _first_s(clock_ns: int, window: Window) -> int:
    """Where a window begins: so many slots back, the one that is running included."""
    slot = clock_ns // NS_PER_S // SLOT_S[window] - N_SLOTS[window] + 1
    return slot * SLOT_S[window]


def _before(packets: list[Packet], moment_ns: int) -> list[Packet]:
    """The packets that were counted while the clock was before a moment."""
    clock_ns = packets[0].ts_ns
    for n, packet in enumerate(packets):
        clock_ns = max(clock_ns, packet.ts_ns)
        if clock_ns >= moment_ns:
            return packets[:n]
    return packets


def _twin_after(packets: list[Packet], now_ns: int) -> Twin:
    twin = Twin()
    for packet in packets:
        twin.feed(packet)
    if packets:
        twin.advance(now_ns)
    return twin


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: f"{int(window)}s")
@pytest.mark.parametrize("seed", range(12))
def test_a_window_is_what_came_since_it_began(seed: int, window: Window) -> None:
    packets = generate(seed, 60)
    packets = packets[: len(packets) * (seed + 4) // 16]
    engine = Engine(EngineConfig(windows=WINDOWS), SEED)
    for start in range(0, len(packets), 97):
        engine.feed(batch_of(packets[start : start + 97]))
    shown = engine.snapshot(View(window=window))
    assert shown.clock_ns is not None
    assert shown.first_ns is not None

    first_ns = _first_s(shown.clock_ns, window) * NS_PER_S
    before = _twin_after(_before(packets, first_ns), first_ns - 1)
    now = _twin_after(packets, 0)
    past, present = before.report(False)["destinations"], now.report(False)["destinations"]
    rows = {row.name: row for row in shown.rows()}
    for name in present:
        counted: dict[str, Any] = {
            key: present[name].get(key, 0) - past.get(name, {}).get(key, 0) for key in COUNTERS
        }
        row = plain_row(rows[name]) if name in rows else {}
        assert {key: row.get(key, 0) for key in COUNTERS} == counted, name
        for sketch in SKETCHES:
            old = before.samples.get(name, {}).get(sketch, [])
            new = now.samples.get(name, {}).get(sketch, [])[len(old) :]
            stats = row.get(sketch)
            unit = METRIC_OF[sketch].unit.suffix
            if not new:
                assert stats is None, (name, sketch)
                continue
            assert stats["count"] == len(new), (name, sketch)
            assert stats[f"sum{unit}"] == sum(new)
            assert stats[f"min{unit}"] == min(new)
            assert stats[f"max{unit}"] == max(new)
            assert sum(n for _, n in stats["bins"]) == len(new)
    assert shown.span_ns == shown.clock_ns - max(first_ns, shown.first_ns)
    assert shown.window_health.packets == len(packets) - len(_before(packets, first_ns))


def test_windows_do_not_change_what_is_counted() -> None:
    packets = generate(5, 80)
    plain, windowed = (Engine(EngineConfig(windows=kept), SEED) for kept in ((), WINDOWS))
    for engine in (plain, windowed):
        engine.feed(batch_of(packets))
        engine.finish()
    assert plain.snapshot(View()).record(True) == windowed.snapshot(View()).record(True)


def test_a_window_that_is_not_kept_is_refused() -> None:
    engine = Engine(EngineConfig(windows=(Window.LAST_10_S,)), SEED)
    with pytest.raises(ValueError, match="60 s is not kept"):
        engine.snapshot(View(window=Window.LAST_60_S))


def test_drops_leave_the_window_after_its_length() -> None:
    engine = Engine(EngineConfig(windows=WINDOWS), SEED)
    packets = [Packet(second * NS_PER_S, 1, b"", 60) for second in range(100, 200)]
    for packet in packets:
        batch = batch_of([packet])
        dropped = 7 if packet.ts_ns == 150 * NS_PER_S else 0
        counters = CaptureCounters(received=10, kernel_dropped=dropped)
        engine.feed(PacketBatch(batch.data, batch.index, counters))
    ten, sixty = (engine.snapshot(View(window=window)) for window in WINDOWS[:2])
    assert ten.window_health.kernel_dropped == 0
    assert sixty.window_health.kernel_dropped == 7
    assert ten.health.kernel_dropped == sixty.health.kernel_dropped == 7
    assert ten.window_health.received == 100
    assert ten.window_health.interface_dropped is None
