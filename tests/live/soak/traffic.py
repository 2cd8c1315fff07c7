"""A minute of traffic whose every counter is known beforehand, as often as it is wanted.

Takes the number of a minute, gives a pcap file's bytes, or frames to be sent; ``truth`` says what a
row must count after so many minutes. Each kind of connection goes to servers of its own. Never
reads what a daemon says.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from support.builders.packets import ACK, FIN, NS_PER_S, PSH, RST, SYN, Talk
from support.builders.savefile import write_pcap

FIRST_S = 1_714_564_980
MINUTE_S = 60

FILE_HEADER_BYTES, RECORD_HEADER_BYTES = 24, 16
FRAME_BYTES = 60
"""Of every frame; Ethernet pads the shorter ones."""

CLIENT_AT = {True: 26, False: 30}
"""Where a frame has the client's address, by whether the client sent it."""

CLIENTS = "172.16.0.0/12"
CLIENT_NETS = 172 << 24 | 16 << 16
N_CLIENTS = 60_000
"""Clients' addresses in turn: each comes back when its old connections are forgotten."""

REQUEST, RESPONSE = b"GET", b"200"
N_BYTES = len(REQUEST)

Told = list[tuple[bytes, bool]]
"""Frames, and whether the client sent each."""


@dataclass(frozen=True)
class Kind:
    """One way a connection can go.

    Attributes:
        name: what it is called.
        server: its server's address; of several, the last byte goes up.
        n_servers: how many it has.
        per_minute: connections of this kind in a minute.
        step_ms: between two of its packets.
        tell: its packets.
        counts: what each connection adds to its server's row; all other counters stay 0.
        samples: latencies that each adds, by sketch.
    """

    name: str
    server: str
    n_servers: int
    per_minute: int
    step_ms: int
    tell: Callable[[Talk], Told]
    counts: dict[str, int]
    samples: dict[str, int]


def _opening(talk: Talk) -> Told:
    return [
        (talk.out(100, flags=SYN), True),
        (talk.back(500, 101, flags=SYN | ACK), False),
        (talk.out(101, 501), True),
    ]


def _request(talk: Talk, seq: int, ack: int) -> tuple[bytes, bool]:
    return talk.out(seq, ack, flags=ACK | PSH, payload=REQUEST), True


def _response(talk: Talk, seq: int, ack: int) -> tuple[bytes, bool]:
    return talk.back(seq, ack, flags=ACK | PSH, payload=RESPONSE), False


def _closing(talk: Talk, seq: int, ack: int) -> Told:
    """The client closes; the last acknowledgement answers the server's FIN."""
    return [
        (talk.out(seq, ack, flags=ACK | FIN), True),
        (talk.back(ack, seq + 1, flags=ACK | FIN), False),
        (talk.out(seq + 1, ack + 1), True),
    ]


def _two_requests(talk: Talk) -> Told:
    return [
        *_opening(talk),
        _request(talk, 101, 501),
        _response(talk, 501, 104),
        _request(talk, 104, 504),
        _response(talk, 504, 107),
        *_closing(talk, 107, 507),
    ]


def _refused(talk: Talk) -> Told:
    return [(talk.out(100, flags=SYN), True), (talk.back(0, 101, flags=RST | ACK), False)]


def _unanswered_syn(talk: Talk) -> Told:
    return [(talk.out(100, flags=SYN), True) for _ in range(2)]


def _sent_again(talk: Talk) -> Told:
    return [
        *_opening(talk),
        _request(talk, 101, 501),
        _request(talk, 101, 501),
        _response(talk, 501, 104),
        *_closing(talk, 104, 504),
    ]


def _cut_off(talk: Talk) -> Told:
    return [
        *_opening(talk),
        _request(talk, 101, 501),
        (talk.back(501, 104, flags=RST | ACK), False),
    ]


def _missed_response(talk: Talk) -> Told:
    """The client acknowledges an answer that the capture never held."""
    return [*_opening(talk), _request(talk, 101, 501), *_closing(talk, 104, 504)]


_OPENED = {"syn": 1, "synack": 1, "est": 1}
_SENT = {"bytes_out": N_BYTES, "segments_out": 1, "requests": 1}
_ANSWERED = {"responses": 1, "bytes_in": N_BYTES, "segments_in": 1}
_TIMED = {"connect_latency": 1, "syn_rtt": 1, "path_rtt": 1}
_TIMED_ANSWER = {"response_time": 1, "server_time": 1, "response_duration": 1}

TWO_REQUESTS = Kind(
    "two requests",
    "198.51.100.1",
    50,
    1_380,
    23,
    _two_requests,
    _OPENED
    | {name: 2 * n for name, n in (_SENT | _ANSWERED).items()}
    | {"fin_out": 1, "acked_bytes": 4 * N_BYTES + 2},
    _TIMED | dict.fromkeys(_TIMED_ANSWER, 2) | {"net_rtt": 2, "reuse": 1},
)

KINDS = (
    TWO_REQUESTS,
    Kind(
        "refused",
        "198.51.100.101",
        3,
        59,
        7,
        _refused,
        {"syn": 1, "rst": 1, "rst_in": 1, "refused": 1},
        {},
    ),
    Kind(
        "sent again",
        "198.51.100.111",
        3,
        53,
        31,
        _sent_again,
        _OPENED
        | _SENT
        | _ANSWERED
        | {"segments_out": 2, "retrans_out": 1, "slow_by_loss": 1}
        | {"fin_out": 1, "acked_bytes": 2 * N_BYTES + 2},
        _TIMED | _TIMED_ANSWER | {"reuse": 1},  # no net_rtt of what was sent again (Karn)
    ),
    Kind(
        "cut off",
        "198.51.100.121",
        3,
        47,
        11,
        _cut_off,
        _OPENED | _SENT | {"rst": 1, "rst_in": 1, "unanswered": 1},
        _TIMED | {"reset_age": 1},
    ),
    Kind(
        "missed response",
        "198.51.100.131",
        3,
        43,
        13,
        _missed_response,
        _OPENED
        | _SENT
        | {"capture_gaps": 1, "gap_bytes": N_BYTES, "fin_out": 1, "acked_bytes": 2 * N_BYTES + 2},
        _TIMED | {"net_rtt": 1},
    ),
)

UNANSWERED_SYN = Kind(
    "unanswered SYN",
    "198.51.100.141",
    3,
    41,
    1_000,
    _unanswered_syn,
    {"syn": 1, "syn_retrans": 1, "timeouts": 1},
    {},
)
"""Only where time is the capture's: it takes 20 s until it is one."""

REPLAYED = (*KINDS, UNANSWERED_SYN)


@dataclass(frozen=True)
class Minute:
    """The packets of a minute, in the order of time; the clients' addresses change with each.

    Attributes:
        header: of the pcap file.
        records: one row of bytes for each packet.
        sent: whether the client sent each.
    """

    header: bytes
    records: NDArray[np.uint8]
    sent: NDArray[np.bool_]

    @classmethod
    def of(cls, kinds: tuple[Kind, ...], scale: float = 1.0) -> Minute:
        """A minute in which each kind has its connections, or a part of them."""
        told = sorted(packet for kind in kinds for packet in _packets(kind, scale))
        file = write_pcap([(FIRST_S * NS_PER_S + at, frame) for at, _, frame, _ in told])
        body = np.frombuffer(file, np.uint8, offset=FILE_HEADER_BYTES)
        return cls(
            file[:FILE_HEADER_BYTES],
            body.reshape(len(told), RECORD_HEADER_BYTES + FRAME_BYTES),
            np.array([sent for *_, sent in told]),
        )

    def __len__(self) -> int:
        return len(self.records)

    def at(self, number: int) -> NDArray[np.uint8]:
        """The records of one of the minutes."""
        made = self.records.copy()
        seconds = made[:, :4].copy().view("<u4")
        made[:, :4] = (seconds + np.uint32(number * MINUTE_S)).view(np.uint8)
        client = np.frombuffer(struct.pack(">I", CLIENT_NETS + number % N_CLIENTS), np.uint8)
        for is_sent, at in CLIENT_AT.items():
            rows = self.sent == is_sent
            made[rows, RECORD_HEADER_BYTES + at : RECORD_HEADER_BYTES + at + 4] = client
        return made

    def frames(self, number: int) -> list[bytes]:
        """Its frames, without times."""
        return [record[RECORD_HEADER_BYTES:].tobytes() for record in self.at(number)]


def n_connections(kind: Kind, scale: float = 1.0) -> int:
    """Connections of a kind in a minute; as many for each server."""
    per_server = max(1, round(kind.per_minute * scale / kind.n_servers))
    return per_server * kind.n_servers


def _packets(kind: Kind, scale: float) -> list[tuple[int, int, bytes, bool]]:
    """When, in which order, the frame, whether the client sent it.

    A minute's connections are over, and their time-outs counted, before the next one begins.
    """
    made = []
    n = n_connections(kind, scale)
    span_ms = 30_000 if kind is UNANSWERED_SYN else 58_000
    first, _, last = kind.server.rpartition(".")
    for number in range(n):
        talk = Talk(
            server=f"{first}.{int(last) + number % kind.n_servers}",
            client_port=1_024 + number,
            ident=number * 11,
        )
        start_ms = span_ms * number // n
        for i, (frame, sent) in enumerate(kind.tell(talk)):
            at_ms = start_ms + i * kind.step_ms
            made.append((at_ms * 1_000_000, i, frame.ljust(FRAME_BYTES, b"\0"), sent))
    return made


def truth(kinds: tuple[Kind, ...], minutes: int, scale: float = 1.0) -> dict[str, dict[str, int]]:
    """What each row counts after so many minutes, by address; samples by the sketch's name."""
    rows = {}
    for kind in kinds:
        first, _, last = kind.server.rpartition(".")
        n = n_connections(kind, scale) // kind.n_servers * minutes
        for number in range(kind.n_servers):
            counts = {name: n * count for name, count in (kind.counts | kind.samples).items()}
            rows[f"{first}.{int(last) + number}"] = counts
    return rows
