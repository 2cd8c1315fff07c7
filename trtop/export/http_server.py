"""The Prometheus endpoint: ``GET /metrics`` over HTTP/1.0, one answer per connection.

Takes listening sockets and a function that gives expositions; serves each connection in a thread of
its own, a bounded number at a time. Whoever sends slowly, too much or nothing, or does not read, is
sent away after a while; nobody is waited for.
"""

from __future__ import annotations

import gzip
import io
import socket
import socketserver
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any

from trtop_core.errors import TrtopError

MAX_OPEN = 32
"""Connections at a time; each is a thread. Prometheus keeps one or two."""

MAX_HEAD_BYTES = 16 << 10
"""Of a request's line and headers together."""

MAX_SILENT_S = 5.0
"""Without a byte of a request, or a byte taken of an answer."""

MAX_TOTAL_S = 60.0
"""For a connection as a whole."""

POLL_S = 0.5
"""How soon it notices that it is to stop listening."""

MIN_GZIP_BYTES = 1 << 10
GZIP_LEVEL = 1
"""Expositions shrink to a tenth at any level."""

REFUSAL = b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"

LANDING = b"trtopd: metrics are at /metrics\n"
TEXT = "text/plain; charset=utf-8"

Expose = Callable[[str], tuple[bytes, str]]
"""An ``Accept`` header -> an exposition and its content type."""


class MetricsServer:
    """Serves an exposition at some sockets.

    Args:
        listening: sockets that listen; they belong to it.
        expose: gives the exposition; ``TrtopError`` where there is none now.

    Attributes:
        n_refused: connections that found no room.
    """

    def __init__(self, listening: Sequence[socket.socket], expose: Expose) -> None:
        self.n_refused = 0
        self._expose = expose
        self._gzipped: tuple[bytes, bytes] = (b"", b"")
        self._free = threading.BoundedSemaphore(MAX_OPEN)
        self._servers = [_Server(one, self) for one in listening]

    def start(self) -> None:
        """Serve, in threads of their own."""
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(POLL_S,), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def has_room(self) -> bool:
        """Take a place for a connection, if there is one."""
        if self._free.acquire(blocking=False):
            return True
        self.n_refused += 1
        return False

    def leave(self) -> None:
        """Give a place back."""
        self._free.release()

    def exposition(self, accept: str, takes_gzip: bool) -> tuple[bytes, str, bool]:
        """A body, its content type, and whether it is compressed.

        Raises:
            TrtopError: there is none now.
        """
        body, content_type = self._expose(accept)
        if not takes_gzip or len(body) < MIN_GZIP_BYTES:
            return body, content_type, False
        source, packed = self._gzipped
        if source is not body:
            packed = gzip.compress(body, GZIP_LEVEL)
            self._gzipped = body, packed
        return packed, content_type, True


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """One listening socket."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, listening: socket.socket, owner: MetricsServer) -> None:
        # Not TCPServer's own: it makes a socket, which the process may not do any more.
        socketserver.BaseServer.__init__(self, ("", 0), _Handler)
        self.socket = listening
        self.owner = owner

    def process_request(self, request: Any, client_address: Any) -> None:
        request.settimeout(MAX_SILENT_S)
        if self.owner.has_room():
            super().process_request(request, client_address)
            return
        with suppress(OSError):
            request.setblocking(False)
            request.send(REFUSAL)
        self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        timer = threading.Timer(MAX_TOTAL_S, _hang_up, (request,))
        timer.daemon = True
        timer.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            timer.cancel()
            self.owner.leave()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client that goes in the middle is no event."""


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: _Server
    server_version = "trtopd"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self.rfile = io.BufferedReader(_Head(self.connection, MAX_HEAD_BYTES))

    def do_GET(self) -> None:
        """Answer; ``http.server`` asks for this name."""
        path = self.path.partition("?")[0]
        if path == "/":
            self._send(HTTPStatus.OK, LANDING, TEXT)
        elif path == "/metrics":
            self._send_metrics()
        else:
            self._send(HTTPStatus.NOT_FOUND, LANDING, TEXT)

    def do_HEAD(self) -> None:
        """As GET, without a body."""
        self.do_GET()

    def _send_metrics(self) -> None:
        accept = self.headers.get("Accept", "")
        takes_gzip = "gzip" in self.headers.get("Accept-Encoding", "")
        try:
            body, content_type, is_gzip = self.server.owner.exposition(accept, takes_gzip)
        except TrtopError as error:
            self._send(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}\n".encode(), TEXT)
            return
        self._send(HTTPStatus.OK, body, content_type, is_gzip)

    def _send(
        self, status: HTTPStatus, body: bytes, content_type: str, is_gzip: bool = False
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Vary", "Accept, Accept-Encoding")
        if is_gzip:
            self.send_header("Content-Encoding", "gzip")
        self.end_headers()
        if self.command != "HEAD":
            _send_in_pieces(self.connection, body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Nothing: who scrapes is no event."""

    def address_string(self) -> str:
        """Nobody: a Unix socket's client has no address."""
        return ""


class _Head(io.RawIOBase):
    """The bytes of a request; one that is longer than a bound ends its connection."""

    def __init__(self, connection: socket.socket, n_bytes: int) -> None:
        self._connection = connection
        self._n_left = n_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if not self._n_left:
            raise ConnectionAbortedError("the request is too long")
        n_read = self._connection.recv_into(buffer, min(len(buffer), self._n_left))
        self._n_left -= n_read
        return n_read


SEND_BYTES = 1 << 18


def _send_in_pieces(connection: socket.socket, body: bytes) -> None:
    """Send all; a timeout is one of each piece, so that a slow reader of much may go on."""
    for start in range(0, len(body), SEND_BYTES):
        connection.sendall(memoryview(body)[start : start + SEND_BYTES])


def _hang_up(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
