"""Columns of whole numbers ↔ as few bytes as hold the largest of them.

Takes and gives one-dimensional numpy arrays. Most counters of most destinations are 0 and most
others are small, so a column travels in 0, 1, 2, 4 or 8 bytes per number.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from trtop_core.wire.errors import WireError

Code = Literal["0", "<u1", "<u2", "<u4", "<u8", "<i8"]

ZEROS: Code = "0"
SIGNED: Code = "<i8"
UNSIGNED: tuple[Code, ...] = ("<u1", "<u2", "<u4", "<u8")


class Packed(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    """A column of whole numbers in the form that travels.

    Attributes:
        code: the dtype of its numbers; ``ZEROS`` where all are 0 and no bytes are sent.
        data: the numbers, little endian.
    """

    code: Code
    data: memoryview


def pack(column: npt.NDArray[Any]) -> Packed:
    """The shortest form of a column of integers."""
    if not column.any():
        return Packed(ZEROS, memoryview(b""))
    if column.dtype.kind == "i" and int(column.min()) < 0:
        code = SIGNED
    else:
        largest = int(column.max())
        code = next(code for code in UNSIGNED if largest <= np.iinfo(code).max)
    return Packed(code, memoryview(column.astype(code).tobytes()))


def unpack(packed: Packed, dtype: npt.DTypeLike, n: int | None = None) -> npt.NDArray[Any]:
    """The column as an array of its own.

    Args:
        packed: as received.
        dtype: what it must become; its range is checked.
        n: how many numbers there must be; None: as many as the bytes say.

    Raises:
        WireError: another number of them, or one that ``dtype`` does not hold.
    """
    if packed.code == ZEROS:
        if packed.data.nbytes or n is None:
            raise WireError("a column of zeros has no bytes and a known length")
        return np.zeros(n, dtype)
    sent = np.dtype(packed.code)
    if packed.data.nbytes % sent.itemsize:
        raise WireError(f"a column of {sent} ends inside a number")
    column = np.frombuffer(packed.data, sent)
    if n is not None and len(column) != n:
        raise WireError(f"a column has {len(column):,} numbers instead of {n:,}")
    limits = np.iinfo(dtype)
    if len(column) and not limits.min <= int(column.min()) <= int(column.max()) <= limits.max:
        raise WireError("a number is out of range")
    return column.astype(dtype)
