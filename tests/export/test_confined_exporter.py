"""A confined exporter reaches every kind of receiver, and finds names."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from support.daemons import TIMEOUT_S, TRTOPD, Daemon, wait_for
from support.export import receiver
from support.paths import EXAMPLE
from test_otlp_push import certificate

from trtop.export.confinement import grants_of
from trtop.export.transports import METHOD
from trtop_daemon.ipc.export_orders import Orders, OtlpOrders
from trtop_daemon.system.sandbox import DNS_PORT

REPLAY = ("-r", str(EXAMPLE), "--speed=max", "--otlp-interval=0.2")


def exporting(folder: Path, *args: str) -> Daemon:
    return Daemon(folder, *REPLAY, *args, command=TRTOPD)


def test_https_with_a_certificate_of_ones_own(tmp_path: Path) -> None:
    pair = certificate(tmp_path)
    with receiver(pair) as there:
        ca = f"--otlp-ca={tmp_path / 'cert.pem'}"
        with exporting(tmp_path / "d", f"--otlp=https://127.0.0.1:{there.port}", ca):
            wait_for(lambda: len(there.requests) > 2)


@contextmanager
def grpc_receiver(pair: Path | None = None) -> Iterator[tuple[int, list[Any]]]:
    grpc = pytest.importorskip("grpc", reason="grpcio is not installed")
    taken: list[ExportMetricsServiceRequest] = []

    def export(data: bytes, context: Any) -> bytes:
        taken.append(ExportMetricsServiceRequest.FromString(data))
        answer: bytes = ExportMetricsServiceResponse().SerializeToString()
        return answer

    service, method = METHOD.removeprefix("/").split("/")
    server = grpc.server(futures.ThreadPoolExecutor(2))
    handlers = {method: grpc.unary_unary_rpc_method_handler(export)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    if pair is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        key, cert = ((pair.parent / name).read_bytes() for name in ("key.pem", "cert.pem"))
        credentials = grpc.ssl_server_credentials([(key, cert)])
        port = server.add_secure_port("127.0.0.1:0", credentials)
    server.start()
    try:
        yield port, taken
    finally:
        server.stop(0).wait(TIMEOUT_S)


def test_grpc(tmp_path: Path) -> None:
    with (
        grpc_receiver() as (port, taken),
        exporting(tmp_path / "d", f"--otlp=grpc://localhost:{port}"),
    ):
        wait_for(lambda: len(taken) > 2)


def test_grpc_with_a_certificate_of_ones_own(tmp_path: Path) -> None:
    pair = certificate(tmp_path)
    ca = f"--otlp-ca={tmp_path / 'cert.pem'}"
    with (
        grpc_receiver(pair) as (port, taken),
        exporting(tmp_path / "d", f"--otlp=grpcs://127.0.0.1:{port}", ca),
    ):
        wait_for(lambda: len(taken) > 2)


def test_a_receiver_by_name_and_names_by_dns(tmp_path: Path) -> None:
    with receiver() as there:
        options = (f"--otlp=http://localhost:{there.port}", "--export-names=hosts,dns")
        with exporting(tmp_path / "d", *options):
            wait_for(lambda: len(there.requests) > 2)


def orders(**fields: Any) -> Orders:
    return Orders(**{"endpoint": "ipc:///run/x", **fields})


def test_only_ports_that_are_asked_are_reached() -> None:
    assert grants_of(orders()) == ((), (), (), False, (), False)
    over_tcp = grants_of(orders(endpoint="tcp://127.0.0.1:7117"))
    assert (over_tcp.connects, over_tcp.uses_internet) == ((7117, DNS_PORT), True)
    for url, port in (("http://h:99", 99), ("https://h/x", 443), ("grpc://h", 4317)):
        assert grants_of(orders(otlp=OtlpOrders(url))).connects == (port, DNS_PORT)
    assert grants_of(orders(names=("dns",))).connects == (DNS_PORT,)
    assert grants_of(orders(names=("hosts:/x",))).connects == ()
