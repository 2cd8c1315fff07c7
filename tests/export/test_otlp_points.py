"""OTLP is what the sketches are: decoded with the official protobufs, bin for bin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from support.builders.snapshot import destination, incident, sketch_column, table
from support.export import START_NS, TIME_NS, collected_of

from trtop.export import otlp_points
from trtop.export.catalog import DESTINATION_FAMILIES
from trtop.export.ledger import Ledger
from trtop.export.otlp_points import Batch, PointMaker, exponential
from trtop_core.health import Health
from trtop_core.metric_types import Kind

MS = 1_000_000


def metrics(batches: list[Batch]) -> dict[str, pb.Metric]:
    found: dict[str, pb.Metric] = {}
    n_points = 0
    for batch in batches:
        request = ExportMetricsServiceRequest()
        request.ParseFromString(batch.data)
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    n_points += len(data_points(metric))
                    if metric.name in found:
                        data_points(found[metric.name]).extend(data_points(metric))
                    else:
                        found[metric.name] = metric
    assert n_points == sum(batch.n_points for batch in batches)
    return found


def data_points(metric: pb.Metric) -> Any:
    return getattr(metric, str(metric.WhichOneof("data"))).data_points


def attributes(point: Any) -> dict[str, Any]:
    return {
        one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in point.attributes
    }


def bins_of(point: pb.ExponentialHistogramDataPoint) -> dict[int, int]:
    offset = point.positive.offset
    return {offset + i: n for i, n in enumerate(point.positive.bucket_counts) if n}


@pytest.mark.parametrize("is_delta", [False, True])
def test_exponential_histograms_are_the_sketches_bin_for_bin(is_delta: bool) -> None:
    snapshot = incident()
    made = metrics(PointMaker("eth0", START_NS, is_delta).requests(collected_of(snapshot.table)))
    rows = {str(row.origin.address): row for row in snapshot.rows()}
    n_compared = 0
    for family in DESTINATION_FAMILIES:
        assert family.metric is not None
        if family.metric.kind is not Kind.DISTRIBUTION or family.otlp_name not in made:
            continue
        histogram = made[family.otlp_name].exponential_histogram
        assert made[family.otlp_name].unit == ("1" if family.metric.name == "reuse" else "ns")
        for point in histogram.data_points:
            row = rows[attributes(point)["network.peer.address"]]
            record = row.sketch_record(family.metric.name, with_bins=True)
            assert bins_of(point) == dict(map(tuple, record["bins"]))
            assert point.scale == 6
            assert point.zero_count == 0
            assert point.count == record["count"] == sum(point.positive.bucket_counts)
            assert point.sum == next(v for k, v in record.items() if k.startswith("sum"))
            n_compared += 1
    assert n_compared > 20


def test_a_bin_of_one_and_the_greatest_bin() -> None:
    column = sketch_column([[1, 2], [10**12]], 1)
    assert bins_of(exponential(column, 0, False)) == {-1: 1, 63: 1}
    (last,) = bins_of(exponential(column, 1, False))
    assert 2 ** (last / 64) < 10**12 <= 2 ** ((last + 1) / 64)


def test_counters_gauges_and_attributes() -> None:
    rows = [destination("192.0.2.1", 443, syn=9, refused=4, active=2)]
    collected = collected_of(table(rows), names={("192.0.2.1", 443): "db\n.example"})
    made = metrics(PointMaker("eth0", START_NS, False).requests(collected))
    attempts = made["trtop.connection_attempts"].sum
    assert attempts.is_monotonic
    assert attempts.aggregation_temporality == pb.AGGREGATION_TEMPORALITY_CUMULATIVE
    point, other = attempts.data_points
    assert point.as_int == 9
    assert (point.start_time_unix_nano, point.time_unix_nano) == (START_NS, TIME_NS)
    expected = {
        "network.transport": "tcp",
        "network.peer.address": "192.0.2.1",
        "network.peer.port": 443,
        "server.address": "db\\x0a.example",
    }
    assert attributes(point) == expected
    assert attributes(other) == {"network.transport": "tcp", "otel.metric.overflow": True}
    refused = made["trtop.connections_refused"].sum.data_points[0]
    assert attributes(refused) == {**expected, "error.type": "connection_refused"}
    assert made["trtop.connections_active"].gauge.data_points[0].as_int == 2


def test_the_resource_says_who_and_where() -> None:
    (batch,) = PointMaker("eth0 eth1", START_NS, False).requests(collected_of(table([])))
    request = ExportMetricsServiceRequest()
    request.ParseFromString(batch.data)
    found = attributes(request.resource_metrics[0].resource)
    assert found["service.name"] == "trtop"
    assert found["host.name"] == "h"
    assert found["trtop.observation_point"] == "eth0 eth1"


def test_deltas_are_what_came_since() -> None:
    ledger, maker = Ledger(100, START_NS), PointMaker("eth0", START_NS, True)
    first = [destination("192.0.2.1", syn=9, rst=1, response_time=[3 * MS, 5 * MS])]
    maker.requests(replace(collected_of(table(first), None, ledger), health=Health(packets=10)))
    more = [
        destination("192.0.2.1", syn=12, rst=1, response_time=[3 * MS, 5 * MS, 5 * MS, 9 * MS]),
        destination("192.0.2.2", syn=1),
    ]
    later = collected_of(table(more), None, ledger, TIME_NS + 60)
    made = metrics(maker.requests(replace(later, health=Health(packets=17))))
    points = made["trtop.connection_attempts"].sum.data_points
    found = {attributes(p)["network.peer.address"]: p for p in points}
    assert {address: p.as_int for address, p in found.items()} == {"192.0.2.1": 3, "192.0.2.2": 1}
    assert found["192.0.2.1"].start_time_unix_nano == TIME_NS
    assert found["192.0.2.2"].start_time_unix_nano == START_NS
    assert "trtop.connections_reset" not in made
    (histogram,) = made["trtop.response_time"].exponential_histogram.data_points
    column = sketch_column([[5 * MS, 9 * MS]])
    assert bins_of(histogram) == dict(map(tuple, column.bin_counts(0)))
    assert histogram.sum == 14 * MS
    assert made["trtop.packets"].sum.data_points[0].as_int == 7


def test_the_same_collection_is_no_second_delta() -> None:
    maker, collected = PointMaker("eth0", START_NS, True), collected_of(incident().table)
    assert maker.requests(collected)
    assert maker.requests(collected) == []


def test_deltas_of_a_second_worker_begin_with_the_second_collection() -> None:
    ledger = Ledger(100, START_NS, from_now=True)
    maker = PointMaker("eth0", START_NS, True, from_now=True)
    rows = [destination("192.0.2.1", syn=9)]
    first = replace(collected_of(table(rows), None, ledger), health=Health(packets=10))
    assert maker.requests(first) == []
    rows = [destination("192.0.2.1", syn=11)]
    second = collected_of(table(rows), None, ledger, TIME_NS + 60)
    made = metrics(maker.requests(replace(second, health=Health(packets=14))))
    (point,) = made["trtop.connection_attempts"].sum.data_points
    assert point.as_int == 2
    assert made["trtop.packets"].sum.data_points[0].as_int == 4


def test_a_series_that_began_anew_is_no_difference() -> None:
    ledger, maker = Ledger(100, START_NS), PointMaker("eth0", START_NS, True)
    maker.requests(collected_of(table([destination("192.0.2.1", syn=9)]), None, ledger))
    reset = collected_of(table([destination("192.0.2.1", syn=2)]), None, ledger, TIME_NS + 60)
    (point,) = metrics(maker.requests(reset))["trtop.connection_attempts"].sum.data_points
    assert point.as_int == 2


def test_requests_are_bounded_and_hold_all_together(monkeypatch: pytest.MonkeyPatch) -> None:
    collected = collected_of(incident().table)
    whole = PointMaker("eth0", START_NS, False).requests(collected)
    monkeypatch.setattr(otlp_points, "MAX_BYTES", 2_000)
    monkeypatch.setattr(otlp_points, "MAX_POINTS", 2)
    parts = PointMaker("eth0", START_NS, False).requests(collected)
    assert len(whole) == 1
    assert len(parts) > 10
    assert max(len(batch.data) for batch in parts) < 12_000
    assert metrics(parts) == metrics(whole)


def test_a_request_of_the_widest_sketches_fits_grpc() -> None:
    wide = [round(1_000 * 1.0109**i) for i in range(1_900)]
    rows = [destination(f"10.0.{i >> 8}.{i & 255}", syn=1, response_time=wide) for i in range(900)]
    ledger = Ledger(900, START_NS)
    batches = PointMaker("eth0", START_NS, False).requests(collected_of(table(rows), None, ledger))
    assert len(batches) > 1
    assert max(len(batch.data) for batch in batches) < 4 << 20
