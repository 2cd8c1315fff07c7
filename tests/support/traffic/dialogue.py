"""Stories without a loss: two sides that take turns, each acknowledging what it has seen.

A test says who sends what and when; sequence and acknowledgement numbers follow. What such a story
counts whatever its data mean is kept beside it: bytes, acknowledged bytes, round trips.
"""

from __future__ import annotations

from support.builders.packets import ACK, FIN, NS_PER_MS
from support.traffic.stories import OPENED, Expected, Story


class Dialogue(Story):
    """Begins with the handshake of ``Story.handshake``; counts ``carried`` besides ``OPENED``."""

    def __init__(self, server_port: int = 443, client_port: int = 40_000) -> None:
        super().__init__(client_port, server_port)
        self.handshake()
        # By side (from the client or not): the next number to send, what the other acknowledged.
        self.next = {True: 1, False: 1}
        self.acked = {True: 1, False: 1}
        self.n_bytes = {True: 0, False: 0}
        self.net_rtt: list[int] = []
        self._timed: tuple[int, float] | None = None

    def ask(
        self, at_ms: float, payload: bytes = b"", seen: int | None = None, flags: int = 0
    ) -> Dialogue:
        """A segment of the client; ``seen``: how far it has seen the server, else all."""
        return self._say(True, at_ms, payload, seen, flags)

    def reply(
        self, at_ms: float, payload: bytes = b"", seen: int | None = None, flags: int = 0
    ) -> Dialogue:
        """A segment of the server."""
        return self._say(False, at_ms, payload, seen, flags)

    def ask_fin(self, at_ms: float) -> Dialogue:
        return self.ask(at_ms, flags=FIN)

    def reply_fin(self, at_ms: float) -> Dialogue:
        return self.reply(at_ms, flags=FIN)

    def reset(self, at_ms: float, from_client: bool = True) -> Dialogue:
        """A RST that acknowledges nothing."""
        (self.rst_out if from_client else self.rst_back)(at_ms, self.next[from_client])
        return self

    def _say(
        self, from_client: bool, at_ms: float, payload: bytes, seen: int | None, flags: int
    ) -> Dialogue:
        ack = self.next[not from_client] if seen is None else seen
        seq = self.next[from_client]
        (self.out if from_client else self.back)(at_ms, seq, ack, payload, flags | ACK)
        self.next[from_client] += len(payload) + bool(flags & FIN)
        self.n_bytes[from_client] += len(payload)
        self.acked[not from_client] = max(self.acked[not from_client], ack)
        if not from_client and self._timed is not None and ack >= self._timed[0]:
            self.net_rtt.append(round((at_ms - self._timed[1]) * NS_PER_MS))
            self._timed = None
        if from_client and payload and self._timed is None:
            self._timed = (self.next[True], at_ms)
        return self

    @property
    def carried(self) -> Expected:
        """What the story counts whatever its data mean, the handshake included."""
        return {
            **OPENED,
            "bytes_out": self.n_bytes[True],
            "bytes_in": self.n_bytes[False],
            "acked_bytes": self.acked[True] + self.acked[False] - 2,
            "net_rtt": self.net_rtt,
        }
