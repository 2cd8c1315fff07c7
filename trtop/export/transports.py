"""The way to an OTLP receiver over HTTP, and what every such way gives.

Takes one encoded request, gives what became of it; waits a bounded time. Retries nothing.
"""

from __future__ import annotations

import gzip
import http.client
import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceResponse,
)

from trtop_core.errors import TrtopError, reason_of
from trtop_daemon.ipc.export_orders import OtlpOrders

TIMEOUT_S = 10.0
"""Without a byte, and for connecting."""

MAX_TOTAL_S = 30.0
"""For a request and its answer."""

MAX_ANSWER_BYTES = 64 << 10

MAX_REASON = 200
"""Characters of what a receiver says."""

RETRIABLE = frozenset({429, 502, 503, 504})
"""Status codes after which the specification wants the request again."""

PATH = "/v1/metrics"

METHOD = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request.

    Attributes:
        problem: why it was not taken, or not whole; empty: all is well.
        may_retry: it may be taken later.
        retry_after_s: not before that; None where the receiver does not say.
        n_rejected: points that the receiver did not take, of a request that it took.
    """

    problem: str = ""
    may_retry: bool = False
    retry_after_s: float | None = None
    n_rejected: int = 0


class Transport(Protocol):
    """A way to a receiver."""

    def send(self, data: bytes) -> Outcome:
        """Send one encoded request."""

    def close(self) -> None:
        """Hang up."""


class HttpTransport:
    """OTLP over HTTP, with protobufs, compressed; one connection that is kept.

    Args:
        orders: where to, and how.

    Raises:
        TrtopError: certificates cannot be read.
    """

    def __init__(self, orders: OtlpOrders) -> None:
        parts = urlsplit(orders.url)
        self._host, self._port = parts.hostname or "", parts.port
        self._path = (parts.path if parts.path not in ("", "/") else PATH) + (
            f"?{parts.query}" if parts.query else ""
        )
        self._tls = _tls_context(orders) if parts.scheme == "https" else None
        self._headers = {
            **dict(orders.headers),
            "Content-Type": "application/x-protobuf",
            "Content-Encoding": "gzip",
            "User-Agent": "trtop",
        }
        self._connection: http.client.HTTPConnection | None = None

    def send(self, data: bytes) -> Outcome:
        """Send one encoded request."""
        is_kept = self._connection is not None
        body = gzip.compress(data, 1)
        try:
            return self._send(body)
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            if is_kept:  # the receiver has closed a connection that was not used for a while
                return self.send(data)
            reason = reason_of(error) if isinstance(error, OSError) else str(error)
            return Outcome(reason[:MAX_REASON] or type(error).__name__, may_retry=True)

    def _send(self, body: bytes) -> Outcome:
        connection = self._connection or self._connect()
        watch = threading.Timer(MAX_TOTAL_S, _hang_up, (connection.sock,))
        watch.daemon = True
        watch.start()
        try:
            connection.request("POST", self._path, body, self._headers)
            response = connection.getresponse()
            answer = response.read(MAX_ANSWER_BYTES)
        finally:
            watch.cancel()
        if response.will_close or not response.isclosed():
            self.close()
        if 200 <= response.status < 300:
            return taken(answer)
        problem = f"{response.status} {response.reason}"[:MAX_REASON]
        after_s = _seconds(response.headers.get("Retry-After", ""))
        return Outcome(problem, response.status in RETRIABLE, after_s)

    def _connect(self) -> http.client.HTTPConnection:
        made: http.client.HTTPConnection
        if self._tls is None:
            made = http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT_S)
        else:
            made = http.client.HTTPSConnection(
                self._host, self._port, timeout=TIMEOUT_S, context=self._tls
            )
        self._connection = made
        made.connect()
        return made

    def close(self) -> None:
        """Hang up; the next request connects again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def taken(answer: bytes) -> Outcome:
    """What a receiver that took a request says of it."""
    response = ExportMetricsServiceResponse()
    try:
        response.ParseFromString(answer)
    except DecodeError:  # what is no protobuf rejects nothing
        return Outcome()
    partial = response.partial_success
    if not partial.rejected_data_points:
        return Outcome()
    why = partial.error_message[:MAX_REASON] or "no reason given"
    n_rejected = max(0, partial.rejected_data_points)
    return Outcome(f"{n_rejected} points rejected: {why}", n_rejected=n_rejected)


def _tls_context(orders: OtlpOrders) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=orders.ca_path)
    except ssl.SSLError:
        raise TrtopError(f"{orders.ca_path}: holds no certificates in PEM form") from None
    except OSError as error:
        raise TrtopError(f"{orders.ca_path}: cannot be read: {error.strerror}") from None


def _seconds(text: str) -> float | None:
    """``Retry-After`` in seconds; as a date it is not looked at."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 9 else None


def _hang_up(connection: socket.socket | None) -> None:
    with suppress(OSError):
        if connection is not None:
            connection.shutdown(socket.SHUT_RDWR)
