"""The protocol of ZeroMQ as the daemon speaks it, held to libzmq's own."""

import random
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import zmq
from hypothesis import given, settings
from hypothesis import strategies as st
from support.daemons import TIMEOUT_S, wait_for

from trtop_daemon.server import plain_channel
from trtop_daemon.server.channel import ChannelError
from trtop_daemon.server.plain_channel import MAX_ANSWERS_WAITING, PlainChannel
from trtop_daemon.server.zmtp import MAX_MESSAGE_BYTES, MAX_PARTS, Zmtp, ZmtpError, encode

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"
HELLO = GREETING + bytes((4, len(READY))) + READY

MESSAGES = st.lists(st.lists(st.binary(max_size=600), min_size=1, max_size=7), max_size=6)


def joined(messages: list[list[bytes]]) -> bytes:
    return b"".join(piece for message in messages for piece in encode(message))


@settings(deadline=None)
@given(MESSAGES, st.integers(1, 70))
def test_messages_are_the_same_however_their_bytes_come(
    messages: list[list[bytes]], n_bytes: int
) -> None:
    data = HELLO + joined(messages)
    protocol = Zmtp()
    got = []
    for start in range(0, len(data), n_bytes):
        got += protocol.feed(data[start : start + n_bytes])
    assert got == [message[:MAX_PARTS] for message in messages]


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", GREETING[:30], GREETING, HELLO]))
def test_any_bytes_are_messages_or_refused(junk: bytes, before: bytes) -> None:
    protocol = Zmtp()
    try:
        for message in protocol.feed(before + junk):
            assert protocol.is_ready
            assert 1 <= len(message) <= MAX_PARTS
    except ZmtpError:
        return


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"GET / HTTP/1.1\r\n", "no signature"),
        (b"\xff" + bytes(9), "no signature"),
        (GREETING[:10] + b"\x02", "a version before 3"),
        (GREETING.replace(b"NULL\0", b"CURVE"), "a mechanism that is not NULL"),
        (GREETING + b"\x00\x01x", "a message before the handshake"),
        (GREETING + b"\x04\x05\x04PING", "no handshake"),
        (GREETING + b"\x04\x07\x05ERRORx", "no handshake"),
        (HELLO + b"\x08\x00", "flags that there are not"),
        (HELLO + b"\x05\x00", "flags that there are not"),
        (HELLO + b"\x06" + struct.pack(">Q", 1025), "too long a command"),
        (HELLO + b"\x02" + struct.pack(">Q", MAX_MESSAGE_BYTES - 8), "too long a message"),
        (HELLO + b"\x02" + struct.pack(">Q", 1 << 63), "too long a message"),
    ],
)  # fmt: skip
def test_what_is_not_to_be_spoken_with_is_hung_up_on(data: bytes, why: str) -> None:
    with pytest.raises(ZmtpError, match=why):
        Zmtp().feed(data)


def test_a_message_of_the_longest_length_is_taken_and_one_byte_more_is_not() -> None:
    size = MAX_MESSAGE_BYTES - 9 - 2
    message = [b"", bytes(size)]
    assert Zmtp().feed(HELLO + joined([message, message])) == [message, message]
    with pytest.raises(ZmtpError, match="too long a message"):
        Zmtp().feed(HELLO + joined([[b"x", bytes(size)]]))


def test_a_message_without_end_is_refused_before_it_is_collected() -> None:
    protocol = Zmtp()
    protocol.feed(HELLO)
    part = b"\x01\xff" + bytes(255)
    n_taken = 0
    with pytest.raises(ZmtpError, match="too long a message"):
        while True:
            protocol.feed(part)
            n_taken += len(part)
    assert n_taken == MAX_MESSAGE_BYTES // len(part) * len(part)


@contextmanager
def listening(path: str) -> Iterator[PlainChannel]:
    channel = PlainChannel()
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    server.setblocking(False)
    channel.listen(server)
    try:
        yield channel
    finally:
        channel.close()


@contextmanager
def client(path: str, kind: int, **options: int) -> Iterator[zmq.Socket[bytes]]:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    made = context.socket(kind)
    for name, value in options.items():
        setattr(made, name, value)
    made.connect(f"ipc://{path}")
    try:
        yield made
    finally:
        context.destroy(linger=0)


def next_message(channel: PlainChannel) -> list[bytes]:
    got: list[list[bytes]] = []
    wait_for(lambda: got or ((message := channel.receive()) and (got.append(message) or True)))
    return got[0]


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("z") / "s")


def test_libzmq_and_we_understand_each_other(path: str) -> None:
    seeded = random.Random(3)
    with listening(path) as channel, client(path, zmq.DEALER) as dealer:
        for _ in range(200):
            n_parts = seeded.randrange(1, MAX_PARTS + 1)
            question = [
                seeded.randbytes(seeded.choice([0, 1, 255, 256, 4000])) for _ in range(n_parts)
            ]
            dealer.send_multipart(question)
            who, *got = next_message(channel)
            assert got == question
            answer = [
                seeded.randbytes(seeded.choice([0, 1, 255, 256, 70_000])) for _ in range(n_parts)
            ]
            channel.send([who, *answer])
            while not dealer.poll(0):
                channel.receive()
            assert dealer.recv_multipart() == answer


def test_req_sockets_are_answered_behind_their_empty_part(path: str) -> None:
    with listening(path) as channel, client(path, zmq.REQ) as asking:
        asking.send(b"who?")
        who, empty, question = next_message(channel)
        assert (empty, question) == (b"", b"who?")
        channel.send([who, b"", b"me"])
        assert asking.poll(TIMEOUT_S * 1000)
        assert asking.recv() == b"me"


def test_heartbeats_are_answered(path: str) -> None:
    beats = {"heartbeat_ivl": 20, "heartbeat_timeout": 200}
    with listening(path) as channel, client(path, zmq.DEALER, **beats) as dealer:
        dealer.send(b"first")
        first = next_message(channel)
        until_s = time.monotonic() + 1.0
        wait_for(lambda: channel.receive() or time.monotonic() > until_s)
        dealer.send(b"second")
        assert next_message(channel)[0] == first[0]  # the same connection
        assert channel.n_clients == 1


def test_answers_to_who_does_not_read_are_dropped_beyond_a_bound(path: str) -> None:
    with listening(path) as channel, socket.socket(socket.AF_UNIX) as silent:
        silent.connect(path)
        silent.sendall(HELLO + joined([[b"question"]]))
        who = next_message(channel)[0]
        answer = bytes(4 << 20)
        for _ in range(MAX_ANSWERS_WAITING):
            channel.send([who, answer])
        with pytest.raises(ChannelError, match="does not read"):
            channel.send([who, answer])
        silent.settimeout(TIMEOUT_S)
        n_got = 0
        while n_got < MAX_ANSWERS_WAITING * len(answer):
            channel.receive()
            n_got += len(silent.recv(1 << 20))
        channel.send([who, b"again"])
    with pytest.raises(ChannelError, match="gone"):
        channel.send([who, b"too late"])


def test_answers_that_nobody_reads_have_a_bound_together(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_channel, "MAX_WAITING_BYTES", 20 << 20)
    size = 4 << 20
    shared = bytes(size)
    with listening(path) as channel:
        silent = [socket.socket(socket.AF_UNIX) for _ in range(23)]
        who = []
        for one in silent:
            one.connect(path)
            one.sendall(HELLO + joined([[b"question"]]))
            who.append(next_message(channel)[0])
        for identity in who:  # what they share is held once
            channel.send([identity, shared])
        assert channel.n_waiting_bytes == size
        n_sent = 0
        with pytest.raises(ChannelError, match="clients do not read"):
            for identity in who:
                channel.send([identity, bytes(size)])
                n_sent += 1
        assert n_sent == 4
        for one in silent:
            one.close()
        wait_for(lambda: channel.receive() or channel.n_clients == 0)
        assert channel.n_waiting_bytes == 0


def test_who_stands_still_is_sent_away(path: str) -> None:
    now_s = 0.0
    channel = PlainChannel(lambda: now_s)
    server = socket.socket(socket.AF_UNIX)
    server.bind(path)
    server.listen()
    server.setblocking(False)
    channel.listen(server)
    mute, stuck, sound = (socket.socket(socket.AF_UNIX) for _ in range(3))
    with mute, stuck, sound:
        for one in (mute, stuck, sound):
            one.connect(path)
        for one in (stuck, sound):
            one.sendall(HELLO + joined([[b"question"]]))
        who = next_message(channel)[0]
        next_message(channel)
        channel.send([who, bytes(8 << 20)])
        now_s = plain_channel.HANDSHAKE_S
        channel.expire()
        assert channel.n_clients == 3
        now_s += 0.1
        channel.expire()
        assert channel.n_clients == 2
        now_s = plain_channel.STALLED_S
        channel.expire()
        assert channel.n_clients == 2
        now_s += 0.1
        channel.expire()
        assert channel.n_clients == 1
    channel.close()


def test_the_most_silent_client_goes_when_there_are_too_many(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plain_channel, "MAX_CLIENTS", 3)
    with listening(path) as channel:
        made = [socket.socket(socket.AF_UNIX) for _ in range(5)]
        for number, one in enumerate(made):
            one.connect(path)
            one.sendall(HELLO + joined([[b"%d" % number]]))
            assert next_message(channel)[1] == b"%d" % number
            made[0].sendall(joined([[b"still here"]]))
            assert next_message(channel)[1] == b"still here"
        assert channel.n_clients == 3
        for number, one in enumerate(made):
            one.settimeout(0.1)
            is_open = number in (0, 3, 4)
            one.recv(1000)
            if is_open:
                with pytest.raises(TimeoutError):
                    one.recv(1)
            else:
                assert one.recv(1) == b""
            one.close()
