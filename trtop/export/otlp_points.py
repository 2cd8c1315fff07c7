"""What was collected → OTLP: sums, gauges and exponential histograms, in the official protobufs.

Exponential histograms are the sketches themselves: scale 6, in ns, bin for bin. Takes what was
collected, and for deltas what was before; gives requests, each with a bounded number of points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as pb
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from trtop._version import __version__
from trtop.export.catalog import (
    DESTINATION_FAMILIES,
    ERROR_TYPES,
    HEALTH_FAMILIES,
    OTHER,
    OWN_FAMILIES,
    PREFIX,
    UNDECODED,
    VERDICT,
    Family,
    Form,
)
from trtop.export.collected import Collected, Label
from trtop_core.merging.delta import subtract
from trtop_core.metric_types import Kind
from trtop_core.sketch import FIRST_BIN, SCALE, SketchColumn
from trtop_core.table import Table

SERVICE = "trtop"

MAX_BYTES = 2 << 20
"""Of a request, before the last metric is added to it: gRPC takes 4 MiB by default."""

MAX_POINTS = 500
"""Of a metric in one request: the widest of sketches takes 2.6 kB."""

CUMULATIVE = pb.AGGREGATION_TEMPORALITY_CUMULATIVE
DELTA = pb.AGGREGATION_TEMPORALITY_DELTA

IN_RESOURCE = frozenset({"build_info", "capture_info"})
"""Own families that the resource tells."""

AS_SERIES = frozenset({"notices", "otlp_requests"})
"""Own families with a label, which becomes an attribute of the same name."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One request.

    Attributes:
        data: encoded, not compressed.
        n_points: data points in it.
    """

    data: bytes
    n_points: int


@dataclass(frozen=True, slots=True)
class _Times:
    start_ns: int
    now_ns: int


class PointMaker:
    """Makes requests of what is collected, one time after the other.

    Args:
        observation_point: what is captured, for the resource.
        start_ns: since when the daemon counts.
        is_delta: what came since the last time; else all since the start.
        from_now: of deltas, what came before the first time has been told already.
    """

    def __init__(
        self, observation_point: str, start_ns: int, is_delta: bool, from_now: bool = False
    ) -> None:
        self._observation_point = observation_point
        self._start_ns = start_ns
        self._is_delta = is_delta
        self._temporality = DELTA if is_delta else CUMULATIVE
        self._last: Collected | None = None
        self._skips_first = is_delta and from_now

    def requests(self, collected: Collected) -> list[Batch]:
        """What to send of this; of the same collection nothing more the second time."""
        if self._last is collected and self._is_delta:
            return []
        if self._skips_first:
            self._last, self._skips_first = collected, False
            return []
        rows, starts = self._rows(collected)
        made: list[Batch] = []
        pending: list[pb.Metric] = []
        n_points = n_bytes = 0
        for metric, n_more in self._metrics(collected, rows, starts):
            if n_bytes >= MAX_BYTES:
                made.append(self._batch(collected, pending, n_points))
                pending, n_points, n_bytes = [], 0, 0
            pending.append(metric)
            n_points += n_more
            n_bytes += metric.ByteSize()
        if pending:
            made.append(self._batch(collected, pending, n_points))
        self._last = collected
        return made

    def _rows(self, collected: Collected) -> tuple[Table, tuple[int, ...]]:
        """The rows to tell of, and since when each counts."""
        rows, starts = collected.accounts.rows, collected.accounts.starts_ns
        last = self._last
        if not self._is_delta or last is None:
            return rows, starts
        before = {
            (key.tobytes(), start): i
            for i, (key, start) in enumerate(
                zip(last.accounts.rows.keys, last.accounts.starts_ns, strict=True)
            )
        }
        at = [
            before.get((key.tobytes(), start)) for key, start in zip(rows.keys, starts, strict=True)
        ]
        known = np.array([i for i in at if i is not None], np.intp)
        since = tuple(
            start if i is None else last.time_ns for i, start in zip(at, starts, strict=True)
        )
        return subtract(rows, last.accounts.rows.take(known)), since

    def _metrics(
        self, collected: Collected, rows: Table, starts: tuple[int, ...]
    ) -> Iterator[tuple[pb.Metric, int]]:
        attributes = [_attributes(label) for label in collected.labels]
        times = [_Times(start, collected.time_ns) for start in starts]
        for family in DESTINATION_FAMILIES:
            assert family.metric is not None
            shared = list(attributes)
            if error := ERROR_TYPES.get(family.metric.name):
                shared = [[*one, _text("error.type", error)] for one in attributes]
            if family.metric.kind is Kind.DISTRIBUTION:
                yield from self._histogram(family, rows, shared, times)
            else:
                values = rows.counters[family.metric.name].tolist()
                yield from self._numbers(family, list(zip(values, shared, times, strict=True)))
        yield from self._verdicts(collected, attributes, times)
        yield from self._of_capture(collected)

    def _histogram(
        self, family: Family, rows: Table, attributes: list[list[KeyValue]], times: list[_Times]
    ) -> Iterator[tuple[pb.Metric, int]]:
        assert family.metric is not None
        column = rows.sketches[family.metric.name]
        used = np.flatnonzero(np.diff(column.indptr)).tolist()
        if not used:
            return
        points = []
        for row in used:
            point = exponential(column, row, with_extremes=not self._is_delta)
            point.attributes.extend(attributes[row])
            point.start_time_unix_nano = times[row].start_ns
            point.time_unix_nano = times[row].now_ns
            points.append(point)
        for start in range(0, len(points), MAX_POINTS):
            metric, part = _named(family), points[start : start + MAX_POINTS]
            metric.exponential_histogram.data_points.extend(part)
            metric.exponential_histogram.aggregation_temporality = self._temporality
            yield metric, len(part)

    def _numbers(
        self, family: Family, series: Sequence[tuple[float, list[KeyValue], _Times]]
    ) -> Iterator[tuple[pb.Metric, int]]:
        """A sum or a gauge; of a delta only what has changed."""
        is_sum = family.form is Form.COUNTER
        if is_sum and self._is_delta:
            series = [one for one in series if one[0]]
        if not series:
            return
        points = []
        for value, attributes, times in series:
            point = pb.NumberDataPoint(time_unix_nano=times.now_ns)
            if is_sum:
                point.start_time_unix_nano = times.start_ns
            if isinstance(value, int):
                point.as_int = value
            else:
                point.as_double = value
            point.attributes.extend(attributes)
            points.append(point)
        for start in range(0, len(points), MAX_POINTS):
            metric, part = _named(family), points[start : start + MAX_POINTS]
            if is_sum:
                metric.sum.data_points.extend(part)
                metric.sum.aggregation_temporality = self._temporality
                metric.sum.is_monotonic = True
            else:
                metric.gauge.data_points.extend(part)
            yield metric, len(part)

    def _verdicts(
        self, collected: Collected, attributes: list[list[KeyValue]], times: list[_Times]
    ) -> Iterator[tuple[pb.Metric, int]]:
        found = zip(collected.verdicts, attributes[:-1], times[:-1], strict=True)
        series = [
            (1, [*one, _text("trtop.verdict", word)], time) for word, one, time in found if word
        ]
        yield from self._numbers(VERDICT, series)

    def _of_capture(self, collected: Collected) -> Iterator[tuple[pb.Metric, int]]:
        last = self._last if self._is_delta else None
        start_ns = self._start_ns if last is None else last.time_ns
        times = _Times(start_ns, collected.time_ns)
        for family in HEALTH_FAMILIES:
            value = getattr(collected.health, family.field)
            if value is None:
                continue
            value -= (getattr(last.health, family.field) or 0) if last is not None else 0
            scaled = value if family.per_unit == 1 else value / family.per_unit
            yield from self._numbers(family, [(scaled, [], times)])
        before = {} if last is None else last.health.undecoded
        yield from self._numbers(
            UNDECODED,
            [
                (n - before.get(reason, 0), [_text("reason", reason)], times)
                for reason, n in collected.health.undecoded.items()
            ],
        )
        for family in OWN_FAMILIES:
            name = family.name.removeprefix(PREFIX)
            if name in IN_RESOURCE:
                continue
            before_own = {} if last is None or family.form is Form.GAUGE else last.own
            series = [
                (
                    value - before_own.get((own, label), 0),
                    [_text(family.labels[0], label)] if own in AS_SERIES else [],
                    times,
                )
                for (own, label), value in collected.own.items()
                if own == name
            ]
            yield from self._numbers(family, series)

    def _batch(self, collected: Collected, metrics: list[pb.Metric], n_points: int) -> Batch:
        resource = Resource(
            attributes=[
                _text("service.name", SERVICE),
                _text("service.version", __version__),
                _text("host.name", collected.host),
                _text("trtop.observation_point", self._observation_point),
            ]
        )
        scope = pb.ScopeMetrics(
            scope=InstrumentationScope(name=SERVICE, version=__version__), metrics=metrics
        )
        request = ExportMetricsServiceRequest(
            resource_metrics=[pb.ResourceMetrics(resource=resource, scope_metrics=[scope])]
        )
        return Batch(request.SerializeToString(), n_points)


def exponential(
    column: SketchColumn, row: int, with_extremes: bool
) -> pb.ExponentialHistogramDataPoint:
    """One sketch as a data point: bin i is bucket i.

    Its count is that of its bins: samples that found no memory for one are in the sum alone.
    """
    at = slice(int(column.indptr[row]), int(column.indptr[row + 1]))
    bins, counts = column.bins[at].astype(np.int64), column.counts[at]
    first = int(bins[0])
    dense = np.zeros(int(bins[-1]) - first + 1, np.int64)
    dense[bins - first] = counts
    point = pb.ExponentialHistogramDataPoint(
        count=int(counts.sum()), sum=float(column.cut(row, row + 1).sums()[0]), scale=SCALE
    )
    point.positive.offset = first + FIRST_BIN
    point.positive.bucket_counts.extend(dense.tolist())
    if with_extremes:
        point.min = float(column.stats["min"][row])
        point.max = float(column.stats["max"][row])
    return point


def _named(family: Family) -> pb.Metric:
    """A metric without its points."""
    return pb.Metric(name=family.otlp_name, description=family.help, unit=family.otlp_unit)


def _attributes(label: Label) -> list[KeyValue]:
    found = [_text("network.transport", "tcp")]
    if label.destination == OTHER:
        # What the specification of OpenTelemetry's SDKs has for series beyond a limit.
        found.append(KeyValue(key="otel.metric.overflow", value=AnyValue(bool_value=True)))
        return found
    found.append(_text("network.peer.address", label.destination))
    if label.port is not None:
        port = KeyValue(key="network.peer.port", value=AnyValue(int_value=label.port))
        found.append(port)
    if label.name:
        found.append(_text("server.address", label.name))
    return found


def _text(key: str, value: str) -> KeyValue:
    return KeyValue(key=key, value=AnyValue(string_value=value))
