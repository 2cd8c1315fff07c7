"""Tables, snapshots and details that must be the same to the last bin."""

from __future__ import annotations

from dataclasses import fields

import numpy as np

from trtop_core.detail import Detail
from trtop_core.metrics import SKETCHES
from trtop_core.snapshot import Snapshot
from trtop_core.table import Table


def assert_equal_tables(ours: Table, theirs: Table) -> None:
    assert np.array_equal(ours.keys, theirs.keys)
    assert np.array_equal(ours.counters, theirs.counters)
    assert ours.keys.dtype == theirs.keys.dtype
    assert ours.counters.dtype == theirs.counters.dtype
    for name in SKETCHES:
        mine, other = ours.sketches[name], theirs.sketches[name]
        for field in ("stats", "indptr", "bins", "counts"):
            assert np.array_equal(getattr(mine, field), getattr(other, field)), (name, field)


def assert_equal(ours: Snapshot, theirs: Snapshot) -> None:
    assert_equal_tables(ours.table, theirs.table)
    assert_equal_tables(ours.total, theirs.total)
    for name in ("waits_ns", "ports"):
        assert np.array_equal(getattr(ours.table, name), getattr(theirs.table, name)), name
    for name in ("view", "clock_ns", "first_ns", "span_ns", "n_destinations"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert (ours.health, ours.window_health) == (theirs.health, theirs.window_health)
    assert ours.record(with_bins=True) == theirs.record(with_bins=True)


def assert_equal_details(ours: Detail, theirs: Detail) -> None:
    for item in fields(Detail):
        mine, other = getattr(ours, item.name), getattr(theirs, item.name)
        if isinstance(mine, Table):
            assert_equal_tables(mine, other)
        elif isinstance(mine, np.ndarray):
            assert mine.dtype == other.dtype, item.name
            assert np.array_equal(mine, other), item.name
        else:
            assert mine == other, item.name
