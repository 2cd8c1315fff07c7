"""What the exporter is told by the daemon that starts it. Data only, ↔ JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

DEFAULT_BOUNDS_S = (
    *(0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025),
    *(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
"""Bounds of histograms, from a round trip within a rack to a request that hangs."""

DEFAULT_LIMIT = 100
MAX_LIMIT = 2_000
"""Destinations with series of their own. Two thousand make some 30 MB, about what Prometheus takes
within its ten seconds."""

DEFAULT_OTLP_INTERVAL_S = 60.0


@dataclass(frozen=True, slots=True)
class OtlpOrders:
    """Where and how metrics are pushed.

    Attributes:
        url: ``http://``, ``https://``, ``grpc://`` or ``grpcs://``.
        headers: sent with each request: pairs of name and value.
        ca_path: certificates that are trusted; None: those of the system.
        interval_s: between two pushes.
        is_delta: each push holds what came since the last one; else all since the start.
    """

    url: str
    headers: tuple[tuple[str, str], ...] = ()
    ca_path: str | None = None
    interval_s: float = DEFAULT_OTLP_INTERVAL_S
    is_delta: bool = False


@dataclass(frozen=True, slots=True)
class Orders:
    """What to export, and where.

    Attributes:
        endpoint: of the daemon.
        curve: the exporter's key pair and the daemon's public key, where the endpoint wants them.
        identity: user and group to become; None: whoever it is.
        metrics_fds: listening sockets of the Prometheus endpoint.
        otlp: where to push; None: nowhere.
        limit: destinations with series of their own.
        bounds_s: of the histograms of latencies.
        names: resolvers by name.
        by_port: rows are kept by port.
        observation_point: what is captured: interfaces, or files.
        start_ns: since when the daemon counts, ns since the epoch.
        is_confined: it gives up what it does not need (``trtop_daemon.system.sandbox``).
        ready_fd: where to say that all is well, or why not.
    """

    endpoint: str
    curve: tuple[str, str, str] | None = field(default=None, repr=False)
    identity: tuple[int, int] | None = None
    metrics_fds: tuple[int, ...] = ()
    otlp: OtlpOrders | None = field(default=None, repr=False)
    limit: int = DEFAULT_LIMIT
    bounds_s: tuple[float, ...] = DEFAULT_BOUNDS_S
    names: tuple[str, ...] = ()
    by_port: bool = True
    observation_point: str = ""
    start_ns: int = 0
    is_confined: bool = True
    ready_fd: int = -1

    def to_json(self) -> bytes:
        """For the exporter's eyes only: headers and keys are secret."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Orders:
        """Orders as ``to_json`` wrote them."""
        told: dict[str, Any] = json.loads(data)
        otlp = told.pop("otlp")
        if otlp is not None:
            headers = tuple((name, value) for name, value in otlp.pop("headers"))
            otlp = OtlpOrders(headers=headers, **otlp)
        lists = {key: tuple(value) for key, value in told.items() if isinstance(value, list)}
        return cls(**{**told, **lists}, otlp=otlp)
