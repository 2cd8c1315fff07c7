"""Pushing: what is not taken is sent again, later and later; what is lost is counted."""

from __future__ import annotations

import logging
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from support.builders.snapshot import incident
from support.export import START_NS, collected_of, receiver

from trtop.export.otlp_points import Batch, PointMaker
from trtop.export.pusher import LAST_RETRY_S, MAX_RETRY_AFTER_S, Pusher, Queue
from trtop.export.receiver import make_transport
from trtop.export.transports import METHOD, Outcome, Transport
from trtop_core.errors import TrtopError
from trtop_daemon.ipc.export_orders import OtlpOrders

TIMEOUT_S = 120.0


class Answering:
    """A transport that answers what it is told."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.sent: list[bytes] = []

    def send(self, data: bytes) -> Outcome:
        self.sent.append(data)
        return self.outcomes.pop(0) if self.outcomes else Outcome()

    def close(self) -> None:
        pass


@contextmanager
def sending(url: str, **more: Any) -> Iterator[Transport]:
    with closing(make_transport(OtlpOrders(url, **more))) as transport:
        yield transport


def sent_once(url: str, **more: Any) -> Outcome:
    with sending(url, **more) as transport:
        return transport.send(b"")


def pusher(
    transport: Answering, slept: list[float], make: Callable[..., list[Batch]] | None = None
) -> Pusher:
    batches = make or (lambda collected: [Batch(b"x", 5)])
    return Pusher(transport, lambda: collected_of(incident().table), batches, 60.0, slept.append)


def test_what_is_taken_leaves_the_queue() -> None:
    transport, slept = Answering(), []
    one = pusher(transport, slept)
    one.collect_once()
    one.send_once()
    counts = one.own_counts()
    assert counts["otlp_requests", "ok"] == 1
    assert counts["otlp_requests_queued", ""] == 0
    assert counts["otlp_points_lost", ""] == 0
    assert transport.sent == [b"x"]


def test_what_is_not_taken_is_sent_again_later_and_later() -> None:
    transport, slept = Answering(*[Outcome("503", may_retry=True)] * 12), []
    one = pusher(transport, slept)
    one.collect_once()
    for _ in range(13):
        one.send_once()
    assert len(transport.sent) == 13
    for i, pause_s in enumerate(slept):
        assert min(2**i, LAST_RETRY_S) / 2 <= pause_s <= min(2**i, LAST_RETRY_S)
    counts = one.own_counts()
    assert (counts["otlp_requests", "retried"], counts["otlp_requests", "ok"]) == (12, 1)
    assert counts["otlp_points_lost", ""] == 0


def test_a_receiver_says_when_but_has_no_more_than_so_much_patience_of_us() -> None:
    slept: list[float] = []
    outcomes = [Outcome("429", True, 7.0), Outcome("429", True, 1e9)]
    one = pusher(Answering(*outcomes), slept)
    one.collect_once()
    one.send_once()
    one.send_once()
    assert slept == [7.0, MAX_RETRY_AFTER_S]


def test_what_will_never_be_taken_is_thrown_away_and_counted() -> None:
    slept: list[float] = []
    one = pusher(Answering(Outcome("400 Bad Request")), slept)
    one.collect_once()
    one.send_once()
    counts = one.own_counts()
    assert counts["otlp_requests", "dropped"] == 1
    assert counts["otlp_points_lost", ""] == 5
    assert counts["otlp_requests_queued", ""] == 0
    assert slept == []


def test_points_that_a_receiver_rejects_are_counted() -> None:
    one = pusher(Answering(Outcome("2 points rejected: full", n_rejected=2)), [])
    one.collect_once()
    one.send_once()
    counts = one.own_counts()
    assert (counts["otlp_requests", "ok"], counts["otlp_points_lost", ""]) == (1, 2)


def test_the_queue_is_bounded_and_the_oldest_go() -> None:
    queue = Queue(max_bytes=10)
    queue.put([Batch(b"12345", 1), Batch(b"67890", 2)])
    assert queue.n_lost == 0
    first = queue.first()
    queue.put([Batch(b"abc", 4)])
    assert (queue.n_lost, len(queue)) == (1, 2)
    assert not queue.remove(first)
    assert queue.first().data == b"67890"
    queue.put([Batch(bytes(100), 8)])
    assert (queue.n_lost, len(queue)) == (7, 1)


def test_a_trouble_is_one_line_and_its_end_another(caplog: pytest.LogCaptureFixture) -> None:
    outcomes = [Outcome("503 a\nb", True)] * 3
    one = pusher(Answering(*outcomes), [])
    logger = logging.getLogger("trtop_daemon.exporter")
    logger.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, "trtop_daemon.exporter"):
            one.collect_once()
            for _ in range(4):
                one.send_once()
    finally:
        logger.removeHandler(caplog.handler)
    lines = list(dict.fromkeys(record.getMessage() for record in caplog.records))
    assert lines == ["OTLP: 503 a\\nb", "OTLP: requests are taken again"]


def test_http_sends_compressed_protobufs_with_headers_over_one_connection() -> None:
    with receiver() as there:
        url = f"http://127.0.0.1:{there.port}"
        (batch,) = PointMaker("eth0", START_NS, False).requests(collected_of(incident().table))
        with sending(url, headers=(("X-Token", "s3"),)) as transport:
            assert transport.send(batch.data) == Outcome()
            assert transport.send(batch.data) == Outcome()
        assert len({head["client"] for head in there.heads}) == 1
        assert len(there.requests) == 2
        assert "trtop.connection_attempts" in there.metrics()
        head = there.heads[0]
    assert head["path"] == "/v1/metrics"
    assert head["x-token"] == "s3"
    assert head["content-type"] == "application/x-protobuf"


@pytest.mark.parametrize(
    ("status", "may_retry"), [(429, True), (503, True), (400, False), (401, False), (302, False)]
)
def test_http_statuses(status: int, may_retry: bool) -> None:
    with receiver() as there:
        there.statuses, there.headers = [status], {"Retry-After": "3"}
        outcome = sent_once(f"http://127.0.0.1:{there.port}/x")
        assert there.heads[0]["path"] == "/x"
    assert outcome.problem.startswith(str(status))
    assert (outcome.may_retry, outcome.retry_after_s) == (may_retry, 3.0)


def test_points_rejected_over_http() -> None:
    with receiver() as there:
        there.rejected = 3
        outcome = sent_once(f"http://127.0.0.1:{there.port}")
    assert outcome == Outcome("3 points rejected: full", n_rejected=3)


def test_a_receiver_that_is_away_or_speaks_something_else_may_come_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def babble() -> None:
            client, _ = listening.accept()
            with client:
                client.sendall(bytes(range(256)) * 300)

        thread = threading.Thread(target=babble, daemon=True)
        thread.start()
        outcome = sent_once(f"http://127.0.0.1:{port}")
        thread.join(TIMEOUT_S)
    assert outcome.problem
    assert outcome.may_retry
    outcome = sent_once(f"http://127.0.0.1:{port}")
    assert outcome == Outcome("Connection refused", may_retry=True)


def certificate(folder: Path) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    path = folder / "both.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"),
        ],
        check=True,
        capture_output=True,
        timeout=TIMEOUT_S,
    )
    path.write_bytes((folder / "cert.pem").read_bytes() + (folder / "key.pem").read_bytes())
    return path


def test_https_wants_a_certificate_that_is_trusted(tmp_path: Path) -> None:
    pair = certificate(tmp_path)
    with receiver(pair) as there:
        url = f"https://127.0.0.1:{there.port}"
        assert sent_once(url, ca_path=str(tmp_path / "cert.pem")) == Outcome()
        outcome = sent_once(url)
        assert "certificate" in outcome.problem.lower()
        assert len(there.requests) == 1


def test_certificates_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    bad = tmp_path / "bad.pem"
    bad.write_text("nothing")
    for path in (bad, tmp_path / "none.pem"):
        for url in ("https://127.0.0.1:1", "grpcs://127.0.0.1:1"):
            if url.startswith("grpc") and path is bad:
                continue
            with pytest.raises(TrtopError, match=str(path)):
                make_transport(OtlpOrders(url, ca_path=str(path)))


def test_grpc_sends_the_same() -> None:
    grpc = pytest.importorskip("grpc", reason="grpcio is not installed")
    taken: list[tuple[ExportMetricsServiceRequest, dict[str, str]]] = []
    failing = [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INVALID_ARGUMENT]

    def export(data: bytes, context: Any) -> bytes:
        if failing:
            context.abort(failing.pop(0), "not now")
        request = ExportMetricsServiceRequest()
        request.ParseFromString(data)
        taken.append((request, dict(context.invocation_metadata())))
        answer: bytes = ExportMetricsServiceResponse().SerializeToString()
        return answer

    service, method = METHOD.removeprefix("/").split("/")
    server = grpc.server(futures.ThreadPoolExecutor(2))
    handlers = {method: grpc.unary_unary_rpc_method_handler(export)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        (batch,) = PointMaker("eth0", START_NS, False).requests(collected_of(incident().table))
        url = f"grpc://127.0.0.1:{port}"
        with sending(url, headers=(("X-Token", "s3"),)) as transport:
            assert transport.send(b"") == Outcome("UNAVAILABLE: not now", may_retry=True)
            assert transport.send(b"") == Outcome("INVALID_ARGUMENT: not now")
            assert transport.send(batch.data) == Outcome()
    finally:
        server.stop(0).wait(TIMEOUT_S)
    ((request, metadata),) = taken
    assert request.SerializeToString() == batch.data
    assert metadata["x-token"] == "s3"
