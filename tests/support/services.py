"""Real services with known ailments, and clients that use them a known number of times."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

from support.daemons import wait_for

DELAY_S = 0.05
"""How long the sound service thinks."""

PORT = 8080

TIMEOUT_S = 120.0

N_CONNECTIONS = 23
N_REQUESTS = 41
"""Requests of all connections together: the first ones ask twice."""

RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing sends a RST."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = TIMEOUT_S

    def do_GET(self) -> None:
        time.sleep(DELAY_S)
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        pass


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 64
    daemon_threads = True


def family_of(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def listener(address: str, backlog: int = 64) -> socket.socket:
    """A listening socket, in the namespace that the thread is in."""
    made = socket.socket(family_of(address), socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, PORT))
    made.listen(backlog)
    made.settimeout(TIMEOUT_S)
    return made


@contextlib.contextmanager
def http_service(address: str) -> Iterator[None]:
    """Answers every request after ``DELAY_S`` and keeps connections open."""

    class Server(_Server):
        address_family = family_of(address)

    server = Server((address, PORT), _Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(TIMEOUT_S)


@contextlib.contextmanager
def resetting_service(address: str) -> Iterator[None]:
    """Reads a request and resets the connection."""

    def serve(listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                peer, _ = listening.accept()
                with peer:
                    peer.recv(1_000)
                    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)

    with listener(address) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        yield
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(TIMEOUT_S)


def use_http(
    address: str,
    connect: Callable[[str], socket.socket],
    n_connections: int = N_CONNECTIONS,
    n_requests: int = N_REQUESTS,
) -> None:
    """Open connections one after the other, ask ``n_requests`` times in all, and close first."""
    for number in range(n_connections):
        connection = http.client.HTTPConnection(address, PORT, timeout=TIMEOUT_S)
        connection.sock = connect(address)
        for _ in range(n_requests // n_connections + (number < n_requests % n_connections)):
            connection.request("GET", "/")
            assert connection.getresponse().read() == b"hello"
        connection.close()


def use_refusing(address: str, connect: Callable[[str], socket.socket], times: int) -> None:
    """Connect to where nobody listens."""
    for _ in range(times):
        with contextlib.suppress(ConnectionRefusedError):
            connect(address).close()
            raise AssertionError("nobody should listen there")


def use_resetting(address: str, connect: Callable[[str], socket.socket], times: int) -> None:
    """Ask, and be reset."""
    for _ in range(times):
        with connect(address) as asking:
            asking.sendall(b"a question")
            with contextlib.suppress(ConnectionResetError):
                assert asking.recv(100) == b"never answered"


@contextlib.contextmanager
def listen_drops() -> Iterator[Callable[[], int]]:
    """Counts the SYNs that listeners have dropped in the namespace that the thread is in."""
    with open("/proc/thread-self/net/netstat") as stream:

        def count() -> int:
            stream.seek(0)
            names, values = (line.split() for line in stream if line.startswith("TcpExt:"))
            return int(dict(zip(names, values, strict=True))["ListenDrops"])

        yield count


def use_late(
    listening: socket.socket,
    n_dropped: Callable[[], int],
    address: str,
    connect: Callable[[str], socket.socket],
    times: int,
) -> None:
    """Connect to a listener whose queue is full until it has dropped a SYN, which is sent twice.

    The listener has a backlog of 0: one connection waits in its queue, the next SYN is dropped.
    """
    for _ in range(times):
        first, before = connect(address), n_dropped()
        second: list[socket.socket] = []
        thread = threading.Thread(target=lambda into=second: into.append(connect(address)))
        thread.start()
        wait_for(lambda: n_dropped() > before)  # noqa: B023
        accepted = [listening.accept()[0]]
        accepted.append(listening.accept()[0])
        thread.join(TIMEOUT_S)
        for opened in (first, *second):
            opened.close()
        for served in accepted:
            assert served.recv(10) == b""
            served.close()
