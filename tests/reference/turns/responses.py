"""What a response counts, from its first segment to its last.

Takes a turn and the server's segments that answer it; counts into the connection's ledger. Never
decides which segment answers what.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..clock import NS_PER_S, Clock, Moment
from ..data import Answer, Ledger, NewData, Sides, Turn

STREAM_BYTES = 1 << 20
STALL_NS = NS_PER_S
STILL_CLOSED = 1 << 62


@dataclass
class _StreamTime:
    """The time by which a segment makes its response longer, and whether it ended a stall."""

    ledger: Ledger
    turn: Turn
    last: Moment
    this: Moment
    is_excused: bool

    def count(self, clock: Clock) -> None:
        turn = self.turn
        assert turn.first is not None
        pause_ns = clock.latency_ns(self.last, self.this)
        since_first_ns = clock.latency_ns(turn.first, self.this)
        is_stall = pause_ns is not None and pause_ns > STALL_NS and not self.is_excused
        grown_ns = max(0, (since_first_ns or 0) - turn.stream_ns)
        turn.n_stalls += is_stall
        turn.stream_ns += grown_ns
        if turn.is_stream:
            self.ledger.add("stream_ns", grown_ns)
            self.ledger.add("stalls", is_stall)


class Responses:
    """The responses of one connection, and how many there were."""

    def __init__(self, ledger: Ledger, sides: Sides) -> None:
        self.n_responses = 0
        self._ledger = ledger
        self._sides = sides
        # The packet that opened the client's window again, after the latest time it was closed.
        self._closed_until = 0

    def client_window(self, is_zero: bool, moment: Moment) -> None:
        """Note what window the client advertises: a pause behind a closed one is no stall."""
        if is_zero:
            self._closed_until = STILL_CLOSED
        elif self._closed_until == STILL_CLOSED:
            self._closed_until = moment.serial

    def answer(self, turn: Turn, data: NewData) -> Answer:
        """Return what is known when `data` may turn out to be the first segment of a response."""
        is_withheld = self._sides.client.misses(turn.client_start) or self._sides.server.misses(
            turn.server_start, data.start
        )
        return Answer(data.moment, is_withheld, turn.was_sent_again, data.floor_ns)

    def begin(self, turn: Turn, answer: Answer) -> None:
        """A response begins: time to first byte."""
        turn.is_answered = True
        turn.is_withheld = answer.is_withheld
        turn.first = turn.last = answer.moment
        if not turn.is_counted:
            return
        self.n_responses += 1
        self._ledger.add("responses")
        self._ledger.add("slow_by_loss", answer.was_sent_again)
        self._ledger.add("withheld", answer.is_withheld)
        if answer.is_withheld:
            return
        self._ledger.latency("response_time", turn.asked, answer.moment)
        if answer.floor_ns is not None:
            self._ledger.latency("server_time", turn.asked, answer.moment, answer.floor_ns)

    def was_closed_since(self, moment: Moment) -> bool:
        """Whether the client's window was closed at any time after a packet."""
        return self._closed_until > moment.serial

    def grow(
        self, turn: Turn, moment: Moment, n_bytes: int, is_excused: bool | None = None
    ) -> None:
        """New data of a response that has begun."""
        assert turn.last is not None
        if turn.is_counted:
            self._grow_bytes(turn, n_bytes)
            if is_excused is None:
                is_excused = self.was_closed_since(turn.last)
            self._ledger.measurements.add(
                _StreamTime(self._ledger, turn, turn.last, moment, is_excused)
            )
        turn.last = moment

    def fill(self, turn: Turn, moment: Moment, n_bytes: int, is_of_turn: bool) -> None:
        """Late data of a response; it lengthens the response if it is of its own turn."""
        if turn.is_counted:
            self._grow_bytes(turn, n_bytes)
        if is_of_turn:
            turn.last = moment

    def end(self, turn: Turn) -> None:
        """Sample time to last byte, once."""
        if not turn.is_answered or turn.is_sampled or not turn.is_counted:
            return
        turn.is_sampled = True
        if not turn.is_withheld and turn.last is not None:
            self._ledger.latency("response_duration", turn.asked, turn.last)

    def _grow_bytes(self, turn: Turn, n_bytes: int) -> None:
        turn.n_bytes += n_bytes
        if turn.is_stream:
            self._ledger.add("stream_bytes", n_bytes)
        elif turn.n_bytes >= STREAM_BYTES:
            turn.is_stream = True
            self._ledger.add("streams")
            self._ledger.add("stream_bytes", turn.n_bytes)
            self._ledger.add("stream_ns", turn.stream_ns)
            self._ledger.add("stalls", turn.n_stalls)
