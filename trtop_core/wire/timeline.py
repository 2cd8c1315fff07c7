"""A timeline ↔ bytes: what ``encode_timeline`` gives, ``decode_timeline`` makes equal again.

Takes and gives frozen timelines. Decoding checks shapes, ranges and order; its memory is bounded by
the bytes given, and these by ``MAX_DETAIL_BYTES``.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from trtop_core.records import TS_LIMIT_NS
from trtop_core.timeline import MAX_COLUMNS, TIMELINE, Timeline, TimelineView
from trtop_core.wire.envelope import MAX_DETAIL_BYTES, pack_message, unpack_message
from trtop_core.wire.errors import WireError

_Span = Annotated[int, Meta(ge=0, le=TS_LIMIT_NS)]
_Length = Annotated[int, Meta(ge=1, le=TS_LIMIT_NS)]


class _Timeline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    view: TimelineView
    length_ns: _Length
    columns: memoryview
    grain_ns: _Span
    n_bytes: _Span
    max_bytes: _Span


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Timeline)


def encode_timeline(timeline: Timeline) -> bytes:
    """A timeline as bytes."""
    sent = _Timeline(
        view=timeline.view,
        length_ns=timeline.length_ns,
        columns=memoryview(timeline.columns.tobytes()),
        grain_ns=timeline.grain_ns,
        n_bytes=timeline.n_bytes,
        max_bytes=timeline.max_bytes,
    )
    return pack_message(_ENCODER.encode(sent))


def decode_timeline(data: bytes | memoryview) -> Timeline:
    """The timeline that the bytes hold.

    Raises:
        WireError: they hold none, or one that contradicts itself.
    """
    sent: _Timeline = unpack_message(data, _DECODER, MAX_DETAIL_BYTES)
    if sent.columns.nbytes % TIMELINE.itemsize:
        raise WireError("a timeline ends inside a column")
    if sent.columns.nbytes > MAX_COLUMNS * TIMELINE.itemsize:
        raise WireError(f"a timeline has more than {MAX_COLUMNS:,} columns")
    columns = np.frombuffer(sent.columns, TIMELINE).copy()
    for name in ("start_ns", "end_ns"):
        if ((columns[name] < -TS_LIMIT_NS) | (columns[name] > TS_LIMIT_NS)).any():
            raise WireError("a time is out of range")
    if (columns["end_ns"] < columns["start_ns"]).any() or (columns["response_time_ns"] < -1).any():
        raise WireError("a column of a timeline is out of range")
    if (np.diff(columns["start_ns"]) < 0).any():
        raise WireError("the columns of a timeline do not ascend")
    span_ns = int(columns["start_ns"][-1] - columns["start_ns"][0]) if len(columns) else 0
    if span_ns // sent.length_ns > MAX_COLUMNS:
        raise WireError("the columns of a timeline are shorter than they are apart")
    return Timeline(sent.view, sent.length_ns, columns, sent.grain_ns, sent.n_bytes, sent.max_bytes)
