"""Fuzz target: any names and numbers are read back as they were, by the readers of those formats.

An input is numbers and names, from which rows are made. What Prometheus and OTLP are told of them
is read by ``prometheus_client``'s own parsers and by the official protobufs.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families
from support.builders.snapshot import Destination, table
from support.export import OPENMETRICS, START_NS, TIME_NS, collected_of
from target import Target

from trtop.export.catalog import DESTINATION_FAMILIES, VERDICT
from trtop.export.collected import Collected
from trtop.export.ledger import Ledger
from trtop.export.otlp_points import PointMaker
from trtop.export.prometheus import encoded
from trtop_core.metric_types import Kind
from trtop_core.metrics import COUNTERS, GAUGES, SKETCHES
from trtop_core.table import Table
from trtop_daemon.ipc.export_orders import DEFAULT_BOUNDS_S

STORED = COUNTERS + GAUGES

MAX_ROWS = 6
MAX_NUMBERS = 12
MAX_NAME_BYTES = 255

LARGEST = (1 << 62) - 1

MAX_SAMPLE = 10**13
"""Latencies: hours."""

ROW = struct.Struct("<4sHBB")
NUMBER = struct.Struct("<BQ")

FORMATS: tuple[tuple[str, Any], ...] = (
    ("", text_string_to_metric_families),
    (OPENMETRICS, openmetrics_families),
)
"""What a scraper accepts, and the reader of that: the first byte of an input chooses."""

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


class Source:
    """Rows made of bytes, taken from the left; where none are left, zeros."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, n_bytes: int) -> bytes:
        """The next bytes."""
        found = self._data[self._at : self._at + n_bytes]
        self._at += len(found)
        return found.ljust(n_bytes, b"\0")

    @property
    def is_over(self) -> bool:
        """Nothing is left."""
        return self._at >= len(self._data)

    def rows(self) -> tuple[list[Destination], dict[tuple[str, int], str]]:
        """Destinations, and the names of some."""
        made: dict[tuple[str, int], Destination] = {}
        names = {}
        while not self.is_over and len(made) < MAX_ROWS:
            raw, port, n_numbers, n_name = ROW.unpack(self.take(ROW.size))
            address = ".".join(map(str, raw))
            row = Destination(address, port)
            for _ in range(n_numbers % MAX_NUMBERS):
                self._number(row)
            if n_name:
                name = self.take(min(n_name, MAX_NAME_BYTES))
                names[address, port] = name.decode("utf-8", "surrogateescape").rstrip("\0")
            made.setdefault((address, port), row)
        return list(made.values()), names

    def _number(self, row: Destination) -> None:
        what, number = NUMBER.unpack(self.take(NUMBER.size))
        if what < len(STORED):
            row.counters[STORED[what]] = min(number, LARGEST)
        else:
            name = SKETCHES[what % len(SKETCHES)]
            samples = row.samples.setdefault(name, [])
            assert isinstance(samples, list)
            samples.append(max(1, number % MAX_SAMPLE))


def run(data: bytes) -> None:
    """Some rows at one time, and more of them later, as sums and as differences."""
    if not data:
        return
    grown, rest = data[0], data[1:]
    rows, names = Source(rest).rows()
    before = table(rows[: grown % (len(rows) + 1)])
    now = table(rows)
    collected = collected_of(now, names)
    accept, read = FORMATS[grown % len(FORMATS)]
    _check_text(collected, now, accept, read)
    _check_otlp(PointMaker("eth0", START_NS, False), collected, now)
    ledger = Ledger(100, START_NS)
    maker = PointMaker("eth0", START_NS, True)
    first = collected_of(before, names, ledger)
    told = _points(maker.requests(first))
    again = collected_of(now, names, ledger, TIME_NS + 10**9)
    for metric, points in _points(maker.requests(again)).items():
        told.setdefault(metric, []).extend(points)
    _check_sums(told, now)


def _check_text(collected: Collected, rows: Table, accept: str, read: Any) -> None:
    text = encoded(collected, DEFAULT_BOUNDS_S, accept).decode()
    found: Series = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in read(text)
        for sample in family.samples
    }
    labels = [
        tuple(
            sorted(
                (name, value)
                for name, value in zip(VERDICT.labels, label.values, strict=False)
                if value
            )
        )
        for label in collected.labels[:-1]
    ]
    order = [collected.accounts.rows.keys[i].tobytes() for i in range(len(labels))]
    at = {key.tobytes(): i for i, key in enumerate(rows.keys)}
    for family in DESTINATION_FAMILIES:
        assert family.metric is not None
        name = family.metric.name
        for label, key in zip(labels, order, strict=True):
            row = at[key]
            if family.metric.kind is Kind.DISTRIBUTION:
                _check_histogram(found, family.name, label, rows, name, row, family.per_unit)
            else:
                value = float(int(rows.counters[name][row]) / family.per_unit)
                assert found[family.exposed, label] == value, (family.exposed, label)


def _check_histogram(  # noqa: PLR0913
    found: Series,
    exposed: str,
    label: tuple[tuple[str, str], ...],
    rows: Table,
    name: str,
    row: int,
    per_unit: float,
) -> None:
    column = rows.sketches[name]
    count = int(column.stats["count"][row])
    if not count:
        assert (f"{exposed}_count", label) not in found
        return
    assert found[f"{exposed}_count", label] == count
    assert math.isclose(found[f"{exposed}_sum", label], column.sums()[row] / per_unit)
    buckets = [
        (float(dict(labels)["le"]), value)
        for (series, labels), value in found.items()
        if series == f"{exposed}_bucket" and tuple(one for one in labels if one[0] != "le") == label
    ]
    counts = [value for _, value in sorted(buckets)]
    assert counts == sorted(counts)
    assert counts[-1] == count


def _points(batches: Any) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for batch in batches:
        request = ExportMetricsServiceRequest()
        request.ParseFromString(batch.data)
        for resource in request.resource_metrics:
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    points = getattr(metric, str(metric.WhichOneof("data"))).data_points
                    found.setdefault(metric.name, []).extend(points)
    return found


def _check_otlp(maker: PointMaker, collected: Collected, rows: Table) -> None:
    """Each destination has its number, its address and its name."""
    found = _points(maker.requests(collected))
    for label in collected.labels[:-1]:
        for points in found.values():
            for point in points:
                assert point.time_unix_nano == collected.time_ns
        if label.name:
            assert any(
                one.key == "server.address" and one.value.string_value == label.name
                for points in found.values()
                for point in points
                for one in point.attributes
            )
    _check_sums(found, rows)


def _check_sums(found: dict[str, list[Any]], rows: Table) -> None:
    """What all points say together is what all rows have."""
    for family in DESTINATION_FAMILIES:
        assert family.metric is not None
        name = family.metric.name
        points = found.get(family.otlp_name, [])
        if family.metric.kind is Kind.DISTRIBUTION:
            column = rows.sketches[name]
            assert sum(point.count for point in points) == int(column.stats["count"].sum())
            n_binned = sum(sum(point.positive.bucket_counts) for point in points)
            assert n_binned == int(column.counts.sum())
        elif family.metric.kind is Kind.COUNTER:
            total = sum(map(int, rows.counters[name].tolist()))
            if total < 1 << 63:
                assert sum(point.as_int for point in points) == total, name


def as_input(rows: list[tuple[bytes, int, list[tuple[int, int]], bytes]]) -> bytes:
    """An input that makes these rows: address, port, numbers by place, and a name."""
    out = b"\1"
    for address, port, numbers, name in rows:
        out += ROW.pack(address, port, len(numbers), len(name))
        out += b"".join(NUMBER.pack(*number) for number in numbers) + name
    return out


NAMES = (
    b"db.example", b'a"b\\c', b"x\ny", "bücher.例".encode(), b"\xff\xfe", b"{}=,#", b" ", b"le",
    b'",le="', b"\x1b[31m", "\u202ertl".encode(), b"a\\n", b"# EOF", b"\t\r",
)  # fmt: skip


def seeds() -> Iterator[bytes]:
    """Rows with every number, and with names that formats write in their own ways."""
    for number, name in enumerate(NAMES):
        numbers = [(number * 9 + i, 1 << (5 * i)) for i in range(MAX_NUMBERS - 1)]
        yield as_input([(b"\x0a\0\0\1", 443, numbers, name), (b"\xc0\0\2\1", 0, numbers[:3], b"")])
    yield as_input([(bytes([i] * 4), i, [(255 - i, 10**i)], b"n") for i in range(1, 6)])


TARGET = Target(run, seeds, max_bytes=800, words=NAMES)
