"""Classic histograms out of sketches: exact at the ends of bins, else within half a bin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.builders.snapshot import sketch_column

from trtop.export.buckets import COUNT_BOUNDS, bounds_of, cumulative
from trtop_core.sketch import RELATIVE_ERROR, UPPER
from trtop_daemon.ipc.export_orders import DEFAULT_BOUNDS_S

ONE_S = 10**9


def test_samples_at_or_below_each_bound_of_each_row() -> None:
    column = sketch_column([[ONE_S // 1000, ONE_S // 10, 3 * ONE_S], [], [2 * ONE_S] * 5])
    found = cumulative(column, "response_time", (0.0005, 0.01, 1.0, 10.0))
    assert found.tolist() == [[0, 1, 2, 3], [0, 0, 0, 0], [0, 0, 0, 5]]


def test_a_bound_that_ends_a_bin_is_exact() -> None:
    end = int(UPPER[1200])
    column = sketch_column([[end, end + 1]])
    assert cumulative(column, "response_time", (end / ONE_S,)).tolist() == [[1]]


@given(st.lists(st.integers(1_000, 20 * ONE_S), min_size=1, max_size=40))
def test_each_count_is_that_of_a_bound_within_half_a_bin(samples: list[int]) -> None:
    found = cumulative(sketch_column([samples]), "response_time", DEFAULT_BOUNDS_S)[0]
    values = np.array(samples)
    for bound_s, count in zip(DEFAULT_BOUNDS_S, found.tolist(), strict=True):
        bound = bound_s * ONE_S
        low = (values <= bound * (1 - 2 * RELATIVE_ERROR)).sum()
        high = (values <= bound * (1 + 2 * RELATIVE_ERROR)).sum()
        assert low <= count <= high


@pytest.mark.parametrize("responses", COUNT_BOUNDS)
def test_small_counts_are_exact(responses: int) -> None:
    column = sketch_column([[responses]], 1)
    found = cumulative(column, "reuse", bounds_of("reuse", DEFAULT_BOUNDS_S))[0].tolist()
    assert found == [int(responses <= bound) for bound in COUNT_BOUNDS]
