"""Seeded connections that speak TLS or HTTP/2 in clear, cut into segments anyhow.

Gives packets (``twin.Packet``) in the order of their capture. Records and frames of both sides are
drawn from those that mean something to the definitions, in orders likely and unlikely; segments
end anywhere, are lost to the capture, sent again or reordered, and captured only in part.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from reference import Packet

from support.builders.packets import ACK, FIN, NS_PER_MS, PSH, RST, SYN, Talk

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAMES = (
    *((1, 4), (1, 5), (1, 1), (1, 0)),  # HEADERS
    *((0, 0), (0, 1), (0, 1)),  # DATA
    *((9, 4), (9, 0), (3, 0), (4, 0), (8, 0), (6, 1)),
)
"""Types and flags to draw from."""

START_NS = 1_700_000_000 * 10**9


def record(kind: int, length: int, body: bytes = b"") -> bytes:
    """A TLS record whose body begins with `body`."""
    return bytes([kind, 3, 3]) + length.to_bytes(2, "big") + (body + bytes(length))[:length]


def hello(protocols: tuple[bytes, ...] = ()) -> bytes:
    """A record with a ClientHello that offers protocols by ALPN, if any."""
    names = b"".join(bytes([len(name)]) + name for name in protocols)
    alpn = b"\0\x10" + (len(names) + 2).to_bytes(2, "big") + len(names).to_bytes(2, "big") + names
    other = b"\0\x17\0\0" + (alpn if protocols else b"")
    body = b"\3\3" + bytes(32) + b"\2ab" + b"\0\2\x13\1" + b"\1\0"
    body += len(other).to_bytes(2, "big") + other
    message = b"\1" + len(body).to_bytes(3, "big") + body
    return record(22, len(message), message)


def frame(kind: int, flags: int, stream_id: int, length: int) -> bytes:
    """A frame of HTTP/2."""
    head = length.to_bytes(3, "big") + bytes([kind, flags]) + stream_id.to_bytes(4, "big")
    return head + b"f" * length


def generate(seed: int) -> list[Packet]:
    """A few connections, one behind the other, some on the same ports."""
    rng = random.Random(seed)
    packets: list[Packet] = []
    now_ns = START_NS
    for _ in range(rng.choice([1, 1, 2, 4])):
        connection = _Connection(rng, now_ns)
        connection.tell()
        packets += connection.packets
        now_ns = connection.now_ns + rng.choice([0, 10**9, 70 * 10**9])
    caplen = rng.choice([2_000, 2_000, 100, 61])
    packets.sort(key=lambda packet: packet.ts_ns)
    return [Packet(p.ts_ns, 1, p.data[:caplen], p.wire_len) for p in packets]


class _Connection:
    def __init__(self, rng: random.Random, now_ns: int) -> None:
        self.rng, self.now_ns = rng, now_ns
        self.talk = Talk(client_port=40_000 + rng.randrange(3), server_port=443)
        self.packets: list[Packet] = []
        # What either side has sent, and what the other may acknowledge of it.
        self.next = {True: rng.choice([1_000, 2**32 - 300]), False: rng.choice([9_000, 2**32 - 7])}
        self.seen = dict(self.next)
        self.n_faults = rng.choice([0, 0, 0.05, 0.2])

    def tell(self) -> None:
        rng = self.rng
        if rng.random() < 0.9:
            self._handshake()
        tell = rng.choice([self._tls, self._tls, self._tls, self._http2, self._http2, self._plain])
        for is_client, payload in tell():
            self._send(is_client, payload)
            if rng.random() < 0.02:
                self._put(rng.random() < 0.5, ACK, window=0)
        self._end()

    # --- protocols ----------------------------------------------------------------------------

    def _tls(self) -> Iterator[tuple[bool, bytes]]:
        rng = self.rng
        is_13 = rng.random() < 0.7
        offers = rng.choice([(), (b"h2", b"http/1.1"), (b"http/1.1",)])
        yield True, hello(offers)
        if rng.random() < 0.1:
            yield False, record(22, 90, b"\2") + record(20, 1)
            yield True, rng.choice([b"", record(20, 1)]) + hello(offers)
        yield False, record(22, 90, b"\2") + record(20, 1) + record(23, rng.choice([700, 53, 19]))
        if rng.random() < 0.1:
            yield rng.random() < 0.5, record(21, 2, rng.choice([b"\2\x28", b"\1\0", b"\1\x5a"]))
        finished = record(23, rng.choice([53, 69])) if is_13 else record(22, 40, b"\x14")
        flight = b"".join(
            part
            for part, share in (
                (record(20, 1), 0.9),
                (record(23, 21), 0.1),
                (record(23, 900), 0.1),
                (record(21, 2, b"\1\0"), 0.05),
                (record(23, 19), 0.05),
                (finished, 0.9),
            )
            if rng.random() < share
        )
        yield True, flight
        if not is_13:
            yield False, record(22, 180, b"\4") + record(20, 1) + record(22, 40)
        overhead = 17 if is_13 else 24
        if rng.random() < 0.5:
            n = rng.randrange(12)
            settings = 9 + 6 * n + rng.choice([0, 13, 1])
            opening = record(23, 24 + settings + overhead)
            if rng.random() < 0.3:
                opening = record(23, 24 + overhead) + record(23, settings + overhead)
            yield True, opening
            if rng.random() < 0.8:
                yield False, record(23, 9 + 6 * rng.randrange(4) + overhead)
        size = rng.choice([60, 250, 1_400, 1_401])
        for _ in range(rng.choice([0, 1, 2, 2])):
            yield False, record(23, size) * rng.choice([1, 1, 2])
        for _ in range(rng.choice([0, 1, 2, 5])):
            yield True, record(23, rng.choice([100, 40, 700]))
            for _ in range(rng.choice([0, 1, 1, 2])):
                yield False, record(23, rng.choice([size, 250, 3_000, 120]))
            if rng.random() < 0.1:
                yield rng.random() < 0.5, record(*rng.choice([(21, 26), (23, 19)]))
            if rng.random() < 0.05:
                yield True, record(22, 70, b"\1") + record(20, 1) + record(22, 40)
                yield False, record(20, 1) + record(22, 40)

    def _http2(self) -> Iterator[tuple[bool, bytes]]:
        rng = self.rng
        if rng.random() < 0.3:
            yield False, rng.choice([frame(4, 0, 0, 18), frame(4, 0, 0, 0), b"220 hello\r\n"])
        yield True, PREFACE + frame(4, 0, 0, 12) * rng.choice([0, 1])
        last_id = 1
        many = rng.random() < 0.05
        for _ in range(rng.randrange(60)):
            if many and rng.random() < 0.3:
                n = rng.choice([40, 100, 140])
                yield True, b"".join(frame(1, 5, last_id + 2 * i, 3) for i in range(n))
                last_id += 2 * n
            is_client = rng.random() < 0.5
            stream_id = rng.choice([last_id, max(1, last_id - 2), max(1, last_id - 4), 2, 0])
            if is_client and rng.random() < 0.4:
                last_id += 2
                stream_id = last_id
            kind, flags = rng.choice(FRAMES)
            size = rng.choice([0, 5, 30, 2_000]) if kind in (0, 1, 9) else 4
            if kind == 0 and rng.random() < 0.15:
                size = 1_100_000
            yield is_client, frame(kind, flags, stream_id, size)

    def _plain(self) -> Iterator[tuple[bool, bytes]]:
        rng = self.rng
        for _ in range(rng.randrange(12)):
            yield rng.random() < 0.5, rng.choice([b"x" * 20, b"y" * 300, record(23, 60), b"z"])

    # --- segments -----------------------------------------------------------------------------

    def _handshake(self) -> None:
        self._put(True, SYN)
        self.next[True] += 1
        self.now_ns += self.rng.choice([1, 20]) * NS_PER_MS
        self._put(False, SYN | ACK)
        self.next[False] += 1
        self.seen = dict(self.next)
        self._put(True, ACK)

    def _send(self, is_client: bool, payload: bytes) -> None:
        rng = self.rng
        if rng.random() < 0.4:
            self._learn(is_client)
        while payload:
            cut = rng.choice([60_000, 60_000, 1_460, 1_460, 400, 3, 9, 5])
            if len(payload) > 100_000:
                cut = 60_000
            part, payload = payload[:cut], payload[cut:]
            self._segment(is_client, part)
            if rng.random() < 0.2:
                self._learn(rng.random() < 0.5)
            if rng.random() < 0.05:
                self._put(rng.random() < 0.5, ACK)
        self.now_ns += rng.choice([0, 1, 4, 8, 30, 1_500]) * NS_PER_MS
        if rng.random() < 0.7:
            self._learn(not is_client)
            if rng.random() < 0.3:
                self._put(not is_client, ACK)

    def _segment(self, is_client: bool, part: bytes) -> None:
        rng = self.rng
        seq = self.next[is_client]
        self.next[is_client] += len(part)
        if rng.random() > self.n_faults / 4:
            late_ns = rng.choice([2, 40]) * NS_PER_MS if rng.random() < self.n_faults / 4 else 0
            self._put(is_client, ACK | PSH, part, seq, late_ns)
        if rng.random() < self.n_faults / 4:
            cut = rng.randrange(len(part))
            self._put(is_client, ACK | PSH, part[cut:], seq + cut, 50 * NS_PER_MS)
        self.now_ns += rng.choice([0, 1_000, NS_PER_MS])

    def _learn(self, is_client: bool) -> None:
        """One side acknowledges from now on all that the other has sent."""
        self.seen[not is_client] = self.next[not is_client]

    def _end(self) -> None:
        rng = self.rng
        fate = rng.random()
        first = rng.random() < 0.5
        if fate < 0.15:
            return
        if fate < 0.3:
            self._put(first, RST)
            return
        for is_client in (first, not first):
            self._learn(is_client)
            self._put(is_client, FIN | ACK)
            self.next[is_client] += 1
            self.now_ns += NS_PER_MS

    def _put(
        self,
        is_client: bool,
        flags: int,
        payload: bytes = b"",
        seq: int | None = None,
        late_ns: int = 0,
        window: int = 500,
    ) -> None:
        make = self.talk.out if is_client else self.talk.back
        seq = self.next[is_client] if seq is None else seq
        ack = self.seen[not is_client] if flags & ACK else 0
        data = make(seq % 2**32, ack % 2**32, flags, payload, window=window)
        self.packets.append(Packet(self.now_ns + late_ns, 1, data, len(data)))
