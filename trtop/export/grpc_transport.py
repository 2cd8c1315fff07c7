"""OTLP over gRPC; the one module that imports ``grpc``."""

from __future__ import annotations

from urllib.parse import urlsplit

import grpc

from trtop.export.transports import MAX_REASON, METHOD, TIMEOUT_S, Outcome, taken
from trtop_core.errors import TrtopError
from trtop_daemon.ipc.export_orders import OtlpOrders

DEFAULT_PORT = 4317

RETRIABLE = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)
"""Status codes after which the specification wants the request again."""


class GrpcTransport:
    """OTLP over gRPC; the channel is made with the first request, in the process that sends.

    Args:
        orders: where to, and how; ``grpcs://`` is with TLS.

    Raises:
        TrtopError: certificates cannot be read.
    """

    def __init__(self, orders: OtlpOrders) -> None:
        parts = urlsplit(orders.url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self._target = f"{host}:{parts.port or DEFAULT_PORT}"
        self._metadata = tuple((name.lower(), value) for name, value in orders.headers)
        self._is_secure = parts.scheme == "grpcs"
        self._roots: bytes | None = None
        if orders.ca_path is not None:
            try:
                with open(orders.ca_path, "rb") as stream:
                    self._roots = stream.read()
            except OSError as error:
                raise TrtopError(f"{orders.ca_path}: cannot be read: {error.strerror}") from None
        self._channel: grpc.Channel | None = None

    def send(self, data: bytes) -> Outcome:
        """Send one encoded request."""
        if self._channel is None:
            self._channel = self._open()
        call = self._channel.unary_unary(METHOD)
        try:
            answer = call(
                data,
                timeout=TIMEOUT_S,
                metadata=self._metadata,
                compression=grpc.Compression.Gzip,
            )
        except grpc.RpcError as error:
            code = error.code()
            problem = f"{code.name}: {error.details()}"[:MAX_REASON]
            return Outcome(problem, code in RETRIABLE)
        return taken(answer)

    def close(self) -> None:
        """Hang up; the next request connects again."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _open(self) -> grpc.Channel:
        if self._is_secure:
            return grpc.secure_channel(self._target, grpc.ssl_channel_credentials(self._roots))
        return grpc.insecure_channel(self._target)
