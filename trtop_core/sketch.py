"""Relative-error quantile sketches: the mapping from values to bins, and quantiles from bins.

Takes integer values (ns; ``reuse`` counts responses), gives DDSketch bins (Masson, Rim, Lee:
DDSketch, VLDB 2019) and quantiles with a relative error of at most 0.55 %. The bins are those of a
base-2 exponential histogram of scale 6 (OpenTelemetry metrics data model): bin i holds the values
above 2^(i/64) and up to 2^((i+1)/64). Where one ends is worked out in integers only, so any two
hosts agree bin for bin and their sketches merge by adding counts. Memory is 8 bytes per bin in use,
in pages of 8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core.memory import take_records
from trtop_core.metric_types import Unit
from trtop_core.metrics import METRIC_OF, SKETCHES
from trtop_core.records import SKETCH_STATS

SCALE = 6
"""An octave has 2^6 bins."""

BINS_PER_OCTAVE = 1 << SCALE

RELATIVE_ERROR = 2 ** (1 / (2 * BINS_PER_OCTAVE)) - 1
"""From a bin's geometric middle to its ends: 0.543 %."""

FIRST_BIN = -1
"""The bin of 1. Arrays of bins hold a bin's number less this, so that they begin with 0."""

MIN_VALUE = 1_000
"""1 µs in ns; a latency below counts as this."""

MAX_VALUE = 1_000_000_000_000
"""1,000 s in ns; anything above counts as this."""

LEAST = {name: 1 if METRIC_OF[name].unit is Unit.COUNT else MIN_VALUE for name in SKETCHES}
"""By the name of a distribution, what values below count as: counts begin with 1."""


GUARD_BITS = 64
"""Bits that powers have besides those that are wanted, so that rounding reaches none of these."""


def _powers(n_bits: int) -> list[int]:
    """The integer part of 2^(n_bits + j/64), for each j of an octave."""
    scale = n_bits + GUARD_BITS
    step = 1 << (scale * BINS_PER_OCTAVE + 1)
    for _ in range(SCALE):
        step = math.isqrt(step)
    powers = [1 << scale]
    for _ in range(BINS_PER_OCTAVE - 1):
        powers.append(powers[-1] * step >> scale)
    return [power >> GUARD_BITS for power in powers]


OCTAVE = np.array(_powers(63), np.uint64)
"""Values scaled to 2^63 … 2^64 leave bin j of their octave above OCTAVE[j]; shape (64,)."""

N_BINS = math.ceil(math.log2(MAX_VALUE) * BINS_PER_OCTAVE) + 1

_AT = np.arange(N_BINS)

UPPER = np.minimum(
    (OCTAVE[_AT % BINS_PER_OCTAVE] >> (63 - _AT // BINS_PER_OCTAVE).astype(np.uint64)), MAX_VALUE
).astype(np.int64)
"""The greatest integer of each bin; shape (N_BINS,)."""

MIDDLE = np.rint(2.0 ** ((_AT - 0.5) / BINS_PER_OCTAVE)).astype(np.int64)
"""The geometric middle of each bin, as whole ns: what its values are reported as."""

HALF = np.uint64(32)
LOW_32 = np.uint64(0xFFFF_FFFF)


def bin_of(values: npt.ArrayLike, least: int = MIN_VALUE) -> npt.NDArray[np.intp]:
    """Bins of values (ns), each a bin's number less ``FIRST_BIN``.

    Args:
        values: integers.
        least: what those below count as, see ``LEAST``.
    """
    clamped = np.clip(np.asarray(values, np.int64), least, MAX_VALUE)
    return np.searchsorted(UPPER, clamped, side="left")


def nearest_rank(n_samples: int, percentile: float) -> int:
    """The rank (1 … n_samples) of a percentile: the smallest that covers so much of the samples."""
    numerator, denominator = _share(percentile)
    return max(1, -(-n_samples * numerator // denominator))


@dataclass(frozen=True, slots=True)
class SketchColumn:
    """One sketch for each of n rows, bins as compressed sparse rows.

    Attributes:
        stats: shape (n,), dtype ``records.SKETCH_STATS``: exact count, sum, min, max.
        indptr: shape (n + 1,), int64: row i's bins are ``indptr[i]:indptr[i + 1]``, ascending.
        bins: shape (nnz,), uint16, bin numbers less ``FIRST_BIN``.
        counts: shape (nnz,), int64, samples in each bin.
    """

    stats: npt.NDArray[Any]
    indptr: npt.NDArray[np.int64]
    bins: npt.NDArray[np.uint16]
    counts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.stats)

    def bin_counts(self, row: int) -> list[list[int]]:
        """The bins in use of one row, ascending, as [bin number, samples]."""
        at = slice(self.indptr[row], self.indptr[row + 1])
        numbers = self.bins[at].astype(np.int64) + FIRST_BIN
        return np.stack([numbers, self.counts[at]], axis=1).tolist()  # type: ignore[no-any-return]

    def sums(self) -> list[int]:
        """Exact sum of each row's samples."""
        low: list[int] = self.stats["sum_lo"].tolist()
        high: list[int] = self.stats["sum_hi"].tolist()
        if not any(high):
            return low
        return [(hi << 64) + lo for hi, lo in zip(high, low, strict=True)]

    def quantiles(self, percentile: float) -> npt.NDArray[np.int64]:
        """One percentile of each row, by nearest rank; -1 where a row has no samples.

        The first and the last rank are the exact minimum and maximum; in between the relative
        error is at most 0.55 %, besides the rounding to a whole number.
        """
        values: npt.NDArray[np.int64] = self.quantiles_at((percentile,))[0]
        return values

    def quantiles_at(self, percentiles: Sequence[float]) -> npt.NDArray[np.int64]:
        """Several percentiles, as ``quantiles`` gives each; shape (n_percentiles, n)."""
        result = np.full((len(percentiles), len(self)), -1, np.int64)
        before = np.concatenate([[0], np.cumsum(self.counts)])
        starts = before[self.indptr[:-1]]
        n_binned = before[self.indptr[1:]] - starts
        rows = np.flatnonzero(n_binned > 0)
        if not len(rows):
            return result
        starts, n_binned = starts[rows], n_binned[rows]
        stats = take_records(self.stats, rows)
        for percentile, values in zip(percentiles, result, strict=True):
            ranks = nearest_ranks(n_binned, percentile)
            at = np.searchsorted(before[1:], starts + ranks, side="left")
            values[rows] = values_of(self.bins[at], ranks, n_binned, stats)
        return result

    def quantiles_of(
        self, rows: npt.NDArray[np.intp], percentiles: Sequence[float]
    ) -> npt.NDArray[np.int64]:
        """Several percentiles of some rows, in the order given."""
        return self.take(rows).quantiles_at(percentiles)

    def cut(self, start: int, end: int) -> SketchColumn:
        """The sketches of consecutive rows, as views."""
        at = slice(self.indptr[start], self.indptr[end])
        indptr = self.indptr[start : end + 1] - self.indptr[start]
        return SketchColumn(self.stats[start:end], indptr, self.bins[at], self.counts[at])

    def take(self, rows: npt.NDArray[np.intp]) -> SketchColumn:
        """The sketches of some rows, in the order given."""
        starts = self.indptr[rows]
        lengths = self.indptr[np.asarray(rows) + 1] - starts
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        at = np.repeat(starts - indptr[:-1], lengths) + np.arange(indptr[-1])
        stats = take_records(self.stats, rows)
        return SketchColumn(stats, indptr, self.bins[at], self.counts[at])

    def group(self, labels: npt.NDArray[np.intp], n_groups: int) -> SketchColumn:
        """Merge rows with equal labels; row g of the result is the union of the rows labelled g.

        Args:
            labels: shape (n,), each within 0 … n_groups - 1.
            n_groups: rows of the result.
        """
        stats = merge_stats(self.stats, labels, n_groups)
        cell = np.repeat(labels, np.diff(self.indptr)) * N_BINS + self.bins
        # Rows of several tables, each ascending: runs that a merge sort finds.
        order = np.argsort(cell, kind="stable")
        ordered = cell[order]
        firsts = np.flatnonzero(np.diff(ordered, prepend=-1))
        cells = ordered[firsts]
        counts = np.add.reduceat(self.counts[order], firsts) if len(firsts) else self.counts
        indptr = np.searchsorted(cells, np.arange(n_groups + 1) * N_BINS).astype(np.int64)
        bins = (cells % N_BINS).astype(np.uint16)
        return SketchColumn(stats, indptr, bins, counts)


@cache
def _share(percentile: float) -> tuple[int, int]:
    """A percentile as a share of 1: the decimal number that is read, exactly, in lowest terms."""
    whole, _, decimals = np.format_float_positional(percentile, trim="-").partition(".")
    numerator, denominator = int(whole + decimals), 100 * 10 ** len(decimals)
    divisor = math.gcd(numerator, denominator)
    return numerator // divisor, denominator // divisor


def nearest_ranks(n_samples: npt.NDArray[np.int64], percentile: float) -> npt.NDArray[np.int64]:
    """``nearest_rank`` of several numbers of samples."""
    numerator, denominator = _share(percentile)
    counts: npt.NDArray[Any] = n_samples
    if max(int(counts.max()) * numerator, denominator) > np.iinfo(np.int64).max:
        counts = counts.astype(object)
    covering = -(-counts * numerator // denominator)
    ranks: npt.NDArray[np.int64] = np.maximum(covering, 1).astype(np.int64)
    return ranks


def values_of(
    bins: npt.NDArray[Any],
    ranks: npt.NDArray[np.int64],
    n_samples: npt.NDArray[np.int64],
    stats: npt.NDArray[Any],
) -> npt.NDArray[np.int64]:
    """What samples of some ranks are reported as: the first and the last one are known exactly.

    Args:
        bins: shape (n,): the one that the sample of each row lies in.
        ranks: shape (n,): which sample, from 1 on.
        n_samples: shape (n,): of each row, in bins.
        stats: shape (n,), dtype ``records.SKETCH_STATS``.
    """
    low, high = stats["min"], stats["max"]
    value = np.where(ranks == 1, low, np.clip(MIDDLE[bins], low, high))
    return np.where(ranks == n_samples, high, value)


def ends_known(
    stats: npt.NDArray[Any], percentiles: Sequence[float], values: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """Percentiles of rows of which all are the least or the greatest sample, or that have none.

    Args:
        stats: shape (n,), dtype ``records.SKETCH_STATS``, of rows whose samples all have bins.
        percentiles: which ones.
        values: OUT shape (n_percentiles, n), -1 everywhere: the percentiles of these rows.

    Returns:
        Shape (n,): whether it is such a row.
    """
    counts = stats["count"].astype(np.int64)
    is_known = np.ones(len(stats), bool)
    for percentile, found in zip(percentiles, values, strict=True):
        ranks = nearest_ranks(counts, percentile)
        is_last = (ranks >= counts) & (counts > 0)
        is_known &= is_last | (ranks == 1) | (counts == 0)
        found[:] = np.where(is_last, stats["max"], np.where(counts > 0, stats["min"], -1))
    return is_known


def merge_stats(
    stats: npt.NDArray[Any], labels: npt.NDArray[np.intp], n_groups: int
) -> npt.NDArray[Any]:
    """The exact part of merged sketches.

    Args:
        stats: shape (n,), dtype ``records.SKETCH_STATS``.
        labels: shape (n,): which group each belongs to.
        n_groups: shape of the result is (n_groups,).
    """
    merged = np.zeros(n_groups, SKETCH_STATS)
    used = np.flatnonzero(stats["count"] > 0)
    source, groups = take_records(stats, used), labels[used]
    if n_groups == 1 and len(used):
        return _merged_into_one(source)
    np.add.at(merged["count"], groups, source["count"])
    _add_sums(merged, source, groups)
    merged["min"] = np.iinfo(np.int64).max
    merged["max"] = np.iinfo(np.int64).min
    np.minimum.at(merged["min"], groups, source["min"])
    np.maximum.at(merged["max"], groups, source["max"])
    empty = merged["count"] == 0
    merged["min"][empty] = merged["max"][empty] = 0
    return merged


def merge_all_stats(stats: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The exact part of several sketches, each of all rows as one.

    Args:
        stats: shape (n_rows, n_sketches), dtype ``records.SKETCH_STATS``.

    Returns:
        Shape (n_sketches,).
    """
    merged = np.zeros(stats.shape[1], SKETCH_STATS)
    if not len(stats):
        return merged
    counts = stats["count"]
    is_used = counts > 0
    merged["count"] = counts.sum(axis=0)
    low = (stats["sum_lo"] & LOW_32).sum(axis=0).tolist()
    middle = (stats["sum_lo"] >> HALF).sum(axis=0).tolist()
    high = stats["sum_hi"].sum(axis=0).tolist()
    totals = [a + (b << 32) + (c << 64) for a, b, c in zip(low, middle, high, strict=True)]
    merged["sum_lo"] = [total & (2**64 - 1) for total in totals]
    merged["sum_hi"] = [total >> 64 & (2**64 - 1) for total in totals]
    most, least = np.iinfo(np.int64).max, np.iinfo(np.int64).min
    merged["min"] = np.where(is_used, stats["min"], most).min(axis=0)
    merged["max"] = np.where(is_used, stats["max"], least).max(axis=0)
    empty = merged["count"] == 0
    for name in SKETCH_STATS.names or ():
        merged[name][empty] = 0
    return merged


def _merged_into_one(source: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """``merge_stats`` of one group, as totals are; shape (1,)."""
    merged = np.zeros(1, SKETCH_STATS)
    low = int((source["sum_lo"] & LOW_32).sum()) + (int((source["sum_lo"] >> HALF).sum()) << 32)
    total = low + (int(source["sum_hi"].sum()) << 64)
    merged["count"] = source["count"].sum()
    merged["sum_lo"], merged["sum_hi"] = total & (2**64 - 1), total >> 64 & (2**64 - 1)
    merged["min"], merged["max"] = source["min"].min(), source["max"].max()
    return merged


def _add_sums(
    merged: npt.NDArray[Any], source: npt.NDArray[Any], groups: npt.NDArray[np.intp]
) -> None:
    """Add up 128-bit sums per group, in parts of 32 bits whose sums do not overflow 64."""
    low, high = np.zeros(len(merged), np.uint64), np.zeros(len(merged), np.uint64)
    np.add.at(low, groups, source["sum_lo"] & LOW_32)
    np.add.at(high, groups, source["sum_lo"] >> HALF)
    np.add.at(merged["sum_hi"], groups, source["sum_hi"])
    high += low >> HALF
    merged["sum_lo"] = (high << HALF) | (low & LOW_32)
    merged["sum_hi"] += high >> HALF


def no_samples(n_rows: int) -> SketchColumn:
    """The sketches of so many rows that have none."""
    no_bins, no_counts = np.zeros(0, np.uint16), np.zeros(0, np.int64)
    indptr = np.zeros(n_rows + 1, np.int64)
    return SketchColumn(np.zeros(n_rows, SKETCH_STATS), indptr, no_bins, no_counts)


def concatenate(columns: Sequence[SketchColumn]) -> SketchColumn:
    """The rows of several columns, one after the other.

    Raises:
        ValueError: there is no column.
    """
    offsets = np.cumsum([0] + [len(column.bins) for column in columns])
    indptr = [column.indptr[:-1] + o for column, o in zip(columns, offsets, strict=False)]
    return SketchColumn(
        np.concatenate([column.stats for column in columns]),
        np.concatenate([*indptr, offsets[-1:]]).astype(np.int64),
        np.concatenate([column.bins for column in columns]),
        np.concatenate([column.counts for column in columns]),
    )
