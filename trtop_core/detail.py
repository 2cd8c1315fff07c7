"""``DetailView`` and ``Detail``: one destination looked at closely. Data only.

A question and its frozen answer, as ``View`` and ``Snapshot`` are, made of plain values and numpy
arrays, so that both travel as they are.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core.records import GroupBy, Window
from trtop_core.table import Table
from trtop_core.view import Period

DEFAULT_CONNECTIONS = 10

ADDR_BYTES = 16


@dataclass(frozen=True, slots=True)
class DetailView:
    """One question about one destination.

    Attributes:
        addr: 16 bytes, as in ``records.DESTINATION_KEY`` (IPv4 is mapped).
        port: 0 where rows are grouped by address.
        kind: a ``records.DestinationKind``.
        group_by: how the row was grouped: by address, all ports of it are meant.
        window: what counters and sketches cover.
        n_connections: at most so many of the longest open, and of the slowest.
        period: instead of the window, a span in the past; connections are as of now.

    Raises:
        ValueError: a field is out of range.
    """

    addr: bytes
    port: int = 0
    kind: int = 0
    group_by: GroupBy = GroupBy.ADDR
    window: Window = Window.ALL
    n_connections: int = DEFAULT_CONNECTIONS
    period: Period | None = None

    def __post_init__(self) -> None:
        if len(self.addr) != ADDR_BYTES:
            raise ValueError(f"an address has {ADDR_BYTES} bytes")
        if not 0 <= self.port <= 0xFFFF:
            raise ValueError("a port is within 0 … 65535")
        if self.n_connections < 0:
            raise ValueError("a number of connections is 0 or more")


class ConnectionState(IntEnum):
    """Where a connection stands."""

    PENDING = 0
    """The SYN is not answered yet."""
    TIMED_OUT = 1
    """The SYN was not answered in time."""
    OPENING = 2
    """Answered; the handshake is not complete."""
    OPEN = 3
    WAITING = 4
    """Open, and its last request is not answered yet."""
    CLOSING = 5
    """One side has sent its FIN."""
    CLOSED = 6
    RESET = 7
    IDLE = 8
    """Silent for so long that it no longer counts as active."""


CONNECTION = np.dtype(
    [
        ("client_addr", "u1", ADDR_BYTES),  # IPv4 is mapped
        ("server_addr", "u1", ADDR_BYTES),
        ("client_port", "<u2"),
        ("server_port", "<u2"),
        ("state", "u1"),  # ConnectionState
        ("is_midstream", "u1"),  # its SYN was not seen: opened_ns is unknown
        ("_pad", "<u2"),
        ("opened_ns", "<i8"),  # capture time of its first SYN; -1 where unknown
        ("last_ns", "<i8"),  # capture time at its last segment
        ("response_ns", "<i8"),  # of its latest request: time to first byte, or waited so far; -1
        ("responses", "<u8"),
    ]
)
"""One connection of a detail."""

HISTORY = np.dtype(
    [
        ("start_ns", "<i8"),  # capture time at which the slot began
        ("span_ns", "<i8"),  # capture time that it covers; the last slot is not over yet
        ("syn", "<u8"),
        ("requests", "<u8"),
        ("rst", "<u8"),
        ("response_time_ns", "<i8"),  # p95 of the slot; -1 without samples
    ]
)
"""What happened in one slot of the last minutes."""


@dataclass(frozen=True, slots=True)
class Detail:
    """What an engine knew of one destination at one moment of capture time.

    Attributes:
        view: the question that this answers.
        clock_ns: capture time now; None before the first packet.
        span_ns: capture time that the counters cover.
        table: the destination's row alone; no row where it did not appear in the window.
        minutes: shape (n,), dtype ``HISTORY``: the last 5 min in slots of 30 s, oldest first;
            empty where that window is not kept.
        minute: the same of the last 60 s, in slots of 5 s.
        longest_open: shape (n,), dtype ``CONNECTION``: open ones, the longest first; those whose
            beginning is unknown come last.
        slowest: shape (n,), dtype ``CONNECTION``: by ``response_ns``, the slowest first.
        n_connections: connections of this destination that are remembered, closed ones included.
        oldest_wait_ns: how long the request that waits longest has waited for its answer until now;
            -1 if none waits.
    """

    view: DetailView
    clock_ns: int | None
    span_ns: int
    table: Table
    minutes: npt.NDArray[Any]
    minute: npt.NDArray[Any]
    longest_open: npt.NDArray[Any]
    slowest: npt.NDArray[Any]
    n_connections: int
    oldest_wait_ns: int
