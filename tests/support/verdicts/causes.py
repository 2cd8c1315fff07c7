"""What can ail a destination: a function a cause, each with its own varieties.

Each gives a destination one cause beyond the verdicts' limits and keeps clear of all the others'.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from support.builders.packets import NS_PER_S, Talk

from . import tls
from .conversation import MSS, Conversation, Frame

N_ROWS = 24
"""Destinations of each cause."""

START_NS = 1_700_000_000 * NS_PER_S
SPREAD_S = 20
"""Connections of a destination begin within this time."""

AFTERWARDS_S = 15
"""After the last packet of any destination the clock goes on: what waits has waited that long."""

CLIENT = "192.0.2.1"
CLOCK = "192.0.2.99"

BIG_SEGMENT_BYTES = 60_000
"""A segment before its segmentation by the network card."""

BIG_SEGMENTS = 18
"""A response of these reaches 1 MiB."""

BOTH = (b"h2", b"http/1.1")


@dataclass(frozen=True)
class Destination:
    """A server with one ailment.

    Attributes:
        address: its own.
        cause: the verdict's word.
        frames: what the capture holds of it, by time.
    """

    address: str
    cause: str
    frames: tuple[Frame, ...]


class Host:
    """A destination in the making: opens connections, each with a port and a start of its own."""

    def __init__(self, seed: str, address: str) -> None:
        self.rng = random.Random(seed)
        self.address = address
        self.rtt_ms = self.rng.uniform(1, 50)
        self.conversations: list[Conversation] = []

    def open(self) -> Conversation:
        """Begin a connection."""
        rng = self.rng
        port = 32_768 + len(self.conversations) * 7
        talk = Talk(CLIENT, self.address, port, rng.choice([80, 443, 5432, 6379]), port)
        start_ns = START_NS + rng.randrange(SPREAD_S * NS_PER_S)
        self.conversations.append(Conversation(talk, start_ns, self.rtt_ms))
        return self.conversations[-1]

    def connections(self, least: int, most: int) -> list[Conversation]:
        """Begin some connections."""
        return [self.open() for _ in range(self.rng.randint(least, most))]

    def service_ms(self) -> float:
        """How long a sound service takes."""
        return self.rng.uniform(0.5, 60)

    def turns(self, talk: Conversation, least: int = 2, most: int = 6) -> None:
        """Take some sound turns."""
        for _ in range(self.rng.randint(least, most)):
            size = self.rng.randrange(100, 9_000)
            talk.turn(self.rng.randrange(40, 900), size, self.service_ms())
            talk.pause(self.rng.uniform(1, 400))

    def sound(self, talks: Iterable[Conversation]) -> None:
        """Use connections as a sound program does."""
        for talk in talks:
            talk.connect()
            self.turns(talk)
            self.end(talk)

    def end(self, talk: Conversation) -> None:
        """End a connection in one of the ways that are no fault."""
        self.rng.choice([talk.close, talk.close, talk.be_closed, talk.reset, lambda: None])()

    def split(
        self, talks: Sequence[Conversation], share: float
    ) -> tuple[list[Conversation], list[Conversation]]:
        """Choose this share of connections, 3 at least, as ill; gives them and the others."""
        n_ill = max(3, round(len(talks) * share))
        ill = set(self.rng.sample(range(len(talks)), min(n_ill, len(talks))))
        return (
            [talk for number, talk in enumerate(talks) if number in ill],
            [talk for number, talk in enumerate(talks) if number not in ill],
        )


def capture(host: Host) -> None:
    """The capture misses segments that arrived, or answers of handshakes."""
    talks = host.connections(6, 12)
    ill, sound = host.split(talks, 0.5)
    host.sound(sound)
    hides_answers = host.rng.random() < 0.5
    for talk in ill:
        talk.connect(hides_answer=hides_answers)
        for _ in range(3):
            n_segments = host.rng.randint(4, 9)
            missed = set() if hides_answers else {host.rng.randrange(1, n_segments - 1)}
            talk.ask(300)
            talk.answer(n_segments * MSS, host.service_ms(), missed=frozenset(missed))
            talk.pause(50)
        talk.close()


def refused(host: Host) -> None:
    """Nobody listens, always or often."""
    ill, sound = host.split(host.connections(5, 15), host.rng.uniform(0.2, 1))
    host.sound(sound)
    for talk in ill:
        talk.be_refused()


def no_answer(host: Host) -> None:
    """SYNs get no answer, always or often."""
    ill, sound = host.split(host.connections(4, 12), host.rng.uniform(0.3, 1))
    host.sound(sound)
    for talk in ill:
        talk.try_to_connect(host.rng.randint(3, 6))


def reset(host: Host) -> None:
    """The server resets connections: idle ones, or instead of an answer."""
    ill, sound = host.split(host.connections(5, 18), host.rng.uniform(0.2, 1))
    host.sound(sound)
    for talk in ill:
        talk.connect()
        host.turns(talk, 0, 3)
        if host.rng.random() < 0.5:
            talk.ask(200)
            talk.pause(host.rtt_ms + host.service_ms())
        talk.be_reset()


def tls_fails(host: Host) -> None:
    """Handshakes end in an alert or a close, of either side."""
    ill, sound = host.split(host.connections(5, 15), host.rng.uniform(0.3, 1))
    for talk in sound:
        tls.shake_hands(talk.connect(), host.rng.choice([0, 1, 2]))
        for _ in range(3):
            tls.turn(talk, 200, 900, host.service_ms())
        talk.close()
    how = host.rng.choice([_server_alert, _client_alert, _hidden_alert, _server_leaves])
    for talk in ill:
        tls.greet(talk.connect())
        how(talk)


def _server_alert(talk: Conversation) -> None:
    talk.pause(talk.rtt_ms)
    talk.back(tls.record(tls.ALERT, b"\x02\x28"))
    talk.acknowledge()
    talk.be_closed()


def _client_alert(talk: Conversation) -> None:
    tls.answer_greeting(talk)
    talk.out(tls.record(tls.ALERT, b"\x02\x30"))
    talk.close()


def _hidden_alert(talk: Conversation) -> None:
    tls.answer_greeting(talk)
    talk.out(tls.record(tls.CHANGE_CIPHER, 1) + tls.record(tls.DATA, 2 + tls.TAG_BYTES))
    talk.close()


def _server_leaves(talk: Conversation) -> None:
    talk.pause(talk.rtt_ms)
    talk.be_closed()


def silent(host: Host) -> None:
    """Requests get no answer: the server closes, the client gives up, or both still wait."""
    ill, sound = host.split(host.connections(6, 12), 0.4)
    host.sound(sound)
    how = host.rng.randrange(3)
    for talk in ill:
        talk.connect()
        host.turns(talk, 0, 3)
        talk.ask(300)
        talk.pause(host.rtt_ms)
        talk.back()  # a bare ACK: the kernel took it, nobody answers
        talk.pause(3_000)
        if how == 0:
            talk.be_closed()
        elif how == 1:
            talk.reset()


def slow_connect(host: Host) -> None:
    """SYNs are answered late, or only when they are sent again."""
    ill, sound = host.split(host.connections(11, 18), host.rng.uniform(0.3, 1))
    late_ms = host.rng.choice([0, host.rng.uniform(250, 700)])
    host.rtt_ms = min(host.rtt_ms, 40)
    for talk in (*ill, *sound):
        talk.rtt_ms = host.rtt_ms
    host.sound(sound)
    for talk in ill:
        talk.connect(1 if late_ms else 2, late_ms)
        host.turns(talk)
        talk.close()


def loss(host: Host) -> None:
    """Segments are lost, on the way to the server or from it."""
    is_out = host.rng.random() < 0.5
    for talk in host.connections(4, 9):
        talk.connect()
        for _ in range(4):
            if is_out:
                talk.ask(host.rng.randint(3, 6) * MSS, n_lost=host.rng.choice([0, 1, 1]))
                talk.answer(400, host.service_ms())
            else:
                n_segments = host.rng.randint(6, 14)
                lost = host.rng.sample(range(1, n_segments - 1), host.rng.choice([0, 1, 2]))
                talk.ask(300)
                talk.answer(n_segments * MSS, host.service_ms(), lost=frozenset(lost))
            talk.pause(100)
        host.end(talk)


def slow_server(host: Host) -> None:
    """The service takes its time, always or every third time."""
    host.rtt_ms = min(host.rtt_ms, 30)
    slow_ms = host.rng.uniform(150, 900)
    every = host.rng.choice([1, 1, 3])
    for talk in host.connections(4, 9):
        talk.rtt_ms = host.rtt_ms
        talk.connect()
        for number in range(6):
            after_ms = slow_ms * host.rng.uniform(1, 1.3) if number % every == 0 else 5
            talk.turn(host.rng.randrange(40, 900), host.rng.randrange(100, 9_000), after_ms)
            talk.pause(20)
        host.end(talk)


def stalls(host: Host) -> None:
    """Large responses pause, or an end's window closes."""
    how = host.rng.randrange(3)
    for talk in host.connections(3, 5):
        talk.connect()
        host.turns(talk, 1, 2)
        talk.ask(300)
        talk.pause(host.rtt_ms + host.service_ms())
        for number in range(BIG_SEGMENTS if how == 0 else 4):
            talk.back(b"s" * BIG_SEGMENT_BYTES)
            talk.acknowledge()
            talk.pause(host.rtt_ms)
            if number == 1:
                if how == 1:
                    talk.out(window=0)
                    talk.pause(700)
                    talk.acknowledge()
                elif how == 2:
                    talk.back(window=0)
                talk.pause(1_700 if how == 0 else 10)
        talk.close()


def far(host: Host) -> None:
    """The path is long, the service quick."""
    host.rtt_ms = host.rng.uniform(120, 300)
    for talk in host.connections(4, 9):
        talk.connect()
        for _ in range(4):
            talk.turn(host.rng.randrange(40, 900), host.rng.randrange(100, 9_000), 5)
            talk.pause(200)
        host.end(talk)


def no_reuse(host: Host) -> None:
    """Each request has a connection of its own, with TLS or without."""
    host.rtt_ms = host.rng.uniform(5, 60)
    has_tls = host.rng.random() < 0.5
    for talk in host.connections(22, 40):
        talk.connect()
        after_ms = host.rtt_ms * host.rng.uniform(0.1, 0.6)
        if has_tls:
            tls.shake_hands(talk, 2)
            tls.turn(talk, 200, 900, after_ms)
        else:
            talk.turn(200, 900, after_ms)
        talk.close()


def mixed(host: Host) -> None:
    """Both sides talk at once: HTTP/2 over TLS, or messages that cross."""
    talks = host.connections(5, 12)
    ill, sound = host.split(talks, host.rng.uniform(0.7, 1))
    host.sound(sound)
    is_http2 = host.rng.random() < 0.5
    for talk in ill:
        talk.connect()
        if is_http2:
            tls.shake_hands(talk, host.rng.choice([0, 1, 2]), BOTH)
            tls.open_http2(talk, host.rng.randint(1, 6))
            for _ in range(3):
                tls.turn(talk, 80, 500, host.service_ms())
        else:
            talk.turn(200, 130, host.service_ms())
            for _ in range(6):
                talk.back(b"tick")
                talk.out(b"a message")
                talk.pause(host.rtt_ms)
                talk.acknowledge()
                talk.pause(20)
        talk.close()


def ok(host: Host) -> None:
    """Nothing: with single faults below every limit, as real services have them."""
    talks = host.connections(12, 30)
    first, second, *others = talks
    host.sound(others)
    fault = host.rng.randrange(5)
    if fault == 0:
        first.be_refused()
    elif fault == 1:
        first.connect()
        host.turns(first)
        first.be_reset()
    elif fault == 2:
        first.connect()
        first.ask(2 * MSS, n_lost=1)
        first.answer(5 * MSS, 5)
        first.close()
    elif fault == 3:
        first.connect()
        host.turns(first)
        first.out(b"QUIT\r\n")
        first.close()
    else:
        first.connect()
        first.turn(200, 400, 1_500)
        first.close()
    host.sound([second])


CAUSES: dict[str, Callable[[Host], None]] = {
    "CAPTURE": capture,
    "REFUSED": refused,
    "NO ANSWER": no_answer,
    "RESET": reset,
    "TLS FAILS": tls_fails,
    "SILENT": silent,
    "SLOW CONNECT": slow_connect,
    "LOSS": loss,
    "SLOW SERVER": slow_server,
    "STALLS": stalls,
    "FAR": far,
    "NO REUSE": no_reuse,
    "MIXED": mixed,
    "ok": ok,
}


def destinations(seed: int = 1, n_rows: int = N_ROWS) -> list[Destination]:
    """Give so many destinations of each cause."""
    made = []
    for group, (cause, tell) in enumerate(CAUSES.items()):
        for number in range(n_rows):
            host = Host(f"{seed} {cause} {number}", f"198.18.{group}.{number + 1}")
            tell(host)
            frames = sorted(
                (frame for talk in host.conversations for frame in talk.frames),
                key=lambda frame: frame[0],
            )
            made.append(Destination(host.address, cause, tuple(frames)))
    return made


def capture_of(some: Iterable[Destination]) -> list[Frame]:
    """Give the packets of destinations as one capture, and one later one that moves the clock."""
    frames = [frame for destination in some for frame in destination.frames]
    frames.sort(key=lambda frame: frame[0])
    clock = Conversation(Talk(CLIENT, CLOCK), frames[-1][0] + AFTERWARDS_S * NS_PER_S, 1)
    clock.try_to_connect()
    return frames + clock.frames
