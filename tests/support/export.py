"""Collections to export, made by hand, and receivers that keep what they are sent."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric

from trtop.escape import escape
from trtop.export.collected import Collected, labels_of
from trtop.export.ledger import Ledger
from trtop_core.health import Health
from trtop_core.table import Table

OPENMETRICS = "application/openmetrics-text;version=1.0.0"

START_NS = 1_000_000_000
TIME_NS = 5_000_000_000


def collected_of(
    table: Table,
    names: dict[tuple[str, int], str] | None = None,
    ledger: Ledger | None = None,
    time_ns: int = TIME_NS,
) -> Collected:
    """What a reader would have collected of a daemon with these rows."""
    accounts = (ledger or Ledger(100, START_NS)).update(table, table, time_ns / 1e9, time_ns)
    escaped = {key: escape(name) for key, name in (names or {}).items()}
    return Collected(
        accounts=accounts,
        labels=labels_of(accounts.rows, escaped),
        verdicts=("",) * (len(accounts.rows) - 1),
        health=Health(),
        n_destinations=len(table),
        host="h",
        is_capturing=True,
        notices={},
        clock_ns=None,
        time_ns=time_ns,
        duration_s=0.0,
    )


@dataclass
class Receiver:
    """An OTLP receiver over HTTP.

    Attributes:
        statuses: what to answer, one after the other; the last one stays.
        requests: that were taken, decoded.
        heads: headers and path of every request.
        headers: to answer with.
        rejected: data points that each answer says were rejected.
    """

    port: int = 0
    statuses: list[int] = field(default_factory=lambda: [200])
    requests: list[ExportMetricsServiceRequest] = field(default_factory=list)
    heads: list[dict[str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    rejected: int = 0

    def metrics(self, at: int = -1) -> dict[str, Metric]:
        """Metrics of one request by name."""
        return {
            metric.name: metric
            for resource in self.requests[at].resource_metrics
            for scope in resource.scope_metrics
            for metric in scope.metrics
        }


@contextmanager
def receiver(certificate: Path | None = None) -> Iterator[Receiver]:
    """A receiver on a port of its own; with TLS where there is a certificate with its key."""
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            head = {name.lower(): value for name, value in self.headers.items()}
            client = f"port {self.client_address[1]}"
            made.heads.append({"path": self.path, "client": client, **head})
            status = made.statuses.pop(0) if len(made.statuses) > 1 else made.statuses[0]
            answer = ExportMetricsServiceResponse()
            if status == 200:
                request = ExportMetricsServiceRequest()
                request.ParseFromString(gzip.decompress(body))
                made.requests.append(request)
                answer.partial_success.rejected_data_points = made.rejected
                answer.partial_success.error_message = "full" if made.rejected else ""
            data = answer.SerializeToString()
            self.send_response(status)
            for name, value in made.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
