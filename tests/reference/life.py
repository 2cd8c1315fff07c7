"""The life of one connection: its closing, its timers, and what they count.

Takes the clock of capture time; counts what ends into the row of the destination. Never sees a
segment: `Connection` does.
"""

from __future__ import annotations

from .clock import NS_PER_S
from .data import Ledger, Sides, Turn
from .direction import Direction
from .ending import Ending
from .floor import Floor
from .holes import Verdict
from .measure import Measurements
from .opening import Opening
from .rows import Row
from .turns.turns import Turns

CLOSED_MEMORY_NS = 60 * NS_PER_S
TIMED_OUT_MEMORY_NS = 300 * NS_PER_S
WAITING_LONG_NS = 10 * NS_PER_S
FOREVER_NS = 1 << 62

Endpoint = tuple[bytes, int]


class Life:
    """What one connection is made of. `client` and `server` are its endpoints."""

    def __init__(
        self,
        ends: tuple[Endpoint, Endpoint],
        opening: Opening,
        row: Row,
        measurements: Measurements,
        now_ns: int,
    ) -> None:
        self.client, self.server = ends
        self.opening = opening
        self.directions = {end: Direction() for end in ends}
        self.floor = Floor(now_ns)
        self.ending = Ending()
        self.last_ns = now_ns
        # The number of its last segment, among those of all connections.
        self.last_order = 0
        self.is_fragmented = False
        self._measurements = measurements
        self.count_in(row, banner_possible=opening.is_attempt)

    def count_in(self, row: Row, banner_possible: bool) -> None:
        """Count what follows in a row, by the roles as they are now."""
        self.ledger = Ledger(row, self._measurements)
        self.sides = Sides(self.directions[self.client], self.directions[self.server])
        self.turns = Turns(self.ledger, self.sides, banner_possible)

    # --- closing ------------------------------------------------------------------------------

    def end_requests_if_due(self) -> None:
        """Behind the server's FIN nothing answers, once no hole before it is open."""
        if self.ending.ends_requests and not self.sides.server.holes.open:
            self._end_requests()

    def _end_requests(self) -> None:
        """The first closing: what is not answered now is unanswered."""
        if self.ending.requests_ended or self.ending.has_rst:
            return
        self.ending.requests_ended = True
        self.turns.decide()
        if not self.sides.client.has_fin:
            self.ledger.add("unanswered", len(self._waiting_turns()))

    def _waiting_turns(self) -> list[Turn]:
        """Requests that wait for an answer which the capture cannot have missed."""
        if self.is_one_sided:
            return []
        server = self.sides.server
        return [turn for turn in self.turns.waiting() if not server.misses(turn.server_start)]

    def n_waiting(self, now_ns: int) -> int:
        """The requests that wait for their answer now."""
        if self.ending.requests_ended or self.ending.is_closed:
            return 0
        return len(self._waiting_turns()) + self._n_silent(now_ns)

    def _n_silent(self, now_ns: int) -> int:
        """A request that HTTP/2 would have answered by its settings long ago: none or one."""
        turn = self.turns.undecided
        if turn is None or self.is_one_sided or self.sides.server.misses(turn.server_start):
            return 0
        return int(now_ns >= turn.waits_since_ns + WAITING_LONG_NS)

    def n_waiting_long(self, now_ns: int) -> int:
        """Those of them that have waited too long by the clock."""
        if self.ending.requests_ended or self.ending.is_closed:
            return 0
        since = [turn.waits_since_ns for turn in self._waiting_turns()]
        n_long = sum(now_ns >= since_ns + WAITING_LONG_NS for since_ns in since)
        return n_long + self._n_silent(now_ns)

    def supersede(self) -> None:
        """A new opening took the 4-tuple."""
        self.opening.time_out(self.ledger)
        self.leave()

    @property
    def eviction_order(self) -> tuple[int, int]:
        """What is least goes first from a full table: by its rank, then by its last segment."""
        n_segments = sum(direction.n_segments for direction in self.directions.values())
        is_proven = self.opening.has_est if self.opening.is_attempt else n_segments > 1
        if not is_proven:
            rank = 0
        elif not self.ending.is_closed:
            rank = 3
        else:
            rank = 2 if self.ending.is_idle else 1
        return rank, self.last_order

    def evict(self) -> None:
        """The table needs the room: what still waits counts in nothing any more."""
        self.opening.is_waiting = False
        self.turns.decide()
        self.ending.requests_ended = True
        self.leave()

    def leave(self) -> None:
        """Nothing will be heard of the connection again."""
        self.close()
        self._judge_acked()

    def close(self) -> None:
        """Do what closing does, unless it is closed already."""
        if self.ending.is_closed:
            return
        is_first = not self.ending.was_closed
        self.ending.is_closed = self.ending.was_closed = True
        self._end_requests()
        if not self.ending.has_rst:
            self.turns.decide()
            self.turns.end_response()
        self._judge_acked()
        self._decide_one_sided()
        self.floor.close(is_first, self.ledger.row, self._measurements)
        n_responses = self.turns.n_responses_to_sample
        if n_responses and not self.ending.reuse_sampled:
            self.ending.reuse_sampled = True
            self.ledger.row.sample("reuse", n_responses)

    def finish(self) -> None:
        """The capture ends."""
        self._judge_acked()
        self._decide_one_sided()

    @property
    def is_one_sided(self) -> bool:
        """Whether one direction was never seen although the other acknowledged something."""
        seen = [direction for direction in self.directions.values() if direction.is_seen]
        return len(seen) == 1 and seen[0].n_segments >= 2 and seen[0].has_acknowledged

    def _decide_one_sided(self) -> None:
        if not self.ending.one_sided_decided:
            self.ending.one_sided_decided = True
            self.ledger.add("one_sided", self.is_one_sided)

    def _judge_acked(self) -> None:
        for direction in self.directions.values():
            self.count_gaps(direction.judge_acked())

    def count_gaps(self, verdict: Verdict) -> None:
        if not self.is_fragmented:
            self.ledger.add("capture_gaps", verdict.n_gaps)
            self.ledger.add("gap_bytes", verdict.n_bytes)

    # --- time ---------------------------------------------------------------------------------

    @property
    def is_active(self) -> bool:
        return not self.ending.is_closed and not self.opening.is_unanswered

    def clamp(self, now_ns: int) -> None:
        """The clock stepped back, or a time was stray: what lies in the future counts as now."""
        self.last_ns = min(self.last_ns, now_ns)
        self.opening.clamp(now_ns)
        self.turns.clamp(now_ns)
        self.floor.clamp(now_ns)
        for direction in self.directions.values():
            direction.clamp(now_ns)

    def due_ns(self, idle_timeout_ns: int) -> int:
        """The earliest clock at which a timer of this connection runs out."""
        holes = [direction.holes.due_ns() for direction in self.directions.values()]
        idle_ns = None if self.ending.is_closed else self.last_ns + idle_timeout_ns
        floor_ns = None if self.ending.is_closed else self.floor.due_ns()
        due = [self._forget_ns(), idle_ns, floor_ns, self.opening.due_ns(), *holes]
        return min(due_ns for due_ns in due if due_ns is not None)

    def _forget_ns(self) -> int:
        if self.ending.is_closed and not self.ending.is_idle:
            return self.last_ns + CLOSED_MEMORY_NS
        return self.last_ns + (TIMED_OUT_MEMORY_NS if self.opening.is_unanswered else FOREVER_NS)

    def run_timers(self, now_ns: int, idle_timeout_ns: int) -> bool:
        """Do what is due; return whether the connection is to be forgotten."""
        answer_due_ns = self.opening.due_ns()
        if answer_due_ns is not None and now_ns >= answer_due_ns:
            self.opening.time_out(self.ledger)
        for direction in self.directions.values():
            self.count_gaps(direction.judge_due(now_ns))
        self.end_requests_if_due()
        if not self.ending.is_closed:
            self.floor.run_timers(now_ns, self.last_ns + idle_timeout_ns, self.ledger.row)
        if not self.ending.is_closed and now_ns >= self.last_ns + idle_timeout_ns:
            self.close()
            self.ending.is_idle = True
        if now_ns < self._forget_ns():
            return False
        self.leave()
        return True
