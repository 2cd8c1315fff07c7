"""The table of metrics: whole, free of contradictions, and in step with the kernels."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from support.paths import ROOT

from trtop_core.metric_types import Kind, Unit, per_second, ratio
from trtop_core.metrics import (
    COUNTERS,
    DERIVED,
    GAUGES,
    METRIC_OF,
    METRICS,
    SKETCHES,
    SORTABLE,
    derived,
    known,
)
from trtop_core.records import NS_PER_S

STRUCTS = (ROOT / "ext" / "trtop_core" / "_records.pxd").read_text(encoding="utf-8")


def body_of(declaration: str) -> str:
    return STRUCTS.split(f"{declaration}:\n", 1)[1].split("\n\n", 1)[0]


def test_each_metric_has_a_name_of_its_own_and_all_can_be_sorted_by() -> None:
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)
    assert {*COUNTERS, *GAUGES, *DERIVED, *SKETCHES} == set(names)
    assert set(SORTABLE) == {"destination", "verdict", *names}


def test_counters_are_stored_in_the_order_of_the_kernels() -> None:
    fields = re.findall(r"uint64_t (\w+)", body_of("cdef packed struct counter_row_t"))
    assert tuple(fields) == COUNTERS + GAUGES


def test_distributions_have_the_numbers_of_the_kernels() -> None:
    numbers = re.findall(r"(\w+) = (\d+)", body_of("cdef enum sketch_t"))
    expected = [(name.upper(), str(i)) for i, name in enumerate(SKETCHES)]
    assert numbers == [*expected, ("N_SKETCHES", str(len(SKETCHES)))]


def test_the_busiest_counters_come_first_without_a_gap() -> None:
    hot = sorted(metric.hot for metric in METRICS if metric.hot)
    assert hot == list(range(1, len(hot) + 1))
    assert all(METRIC_OF[name].hot for name in COUNTERS[: len(hot)])


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_metric_does_not_contradict_itself(metric) -> None:  # type: ignore[no-untyped-def]
    assert metric.help
    assert (metric.derive is not None) == (metric.kind is Kind.DERIVED)
    assert set(metric.share_of) <= {*COUNTERS, *GAUGES}
    assert metric.share_of or not metric.as_share
    assert not metric.in_brackets or metric.in_brackets in DERIVED
    assert bool(metric.titles) == bool(metric.importance)
    assert all(len(longer) > len(shorter) for longer, shorter in pairwise(metric.titles))
    assert metric.titles or not (metric.letter or metric.min_width)
    assert metric.graded_with in {"", *METRIC_OF}
    limits = metric.thresholds
    if limits is not None:
        assert limits.notable is not None or limits.high is not None
        assert limits.is_share == bool(metric.share_of)
    if metric.kind in (Kind.COUNTER, Kind.GAUGE):
        assert metric.unit in (Unit.COUNT, Unit.BYTES, Unit.NS)


def test_names_headings_and_aliases_stand_for_one_metric_each() -> None:
    taken: dict[str, str] = {}
    for metric in METRICS:
        headings = {title.lower().partition("(")[0] for title in metric.titles}
        for name in {*headings, *metric.aliases, metric.name}:
            assert taken.setdefault(name, metric.name) == metric.name, name


def test_the_statistics_of_times_say_so_in_their_names() -> None:
    suffixes = {name: METRIC_OF[name].unit.suffix for name in SKETCHES}
    assert suffixes == {**dict.fromkeys(SKETCHES, "_ns"), "reuse": ""}


def test_a_rate_is_rounded_once_however_large_its_numbers_are() -> None:
    for n, span_ns in ((23, 7 * NS_PER_S), (4, 473_171_971_000_000_001), (10**15 + 1, 3)):
        assert per_second(np.array([n], np.uint64), span_ns)[0] == n * NS_PER_S / span_ns
    assert np.isnan(per_second(np.array([5], np.uint64), 0)).all()
    assert len(per_second(np.zeros(0, np.uint64), 5)) == 0


def test_a_ratio_to_nothing_is_unknown() -> None:
    parts = ratio(np.array([0, 3, 3], np.uint64), np.array([0, 0, 4], np.uint64))
    assert known(parts) == [None, None, 0.75]


def test_derived_metrics_are_computed_row_by_row() -> None:
    counters = {
        "syn": np.array([23, 0], np.uint64),
        "stream_bytes": np.array([9_000_000, 0], np.uint64),
        "stream_ns": np.array([3 * NS_PER_S, 0], np.uint64),
        "gap_bytes": np.array([1, 0], np.uint64),
        "acked_bytes": np.array([1000, 0], np.uint64),
    }
    assert known(derived("syn_rate", counters, 2 * NS_PER_S)) == [11.5, 0.0]
    assert known(derived("goodput", counters, 0)) == [3_000_000.0, None]
    assert known(derived("completeness", counters, 0)) == [0.999, None]
    with pytest.raises(ValueError, match="syn is not computed"):
        derived("syn", counters, 1)
