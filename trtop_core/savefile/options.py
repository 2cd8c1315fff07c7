"""Options of a pcapng block: a list of code, length, value.

Takes a whole block, gives the values by code. Never fails: a list that breaks off, or that
contradicts its block, ends there, since what a capture measures does not hang on its options.
"""

from __future__ import annotations

import struct

END_OF_OPTIONS = 0
_HEAD_LEN = 4
_TRAILER_LEN = 4


def find_options(block: bytes, start: int, order: str) -> dict[int, bytes]:
    """The first value of each option.

    Args:
        block: a block, with its length at its end.
        start: where in the block the options start.
        order: struct's sign of the byte order.
    """
    options: dict[int, bytes] = {}
    end = len(block) - _TRAILER_LEN
    while end - start >= _HEAD_LEN:
        code, length = struct.unpack_from(f"{order}HH", block, start)
        start += _HEAD_LEN
        if code == END_OF_OPTIONS or length > end - start:
            break
        options.setdefault(code, block[start : start + length])
        start += length + -length % 4
    return options
