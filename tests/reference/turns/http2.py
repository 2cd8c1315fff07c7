"""Cleartext HTTP/2, followed by the frames of each stream (RFC 9113).

Takes the new data of both sides of a connection whose client began with the HTTP/2 preface; counts
requests and responses per stream. Stops when a frame header was not captured, and for good: what
belongs to which stream is not known any more. Never decodes a header block.
"""

from __future__ import annotations

from ..data import Kind, Ledger, NewData, Turn
from . import multiplex
from .responses import Responses
from .walk import HeaderWalk

FRAME_HEADER_BYTES = 9
DATA, HEADERS, RST_STREAM, SETTINGS, CONTINUATION = 0, 1, 3, 4, 9
CARRIERS = (DATA, HEADERS, CONTINUATION)
END_STREAM, END_HEADERS = 0x1, 0x4
# Streams open at once; with one more the connection is not followed any longer.
MAX_STREAMS = 128


class _Frame:
    """The frame that one side is sending; `began` is the segment that its first byte came in."""

    def __init__(self, head: bytes, start: int, began: NewData) -> None:
        self.kind = head[3]
        self.has_end_stream = self.kind in (DATA, HEADERS) and bool(head[4] & END_STREAM)
        self.has_end_headers = self.kind in (HEADERS, CONTINUATION) and bool(head[4] & END_HEADERS)
        self.stream_id = int.from_bytes(head[5:9], "big") & 0x7FFFFFFF
        self.start = start
        self.end = start + FRAME_HEADER_BYTES + int.from_bytes(head[:3], "big")
        self.began = began


class _Side:
    """The frames of one direction."""

    def __init__(self) -> None:
        self.walk = HeaderWalk(FRAME_HEADER_BYTES, _frame_len)
        self.frame: _Frame | None = None
        # Whether the stream ends with the CONTINUATION that ends its headers.
        self._ends_with_headers = False
        self._cut: NewData | None = None

    def ends_stream(self, frame: _Frame) -> bool:
        """Whether the stream of a frame that is complete now ends with it (RFC 9113 §6.2)."""
        if frame.kind == DATA:
            return frame.has_end_stream
        self._ends_with_headers = frame.has_end_stream or (
            frame.kind == CONTINUATION and self._ends_with_headers
        )
        return self._ends_with_headers and frame.has_end_headers

    def pieces(self, data: NewData) -> list[tuple[_Frame, int, bool]]:
        """Return (frame, bytes of it in this segment, whether it ends here) in order."""
        found: list[tuple[_Frame, int, bool]] = []
        frames = [self.frame] if self.frame is not None and self.frame.end > data.new_start else []
        for header in self.walk.walk(data.new_start, data.head, data.end):
            is_cut = header.start < data.new_start and self._cut is not None
            began = self._cut if is_cut and self._cut is not None else data
            frames.append(_Frame(header.head, header.start, began))
        at = self.walk.at
        if at is not None and data.new_start <= at < data.end:
            self._cut = data
        for frame in frames:
            n_bytes = min(frame.end, data.end) - max(frame.start, data.new_start)
            found.append((frame, n_bytes, frame.end <= data.end))
        self.frame = frames[-1] if frames else None
        return found


def _starts_settings(head: bytes) -> bool:
    """Whether bytes start with SETTINGS, as a server's must (RFC 9113 §3.4)."""
    stream_id = int.from_bytes(head[5:9], "big") & 0x7FFFFFFF
    return len(head) >= FRAME_HEADER_BYTES and head[3] == SETTINGS and not stream_id


def _frame_len(head: bytes) -> int:
    return FRAME_HEADER_BYTES + int.from_bytes(head[:3], "big")


class Http2:
    """The streams of one connection that have not ended."""

    def __init__(self, ledger: Ledger, responses: Responses) -> None:
        self._ledger = ledger
        self._responses = responses
        self._client = _Side()
        self._server = _Side()
        self._has_server_start = False
        self._last_id = 0
        self._has_too_many = False
        self.streams: dict[int, Turn] = {}

    @property
    def is_followed(self) -> bool:
        """Whether every frame header of both sides was captured, and no stream found no room."""
        places = (self._client.walk.at, self._server.walk.at)
        return None not in places and not self._has_too_many

    def start_server(self, at: int) -> None:
        """Note where the server's first frame starts."""
        if not self._has_server_start:
            self._has_server_start = True
            self._server.walk.restart(at)

    def start_server_unasked(self, data: NewData) -> None:
        """Note where the server's first frame starts, if it is the SETTINGS that it must be."""
        if not self._has_server_start and not _starts_settings(data.head):
            self._has_server_start = True
            self._server.walk.restart(None)
        self.start_server(data.new_start)

    def start_client(self, at: int) -> None:
        """Note where the preface starts."""
        self._client.walk.restart(at + multiplex.PREFACE_BYTES)

    def client_data(self, data: NewData) -> None:
        for frame, _, is_whole in self._client.pieces(data):
            if frame.kind == RST_STREAM and is_whole:
                self._reset(frame.stream_id)
            elif frame.kind in CARRIERS:
                self._ask(frame, data)
            if self._has_too_many:
                break

    def server_data(self, data: NewData) -> None:
        for frame, n_bytes, is_whole in self._server.pieces(data):
            if frame.kind == RST_STREAM and is_whole:
                self._reset(frame.stream_id)
            elif frame.kind in CARRIERS:
                self._answer(frame, n_bytes, is_whole, data)

    def sent_again(self, start: int, end: int) -> None:
        """Note that the client repeated data."""
        for turn in self.streams.values():
            asked_to = end if turn.asked_to is None else turn.asked_to
            if not turn.is_answered and start < asked_to and end > turn.asked_from:
                turn.was_sent_again = True

    def _ask(self, frame: _Frame, data: NewData) -> None:
        is_new = frame.kind == HEADERS and frame.stream_id % 2 and frame.stream_id > self._last_id
        if is_new and len(self.streams) == MAX_STREAMS:
            self._has_too_many = True
            return
        if is_new:
            self._last_id = frame.stream_id
            self._ledger.add("requests")
            began = frame.began
            self.streams[frame.stream_id] = Turn(
                Kind.REQUEST,
                began.client_start,
                began.server_start,
                frame.start,
                data.moment,
                waits_since_ns=data.now_ns,
            )
        turn = self.streams.get(frame.stream_id)
        if turn is None or turn.is_answered:
            return
        turn.asked, turn.waits_since_ns = data.moment, data.now_ns
        turn.asked_to = min(frame.end, data.end)

    def _answer(self, frame: _Frame, n_bytes: int, is_whole: bool, data: NewData) -> None:
        turn = self.streams.get(frame.stream_id)
        if turn is None:
            return
        if not turn.is_answered:
            if frame.kind != HEADERS:
                return
            self._responses.begin(turn, self._responses.answer(turn, frame.began))
        self._responses.grow(turn, data.moment, n_bytes)
        if is_whole and self._server.ends_stream(frame):
            self._responses.end(turn)
            del self.streams[frame.stream_id]

    def _reset(self, stream_id: int) -> None:
        """A stream that is reset without an answer will never have one."""
        turn = self.streams.pop(stream_id, None)
        if turn is not None:
            self._ledger.add("unanswered", not turn.is_answered)
            self._responses.end(turn)
