"""Sketches keep their promise: 0.55 % at any quantile, exact ends, mergeable bin for bin."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.builders.snapshot import sketch_column

from trtop_core import View
from trtop_core._sketch import SketchStore
from trtop_core.metrics import COUNTER_ROW, SKETCHES
from trtop_core.query import SketchState, pick_rows
from trtop_core.records import DESTINATION_KEY, Window
from trtop_core.sketch import (
    FIRST_BIN,
    LEAST,
    MAX_VALUE,
    MIDDLE,
    MIN_VALUE,
    N_BINS,
    OCTAVE,
    UPPER,
    SketchColumn,
    bin_of,
    nearest_rank,
    nearest_ranks,
)
from trtop_core.table import Table

N_DESTINATIONS = 4

values_ns = st.one_of(
    st.integers(0, 10**4), st.integers(0, 10**12), st.integers(0, 2**62), st.sampled_from(UPPER)
)


def _store() -> Any:
    return SketchStore(N_DESTINATIONS, 1 << 12, set())


def _table(store: Any) -> tuple[Table, Table]:
    keys = np.zeros(N_DESTINATIONS, DESTINATION_KEY)
    keys["port"] = np.arange(N_DESTINATIONS)
    counters = np.ones(N_DESTINATIONS, COUNTER_ROW)
    state = SketchState(*store.export(N_DESTINATIONS))
    table, total, _ = pick_rows(
        keys, counters, state, View(sort="destination", descending=False), False
    )
    return table, total


def _plain(column: SketchColumn, row: int) -> tuple[Any, ...]:
    cells = slice(column.indptr[row], column.indptr[row + 1])
    stats = column.stats[row]
    return (
        column.bins[cells].tolist(),
        column.counts[cells].tolist(),
        column.sums()[row],
        [int(stats[name]) for name in ("count", "min", "max")],
    )


def test_every_middle_is_within_0_55_percent_of_its_bin() -> None:
    lower = np.concatenate([[1], UPPER[:-1] + 1])
    in_use = lower <= UPPER
    for ends in (lower, UPPER):
        # Middles are whole numbers, which costs half of one.
        assert np.all((np.abs(MIDDLE - ends) <= 0.0055 * ends + 0.5)[in_use])
    assert (UPPER[0], UPPER[-1], len(UPPER)) == (1, MAX_VALUE, N_BINS)


def test_bins_are_those_of_a_base_2_exponential_histogram_of_scale_6() -> None:
    # upper ** 64 <= 2 ** (i + 1) < (upper + 1) ** 64, in whole numbers.
    for at, upper in enumerate(UPPER.tolist()[:-1]):
        bound = 1 << (at + FIRST_BIN + 1)
        assert upper**64 <= bound < (upper + 1) ** 64
    assert UPPER[-2] < MAX_VALUE < 2 ** ((len(UPPER) + FIRST_BIN) / 64)


def test_the_powers_of_an_octave_are_exact() -> None:
    for j, power in enumerate(OCTAVE.tolist()):
        assert power**64 <= 1 << (63 * 64 + j) < (power + 1) ** 64


@pytest.mark.parametrize(
    ("value", "number"), [(1_000, 637), (1_002, 637), (1_003, 638), (1 << 20, 1279), (10**12, 2551)]
)
def test_a_latency_falls_into_the_bin_of_the_definition(value: int, number: int) -> None:
    assert 2 ** (number / 64) < value <= 2 ** ((number + 1) / 64)
    store = _store()
    store.record(0, SKETCHES.index("syn_rtt"), value)
    assert _table(store)[0].sketches["syn_rtt"].bin_counts(0) == [[number, 1]]


@pytest.mark.parametrize(("n_responses", "number"), [(1, -1), (2, 63), (3, 101), (1_000, 637)])
def test_reuse_falls_into_the_same_bins_from_1_on(n_responses: int, number: int) -> None:
    store = _store()
    store.record(0, SKETCHES.index("reuse"), n_responses)
    assert _table(store)[0].sketches["reuse"].bin_counts(0) == [[number, 1]]


def test_the_kernel_finds_the_bin_of_both_ends_of_every_bin() -> None:
    lower = np.concatenate([[1], UPPER[:-1] + 1])
    for ends in (lower, UPPER):
        store = SketchStore(N_DESTINATIONS, 1 << 12, set())
        for value in ends.tolist():
            store.record(0, SKETCHES.index("reuse"), value)
        column = _table(store)[0].sketches["reuse"]
        bins, counts = np.unique(bin_of(ends, 1), return_counts=True)
        assert _plain(column, 0)[:2] == (bins.tolist(), counts.tolist())


@given(values=st.lists(values_ns, min_size=1, max_size=60))
@settings(deadline=None)
def test_the_kernel_bins_as_the_plain_search_does(values: list[int]) -> None:
    store = _store()
    for value in values:
        store.record(1, SKETCHES.index("net_rtt"), int(value))
    table, _ = _table(store)
    bins, counts = np.unique(bin_of(values), return_counts=True)
    got = _plain(table.sketches["net_rtt"], 1)
    assert got == (
        bins.tolist(),
        counts.tolist(),
        sum(map(int, values)),
        [len(values), int(min(values)), int(max(values))],
    )
    assert _plain(table.sketches["net_rtt"], 0)[0] == []


@given(
    values=st.lists(st.integers(MIN_VALUE, MAX_VALUE), min_size=1, max_size=200),
    percentile=st.sampled_from([0.1, 1, 25, 50, 90, 95, 99, 99.9, 100]),
)
@settings(deadline=None)
def test_any_quantile_is_within_0_55_percent(values: list[int], percentile: float) -> None:
    store = _store()
    for value in values:
        store.record(0, SKETCHES.index("response_time"), value)
    table, _ = _table(store)
    got = int(table.sketches["response_time"].quantiles(percentile)[0])
    exact = sorted(values)[nearest_rank(len(values), percentile) - 1]
    assert abs(got - exact) <= 0.0055 * exact + 0.5


def test_ranks_are_exact_where_floats_are_not() -> None:
    assert nearest_rank(1000, 99.9) == 999
    assert nearest_rank(100, 7) == 7
    assert nearest_rank(1, 0.1) == 1


@given(st.integers(1, 2**40), st.floats(1e-7, 100))
@example(10**7, 1e-05)
@example(2**40, 99.99999999999999)
def test_a_percentile_is_the_decimal_number_that_is_read(n_samples: int, percentile: float) -> None:
    exact = max(1, math.ceil(Fraction(repr(percentile)) / 100 * n_samples))
    assert nearest_rank(n_samples, percentile) == exact
    assert nearest_ranks(np.array([n_samples]), percentile).tolist() == [exact]


@pytest.mark.parametrize("n_responses", [1, 2, 3, 7, 23, 49])
def test_small_counts_of_reuse_come_back_exactly(n_responses: int) -> None:
    store = _store()
    for n in (1, n_responses, n_responses, 2_000_000):
        store.record(2, SKETCHES.index("reuse"), n)
    table, _ = _table(store)
    assert int(table.sketches["reuse"].quantiles(50)[2]) == n_responses


@given(
    samples=st.lists(
        st.tuples(st.integers(0, N_DESTINATIONS - 1), st.integers(0, len(SKETCHES) - 1), values_ns),
        max_size=200,
    ),
    labels=st.lists(st.integers(0, 2), min_size=N_DESTINATIONS, max_size=N_DESTINATIONS),
)
@settings(deadline=None)
def test_merging_gives_the_sketch_of_the_union(
    samples: list[tuple[int, int, int]], labels: list[int]
) -> None:
    apart, together = _store(), _store()
    for destination, sketch, value in samples:
        apart.record(destination, sketch, int(value))
        together.record(labels[destination], sketch, int(value))
    merged, total = _table(apart)
    whole, whole_total = _table(together)
    for name in SKETCHES:
        grouped = merged.sketches[name].group(np.array(labels), 3)
        for row in range(3):
            assert _plain(grouped, row) == _plain(whole.sketches[name], row)
        assert _plain(total.sketches[name], 0) == _plain(whole_total.sketches[name], 0)


def test_sums_beyond_64_bits_are_exact() -> None:
    store = _store()
    for _ in range(9):
        store.record(0, SKETCHES.index("syn_rtt"), 2**62)
    table, total = _table(store)
    assert table.sketches["syn_rtt"].sums() == [9 * 2**62, 0, 0, 0]
    assert total.sketches["syn_rtt"].sums() == [9 * 2**62]


def test_so_is_the_sum_of_a_window() -> None:
    store = SketchStore(N_DESTINATIONS, 1 << 12, {Window.LAST_10_S})
    # Before the window it goes beyond 64 bits, and so it does within: 5, 6 and 2 times 2^62.
    for epoch, n_samples in ((1, 5), (2, 6), (3, 2)):
        store.set_epoch(epoch)
        for _ in range(n_samples):
            store.record(0, SKETCHES.index("syn_rtt"), 2**62)
    for first, n_samples in ((1, 13), (2, 8), (3, 2)):
        stats, _, _ = store.export_window(1, 0, first, first)
        (syn_rtt,) = stats[[SKETCHES.index("syn_rtt")]]
        assert syn_rtt["count"] == n_samples
        assert (int(syn_rtt["sum_hi"]) << 64) + int(syn_rtt["sum_lo"]) == n_samples * 2**62


def test_samples_without_room_for_a_bin_are_counted() -> None:
    store = SketchStore(N_DESTINATIONS, 2, set())
    for exponent in range(3, 12):
        store.record(0, SKETCHES.index("syn_rtt"), 10**exponent)
    table, _ = _table(store)
    assert store.n_unbinned == 7
    assert int(table.sketches["syn_rtt"].stats["count"][0]) == 9
    assert int(table.sketches["syn_rtt"].counts.sum()) == 2


@given(
    samples=st.lists(
        st.tuples(
            st.integers(0, N_DESTINATIONS * len(SKETCHES) - 1),
            st.integers(0, 39),
            st.integers(1, 400),
        ),
        max_size=16,
    )
)
@settings(deadline=None, max_examples=60)
def test_sketches_that_widen_either_way_keep_their_bins(
    samples: list[tuple[int, int, int]],
) -> None:
    store = _store()
    expected: dict[int, Counter[int]] = defaultdict(Counter)
    for sketch, octave, n_samples in samples:
        value = max(1, 3 << octave >> 1)
        name = SKETCHES[sketch % len(SKETCHES)]
        for _ in range(n_samples):
            store.record(sketch // len(SKETCHES), sketch % len(SKETCHES), value)
        expected[sketch][int(bin_of([value], LEAST[name])[0])] += n_samples
    table, _ = _table(store)
    for sketch, bins in expected.items():
        column = table.sketches[SKETCHES[sketch % len(SKETCHES)]]
        at = slice(*column.indptr[sketch // len(SKETCHES) :][:2])
        counts = zip(column.bins[at].tolist(), column.counts[at].tolist(), strict=True)
        assert dict(counts) == dict(bins)


def test_sketches_without_room_to_widen_are_counted_and_harm_no_other() -> None:
    n_destinations = 1_000
    store = SketchStore(n_destinations, 1 << 12, set())
    net_rtt = SKETCHES.index("net_rtt")
    for value in (MIN_VALUE, MAX_VALUE):
        for destination in range(n_destinations):
            store.record(destination, net_rtt, value)
    _, keys, pages = store.export(n_destinations)
    n_binned = int(pages.sum())
    assert 0 < store.n_unbinned < n_destinations
    assert n_binned == 2 * n_destinations - store.n_unbinned
    assert len(keys) == len(np.unique(keys)) == n_binned
    assert int((pages.sum(axis=1) == 1).sum()) == n_binned


def test_memory_per_sketch_is_what_its_bins_need() -> None:
    store = _store()
    for value in range(1_000_000, 2_000_000, 100):
        store.record(0, SKETCHES.index("net_rtt"), value)
    _, keys, pages = store.export(N_DESTINATIONS)
    n_bins = 64
    assert len(keys) <= n_bins // 8 + 2
    assert int(pages.sum()) == 10_000


def test_an_absurdly_small_percentile_is_the_minimum() -> None:
    column = sketch_column([[7_000, 9_000_000], [5_000]])
    assert column.quantiles(5e-324).tolist() == [7_000, 5_000]
