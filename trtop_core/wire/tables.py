"""Tables ↔ the columns that travel, bins included; decoding checks shapes, ranges and order.

Takes and gives ``Table``. What it allocates is bounded by a small multiple of the bytes given.

Counters and distributions travel by name, so that two programs of different age understand each
other: what the receiver does not know is left out, what the sender does not count is 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from trtop_core.metrics import COUNTER_ROW, COUNTERS, GAUGES, SKETCHES
from trtop_core.records import (
    DESTINATION_KEY,
    SKETCH_STATS,
    TS_LIMIT_NS,
    DestinationKind,
    Wait,
)
from trtop_core.sketch import N_BINS, SketchColumn, no_samples
from trtop_core.table import Table
from trtop_core.verdicts.ports import CAUSES_OF_PORTS
from trtop_core.wire.errors import WireError
from trtop_core.wire.packed import ZEROS, Packed, pack, unpack

MAX_SAMPLES = 1 << 62
"""Per sketch column: sums of samples stay within 64 bits."""

MAX_SUM_HI = 1 << 62
"""High word of a sum of samples: merging many does not overflow it."""

MAX_METRICS = 512
"""Far above what there is; bounds what a message can make the decoder allocate."""

MAX_WAIT_NS = 2 * TS_LIMIT_NS
"""From the least capture time to the greatest."""

WAIT_NAMES = {wait: f"longest_{wait.name.lower()}_wait_ns" for wait in Wait}
"""What travels beside counters: for how long the oldest attempt and request of a row wait."""

PORT_NAMES = tuple(f"port_of_{cause.name.lower()}" for cause in CAUSES_OF_PORTS)
"""Likewise: the port that stands out in a row, by cause."""

N_STATS = len(SKETCH_STATS.names or ())

_KINDS = tuple(int(kind) for kind in DestinationKind)


class _Sketch(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    stats: Annotated[list[Packed], Meta(min_length=N_STATS, max_length=N_STATS)]
    n_bins: Packed
    bins: Packed
    counts: Packed


class SentTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table in the form that travels."""

    keys: memoryview
    counters: Annotated[dict[str, Packed], Meta(max_length=MAX_METRICS)]
    sketches: Annotated[dict[str, _Sketch], Meta(max_length=MAX_METRICS)]


def table_out(table: Table) -> SentTable:
    """A table as it travels; what rows are called and who saw them stays behind."""
    return SentTable(
        keys=memoryview(table.keys.tobytes()),
        counters={name: pack(table.counters[name]) for name in COUNTERS + GAUGES}
        | dict(_beside_counters(table)),
        sketches={name: _sketch_out(table.sketches[name]) for name in SKETCHES},
    )


def table_in(sent: SentTable) -> Table:
    """The table that was sent.

    Raises:
        WireError: it contradicts itself.
    """
    if sent.keys.nbytes % DESTINATION_KEY.itemsize:
        raise WireError("a table's keys end inside a key")
    keys = np.frombuffer(sent.keys, DESTINATION_KEY).copy()
    if keys["_pad"].any() or not np.isin(keys["kind"], _KINDS).all():
        raise WireError("a destination is of no known kind")
    counters = np.zeros(len(keys), COUNTER_ROW)
    for name in COUNTERS + GAUGES:
        if name in sent.counters:
            counters[name] = unpack(sent.counters[name], np.uint64, len(keys))
    sketches = {
        name: _sketch_in(sent.sketches[name], len(keys))
        if name in sent.sketches
        else no_samples(len(keys))
        for name in SKETCHES
    }
    waits_ns, ports = _waits_in(sent, len(keys)), _ports_in(sent, len(keys))
    return Table(keys, counters, sketches, waits_ns=waits_ns, ports=ports)


def _beside_counters(table: Table) -> Iterator[tuple[str, Packed]]:
    """How long rows wait, and ports that stand out; nothing where that is not known."""
    if table.waits_ns is not None:
        for wait, name in WAIT_NAMES.items():
            yield name, pack(table.waits_ns[:, wait].astype(np.uint64))
    if table.ports is not None:
        for place, name in enumerate(PORT_NAMES):
            yield name, pack(np.ascontiguousarray(table.ports[:, place]))


def _ports_in(sent: SentTable, n_rows: int) -> npt.NDArray[np.uint16] | None:
    """The ports that were sent; None where the sender did not know."""
    if not sent.counters.keys() >= set(PORT_NAMES):
        return None
    columns = [unpack(sent.counters[name], np.uint16, n_rows) for name in PORT_NAMES]
    return np.stack(columns, axis=1).astype(np.uint16)


def _waits_in(sent: SentTable, n_rows: int) -> npt.NDArray[np.int64] | None:
    """How long the rows wait that were sent; None where the sender did not know."""
    if not sent.counters.keys() >= set(WAIT_NAMES.values()):
        return None
    waits_ns = np.zeros((n_rows, len(Wait)), np.int64)
    for wait, name in WAIT_NAMES.items():
        numbers = unpack(sent.counters[name], np.uint64, n_rows)
        if len(numbers) and int(numbers.max()) > MAX_WAIT_NS:
            raise WireError("a wait is out of range")
        waits_ns[:, wait] = numbers
    return waits_ns


def _sketch_out(column: SketchColumn) -> _Sketch:
    return _Sketch(
        stats=[pack(column.stats[name]) for name in SKETCH_STATS.names or ()],
        n_bins=pack(np.diff(column.indptr)),
        bins=pack(column.bins),
        counts=pack(column.counts),
    )


def _sketch_in(sent: _Sketch, n_rows: int) -> SketchColumn:
    stats = np.zeros(n_rows, SKETCH_STATS)
    for name, column in zip(SKETCH_STATS.names or (), sent.stats, strict=True):
        stats[name] = unpack(column, SKETCH_STATS[name], n_rows)
    n_bins = unpack(sent.n_bins, np.uint16, n_rows)
    if len(n_bins) and int(n_bins.max()) > N_BINS:
        raise WireError("a sketch has more bins than there are")
    indptr = np.concatenate([[0], np.cumsum(n_bins, dtype=np.int64)]).astype(np.int64)
    n_counts = int(indptr[-1])
    # No count is 0, so each takes a byte: what is allocated is bounded by what was sent.
    if n_counts and sent.counts.code == ZEROS:
        raise WireError("a bin's count is out of range")
    counts = unpack(sent.counts, np.int64, n_counts)
    bins = unpack(sent.bins, np.uint16, n_counts)
    _check_bins(indptr, bins, counts)
    if len(stats) and int(stats["sum_hi"].max()) > MAX_SUM_HI:
        raise WireError("a sum is out of range")
    return SketchColumn(stats, indptr, bins, counts)


def _check_bins(
    indptr: npt.NDArray[np.int64], bins: npt.NDArray[np.uint16], counts: npt.NDArray[np.int64]
) -> None:
    if not len(bins):
        return
    if int(bins.max()) >= N_BINS:
        raise WireError("a bin's number is out of range")
    # A row may start with any bin; within it bins ascend.
    is_start = np.zeros(len(bins), bool)
    is_start[indptr[:-1][np.diff(indptr) > 0]] = True
    if not (is_start[1:] | (bins[1:] > bins[:-1])).all():
        raise WireError("the bins of a sketch do not ascend")
    if int(counts.min()) < 1 or float(counts.sum(dtype=np.float64)) > MAX_SAMPLES:
        raise WireError("a bin's count is out of range")
