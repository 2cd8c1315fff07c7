"""``CONNECTION_RECORD``: one connection, what it was and what it added to its destination.

The dtype that the kernel writes (``ext/trtop_core/_connection_log.pxd`` is its C side, compared
when a log is made), and what its bits mean as arrays. Never computes a counter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from trtop_core.metrics import COUNTER_ROW, COUNTERS, SKETCHES

SAMPLES = np.dtype(
    [
        ("count", "<u8"),
        ("sum", "<i8"),  # in the metric's unit
        ("max", "<i8"),  # 0 without samples
    ]
)
"""The samples of one distribution that a connection gave."""

TALLY = np.dtype(
    [
        ("counters", COUNTER_ROW),  # gauges are 0
        ("samples", [(name, SAMPLES) for name in SKETCHES]),
        ("packets_out", "<u8"),  # segments of the client, those without payload included
        ("packets_in", "<u8"),
    ]
)
"""What one connection added to its destination."""

CONNECTION_RECORD = np.dtype(
    [
        ("client_addr", "u1", 16),  # IPv4 is mapped
        ("server_addr", "u1", 16),
        ("client_port", "<u2"),
        ("server_port", "<u2"),
        ("state", "<u4"),  # bits: see `ended`
        ("protocol", "<u4"),
        ("destination", "<u4"),  # the row it counted in
        ("is_evicted", "u1"),  # forgotten for want of room
        ("is_remembered", "u1"),  # in the table when the capture ended
        ("_pad", "u1", 6),
        ("began_ns", "<i8"),  # capture time of its first segment; NO_TIME_NS where unknown
        ("last_ns", "<i8"),  # capture time at its last segment
        ("floor_ns", "<i8"),  # the least round trip; -1 where none was measured
        ("tally", TALLY),
    ]
)
"""One connection."""

WORD_BYTES = 8
"""Of this size, or less, are all fields; those of a tally are all of it."""

N_WORDS = CONNECTION_RECORD.itemsize // WORD_BYTES


def words_of(records: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """Records as words, shape (n, N_WORDS): numpy copies structs field by field, words at once.

    Args:
        records: shape (n,), contiguous; the words are a view of them.
    """
    return records.view(np.uint64).reshape(len(records), N_WORDS)


def records_of(words: npt.NDArray[np.uint64]) -> npt.NDArray[Any]:
    """The records that ``words_of`` made words of, as a view."""
    return words.reshape(-1).view(CONNECTION_RECORD)


Taken: TypeAlias = tuple[npt.NDArray[Any], npt.NDArray[np.uint64]]
"""Records, and where in an engine's course each was made: what ``ConnectionLog.take`` gives."""


def in_order(taken: Sequence[Taken]) -> npt.NDArray[Any]:
    """Records of some logs as one, in the order in which they were made.

    Connections that are forgotten at the end of the same tick are in the order of their opening.
    """
    if len(taken) == 1:
        return taken[0][0]
    records = np.concatenate([words_of(part) for part, _ in taken])
    return records_of(records[order_of(np.concatenate([places for _, places in taken]))])


def order_of(places: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """What puts rows into the order of their words, from the first one on."""
    return np.lexsort(places.T[::-1]).astype(np.int64, copy=False)


def _places() -> tuple[dict[str, int], dict[str, dict[str, int]]]:
    """Where in a record's words counters and samples stand."""

    def place(*path: str) -> int:
        dtype, at = CONNECTION_RECORD, 0
        for name in path:
            fields: Any = dtype.fields
            dtype, offset = fields[name][:2]
            at += offset
        return at // WORD_BYTES

    counters = {name: place("tally", name) for name in ("packets_out", "packets_in")}
    counters |= {name: place("tally", "counters", name) for name in COUNTERS}
    samples = {
        sketch: {part: place("tally", "samples", sketch, part) for part in SAMPLES.names or ()}
        for sketch in SKETCHES
    }
    return counters, samples


COUNTER_PLACES, SAMPLE_PLACES = _places()
"""The word of each counter (``packets_out`` and ``packets_in`` among them), and of each part of the
samples of a distribution."""


class Ended(IntEnum):
    """Where a connection stood when it was recorded."""

    OPEN = 0
    PENDING = 1
    """Its SYN was not answered yet."""
    OPENING = 2
    """Answered; the handshake was not complete."""
    CLOSING = 3
    """One side had sent its FIN."""
    CLOSED = 4
    RESET = 5
    TIMED_OUT = 6
    """Its SYN was never answered."""
    IDLE = 7
    """Silent for so long that it no longer counted as active."""
    EVICTED = 8
    """Forgotten for want of room, whatever it did next."""


OVER = (Ended.CLOSED, Ended.RESET, Ended.TIMED_OUT, Ended.IDLE)
"""What a connection that has ended is; of all others nobody knows how they went on."""


def ended(records: npt.NDArray[Any], bits: Mapping[str, int]) -> npt.NDArray[np.int8]:
    """Where each connection stood, shape (n,), numbers of ``Ended``.

    Args:
        records: shape (n,), dtype ``CONNECTION_RECORD``.
        bits: of ``state``, by name: those of ``trtop_core._connection.STATE_BITS``.
    """
    has = {name: (records["state"] & bit) != 0 for name, bit in bits.items()}
    return np.select(
        [
            has["rst"],
            records["is_evicted"] != 0,
            has["closed"] & has["idle"],
            has["unanswered"],
            has["closed"],
            has["waiting"],
            has["fin"],
            has["attempt"] & ~has["est"],
        ],
        [
            Ended.RESET,
            Ended.EVICTED,
            Ended.IDLE,
            Ended.TIMED_OUT,
            Ended.CLOSED,
            Ended.PENDING,
            Ended.CLOSING,
            Ended.OPENING,
        ],
        Ended.OPEN,
    ).astype(np.int8)
