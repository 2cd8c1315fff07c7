"""Trends ↔ bytes: what ``encode_trends`` gives, ``decode_trends`` makes equal again.

Takes and gives frozen trends. Decoding checks shapes and ranges; its memory is bounded by the bytes
given, and these by ``MAX_TRENDS_BYTES``.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from trtop_core.records import TS_LIMIT_NS
from trtop_core.trends import MAX_TREND_ROWS, Trends, TrendView
from trtop_core.wire.checks import check_trend_view
from trtop_core.wire.detail import MAX_SLOTS
from trtop_core.wire.envelope import pack_message, unpack_message
from trtop_core.wire.errors import WireError

NUMBER_BYTES = 8

MAX_TRENDS_BYTES = 2 * (MAX_TREND_ROWS + 1) * MAX_SLOTS * NUMBER_BYTES + (1 << 13)
"""All numbers, and a question with its names."""

_NUMBER = np.dtype("<i8")


class _Trends(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    view: TrendView
    n_slots: Annotated[int, Meta(ge=0, le=MAX_SLOTS)]
    starts_ns: memoryview
    spans_ns: memoryview
    errors: memoryview
    response_time_ns: memoryview


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Trends)


def encode_trends(trends: Trends) -> bytes:
    """Trends as bytes."""
    sent = _Trends(
        view=trends.view,
        n_slots=len(trends.starts_ns),
        starts_ns=_sent(trends.starts_ns),
        spans_ns=_sent(trends.spans_ns),
        errors=_sent(trends.errors),
        response_time_ns=_sent(trends.response_time_ns),
    )
    return pack_message(_ENCODER.encode(sent))


def decode_trends(data: bytes | memoryview) -> Trends:
    """The trends that the bytes hold.

    Raises:
        WireError: they hold none, or some that contradict themselves.
    """
    sent: _Trends = unpack_message(data, _DECODER, MAX_TRENDS_BYTES)
    try:
        check_trend_view(sent.view)
    except ValueError as error:
        raise WireError(str(error)) from None
    n_slots, shape = sent.n_slots, (len(sent.view.rows), sent.n_slots)
    trends = Trends(
        sent.view,
        _numbers(sent.starts_ns, (n_slots,), -TS_LIMIT_NS - 1),
        _numbers(sent.spans_ns, (n_slots,), 0),
        _numbers(sent.errors, shape, 0),
        _numbers(sent.response_time_ns, shape, -1),
    )
    if (trends.starts_ns > TS_LIMIT_NS).any() or (np.diff(trends.starts_ns) < 0).any():
        raise WireError("the slots of a trend do not ascend within the range of times")
    return trends


def _sent(numbers: npt.NDArray[np.int64]) -> memoryview:
    return memoryview(numbers.astype(_NUMBER, copy=False).tobytes())


def _numbers(sent: memoryview, shape: tuple[int, ...], least: int) -> npt.NDArray[np.int64]:
    """Numbers of a shape, none below the least.

    Raises:
        WireError: they are not.
    """
    if sent.nbytes != int(np.prod(shape)) * NUMBER_BYTES:
        raise WireError("a trend has not the slots that it says")
    numbers = np.frombuffer(sent, _NUMBER).reshape(shape).copy()
    if (numbers < least).any():
        raise WireError("a number of a trend is out of range")
    return numbers
