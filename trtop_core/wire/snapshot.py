"""A snapshot ↔ bytes: what ``encode_snapshot`` gives, ``decode_snapshot`` makes equal again.

Takes and gives frozen snapshots; bins travel too, so that decoded snapshots merge as the encoded
ones do. Decoding checks all that reporters rely on: shapes, ranges, order, known names. Its memory
is bounded by a small multiple of the bytes given.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from trtop_core.health import Health
from trtop_core.records import TS_LIMIT_NS, UNDECODED
from trtop_core.snapshot import Snapshot
from trtop_core.view import View
from trtop_core.wire.envelope import MAX_SNAPSHOT_BYTES, pack_message, unpack_message
from trtop_core.wire.errors import WireError
from trtop_core.wire.tables import SentTable, table_in, table_out

MAX_HEALTH_FIELDS = 64
"""Far above what ``Health`` has; bounds what a message can make the decoder allocate."""

_REASONS = frozenset(verdict.name.lower() for verdict in UNDECODED)

_Time = Annotated[int, Meta(ge=-TS_LIMIT_NS - 1, le=TS_LIMIT_NS)]
_Amount = Annotated[int, Meta(ge=0)]


class _Health(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    amounts: Annotated[dict[str, _Amount | None], Meta(max_length=MAX_HEALTH_FIELDS)]
    undecoded: Annotated[dict[str, _Amount], Meta(max_length=len(UNDECODED))]


class _Snapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    view: View
    clock_ns: _Time | None
    first_ns: _Time | None
    span_ns: _Amount
    table: SentTable
    total: SentTable
    n_destinations: _Amount
    health: _Health
    window_health: _Health
    is_period: bool = False


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Snapshot)


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """A snapshot as bytes, bins included."""
    sent = _Snapshot(
        view=snapshot.view,
        clock_ns=snapshot.clock_ns,
        first_ns=snapshot.first_ns,
        span_ns=snapshot.span_ns,
        table=table_out(snapshot.table),
        total=table_out(snapshot.total),
        n_destinations=snapshot.n_destinations,
        health=_health_out(snapshot.health),
        window_health=_health_out(snapshot.window_health),
        is_period=snapshot.is_period,
    )
    return pack_message(_ENCODER.encode(sent))


def decode_snapshot(data: bytes | memoryview) -> Snapshot:
    """The snapshot that the bytes hold.

    Raises:
        WireError: they hold none, or one that contradicts itself.
    """
    sent: _Snapshot = unpack_message(data, _DECODER, MAX_SNAPSHOT_BYTES)
    table = table_in(sent.table)
    total = table_in(sent.total)
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
        is_period=sent.is_period,
    )


def _health_out(health: Health) -> _Health:
    record = health.record()
    undecoded = record.pop("undecoded")
    return _Health(amounts=record, undecoded=undecoded)


def _health_in(sent: _Health) -> Health:
    if not sent.undecoded.keys() <= _REASONS:
        raise WireError("packets are undecoded for an unknown reason")
    empty = Health().record()
    del empty["undecoded"]
    # As for counters: what is not known here is left out, what was not counted there is 0.
    amounts: dict[str, Any] = {name: sent.amounts.get(name, empty[name]) for name in empty}
    if any(value is None and empty[name] is not None for name, value in amounts.items()):
        raise WireError("an amount that is always known is missing")
    return Health(undecoded=dict(sent.undecoded), **amounts)
