"""What was collected → families of ``prometheus_client``, and their text.

The one module that imports ``prometheus_client``. Names, texts and labels come from the catalog.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from trtop.export.buckets import bounds_of, cumulative
from trtop.export.catalog import (
    DESTINATION_FAMILIES,
    FAMILIES,
    HEALTH_FAMILIES,
    LABELS,
    OWN_FAMILIES,
    PREFIX,
    UNDECODED,
    VERDICT,
    Family,
)
from trtop.export.collected import Collected, Label
from trtop_core.metric_types import Kind

Labels = dict[str, str]


class Exposition:
    """A custom collector that exposes what it is given.

    Args:
        collected: what there is.
        bounds_s: of the histograms of latencies, ascending.
    """

    def __init__(self, collected: Collected, bounds_s: Sequence[float]) -> None:
        self._collected = collected
        self._bounds_s = bounds_s
        self._labels = [_without_empty(label) for label in collected.labels]

    def describe(self) -> list[Metric]:
        """Nothing: it is registered without being asked what it has."""
        return []

    def collect(self) -> Iterator[Metric]:
        """All families that have series."""
        makers = {
            **{family.name: self._destination_samples for family in DESTINATION_FAMILIES},
            VERDICT.name: self._verdict_samples,
            **{family.name: self._health_samples for family in HEALTH_FAMILIES},
            UNDECODED.name: self._undecoded_samples,
            **{family.name: self._own_samples for family in OWN_FAMILIES},
        }
        for family in FAMILIES:
            samples = list(makers[family.name](family))
            if samples:
                metric = Metric(family.name, family.help, family.form.value)
                metric.samples = samples
                yield metric

    def _destination_samples(self, family: Family) -> Iterable[Sample]:
        metric = family.metric
        assert metric is not None
        if metric.kind is Kind.DISTRIBUTION:
            return self._histogram_samples(family)
        column = self._collected.accounts.rows.counters[metric.name]
        values = (column / family.per_unit).tolist() if family.per_unit != 1 else column.tolist()
        name = family.exposed
        return map(partial(Sample, name), self._labels, values)

    def _histogram_samples(self, family: Family) -> Iterator[Sample]:
        """Only of destinations that have had a sample."""
        assert family.metric is not None
        name = family.metric.name
        column = self._collected.accounts.rows.sketches[name]
        bounds = bounds_of(name, self._bounds_s)
        texts = [*(repr(float(bound)) for bound in bounds), "+Inf"]
        buckets = cumulative(column, name, bounds).tolist()
        counts, sums = column.stats["count"].tolist(), column.sums()
        for row in np.flatnonzero(column.stats["count"]).tolist():
            labels = self._labels[row]
            for text, n_samples in zip(texts, [*buckets[row], counts[row]], strict=True):
                yield Sample(f"{family.name}_bucket", {**labels, "le": text}, n_samples)
            yield Sample(f"{family.name}_count", labels, counts[row])
            yield Sample(f"{family.name}_sum", labels, sums[row] / family.per_unit)

    def _verdict_samples(self, family: Family) -> Iterator[Sample]:
        for labels, word in zip(self._labels[:-1], self._collected.verdicts, strict=True):
            if word:
                yield Sample(family.exposed, {**labels, "verdict": word}, 1)

    def _health_samples(self, family: Family) -> Iterator[Sample]:
        value = getattr(self._collected.health, family.field)
        if value is not None:
            yield Sample(family.exposed, {}, value / family.per_unit)

    def _undecoded_samples(self, family: Family) -> Iterator[Sample]:
        for reason, n_packets in self._collected.health.undecoded.items():
            yield Sample(family.exposed, {"reason": reason}, n_packets)

    def _own_samples(self, family: Family) -> Iterator[Sample]:
        name = family.name.removeprefix(PREFIX)
        for labels, value in own_values(self._collected, name):
            yield Sample(family.exposed, dict(zip(family.labels, labels, strict=True)), value)


def _without_empty(label: Label) -> Labels:
    """The labels of a row; to Prometheus an empty one is none."""
    named = zip(LABELS, label.values, strict=True)
    return {name: value for name, value in named if value}


def own_values(collected: Collected, name: str) -> Iterator[tuple[tuple[str, ...], float]]:
    """The series of one of ``OWN_FAMILIES``: labels, and the number."""
    for (own_name, label), value in collected.own.items():
        if own_name == name:
            yield (tuple(label.split("\0")) if label else ()), value


def content_type_of(accept: str) -> str:
    """The content type in which an exposition is wanted: Prometheus' text, or OpenMetrics."""
    return choose_encoder(accept)[1]


def encoded(collected: Collected, bounds_s: Sequence[float], accept: str) -> bytes:
    """An exposition.

    Args:
        collected: what there is.
        bounds_s: of the histograms of latencies, ascending.
        accept: the ``Accept`` header, which says in which format.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Exposition(collected, bounds_s))
    return choose_encoder(accept)[0](registry)
