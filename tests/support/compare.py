"""An engine's answer in the form of the twin's report, and where the two differ."""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from reference import Packet, Twin
from reference.bins import latency_bin, reuse_bin

from trtop_core import Engine, EngineConfig, PacketBatch, Snapshot, View
from trtop_core.metric_types import Unit
from trtop_core.metrics import COUNTERS, GAUGES, METRIC_OF, SKETCHES
from trtop_core.records import PACKET_INDEX, Direction, GroupBy
from trtop_core.snapshot import Row

SEED = bytes(range(16))

HEALTH = ("packets", "not_tcp", "undecoded", "duplicates", "evicted", "clock_steps", "stray_times")
"""What the capture as a whole counts."""

DIRECTIONS = {"out": Direction.OUT, "in": Direction.IN, "both": Direction.BOTH}
GROUPS = {"addr": GroupBy.ADDR, "addr,port": GroupBy.ADDR_PORT}

BIN_OF_UNIT = {Unit.NS: latency_bin, Unit.COUNT: reuse_bin}
"""The bin of a sample, by the unit of its distribution."""


def batch_of(packets: Sequence[Packet]) -> PacketBatch:
    index = []
    data = bytearray()
    for packet in packets:
        entry = (packet.ts_ns, len(data), len(packet.data), packet.wire_len, packet.link_type)
        index.append(entry)
        data += packet.data
    return PacketBatch(np.frombuffer(bytes(data), np.uint8), np.array(index, PACKET_INDEX))


def config_of(**twin_options: Any) -> EngineConfig:
    """The engine's configuration for the options of a twin."""
    options = dict(twin_options)
    fields: dict[str, Any] = {}
    if "local" in options:
        fields["local"] = tuple(ipaddress.ip_network(net) for net in options.pop("local"))
    if "direction" in options:
        fields["direction"] = DIRECTIONS[options.pop("direction")]
    if "group_by" in options:
        fields["group_by"] = GROUPS[options.pop("group_by")]
    if "idle_timeout_s" in options:
        fields["idle_timeout_ns"] = int(options.pop("idle_timeout_s") * 10**9)
    if "max_connections" in options:
        fields["max_connections"] = options.pop("max_connections")
    if "decap" in options:
        fields["decap"] = options.pop("decap")
    assert not options, options
    return EngineConfig(**fields)


def run(
    batches: Iterable[PacketBatch], config: EngineConfig | None = None, seed: bytes = SEED
) -> Snapshot:
    """The snapshot at the end of a capture."""
    config = config or EngineConfig()
    engine = Engine(config, seed)
    for batch in batches:
        engine.feed(batch)
    engine.finish()
    return engine.snapshot(View(group_by=config.group_by))


def plain(snapshot: Snapshot) -> dict[str, Any]:
    """Everything that a snapshot counts, to compare two of them: bins included."""
    return {
        "rows": {row.name: plain_row(row) for row in snapshot.rows()},
        "totals": plain_row(snapshot.totals),
        "health": snapshot.health.record(),
        "clock_ns": snapshot.clock_ns,
        "first_ns": snapshot.first_ns,
    }


def plain_row(row: Row) -> dict[str, Any]:
    shown: dict[str, Any] = {n: row.count(n) for n in COUNTERS + GAUGES if row.count(n)}
    for sketch in SKETCHES:
        if row.samples(sketch):
            shown[sketch] = row.sketch_record(sketch, with_bins=True)
    return shown


def twin_rows(twin: Twin) -> dict[str, Any]:
    """The twin's rows with its exact samples put into bins."""
    rows: dict[str, Any] = {}
    for name, fields in twin.report(final=False)["destinations"].items():
        row = {key: value for key, value in fields.items() if not isinstance(value, dict)}
        for sketch, values in twin.samples.get(name, {}).items():
            if values:
                row[sketch] = binned(sketch, values)
        rows[name] = row
    return rows


def binned(sketch: str, values: Sequence[int]) -> dict[str, Any]:
    """What a distribution says of some samples, its percentiles left out."""
    bins = Counter(map(BIN_OF_UNIT[METRIC_OF[sketch].unit], values))
    unit = METRIC_OF[sketch].unit.suffix
    return {
        "count": len(values),
        f"sum{unit}": sum(values),
        f"min{unit}": min(values),
        f"max{unit}": max(values),
        "bins": [[number, n] for number, n in sorted(bins.items())],
    }


def differences(snapshot: Snapshot, twin: Twin) -> list[str]:
    """Where an engine and the twin disagree, in plain words; empty if nowhere."""
    found = []
    report = twin.report(final=False)
    ours, theirs = plain(snapshot)["rows"], twin_rows(twin)
    for name in sorted(set(ours) | set(theirs)):
        mine, other = ours.get(name, {}), theirs.get(name, {})
        for key in sorted(set(mine) | set(other)):
            a, b = mine.get(key, 0), other.get(key, 0)
            if isinstance(a, dict) and isinstance(b, dict):
                a = {field: a[field] for field in b}
            if a != b:
                found.append(f"{name} {key}: engine {a}, twin {b}")
    health = snapshot.health.record()
    for key in HEALTH:
        value, expected = health.get(key) or 0, report.get(key) or 0
        if value != expected:
            found.append(f"{key}: engine {value}, twin {expected}")
    if snapshot.span_ns != report["span_ns"]:
        found.append(f"span_ns: engine {snapshot.span_ns}, twin {report['span_ns']}")
    return found
