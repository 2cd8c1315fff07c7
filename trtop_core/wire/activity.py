"""An activity ↔ bytes: what ``encode_activity`` gives, ``decode_activity`` makes equal again.

Takes and gives frozen activities. Decoding checks shapes, ranges and order; its memory is bounded
by a small multiple of the bytes given, and these by ``MAX_ACTIVITY_BYTES``. Counters travel by
name: what the receiver does not know is left out, what the sender does not count is 0.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import numpy as np
import numpy.typing as npt
from msgspec import Meta

from trtop_core.activity import (
    CELL,
    MAX_ACTIVITY_COLUMNS,
    MAX_ACTIVITY_ROWS,
    MAX_NUMBERS,
    MAX_SLOW,
    SERIES,
    Activity,
    ActivityView,
)
from trtop_core.detail import CONNECTION
from trtop_core.records import TS_LIMIT_NS
from trtop_core.wire.checks import check_activity_view
from trtop_core.wire.detail import connections_in
from trtop_core.wire.envelope import pack_message, unpack_message
from trtop_core.wire.errors import WireError

MAX_SERIES = 64
"""Above what there is; bounds what a message can make the decoder allocate."""

NUMBER_BYTES = 8

MAX_SLOW_ROWS = MAX_ACTIVITY_ROWS * MAX_SLOW

MAX_ACTIVITY_BYTES = (
    NUMBER_BYTES * (MAX_SERIES + 1) * MAX_ACTIVITY_COLUMNS
    + (NUMBER_BYTES * (MAX_SERIES + 1) + 4) * MAX_NUMBERS
    + (CONNECTION.itemsize + 2) * MAX_SLOW_ROWS
    + (1 << 15)
)
"""All numbers, one of each cell at least, and a question."""

_Time = Annotated[int, Meta(ge=-TS_LIMIT_NS - 1, le=TS_LIMIT_NS)]
_Names = Annotated[tuple[str, ...], Meta(max_length=MAX_SERIES)]

_ROW = np.dtype("<u2")
_NUMBER = np.dtype("<i8")


class _Activity(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    view: ActivityView
    first_ns: _Time
    length_ns: Annotated[int, Meta(ge=1, le=TS_LIMIT_NS)]
    series: _Names
    n_columns: Annotated[int, Meta(ge=0, le=MAX_ACTIVITY_COLUMNS)]
    totals: memoryview
    response_time_ns: memoryview
    factor: Annotated[int, Meta(ge=1, le=2 * MAX_ACTIVITY_COLUMNS)]
    rows: memoryview
    columns: memoryview
    counters: memoryview
    times_ns: memoryview
    slow_rows: memoryview
    slow: memoryview


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(_Activity)


def encode_activity(activity: Activity) -> bytes:
    """An activity as bytes."""
    cells = activity.cells
    counters = cells["counters"].copy().view("<u8").reshape(len(cells), len(SERIES))
    sent = _Activity(
        view=activity.view,
        first_ns=activity.first_ns,
        length_ns=activity.length_ns,
        series=SERIES,
        n_columns=len(activity.totals),
        totals=_sent(activity.totals, _NUMBER),
        response_time_ns=_sent(activity.response_time_ns, _NUMBER),
        factor=activity.factor,
        rows=_sent(cells["row"], _ROW),
        columns=_sent(cells["column"], _ROW),
        counters=_sent(counters, _NUMBER),
        times_ns=_sent(cells["response_time_ns"], _NUMBER),
        slow_rows=_sent(activity.slow_rows, _ROW),
        slow=memoryview(activity.slow.tobytes()),
    )
    return pack_message(_ENCODER.encode(sent))


def decode_activity(data: bytes | memoryview) -> Activity:
    """The activity that the bytes hold.

    Raises:
        WireError: they hold none, or one that contradicts itself.
    """
    sent: _Activity = unpack_message(data, _DECODER, MAX_ACTIVITY_BYTES)
    try:
        check_activity_view(sent.view)
    except ValueError as error:
        raise WireError(str(error)) from None
    n_rows = len(sent.view.rows)
    totals = _known(sent, _numbers(sent.totals, (sent.n_columns, len(sent.series)), 0))
    slow_rows = np.frombuffer(_whole(sent.slow_rows, _ROW), _ROW).astype(np.int64)
    slow = connections_in(sent.slow, MAX_SLOW_ROWS)
    if len(slow_rows) != len(slow) or (slow_rows >= n_rows).any() or (np.diff(slow_rows) < 0).any():
        raise WireError("slow connections are of no row")
    return Activity(
        view=sent.view,
        first_ns=sent.first_ns,
        length_ns=sent.length_ns,
        totals=totals,
        response_time_ns=_numbers(sent.response_time_ns, (sent.n_columns,), -1),
        factor=sent.factor,
        cells=_cells_in(sent, n_rows),
        slow_rows=slow_rows,
        slow=slow,
    )


def _cells_in(sent: _Activity, n_rows: int) -> npt.NDArray[Any]:
    rows = np.frombuffer(_whole(sent.rows, _ROW), _ROW)
    columns = np.frombuffer(_whole(sent.columns, _ROW), _ROW)
    if len(rows) > MAX_NUMBERS or len(columns) != len(rows):
        raise WireError("an activity has not the cells that it says")
    n_columns = -(-sent.n_columns // sent.factor)
    if (rows >= n_rows).any() or (columns >= n_columns).any():
        raise WireError("a cell is of no row or column")
    if (np.diff(rows.astype(np.int64) * (n_columns + 1) + columns) <= 0).any():
        raise WireError("the cells of an activity do not ascend")
    cells = np.zeros(len(rows), CELL)
    cells["row"], cells["column"] = rows, columns
    counters = _known(sent, _numbers(sent.counters, (len(rows), len(sent.series)), 0))
    for i, name in enumerate(SERIES):
        cells["counters"][name] = counters[:, i]
    cells["response_time_ns"] = _numbers(sent.times_ns, (len(rows),), -1)
    return cells


def _known(sent: _Activity, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Columns by name, in our order."""
    known = np.zeros((len(numbers), len(SERIES)), np.int64)
    for i, name in enumerate(sent.series):
        if name in SERIES:
            known[:, SERIES.index(name)] = numbers[:, i]
    return known


def _sent(numbers: npt.NDArray[Any], dtype: np.dtype[Any]) -> memoryview:
    return memoryview(numbers.astype(dtype).tobytes())


def _whole(sent: memoryview, dtype: np.dtype[Any]) -> memoryview:
    if sent.nbytes % dtype.itemsize:
        raise WireError("a list ends inside a number")
    return sent


def _numbers(sent: memoryview, shape: tuple[int, ...], least: int) -> npt.NDArray[np.int64]:
    """Numbers of a shape, none below the least.

    Raises:
        WireError: they are not.
    """
    if sent.nbytes != int(np.prod(shape)) * NUMBER_BYTES:
        raise WireError("an activity has not the columns that it says")
    numbers = np.frombuffer(sent, _NUMBER).reshape(shape).copy()
    if (numbers < least).any():
        raise WireError("a number of an activity is out of range")
    return numbers
