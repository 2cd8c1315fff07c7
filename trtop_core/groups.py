"""Rows of an engine grouped as a view wants them: counters and sketches, made when asked for.

Only what is asked for is gathered and merged, and of distributions only those rows of which a
percentile is wanted: a count, a sum or a maximum costs no look at any bin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core._columns import count_bins, count_samples, find_ranks, gather_bins
from trtop_core._sketch import BINS_IN_PAGE, PAGES_PER_SKETCH
from trtop_core.memory import take_records
from trtop_core.metrics import SKETCHES
from trtop_core.records import DestinationKind
from trtop_core.sketch import SketchColumn, ends_known, merge_stats, nearest_ranks, values_of

PAGES_AT_ONCE = 1 << 17
"""Pages whose rows are looked up together: numpy makes copies of them, 1 MB each."""

LEFT_OUT = -2
"""The rank of a row of which nothing is wanted."""

BLOCK_BITS = 7
"""Pages are sorted within so many blocks of rows: with their places in a sketch that is 16 bits."""

TOTALS_ONLY = -1
"""The rank of a row that is wanted in totals alone."""


@dataclass(frozen=True, slots=True)
class SketchState:
    """All sketches of an engine, in the form of its store.

    Attributes:
        stats: shape (n_destinations * n_sketches,), dtype ``records.SKETCH_STATS``.
        page_keys: shape (n_pages,), uint32: which sketch, and which page of it.
        pages: shape (n_pages, bins per page), uint64.
        is_whole: every sample has a bin, so that counts are those of the bins.
    """

    stats: npt.NDArray[Any]
    page_keys: npt.NDArray[np.uint32]
    pages: npt.NDArray[np.uint64]
    is_whole: bool = False


class Groups:
    """Which rows of an engine make one row of a snapshot.

    Args:
        keys: shape (n,), dtype ``records.DESTINATION_KEY``.
        by_addr_only: the rows of one address are one; else each stands for itself.

    Attributes:
        keys: shape (n_groups,), of the groups.
    """

    def __init__(self, keys: npt.NDArray[Any], by_addr_only: bool) -> None:
        self.keys = keys
        self._starts: npt.NDArray[np.intp] | None = None
        self._labels: npt.NDArray[np.intp] | None = None
        if not by_addr_only or not len(keys):
            return
        plain = keys.copy()
        plain["port"] = 0
        plain["kind"][plain["kind"] == DestinationKind.ADDR_PORT] = DestinationKind.ADDR
        words = plain.view(np.uint64).reshape(len(plain), -1)
        self._order = np.lexsort(words.T)
        ordered = words[self._order]
        is_first = np.ones(len(ordered), bool)
        is_first[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
        if is_first.all():
            # Each address has one port: nothing to merge.
            self.keys = plain
            return
        self._starts = np.flatnonzero(is_first)
        self._ends = np.append(self._starts[1:], len(ordered))
        self.keys = take_records(plain, self._order[self._starts])

    @property
    def is_plain(self) -> bool:
        """Whether each row is a group of its own, in the order of the rows."""
        return self._starts is None

    def merge_counter(self, column: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        """One counter of the rows -> that of the groups."""
        if self._starts is None:
            return column
        merged: npt.NDArray[np.uint64] = np.add.reduceat(column[self._order], self._starts)
        return merged

    def merge_greatest(self, column: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Numbers of the rows, shape (n, …) -> the greatest ones of each group."""
        if self._starts is None:
            return column
        merged: npt.NDArray[np.int64] = np.maximum.reduceat(column[self._order], self._starts)
        return merged

    def merge_stats(self, stats: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """What a sketch has beside its bins, of the rows -> of the groups."""
        return stats if self._starts is None else merge_stats(stats, self.labels, len(self.keys))

    @property
    def labels(self) -> npt.NDArray[np.intp]:
        """The group of each row; shape (n,)."""
        if self._labels is None:
            self._labels = np.arange(len(self.keys))
            if self._starts is not None:
                labels = np.empty(len(self._order), np.intp)
                labels[self._order] = np.repeat(self._labels, self._ends - self._starts)
                self._labels = labels
        return self._labels

    def members_of(
        self, groups: npt.NDArray[np.intp]
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """The rows of some groups, and the place of each one's group among them."""
        if self._starts is None:
            return groups, np.arange(len(groups))
        starts, sizes = self._starts[groups], (self._ends - self._starts)[groups]
        ranks = np.repeat(np.arange(len(groups)), sizes)
        within = np.arange(len(ranks)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return self._order[starts[ranks] + within], ranks


class MergedCounters:
    """The counters of groups by name; only what is asked for is merged.

    Args:
        counters: shape (n,), dtype ``metrics.COUNTER_ROW``.
        rows: of these, the ones that the groups are made of.
        groups: who belongs together.
    """

    def __init__(
        self, counters: npt.NDArray[Any], rows: npt.NDArray[np.intp], groups: Groups
    ) -> None:
        self._counters = counters
        self._rows = rows
        self._groups = groups

    def __getitem__(self, name: str) -> npt.NDArray[np.uint64]:
        return self._groups.merge_counter(self._counters[name][self._rows])


class LateColumn:
    """One sketch of each group; its bins are gathered of the groups for which they are wanted.

    Args:
        pages: of all sketches.
        name: which sketch.
        rows: of the engine, the ones that the groups are made of.
        groups: who belongs together.

    Attributes:
        stats: shape (n_groups,), as in ``SketchColumn``.
    """

    def __init__(
        self, pages: _Pages, name: str, rows: npt.NDArray[np.intp], groups: Groups
    ) -> None:
        self._pages = pages
        self._sketch = SKETCHES.index(name)
        self._rows = rows
        self._groups = groups
        stats = pages.state.stats
        if groups.is_plain and len(rows) * len(SKETCHES) == len(stats):
            # All of them: a look at what is there, which nobody holds on to.
            self.stats = stats.reshape(len(rows), len(SKETCHES))[:, self._sketch]
        else:
            self.stats = groups.merge_stats(
                take_records(stats, rows * len(SKETCHES) + self._sketch)
            )

    def sums(self) -> list[int]:
        """Exact sum of each group's samples."""
        none = np.zeros(0, np.int64)
        return SketchColumn(self.stats, none, none.astype(np.uint16), none).sums()

    def quantiles(self, percentile: float) -> npt.NDArray[np.int64]:
        """One percentile, as ``SketchColumn`` gives it, of all groups."""
        found: npt.NDArray[np.int64] = self.quantiles_at((percentile,))[0]
        return found

    def quantiles_at(self, percentiles: Sequence[float]) -> npt.NDArray[np.int64]:
        """As ``SketchColumn`` gives them, of all groups."""
        return self.quantiles_of(np.arange(len(self.stats)), percentiles)

    def all(self) -> SketchColumn:
        """The sketches of all groups."""
        members, ranks = self._groups.members_of(np.arange(len(self.stats)))
        column = self._pages.column(self._sketch, self._rows[members])
        return column if len(members) == len(self.stats) else column.group(ranks, len(self.stats))

    def quantiles_of(
        self, groups: npt.NDArray[np.intp], percentiles: Sequence[float]
    ) -> npt.NDArray[np.int64]:
        """Several percentiles of some groups, in the order given."""
        members, ranks = self._groups.members_of(groups)
        rows = self._rows[members]
        if len(members) == len(groups):
            return self._pages.quantiles(self._sketch, rows, percentiles)
        column = self._pages.column(self._sketch, rows).group(ranks, len(groups))
        return column.quantiles_at(percentiles)


class _Pages:
    """The pages of bins of an engine, and whose each is.

    Args:
        state: of the engine.
        n_keys: its rows.
    """

    def __init__(self, state: SketchState, n_keys: int) -> None:
        self.state = state
        self._n_keys = n_keys
        self._owners = np.empty(len(state.page_keys), np.uint32)
        self._sketches = np.empty(len(state.page_keys), np.uint8)
        for start in range(0, len(state.page_keys), PAGES_AT_ONCE):
            block = slice(start, start + PAGES_AT_ONCE)
            of_pages = state.page_keys[block] // PAGES_PER_SKETCH
            owners = of_pages // len(SKETCHES)
            self._owners[block] = owners
            # Not %, which numpy computes number by number.
            self._sketches[block] = of_pages - owners * len(SKETCHES)

    def quantiles(
        self, sketch: int, rows: npt.NDArray[np.intp], percentiles: Sequence[float]
    ) -> npt.NDArray[np.int64]:
        """Percentiles of one sketch of some rows, in the order given, as of a ``SketchColumn``.

        Of few samples the first or the last is wanted, which are known without a look at pages.
        """
        result = np.full((len(percentiles), len(rows)), -1, np.int64)
        binned = np.arange(len(rows))
        if self.state.is_whole and len(rows):
            stats = take_records(self.state.stats, rows * len(SKETCHES) + sketch)
            is_known = ends_known(stats, percentiles, result)
            binned = np.flatnonzero(~is_known)
        if len(binned):
            result[:, binned] = self._binned_quantiles(sketch, rows[binned], percentiles)
        return result

    def _binned_quantiles(
        self, sketch: int, rows: npt.NDArray[np.intp], percentiles: Sequence[float]
    ) -> npt.NDArray[np.int64]:
        """Percentiles of one sketch of some rows, by their bins."""
        result = np.full((len(percentiles), len(rows)), -1, np.int64)
        chosen, owners = self._of(sketch, rows)
        page_keys = self.state.page_keys[chosen]
        order = by_place(page_keys)
        owners, pages = owners[order], self.state.pages[chosen[order]]
        places = places_of(page_keys[order])
        n_binned = np.zeros(len(rows), np.int64)
        count_samples(pages, owners, n_binned)
        used = np.flatnonzero(n_binned)
        if not len(used):
            return result
        stats = take_records(self.state.stats, rows[used] * len(SKETCHES) + sketch)
        for percentile, values in zip(percentiles, result, strict=True):
            ranks = nearest_ranks(n_binned, percentile)
            found = np.zeros(len(rows), np.int64)
            find_ranks(pages, places, owners, ranks.copy(), found)
            values[used] = values_of(found[used], ranks[used], n_binned[used], stats)
        return result

    def column(self, sketch: int, rows: npt.NDArray[np.intp]) -> SketchColumn:
        """One sketch of some rows, in the order given."""
        chosen, _ = self._of(sketch, rows)
        ranks = self._ranks(rows)
        page_keys, pages = self.state.page_keys[chosen], self.state.pages[chosen]
        n_bins = np.zeros((len(SKETCHES), len(rows)), np.int64)
        totals = np.zeros((len(SKETCHES), PAGES_PER_SKETCH * BINS_IN_PAGE), np.int64)
        count_bins(page_keys, pages, ranks, n_bins, totals)
        indptr = np.concatenate([[0], np.cumsum(n_bins[sketch])])
        at = np.zeros_like(n_bins)
        at[sketch] = indptr[:-1]
        bins, counts = np.zeros(indptr[-1], np.uint16), np.zeros(indptr[-1], np.int64)
        gather_bins(page_keys, pages, by_place(page_keys), ranks, at, bins, counts)
        stats = take_records(self.state.stats, rows * len(SKETCHES) + sketch)
        return SketchColumn(stats, indptr, bins, counts)

    def _of(
        self, sketch: int, rows: npt.NDArray[np.intp]
    ) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.int32]]:
        """The pages of one sketch of some rows, and which of the rows each belongs to."""
        chosen = np.flatnonzero(self._sketches == sketch)
        owners = self._ranks(rows)[np.minimum(self._owners[chosen], self._n_keys)]
        is_there = owners >= 0
        return chosen[is_there], owners[is_there]

    def _ranks(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.int32]:
        """Where each of an engine's rows is among some."""
        # Connections that nobody asked for have pages beyond those of the rows.
        ranks = np.full(self._n_keys + 1, LEFT_OUT, np.int32)
        ranks[rows] = np.arange(len(rows), dtype=np.int32)
        return ranks


class MergedSketches(Mapping[str, LateColumn]):
    """The sketches of groups by name; only what is asked for is gathered and merged.

    Args:
        state: sketches of n destinations.
        rows: of these, the ones that the groups are made of, ascending.
        groups: who belongs together.
    """

    def __init__(self, state: SketchState, rows: npt.NDArray[np.intp], groups: Groups) -> None:
        self._pages = _Pages(state, len(state.stats) // len(SKETCHES))
        self._rows = rows
        self._groups = groups
        self._made: dict[str, LateColumn] = {}

    def __getitem__(self, name: str) -> LateColumn:
        if name not in SKETCHES:
            raise KeyError(name)
        if name not in self._made:
            self._made[name] = LateColumn(self._pages, name, self._rows, self._groups)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(SKETCHES)

    def __len__(self) -> int:
        return len(SKETCHES)


def places_of(page_keys: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint16]:
    """Which page of its sketch each page is."""
    # Not %, which numpy computes number by number.
    places = page_keys - page_keys // np.uint32(PAGES_PER_SKETCH) * np.uint32(PAGES_PER_SKETCH)
    return places.astype(np.uint16)


def by_place(page_keys: npt.NDArray[np.uint32]) -> npt.NDArray[np.intp]:
    """Pages in an order in which those of one sketch and row ascend.

    Rows that are near each other stay so, in blocks: what is written of them stays in the cache.
    """
    owners = page_keys // np.uint32(PAGES_PER_SKETCH * len(SKETCHES))
    shift = max(0, int(owners.max(initial=0)).bit_length() - BLOCK_BITS)
    blocks = (owners >> np.uint32(shift)).astype(np.uint16)
    # Numbers so small are sorted in one pass for each of their bytes.
    return np.argsort(blocks * np.uint16(PAGES_PER_SKETCH) + places_of(page_keys), kind="stable")
