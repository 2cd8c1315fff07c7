"""A detail ↔ bytes: what ``encode_detail`` gives, ``decode_detail`` makes equal again.

Takes and gives frozen details. Decoding checks shapes, ranges and known names; its memory is
bounded by a small multiple of the bytes given, and these by ``MAX_DETAIL_BYTES``.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from trtop_core.detail import CONNECTION, HISTORY, ConnectionState, Detail, DetailView
from trtop_core.records import TS_LIMIT_NS
from trtop_core.wire.checks import check_detail_view
from trtop_core.wire.envelope import MAX_DETAIL_BYTES, pack_message, unpack_message
from trtop_core.wire.errors import WireError
from trtop_core.wire.tables import SentTable, table_in, table_out

MAX_SLOTS = 64
"""Slots of a history that are accepted: windows have 10 and 12."""

_Time = Annotated[int, Meta(ge=-TS_LIMIT_NS - 1, le=TS_LIMIT_NS)]
_Amount = Annotated[int, Meta(ge=0)]

_STATES = tuple(int(state) for state in ConnectionState)


class _Detail(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    view: DetailView
    clock_ns: _Time | None
    span_ns: _Amount
    table: SentTable
    minutes: memoryview
    minute: memoryview
    longest_open: memoryview
    slowest: memoryview
    n_connections: _Amount
    oldest_wait_ns: Annotated[int, Meta(ge=-1)]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Detail)


def encode_detail(detail: Detail) -> bytes:
    """A detail as bytes, bins included."""
    sent = _Detail(
        view=detail.view,
        clock_ns=detail.clock_ns,
        span_ns=detail.span_ns,
        table=table_out(detail.table),
        minutes=memoryview(detail.minutes.tobytes()),
        minute=memoryview(detail.minute.tobytes()),
        longest_open=memoryview(detail.longest_open.tobytes()),
        slowest=memoryview(detail.slowest.tobytes()),
        n_connections=detail.n_connections,
        oldest_wait_ns=detail.oldest_wait_ns,
    )
    return pack_message(_ENCODER.encode(sent))


def decode_detail(data: bytes | memoryview) -> Detail:
    """The detail that the bytes hold.

    Raises:
        WireError: they hold none, or one that contradicts itself.
    """
    sent: _Detail = unpack_message(data, _DECODER, MAX_DETAIL_BYTES)
    try:
        check_detail_view(sent.view)
    except ValueError as error:
        raise WireError(str(error)) from None
    table = table_in(sent.table)
    if len(table) > 1:
        raise WireError("a detail has one row at most")
    longest_open = connections_in(sent.longest_open, sent.view.n_connections)
    slowest = connections_in(sent.slowest, sent.view.n_connections)
    if sent.n_connections < max(len(longest_open), len(slowest)):
        raise WireError("a detail shows more connections than there are")
    return Detail(
        view=sent.view,
        clock_ns=sent.clock_ns,
        span_ns=sent.span_ns,
        table=table,
        minutes=_history_in(sent.minutes),
        minute=_history_in(sent.minute),
        longest_open=longest_open,
        slowest=slowest,
        n_connections=sent.n_connections,
        oldest_wait_ns=sent.oldest_wait_ns,
    )


def _records_in(sent: memoryview, dtype: np.dtype[Any], max_records: int) -> npt.NDArray[Any]:
    if sent.nbytes % dtype.itemsize:
        raise WireError("a list ends inside a record")
    if sent.nbytes > max_records * dtype.itemsize:
        raise WireError(f"a list has more than {max_records:,} records")
    return np.frombuffer(sent, dtype).copy()


def _history_in(sent: memoryview) -> npt.NDArray[Any]:
    history = _records_in(sent, HISTORY, MAX_SLOTS)
    _check_times(history, "start_ns")
    if (history["span_ns"] < 0).any() or (history["response_time_ns"] < -1).any():
        raise WireError("a slot of a history is out of range")
    if (np.diff(history["start_ns"]) < 0).any():
        raise WireError("the slots of a history do not ascend")
    return history


def connections_in(sent: memoryview, max_connections: int) -> npt.NDArray[Any]:
    """Connections that the bytes hold, shape (n,), dtype ``CONNECTION``.

    Raises:
        WireError: they hold none, or too many.
    """
    connections = _records_in(sent, CONNECTION, max_connections)
    if connections["_pad"].any() or (connections["is_midstream"] > 1).any():
        raise WireError("a connection contradicts itself")
    if not np.isin(connections["state"], _STATES).all():
        raise WireError("a connection is in no known state")
    _check_times(connections, "opened_ns", "last_ns")
    if (connections["response_ns"] < -1).any():
        raise WireError("a response time is out of range")
    return connections


def _check_times(records: npt.NDArray[Any], *names: str) -> None:
    for name in names:
        times = records[name]
        if ((times < -TS_LIMIT_NS - 1) | (times > TS_LIMIT_NS)).any():
            raise WireError("a time is out of range")
