"""Fuzz target: any message is refused in one way, or a value that travels on as it is.

The first byte of an input says what the rest is taken for: one of the messages between daemon and
client, the parts that a capture process sends, or the bytes of a ZeroMQ connection. Whoever decodes
a message takes no more memory than a small multiple of its bytes.
"""

from __future__ import annotations

import struct
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

from invariants import check_written
from support.builders.snapshot import destination, incident, snapshot
from support.traffic.busy import SEED, busy
from target import Target

from trtop.table.render import render
from trtop.table.style import TableStyle
from trtop_core import Engine, EngineConfig, PacketBatch, View, merge, wire
from trtop_core.activity import ActivityView
from trtop_core.closed_connections import ClosedLog, ClosedView
from trtop_core.detail import DetailView
from trtop_core.records import GroupBy, Window
from trtop_core.timeline import TimelineView
from trtop_core.trends import TrendView
from trtop_core.view import Period
from trtop_core.wire.activity import decode_activity, encode_activity
from trtop_core.wire.closed import decode_closed, encode_closed
from trtop_core.wire.endpoint import parse_endpoint
from trtop_core.wire.questions import ask_of
from trtop_core.wire.timeline import decode_timeline, encode_timeline
from trtop_core.wire.trends import decode_trends, encode_trends
from trtop_daemon.ipc.batch_message import (
    MAX_PARTS,
    Message,
    MessageError,
    MessageKind,
    Totals,
    pack,
    unpack,
)
from trtop_daemon.server.zmtp import MAX_MESSAGE_BYTES, MAX_REPLIES, Zmtp, ZmtpError, encode

Codec = tuple[Callable[[bytes], Any], Callable[[Any], bytes]]

CODECS: tuple[Codec, ...] = (
    (wire.decode_request, wire.encode_request),
    (wire.decode_reply, wire.encode_reply),
    (wire.decode_snapshot, wire.encode_snapshot),
    (wire.decode_detail, wire.encode_detail),
    (decode_trends, encode_trends),
    (decode_timeline, encode_timeline),
    (decode_activity, encode_activity),
    (decode_closed, encode_closed),
)
BATCH, ZMTP, ENDPOINT = range(len(CODECS), len(CODECS) + 3)
N_KINDS = len(CODECS) + 3

MEASURED = 0x80
"""Bit of the first byte: the memory that decoding takes is measured, which is slow."""

FREE_BYTES = 1 << 19
"""What decoding may take besides: objects of a table without rows, a full history in records."""

BYTES_PER_BYTE = 64
"""What decoding may take for each byte of a message."""


def run(data: bytes) -> None:
    """One message."""
    if not data:
        return
    kind, message = data[0] % MEASURED % N_KINDS, data[1:]
    if kind == BATCH:
        _batch(message)
    elif kind == ZMTP:
        _zmtp(message)
    elif kind == ENDPOINT:
        _endpoint(message)
    else:
        _message(message, CODECS[kind], bool(data[0] & MEASURED))


def _message(message: bytes, codec: Codec, is_measured: bool) -> None:
    decode, encode_again = codec
    if is_measured:
        tracemalloc.start()
    try:
        value = decode(message)
    except wire.WireError as error:
        assert "\n" not in str(error)
        return
    finally:
        if is_measured:
            _, peak_bytes = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert peak_bytes <= FREE_BYTES + BYTES_PER_BYTE * len(message), peak_bytes
    again = encode_again(value)
    assert encode_again(decode(again)) == again
    if isinstance(value, wire.Refusal | wire.Answer | wire.Ask):
        assert decode(again) == value
    elif decode is wire.decode_snapshot:
        check_written(value)
        list(render(value, TableStyle(width=80)))
        if len(value.table) == value.n_destinations:
            merge([value, value], value.view)


def _batch(data: bytes) -> None:
    """Parts of a capture process's message, each behind two bytes of its length."""
    parts, at = [], 0
    while at + 2 <= len(data) and len(parts) <= MAX_PARTS:
        (length,) = struct.unpack_from("<H", data, at)
        parts.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    try:
        message = unpack(parts)
    except MessageError as error:
        assert "\n" not in str(error)
        return
    packed = [bytes(part) for part in pack(message)]
    assert [bytes(part) for part in pack(unpack(packed))] == packed
    if message.batch is not None:
        own = Engine(EngineConfig(max_connections=9, max_destinations=9), bytes(16))
        own.feed(message.batch)
        own.finish()


def _zmtp(data: bytes) -> None:
    """Bytes of a peer, in one piece and one by one: the same messages, and a bounded memory."""
    whole, cut = _spoken([data]), _spoken([data[at : at + 1] for at in range(len(data))])
    assert whole == cut
    for parts in whole[0]:
        reader = Zmtp()
        reader.feed(_greeted())
        assert reader.feed(b"".join(encode(parts))) == [parts]


def _spoken(pieces: list[bytes]) -> tuple[list[list[bytes]], bool, list[bytes]]:
    connection = Zmtp()
    messages: list[list[bytes]] = []
    try:
        for piece in pieces:
            messages += connection.feed(piece)
            assert len(connection.replies) <= MAX_REPLIES + 2
            assert len(connection._buffer) <= MAX_MESSAGE_BYTES
    except ZmtpError:
        return [], True, []
    return messages, False, connection.replies


def _greeted() -> bytes:
    """What a peer says first."""
    greeting = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"NULL".ljust(20, b"\0") + bytes(32)
    ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x06DEALER"
    return greeting + bytes((4, len(ready))) + ready


def _endpoint(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    try:
        endpoint = parse_endpoint(text)
    except ValueError as error:
        assert "\n" not in str(error)
        return
    assert parse_endpoint(str(endpoint)) == endpoint


def seeds() -> Iterator[bytes]:
    """Every message, of an engine that was busy and of one that has seen nothing."""
    for number, message in _messages():
        yield bytes([number]) + message
        yield bytes([number | MEASURED]) + message
    batch = PacketBatch.from_packets(enumerate([b"a packet", b"another one"]))
    said = (
        Message(MessageKind.PACKETS, 1, 2, 3, "eth0", 1, 9, Totals(1, 2, None, 4, 5), batch),
        Message(MessageKind.END, name="x.pcap", code=3, text="gone"),
    )
    for message in said:
        parts = [bytes(part) for part in pack(message)]
        yield bytes([BATCH]) + b"".join(struct.pack("<H", len(part)) + part for part in parts)
    ping = b"\x04PING\x00\x0acontext"
    for rest in ([b"", b"question"], [b"x" * 300], [b"a", b"b", b"c", b"d", b"e"]):
        frames = b"".join(encode(rest))
        yield bytes([ZMTP]) + _greeted() + bytes((4, len(ping))) + ping + frames
    for text in ("ipc:///run/x.sock", "tcp://[::1]:7117", "tcp://*:1", "/a/b", "tcp://h:70000"):
        yield bytes([ENDPOINT]) + text.encode()


def _messages() -> Iterator[tuple[int, bytes]]:
    own = Engine(
        EngineConfig(
            max_connections=100,
            max_destinations=20,
            windows=tuple(Window),
            history_bytes=1 << 24,
            keeps_connections=True,
        ),
        SEED,
    )
    own.feed(PacketBatch.from_packets(busy(3, 30)))
    keys = own.keys.tobytes()[:48]
    key = own.keys[0]
    log = ClosedLog(10, 7)
    log.add(own.take_connections()[:3])
    questions = (
        DetailView(key["addr"].tobytes(), int(key["port"]), int(key["kind"]), n_connections=2),
        TrendView(keys),
        TimelineView(9),
        ActivityView(keys, n_columns=9, n_slow=1),
        ClosedView(7, 0, 5),
    )
    yield 0, wire.encode_request(wire.Ask(1, View(period=Period(1, 9), group_by=GroupBy.ADDR)))
    for question in questions:
        yield 0, wire.encode_request(ask_of(2, question))
    notice = wire.Notice(7, wire.Severity.ERROR, "capture on \x1b[31m died")
    yield 1, wire.encode_reply(wire.Answer(23, "web-3", (notice,), is_finished=True))
    yield 1, wire.encode_reply(wire.Refusal(23, wire.Reason.MALFORMED, "no", wire.VERSION))
    for one in (
        snapshot([]),
        snapshot([destination("10.0.0.1", syn=5, reuse=[3, 70])]),
        incident(),
    ):
        yield 2, wire.encode_snapshot(one)
    yield 3, wire.encode_detail(own.detail(questions[0]))
    yield 4, encode_trends(own.trends(questions[1]))
    yield 5, encode_timeline(own.timeline(questions[2]))
    yield 6, encode_activity(own.activity(questions[3]))
    yield 7, encode_closed(log.answer(questions[4]))


TARGET = Target(
    run,
    seeds,
    max_bytes=6000,
    words=(
        b"trtop\x03", b"\xa4view", b"\xa5table", b"\xa4keys", b"\xa8counters", b"\xa8sketches",
        b"\x92\xa3<u1\xc4", b"\x92\xa3<u8\xc4", b"\x92\xa3<i8\xc4", b"\x92\xa10\xc4\x00", b"\xc0",
        b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", b"\xd3\x80\x00\x00\x00\x00\x00\x00\x00",
        b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00", b"\xdd\xff\xff\xff\xff", b"\xdf\xff\xff\xff\xff",
        b"TRTF", b"\x05READY", b"\x04PING", b"tcp://", b"ipc://", b"\x06cancel",
    ),
)  # fmt: skip
