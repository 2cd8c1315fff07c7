"""A snapshot ↔ bytes: what ``encode_snapshot`` gives, ``decode_snapshot`` makes equal again.

Takes and gives frozen snapshots; bins travel too, so that decoded snapshots merge as the encoded
ones do. Decoding checks all that reporters rely on: shapes, ranges, order, known names. Its memory
is bounded by a small multiple of the bytes given.
"""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from trtop_core.records import (
    COUNTER_ROW,
    DESTINATION_KEY,
    SKETCH_STATS,
    SKETCHES,
    TS_LIMIT_NS,
    UNDECODED,
    DestinationKind,
)
from trtop_core.sketch import N_BINS, REUSE_SCALE, SketchColumn
from trtop_core.snapshot import Health, Snapshot, Table
from trtop_core.view import View
from trtop_core.wire.errors import WireError
from trtop_core.wire.frame import MAX_SNAPSHOT_BYTES, frame, unframe
from trtop_core.wire.packed import Packed, pack, unpack

MAX_HEALTH_FIELDS = 64
"""Far above what ``Health`` has; bounds what a message can make the decoder allocate."""

MAX_SAMPLES = 1 << 62
"""Per sketch column: sums of samples stay within 64 bits."""

MAX_SUM_HI = 1 << 62
"""High word of a sum of samples: merging many does not overflow it."""

N_COUNTERS = len(COUNTER_ROW.names or ())
N_STATS = len(SKETCH_STATS.names or ())

_REASONS = frozenset(verdict.name.lower() for verdict in UNDECODED)
_KINDS = tuple(int(kind) for kind in DestinationKind)

_Time = Annotated[int, Meta(ge=-TS_LIMIT_NS - 1, le=TS_LIMIT_NS)]
_Amount = Annotated[int, Meta(ge=0)]


class _Sketch(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    stats: Annotated[list[Packed], Meta(min_length=N_STATS, max_length=N_STATS)]
    n_bins: Packed
    bins: Packed
    counts: Packed


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keys: memoryview
    counters: Annotated[list[Packed], Meta(min_length=N_COUNTERS, max_length=N_COUNTERS)]
    sketches: Annotated[list[_Sketch], Meta(min_length=len(SKETCHES), max_length=len(SKETCHES))]


class _Health(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    amounts: Annotated[dict[str, _Amount | None], Meta(max_length=MAX_HEALTH_FIELDS)]
    undecoded: Annotated[dict[str, _Amount], Meta(max_length=len(UNDECODED))]


class _Snapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    view: View
    clock_ns: _Time | None
    first_ns: _Time | None
    span_ns: _Amount
    table: _Table
    total: _Table
    n_destinations: _Amount
    health: _Health
    window_health: _Health


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Snapshot)


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """A snapshot as bytes, bins included."""
    sent = _Snapshot(
        view=snapshot.view,
        clock_ns=snapshot.clock_ns,
        first_ns=snapshot.first_ns,
        span_ns=snapshot.span_ns,
        table=_table_out(snapshot.table),
        total=_table_out(snapshot.total),
        n_destinations=snapshot.n_destinations,
        health=_health_out(snapshot.health),
        window_health=_health_out(snapshot.window_health),
    )
    return frame(_ENCODER.encode(sent))


def decode_snapshot(data: bytes | memoryview) -> Snapshot:
    """The snapshot that the bytes hold.

    Raises:
        WireError: they hold none, or one that contradicts itself.
    """
    sent: _Snapshot = unframe(data, _DECODER, MAX_SNAPSHOT_BYTES)
    table = _table_in(sent.table)
    total = _table_in(sent.total)
    if len(total) != 1:
        raise WireError("a snapshot has one row of totals")
    if sent.n_destinations < len(table):
        raise WireError("a snapshot has more rows than destinations")
    return Snapshot(
        view=sent.view,
        clock_ns=sent.clock_ns,
        first_ns=sent.first_ns,
        span_ns=sent.span_ns,
        table=table,
        total=total,
        n_destinations=sent.n_destinations,
        health=_health_in(sent.health),
        window_health=_health_in(sent.window_health),
    )


def _table_out(table: Table) -> _Table:
    return _Table(
        keys=memoryview(table.keys.tobytes()),
        counters=[pack(table.counters[name]) for name in COUNTER_ROW.names or ()],
        sketches=[_sketch_out(table.sketches[name]) for name in SKETCHES],
    )


def _table_in(sent: _Table) -> Table:
    if sent.keys.nbytes % DESTINATION_KEY.itemsize:
        raise WireError("a table's keys end inside a key")
    keys = np.frombuffer(sent.keys, DESTINATION_KEY).copy()
    if keys["_pad"].any() or not np.isin(keys["kind"], _KINDS).all():
        raise WireError("a destination is of no known kind")
    counters = np.zeros(len(keys), COUNTER_ROW)
    for name, column in zip(COUNTER_ROW.names or (), sent.counters, strict=True):
        counters[name] = unpack(column, np.uint64, len(keys))
    sketches = {
        name: _sketch_in(sketch, len(keys), REUSE_SCALE if name == "reuse" else 1)
        for name, sketch in zip(SKETCHES, sent.sketches, strict=True)
    }
    return Table(keys, counters, sketches)


def _sketch_out(column: SketchColumn) -> _Sketch:
    return _Sketch(
        stats=[pack(column.stats[name]) for name in SKETCH_STATS.names or ()],
        n_bins=pack(np.diff(column.indptr)),
        bins=pack(column.bins),
        counts=pack(column.counts),
    )


def _sketch_in(sent: _Sketch, n_rows: int, scale: int) -> SketchColumn:
    stats = np.zeros(n_rows, SKETCH_STATS)
    for name, column in zip(SKETCH_STATS.names or (), sent.stats, strict=True):
        stats[name] = unpack(column, SKETCH_STATS[name], n_rows)
    n_bins = unpack(sent.n_bins, np.uint16, n_rows)
    if len(n_bins) and int(n_bins.max()) > N_BINS:
        raise WireError("a sketch has more bins than there are")
    indptr = np.concatenate([[0], np.cumsum(n_bins, dtype=np.int64)]).astype(np.int64)
    bins = unpack(sent.bins, np.uint16, int(indptr[-1]))
    counts = unpack(sent.counts, np.int64, int(indptr[-1]))
    _check_bins(indptr, bins, counts)
    if len(stats) and int(stats["sum_hi"].max()) > MAX_SUM_HI:
        raise WireError("a sum is out of range")
    return SketchColumn(stats, indptr, bins, counts, scale)


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


def _health_out(health: Health) -> _Health:
    record = health.record()
    undecoded = record.pop("undecoded")
    return _Health(amounts=record, undecoded=undecoded)


def _health_in(sent: _Health) -> Health:
    names = {item.name for item in fields(Health)} - {"undecoded"}
    if sent.amounts.keys() != names:
        raise WireError("the health of a capture has other fields")
    if not sent.undecoded.keys() <= _REASONS:
        raise WireError("packets are undecoded for an unknown reason")
    amounts: dict[str, Any] = dict(sent.amounts)
    empty = Health().record()
    if any(value is None and empty[name] is not None for name, value in amounts.items()):
        raise WireError("an amount that is always known is missing")
    return Health(undecoded=dict(sent.undecoded), **amounts)
