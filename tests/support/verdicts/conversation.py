"""One connection as a capture at its client's host shows it, told in turns.

Takes what happens (sizes, times, losses), gives frames with times in ns. The path is first in,
first out; the clock moves with what is told.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from support.builders.packets import ACK, FIN, NS_PER_MS, PSH, RST, SYN, Talk

MSS = 1_448
SYN_TIMEOUT_MS = 1_000
RESEND_TIMEOUT_MS = 210

Frame = tuple[int, bytes]


@dataclass
class Conversation:
    """A connection and its clock.

    Attributes:
        talk: builds its frames.
        now_ns: when the next thing happens, at the client.
        rtt_ms: of the path.
        frames: what the capture holds.
        client_seq, server_seq: next of either side.
        acked: how much of the server's data the client has acknowledged.
    """

    talk: Talk
    now_ns: int
    rtt_ms: float
    frames: list[Frame] = field(default_factory=list)
    client_seq: int = 1_000
    server_seq: int = 500_000
    acked: int = 500_001

    def pause(self, ms: float) -> None:
        """Let time pass."""
        self.now_ns += round(ms * NS_PER_MS)

    def out(self, payload: bytes = b"", flags: int = ACK, **fields: int) -> None:
        """Capture a segment of the client's, new data first."""
        self._put(self.talk.out(self.client_seq, self.acked, flags, payload, **fields))
        self.client_seq += len(payload) + bool(flags & FIN)

    def back(self, payload: bytes = b"", flags: int = ACK, **fields: int) -> None:
        """Capture a segment of the server's, new data first."""
        self._put(self.talk.back(self.server_seq, self.client_seq, flags, payload, **fields))
        self.server_seq += len(payload) + bool(flags & FIN)

    def acknowledge(self) -> None:
        """Let the client acknowledge all."""
        self.acked = self.server_seq
        self.out()

    def try_to_connect(self, n_syns: int = 1) -> None:
        """Send a SYN, and again after 1 s, 2 s, 4 s … as long as nobody answers."""
        for number in range(n_syns):
            self._put(self.talk.out(self.client_seq, 0, SYN))
            if number < n_syns - 1:
                self.pause(SYN_TIMEOUT_MS * 2**number)

    def connect(
        self, n_syns: int = 1, late_ms: float = 0, *, hides_answer: bool = False
    ) -> Conversation:
        """Shake hands; the answer may come late, or be missed by the capture."""
        self.try_to_connect(n_syns)
        self.pause(self.rtt_ms + late_ms)
        if not hides_answer:
            self._put(self.talk.back(self.server_seq, self.client_seq + 1, SYN | ACK))
        self.client_seq += 1
        self.server_seq += 1
        self.pause(0.05)
        self.acknowledge()
        self.pause(0.3)
        return self

    def be_refused(self) -> None:
        """Ask for a connection where nobody listens."""
        self.try_to_connect()
        self.pause(self.rtt_ms)
        self._put(self.talk.back(0, self.client_seq + 1, RST | ACK))

    def ask(self, n_bytes: int, n_lost: int = 0) -> None:
        """Send a request; of its segments the last ones are lost behind the capture, sent again."""
        sizes = _segments(n_bytes)
        start_seq = self.client_seq
        for size in sizes:
            self.out(b"q" * size, ACK | PSH)
            self.pause(0.02)
        if n_lost:
            self.pause(RESEND_TIMEOUT_MS)
            end_seq = self.client_seq
            again = sizes[-n_lost:]
            self.client_seq = start_seq + n_bytes - sum(again)
            for size in again:
                self.out(b"q" * size, ACK | PSH)
                self.pause(self.rtt_ms)
            assert self.client_seq == end_seq

    def answer(
        self,
        n_bytes: int,
        after_ms: float,
        lost: frozenset[int] = frozenset(),
        missed: frozenset[int] = frozenset(),
    ) -> None:
        """Send a response so long after the request; some segments get lost and come again.

        ``lost`` never reached the client: they come again a round trip later. ``missed`` did, but
        the capture does not hold them.
        """
        self.pause(self.rtt_ms + after_ms)
        again = []
        for number, size in enumerate(_segments(n_bytes)):
            if number in lost or number in missed:
                if number in lost:
                    again.append((self.server_seq, size))
                self.server_seq += size
                continue
            self.back(b"a" * size, ACK | PSH)
            self.pause(0.02)
        end_seq = self.server_seq
        if again:
            self.acked = again[0][0]
            self.out()
            self.pause(max(2 * self.rtt_ms, 5))
        for self.server_seq, size in again:
            self.back(b"a" * size, ACK | PSH)
            self.pause(0.02)
        self.server_seq = end_seq
        self.acknowledge()
        self.pause(0.2)

    def turn(self, n_out: int, n_in: int, after_ms: float) -> None:
        """Ask and be answered."""
        self.ask(n_out)
        self.answer(n_in, after_ms)

    def close(self) -> None:
        """Close, the client first."""
        self.out(flags=ACK | FIN)
        self.pause(self.rtt_ms)
        self.back(flags=ACK | FIN)
        self.acked = self.server_seq
        self.out()

    def be_closed(self) -> None:
        """Close, the server first."""
        self.back(flags=ACK | FIN)
        self.acked = self.server_seq
        self.pause(0.1)
        self.out(flags=ACK | FIN)
        self.pause(self.rtt_ms)
        self.back()

    def reset(self) -> None:
        """End by a RST of the client, as browsers do."""
        self._put(self.talk.out(self.client_seq, self.acked, RST | ACK))

    def be_reset(self) -> None:
        """End by a RST of the server."""
        self._put(self.talk.back(self.server_seq, self.client_seq, RST | ACK))

    def _put(self, frame: bytes) -> None:
        self.frames.append((self.now_ns, frame))


def _segments(n_bytes: int) -> list[int]:
    whole, rest = divmod(n_bytes, MSS)
    return [MSS] * whole + [rest] * bool(rest)
