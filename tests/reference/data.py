"""What passes between the parts that follow requests: segments of new data, turns, the ledger."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from .clock import Moment
from .direction import Direction, Start
from .measure import Measurements
from .rows import Row


@dataclass
class Ledger:
    """Where one connection counts."""

    row: Row
    measurements: Measurements

    def add(self, name: str, n: int = 1) -> None:
        self.row.add(name, n)

    def latency(self, name: str, start: Moment, end: Moment, less_ns: int = 0) -> None:
        self.measurements.latency(self.row, name, start, end, less_ns)


@dataclass
class Sides:
    """Both directions of one connection, by who sends."""

    client: Direction
    server: Direction


@dataclass(frozen=True)
class NewData:
    """A segment that holds new data, or (of the server) one that fills a hole.

    `payload` is what was captured of all its `payload_len` bytes at `start` … `end` − 1, `head`
    what was captured from `new_start`, its first new byte, on. `client_start` and `server_start`
    are where a turn would start that begins with it, `acked` what it acknowledges of the peer.
    """

    moment: Moment
    now_ns: int
    payload: bytes
    payload_len: int
    head: bytes
    n_bytes: int
    start: int
    new_start: int
    end: int
    client_start: Start | None
    server_start: Start | None
    acked: int | None
    floor_ns: int | None


class Kind(enum.Enum):
    REQUEST = enum.auto()
    HANDSHAKE = enum.auto()


@dataclass
class Turn:
    """One run of client data and the run of server data that answers it.

    The client's bytes are `asked_from` … `asked_to` − 1 (None: all from there on), the last of
    them sent at `asked`. A turn that is not `is_counted` counts nothing: its connection is
    multiplexed, or may turn out to be.
    """

    kind: Kind
    client_start: Start | None
    server_start: Start | None
    asked_from: int
    asked: Moment
    # The clock when the last of them was sent.
    waits_since_ns: int = 0
    asked_to: int | None = None
    is_counted: bool = True
    was_sent_again: bool = False
    is_answered: bool = False
    # Whether data that acknowledge nothing of the client's bytes have crossed them.
    may_be_crossed: bool = False
    is_withheld: bool = False
    is_sampled: bool = False
    first: Moment | None = None
    last: Moment | None = None
    n_bytes: int = 0
    # Of these, what may be tickets.
    n_ticket_bytes: int = 0
    n_stalls: int = 0
    is_stream: bool = False
    stream_ns: int = 0

    @property
    def is_waiting(self) -> bool:
        """Whether it is a request that counts and has no answer."""
        return self.kind is Kind.REQUEST and self.is_counted and not self.is_answered


@dataclass(frozen=True)
class Answer:
    """The first segment of a response, and what was known when it arrived."""

    moment: Moment
    is_withheld: bool
    was_sent_again: bool
    floor_ns: int | None
