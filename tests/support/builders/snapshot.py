"""Snapshots built by hand: rows as keyword arguments, latencies as lists of ns."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from trtop_core.health import Health
from trtop_core.metrics import COUNTER_ROW, SKETCHES
from trtop_core.records import DESTINATION_KEY, NS_PER_S, SKETCH_STATS, DestinationKind
from trtop_core.sketch import LEAST, MIN_VALUE, SketchColumn, bin_of
from trtop_core.snapshot import Snapshot
from trtop_core.sorting import arrange
from trtop_core.table import Table
from trtop_core.view import View

FIRST_NS = 1_714_565_000 * NS_PER_S
"""2024-05-01 12:03:20 UTC."""


@dataclass
class Destination:
    """One row: its address, counters by name, samples by sketch."""

    addr: str
    port: int = 0
    counters: dict[str, int] = field(default_factory=dict)
    samples: dict[str, Sequence[int]] = field(default_factory=dict)
    kind: DestinationKind | None = None


def destination(addr: str, port: int = 0, **numbers: Any) -> Destination:
    """A row from keywords: a list is the samples of a sketch, an int is a counter."""
    made = Destination(addr, port)
    for name, value in numbers.items():
        (made.counters if isinstance(value, int) else made.samples)[name] = value
    return made


def other(**numbers: Any) -> Destination:
    """The row of all destinations beyond the bound on their number."""
    made = destination("::", **numbers)
    made.kind = DestinationKind.OTHER
    return made


def sketch_column(samples: Sequence[Sequence[int]], least: int = MIN_VALUE) -> SketchColumn:
    """One sketch per row from its samples."""
    stats = np.zeros(len(samples), SKETCH_STATS)
    indptr, bins, counts = [0], [], []
    for i, values in enumerate(samples):
        if values:
            total = sum(values)
            stats[i] = (len(values), total & (2**64 - 1), total >> 64, min(values), max(values))
        row_bins, row_counts = np.unique(bin_of(values, least), return_counts=True)
        bins += row_bins.tolist()
        counts += row_counts.tolist()
        indptr.append(len(bins))
    return SketchColumn(
        stats,
        np.array(indptr, np.int64),
        np.array(bins, np.int64),
        np.array(counts, np.int64),
    )


def table(rows: Sequence[Destination]) -> Table:
    """A table of rows, in the order given."""
    keys = np.zeros(len(rows), DESTINATION_KEY)
    counters = np.zeros(len(rows), COUNTER_ROW)
    for i, row in enumerate(rows):
        address = ipaddress.ip_address(row.addr)
        packed = (
            address.packed if address.version == 6 else b"\0" * 10 + b"\xff" * 2 + address.packed
        )
        keys["addr"][i] = np.frombuffer(packed, np.uint8)
        keys["port"][i] = row.port
        kind = DestinationKind.ADDR_PORT if row.port else DestinationKind.ADDR
        keys["kind"][i] = kind if row.kind is None else row.kind
        for name, value in row.counters.items():
            counters[name][i] = value
    columns = {
        name: sketch_column([row.samples.get(name, ()) for row in rows], LEAST[name])
        for name in SKETCHES
    }
    return Table(keys, counters, columns)


def snapshot(
    rows: Sequence[Destination],
    view: View | None = None,
    health: Health | None = None,
    span_ns: int = 34 * NS_PER_S,
) -> Snapshot:
    """What an engine would answer, had it seen these rows."""
    view = view or View()
    health = health or Health()
    everything = table(rows)
    started = health.packets > 0
    return Snapshot(
        view=view,
        clock_ns=FIRST_NS + span_ns if started else None,
        first_ns=FIRST_NS if started else None,
        span_ns=span_ns if started else 0,
        table=arrange(everything, view),
        total=everything.total(),
        n_destinations=len(everything),
        health=health,
        window_health=health,
    )


MS = 1_000_000


def incident() -> Snapshot:
    """A busy minute of a service whose database is slow and whose cache refuses."""
    rows = [
        destination(
            "10.20.0.11", syn=23, synack=23, est=23, rst=1, rst_in=1, fin_out=20, fin_in=2,
            requests=23_456, responses=23_450, retrans_out=12, retrans_in=7, active=2,
            bytes_out=4_812_233, bytes_in=381_223_411, acked_bytes=386_035_644,
            connect_latency=[2 * MS + i * 100_000 for i in range(23)],
            syn_rtt=[1 * MS] * 23, reuse=[1000 + 40 * i for i in range(20)],
            response_time=[3 * MS + i * 50_000 for i in range(400)],
            server_time=[2 * MS] * 400, net_rtt=[900_000 + 1000 * i for i in range(90)],
            path_rtt=[870_000 + 1000 * i for i in range(60)], tls_latency=[6 * MS] * 23,
            segments_out=24_100, segments_in=271_000, response_duration=[5 * MS] * 400,
        ),
        destination(
            "10.20.0.37", syn=1_234, synack=1_230, est=1_229, rst=4, rst_out=4, fin_out=1_200,
            fin_in=22, requests=1_229, responses=1_201, retrans_out=3, active=7, pending=1,
            bytes_out=812_233, bytes_in=81_223_411, acked_bytes=82_035_644,
            connect_latency=[35_000, 41_000, 87_000, 23 * MS], syn_rtt=[30_000] * 4,
            reuse=[1] * 1_200, response_time=[120 * MS + i * MS for i in range(300)],
            server_time=[118 * MS + i * MS for i in range(300)], net_rtt=[410_000] * 100,
            path_rtt=[400_000] * 80, segments_out=1_240, segments_in=60_500,
            response_duration=[125 * MS + i * MS for i in range(300)],
        ),
        destination(
            "10.20.0.99", syn=311, synack=12, est=12, rst=299, rst_in=299, refused=299,
            fin_in=12, requests=12, responses=12, bytes_out=900, bytes_in=1_100,
            acked_bytes=2_024, connect_latency=[250_000] * 12, syn_rtt=[200_000] * 12,
            reuse=[1] * 12, response_time=[300_000] * 12, server_time=[90_000] * 12,
            net_rtt=[210_000] * 12, path_rtt=[190_000] * 12, segments_out=12, segments_in=12,
        ),
        destination(
            "203.0.113.200", syn=40, syn_retrans=71, timeouts=38, pending=2,
        ),
        destination(
            "2001:db8:85a3:8d3:1319:8a2e:370:7348", syn=5, synack=5, est=5, requests=812,
            responses=812, active=5, bytes_out=190_233, bytes_in=12_223_411, retrans_in=410,
            acked_bytes=12_413_644, capture_gaps=31, gap_bytes=44_000, streams=2,
            stream_bytes=9_000_000, stream_ns=3 * NS_PER_S,
            connect_latency=[31 * MS] * 5, syn_rtt=[30 * MS] * 5, response_time=[48 * MS] * 800,
            server_time=[17 * MS] * 800, net_rtt=[30 * MS] * 200, tls_latency=[64 * MS] * 5,
            path_rtt=[30 * MS] * 20, segments_out=830, segments_in=9_100,
        ),
        destination("192.0.2.7", midstream=1, requests=3, responses=3, active=1, bytes_out=300,
                    bytes_in=600, acked_bytes=900, response_time=[2_100 * MS] * 3),
    ]  # fmt: skip
    health = Health(
        packets=1_234_567,
        not_tcp=12_345,
        undecoded={"truncated": 12, "fragment": 2},
        duplicates=31,
        received=1_234_600,
        kernel_dropped=33,
    )
    return snapshot(rows, health=health)
