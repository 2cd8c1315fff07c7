"""Seeded TCP traffic with everything that goes wrong on a network and in a capture.

Gives packets (``reference.Packet``) in the order of their capture. Sequence numbers wrap, ports are
reused, segments are lost before or behind the capture, reordered, sent again, captured twice.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from reference import Packet

from support.builders.packets import ACK, FIN, NS_PER_MS, PSH, RST, SYN, Talk

MSS = 1000


@dataclass(frozen=True)
class Faults:
    """How often things go wrong, as probabilities per segment."""

    lost_unseen: float = 0.01  # arrives, but the capture missed it
    sent_again: float = 0.02
    reordered: float = 0.03
    captured_twice: float = 0.02


def generate(seed: int, n_connections: int, faults: Faults | None = None) -> list[Packet]:
    """Connections that overlap in time, few 4-tuples among them so that ports are reused."""
    rng = random.Random(seed)
    faults = faults or Faults()
    frames: list[tuple[int, bytes]] = []
    start_ns = 1_700_000_000 * 10**9
    for _ in range(n_connections):
        start_ns += rng.randrange(0, 3_000) * NS_PER_MS
        frames += _connection(rng, start_ns, faults)
    frames.sort(key=lambda frame: frame[0])
    return [Packet(ts, 1, data[: rng.choice([100, 2000])], len(data)) for ts, data in frames]


def _connection(rng: random.Random, start_ns: int, faults: Faults) -> list[tuple[int, bytes]]:
    v6 = rng.random() < 0.2
    talk = Talk(
        client="2001:db8::1" if v6 else f"192.0.2.{rng.randrange(1, 3)}",
        server="2001:db8::7" if v6 else f"198.51.100.{rng.randrange(1, 6)}",
        client_port=rng.randrange(40_000, 40_006),
        server_port=rng.choice([443, 8080, 5432]),
        ident=rng.randrange(60_000),
    )
    story = _Story(rng, talk, start_ns, faults)
    story.tell()
    return story.frames


class _Story:
    """One connection from its SYN, or from its middle, to one of its ends."""

    def __init__(self, rng: random.Random, talk: Talk, now_ns: int, faults: Faults) -> None:
        self.rng, self.talk, self.now_ns, self.faults = rng, talk, now_ns, faults
        self.frames: list[tuple[int, bytes]] = []
        self.client = rng.choice([rng.randrange(2**32), 2**32 - rng.randrange(1, 3000)])
        self.server = rng.choice([rng.randrange(2**32), 2**32 - rng.randrange(1, 3000)])

    def tell(self) -> None:
        rng = self.rng
        if rng.random() < 0.85 and not self._handshake():
            return
        if rng.random() < 0.2:
            self._send(False, b"220 ready\r\n")
        for _ in range(rng.choice([0, 1, 1, 2, 5])):
            for _ in range(rng.choice([1, 1, 2])):
                self._send(True, self._payload())
            self._pause(rng.choice([1, 30, 200, 1500]))
            for _ in range(rng.choice([1, 1, 2, 6, 20])):
                self._send(False, self._payload())
            self._acknowledge(True)
            self._pause(rng.choice([1, 50, 2_000, 30_000]))
            if rng.random() < 0.1:
                self._keepalive()
        self._end()

    def _payload(self) -> bytes:
        kind = self.rng.random()
        length = self.rng.choice([1, 20, 200, MSS, MSS])
        if kind < 0.15:
            body = bytes(length)
            head = bytes([self.rng.choice([20, 21, 22, 23]), 3, 3]) + len(body).to_bytes(2, "big")
            return head + bytes([self.rng.choice([1, 2, 16])]) + body[1:]
        if kind < 0.2:
            return bytes([23, 3, 3, 0, 19]) + bytes(19)
        return b"x" * length

    def _handshake(self) -> bool:
        rng = self.rng
        n_syns = rng.choice([1, 1, 1, 2])
        for _ in range(n_syns):
            self._put(True, self.client, 0, SYN)
            self._pause(rng.choice([1, 10, 1_000]))
        fate = rng.random()
        if fate < 0.07:
            self._pause(rng.choice([100, 25_000]))
            return False
        if fate < 0.12:
            self._put(False, 0, self.client + 1, RST | ACK)
            return False
        for _ in range(rng.choice([1, 1, 1, 2])):
            if rng.random() > self.faults.lost_unseen:
                self._put(False, self.server, self.client + 1, SYN | ACK)
            self._pause(1)
        self.client += 1
        self.server += 1
        self._acknowledge(True)
        return True

    def _send(self, from_client: bool, payload: bytes) -> None:
        rng, faults = self.rng, self.faults
        seq = self.client if from_client else self.server
        ack = self.server if from_client else self.client
        if rng.random() > faults.lost_unseen:
            delay_ns = rng.randrange(1, 8 * NS_PER_MS) if rng.random() < faults.reordered else 0
            self._put(from_client, seq, ack, ACK | PSH, payload, delay_ns)
        if rng.random() < faults.sent_again:
            late_ns = rng.choice([2, 40, 300, 1_700]) * NS_PER_MS
            cut = rng.randrange(len(payload))
            self._put(from_client, seq + cut, ack, ACK | PSH, payload[cut:], late_ns)
        if from_client:
            self.client += len(payload)
        else:
            self.server += len(payload)
        self._pause(rng.choice([0, 1, 5]))
        if rng.random() < 0.6:
            self._acknowledge(not from_client)

    def _acknowledge(self, from_client: bool) -> None:
        seq = self.client if from_client else self.server
        ack = self.server if from_client else self.client
        window = 0 if self.rng.random() < 0.02 else 500
        self._put(from_client, seq, ack, ACK, window=window)
        self._pause(self.rng.choice([0, 1]))

    def _keepalive(self) -> None:
        self._put(True, self.client - 1, self.server, ACK, self.rng.choice([b"", b"x"]))
        self._pause(5)
        self._put(False, self.server, self.client, ACK)
        self._pause(self.rng.choice([10, 100_000, 310_000]))

    def _end(self) -> None:
        fate = self.rng.random()
        first = self.rng.random() < 0.5
        if fate < 0.15:
            return
        if fate < 0.3:
            self._put(first, self.client if first else self.server, 0, RST)
            if self.rng.random() < 0.5:
                self._send(not first, b"too late")
            return
        for from_client in (first, not first):
            seq = self.client if from_client else self.server
            ack = self.server if from_client else self.client
            payload = self.rng.choice([b"", b"", b"bye"])
            self._put(from_client, seq, ack, FIN | ACK, payload)
            if from_client:
                self.client += 1 + len(payload)
            else:
                self.server += 1 + len(payload)
            self._pause(self.rng.choice([1, 50]))
            self._acknowledge(not from_client)
        if self.rng.random() < 0.1:
            self._put(first, self.client if first else self.server, 0, RST)

    def _put(
        self,
        from_client: bool,
        seq: int,
        ack: int,
        flags: int,
        payload: bytes = b"",
        delay_ns: int = 0,
        window: int = 500,
    ) -> None:
        make = self.talk.out if from_client else self.talk.back
        frame = make(seq, ack, flags, payload, window=window)
        at_ns = self.now_ns + delay_ns
        self.frames.append((at_ns, frame))
        if self.rng.random() < self.faults.captured_twice:
            twice_ns = self.rng.choice([0, 900_000, 1_000_000, 1_000_001])
            self.frames.append((at_ns + twice_ns, frame))

    def _pause(self, ms: int) -> None:
        self.now_ns += ms * NS_PER_MS + self.rng.randrange(1000)
