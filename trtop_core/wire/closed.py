"""Records of connections ↔ bytes: ``decode_closed`` makes again what ``encode_closed`` was given.

Takes and gives ``Closed``. Columns travel by name, and so do the bits of states: what the receiver
does not know (and bits without a name) is left out, what the sender does not tell is 0. What is
allocated is bounded by ``MAX_PER_ANSWER``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from trtop_core._connection import PROTOCOL_BITS, STATE_BITS
from trtop_core.closed_connections import MAX_LOG_ID, MAX_PER_ANSWER, Closed, ClosedView
from trtop_core.connection_records import (
    CONNECTION_RECORD,
    COUNTER_PLACES,
    N_WORDS,
    SAMPLE_PLACES,
    SAMPLES,
    records_of,
    words_of,
)
from trtop_core.records import TS_LIMIT_NS
from trtop_core.wire.envelope import pack_message, unpack_message
from trtop_core.wire.errors import WireError
from trtop_core.wire.packed import ZEROS, Packed, pack, unpack

MAX_COLUMNS = 1024
"""Far above what there is; bounds what a message can make the decoder look at."""

MAX_BITS = 64

ADDRESS_BYTES = 16

MAX_CLOSED_BYTES = MAX_PER_ANSWER * (CONNECTION_RECORD.itemsize + 512) + (1 << 16)
"""All records in full, some counters of tomorrow, and the names of all."""

BOOLEANS = ("is_evicted", "is_remembered")
PORTS = ("client_port", "server_port")
TIMES = ("began_ns", "last_ns", "floor_ns")

FIELDS = (*PORTS, "state", "protocol", *BOOLEANS, *TIMES)
"""Columns besides addresses and what connections added to their destinations."""

TALLY_COLUMNS: dict[str, tuple[int, np.dtype[Any]]] = {
    **{name: (place, np.dtype(np.uint64)) for name, place in COUNTER_PLACES.items()},
    **{
        f"{name}.{part}": (place, SAMPLES[part])
        for name, places in SAMPLE_PLACES.items()
        for part, place in places.items()
    },
}
"""Name of each such column, its word in a record, and the dtype."""

NOTHING = Packed(ZEROS, memoryview(b""))

_Place = Annotated[int, Meta(ge=0, le=MAX_LOG_ID)]
_Bits = Annotated[dict[str, int], Meta(max_length=MAX_BITS)]


class _Closed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    view: ClosedView
    log_id: Annotated[int, Meta(ge=1, le=MAX_LOG_ID)]
    first: _Place
    n_unkept: _Place
    is_over: bool
    n_records: Annotated[int, Meta(ge=0, le=MAX_PER_ANSWER)]
    client_addr: memoryview
    server_addr: memoryview
    state_bits: _Bits
    protocol_bits: _Bits
    columns: Annotated[dict[str, Packed], Meta(max_length=MAX_COLUMNS)]


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Closed)


def encode_closed(closed: Closed) -> bytes:
    """Records as bytes."""
    records = closed.records
    sent = _Closed(
        view=closed.view,
        log_id=closed.log_id,
        first=closed.first,
        n_unkept=closed.n_unkept,
        is_over=closed.is_over,
        n_records=len(records),
        client_addr=memoryview(records["client_addr"].tobytes()),
        server_addr=memoryview(records["server_addr"].tobytes()),
        state_bits=dict(STATE_BITS),
        protocol_bits=dict(PROTOCOL_BITS),
        columns={
            **{name: pack(records[name]) for name in FIELDS},
            **dict(_pack_tallies(records)),
        },
    )
    return pack_message(_ENCODER.encode(sent))


def decode_closed(data: bytes | memoryview) -> Closed:
    """The records that the bytes hold.

    Raises:
        WireError: they hold none, or some that contradict themselves.
    """
    sent: _Closed = unpack_message(data, _DECODER, MAX_CLOSED_BYTES)
    if sent.n_records > sent.view.limit:
        raise WireError("more records than were asked for")
    records = _unpack_tallies(sent.columns, sent.n_records)
    for name in ("client_addr", "server_addr"):
        raw = getattr(sent, name)
        if raw.nbytes != ADDRESS_BYTES * sent.n_records:
            raise WireError("not as many addresses as records")
        records[name] = np.frombuffer(raw, np.uint8).reshape(-1, ADDRESS_BYTES)
    for name in FIELDS:
        if name in sent.columns:
            column = records[name]
            column[:] = unpack(sent.columns[name], column.dtype, sent.n_records)
    records["state"] = _translated(records["state"], sent.state_bits, STATE_BITS)
    records["protocol"] = _translated(records["protocol"], sent.protocol_bits, PROTOCOL_BITS)
    _check(records)
    return Closed(sent.view, sent.log_id, sent.first, sent.n_unkept, sent.is_over, records)


def _pack_tallies(records: npt.NDArray[Any]) -> Iterator[tuple[str, Packed]]:
    """What connections added to their destinations, by name."""
    columns = np.ascontiguousarray(words_of(records).T)
    used = set(np.flatnonzero(columns.any(axis=1)).tolist())
    for name, (place, dtype) in TALLY_COLUMNS.items():
        yield name, pack(columns[place].view(dtype)) if place in used else NOTHING


def _unpack_tallies(columns: Mapping[str, Packed], n_records: int) -> npt.NDArray[Any]:
    """Records that hold nothing else yet.

    Raises:
        WireError: a column has another length, or a number that does not belong there.
    """
    words = np.zeros((N_WORDS, n_records), np.uint64)
    for name, (place, dtype) in TALLY_COLUMNS.items():
        if columns.get(name, NOTHING) != NOTHING:
            words[place].view(dtype)[:] = unpack(columns[name], dtype, n_records)
    return records_of(np.ascontiguousarray(words.T))


def _translated(
    numbers: npt.NDArray[np.uint32], theirs: Mapping[str, int], ours: Mapping[str, int]
) -> npt.NDArray[np.uint32]:
    """Bits as the sender calls them as those that we know."""
    found = np.zeros(len(numbers), np.uint32)
    for name, bit in theirs.items():
        if name in ours and 0 < bit < 1 << 32:
            found[(numbers & np.uint32(bit)) != 0] |= np.uint32(ours[name])
    return found


def _check(records: npt.NDArray[Any]) -> None:
    if any((records[name] > 1).any() for name in BOOLEANS):
        raise WireError("a record contradicts itself")
    if any((records[name] > TS_LIMIT_NS).any() for name in TIMES):
        raise WireError("a time is out of range")
    if (records["floor_ns"] < -1).any():
        raise WireError("a round trip is out of range")
