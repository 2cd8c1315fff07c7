"""The endpoint's HTTP: what is asked right is answered, and nobody who asks wrong costs others."""

from __future__ import annotations

import gzip
import http.client
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import pytest
from support.daemons import wait_for

from trtop.export import http_server
from trtop.export.http_server import MAX_HEAD_BYTES, MAX_OPEN, MetricsServer
from trtop_core.errors import TrtopError

BODY = b"trtop_x 1\n" * 1000
TIMEOUT_S = 120.0


class Served:
    """A server of one body."""

    def __init__(self) -> None:
        self.body = BODY
        self.problem = ""
        self.n_exposed = 0
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.port = self.listening.getsockname()[1]
        self.server = MetricsServer([self.listening], self.expose)
        self.server.start()

    @property
    def is_idle(self) -> bool:
        """No connection is open."""
        return self.server._free._value == MAX_OPEN

    def expose(self, accept: str) -> tuple[bytes, str]:
        self.n_exposed += 1
        if self.problem:
            raise TrtopError(self.problem)
        return self.body, f"text/x; accept={accept}"

    def get(
        self, path: str = "/metrics", method: str = "GET", **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, TIMEOUT_S)) as connection:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
            return response, response.read()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), TIMEOUT_S)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setattr(http_server, "POLL_S", 0.02)
    made = Served()
    yield made
    made.server.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "MAX_SILENT_S", 0.3)
    monkeypatch.setattr(http_server, "MAX_TOTAL_S", 1.0)


def test_metrics_are_at_their_path(served: Served) -> None:
    response, body = served.get(Accept="a/b")
    assert (response.status, body) == (200, BODY)
    assert response.headers["Content-Type"] == "text/x; accept=a/b"
    assert served.get("/metrics?x=1")[1] == BODY
    assert b"/metrics" in served.get("/")[1]
    assert served.get("/other")[0].status == 404
    assert served.get(method="POST")[0].status == 501


def test_head_has_no_body(served: Served) -> None:
    response, body = served.get(method="HEAD")
    assert (response.status, body) == (200, b"")
    assert int(response.headers["Content-Length"]) == len(BODY)


def test_gzip_for_who_takes_it(served: Served) -> None:
    response, body = served.get(**{"Accept-Encoding": "deflate, gzip"})
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(body) == BODY
    assert len(body) < len(BODY) / 5
    assert served.get()[0].headers["Content-Encoding"] is None


def test_a_daemon_that_does_not_answer_is_a_503_that_says_so(served: Served) -> None:
    served.problem = "the daemon does not answer"
    response, body = served.get()
    assert (response.status, body) == (503, b"the daemon does not answer\n")


@pytest.mark.parametrize(
    "sent",
    [
        b"\0" * 1000 + b"\r\n\r\n",
        b"GET /metrics\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"\r\n" * 100,
        b"GET /" + b"a" * 2 * MAX_HEAD_BYTES,
        b"GET /metrics HTTP/1.1\r\n" + b"a: b\r\n" * MAX_HEAD_BYTES,
        b"GET /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        bytes(range(256)),
    ],
    ids=range(8),
)
def test_what_is_no_request_ends_its_connection_alone(served: Served, sent: bytes) -> None:
    with served.connect() as client:
        try:
            client.sendall(sent)
            client.shutdown(socket.SHUT_WR)
            while client.recv(1 << 16):
                pass
        except OSError:
            pass  # hung up on before all was sent
    assert served.get()[1] == BODY


@pytest.mark.parametrize(("n_headers", "is_answered"), [(10, True), (50, False)])
def test_a_request_has_a_bounded_length(served: Served, n_headers: int, is_answered: bool) -> None:
    headers = "".join(f"X-{i}: {'a' * 1000}\r\n" for i in range(n_headers))
    with served.connect() as client:
        client.sendall(f"GET /metrics HTTP/1.0\r\n{headers}\r\n".encode())
        answer = b""
        with suppress(ConnectionResetError):
            while part := client.recv(1 << 16):
                answer += part
    assert answer.endswith(BODY) == is_answered


@pytest.mark.usefixtures("impatient")
def test_a_client_that_says_nothing_is_sent_away(served: Served) -> None:
    with served.connect() as client:
        assert client.recv(1) == b""


@pytest.mark.usefixtures("impatient")
def test_a_client_that_says_a_byte_now_and_then_is_sent_away(served: Served) -> None:
    start_s = time.monotonic()
    with served.connect() as client, pytest.raises(OSError):
        while time.monotonic() - start_s < TIMEOUT_S:
            client.sendall(b"G")
            time.sleep(0.05)
    assert time.monotonic() - start_s < TIMEOUT_S


@pytest.mark.usefixtures("impatient")
def test_a_client_that_does_not_read_is_sent_away(served: Served) -> None:
    served.body = bytes(64 << 20)
    with served.connect() as client:
        client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        wait_for(lambda: served.n_exposed and served.is_idle)
        n_read = 0
        while part := client.recv(1 << 20):
            n_read += len(part)
        assert n_read < len(served.body)
    served.body = BODY
    assert served.get()[1] == BODY


def test_more_connections_than_there_is_room_for_are_refused_and_counted(served: Served) -> None:
    with ExitStack() as stack:
        for _ in range(MAX_OPEN):
            stack.enter_context(served.connect())
        response, _ = served.get()
        assert response.status == 503
        assert served.server.n_refused >= 1
    wait_for(lambda: served.get()[0].status == 200)
