"""The servers of the example capture: one per way in which a service can behave.

Runs inside the servers' network namespace until its standard input ends.
"""

from __future__ import annotations

import itertools
import select
import socket
import ssl
import struct
import sys
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

HTTP, TLS, SMTP = 80, 443, 25

KEEP_ALIVE = "192.0.2.11"
SLOW = "192.0.2.12"
REFUSING = "192.0.2.13"
RESETTING = "192.0.2.14"
NOT_REUSED = "192.0.2.15"
LATE = "192.0.2.16"
LOSSY = "192.0.2.17"
HANGING = "192.0.2.18"
ABSENT = "192.0.2.19"
FAR = "2001:db8::11"

ADDRESSES = (
    KEEP_ALIVE,
    SLOW,
    REFUSING,
    RESETTING,
    NOT_REUSED,
    LATE,
    LOSSY,
    HANGING,
    FAR,
)
"""Addresses that exist; nobody has ``ABSENT``."""

READY = "ready\n"
BUSY_S = 0.6
"""How long a connection waits in the queue of the service that accepts late."""
N_ANSWERED = 17
"""Commands that the hanging service answers, of all connections together."""
ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: close() sends a RST."""


@dataclass(frozen=True, slots=True)
class WebService:
    """An HTTP/1.1 server that leaves connections open for further requests.

    Attributes:
        address: where it listens.
        port: where it listens.
        delay_s: how long it thinks about a request.
        body_bytes: what it answers.
    """

    address: str
    port: int
    delay_s: float
    body_bytes: int


WEB_SERVICES = (
    WebService(KEEP_ALIVE, HTTP, delay_s=0.005, body_bytes=9_000),
    WebService(FAR, HTTP, delay_s=0.010, body_bytes=2_000),
    WebService(SLOW, HTTP, delay_s=0.150, body_bytes=700),
    WebService(NOT_REUSED, TLS, delay_s=0.003, body_bytes=500),
    WebService(LOSSY, TLS, delay_s=0.007, body_bytes=1_500),
)


class _Server(ThreadingHTTPServer):
    daemon_threads = True


class _ServerV6(_Server):
    address_family = socket.AF_INET6


def serve_web(service: WebService, certificate: Path) -> None:
    """Answer GET requests as the service does, in threads of their own."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 1 << 16
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            time.sleep(service.delay_s)
            self.send_response(200)
            self.send_header("Content-Length", str(service.body_bytes))
            self.end_headers()
            self.wfile.write(b"." * service.body_bytes)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            """Say nothing."""

    kind = _ServerV6 if ":" in service.address else _Server
    server = kind((service.address, service.port), Handler)
    if service.port == TLS:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    threading.Thread(target=server.serve_forever, daemon=True).start()


def serve_resets(listener: socket.socket) -> None:
    """Send half a response, then a RST."""
    while True:
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4000\r\n\r\n" + b"." * 2000)
        time.sleep(0.005)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
        connection.close()


def serve_late(listener: socket.socket) -> None:
    """Accept late: one connection fills the queue, and the kernel drops all SYNs meanwhile."""
    while True:
        select.select([listener], [], [])
        time.sleep(BUSY_S)
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        connection.recv(4096)
        connection.close()


def serve_greetings(listener: socket.socket) -> None:
    """Speak first, as SMTP does, answer for a while, and then hang."""
    numbers = itertools.count(1)

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"220 mail.example.com ESMTP\r\n")
        while connection.recv(4096):
            if next(numbers) > N_ANSWERED:
                threading.Event().wait()
            connection.sendall(b"250 OK\r\n")
        connection.close()

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def main() -> None:
    """Start all, say so, and wait for the end of standard input."""
    certificate = Path(sys.argv[1])
    for service in WEB_SERVICES:
        serve_web(service, certificate)
    for address, port, backlog, serve in (
        (RESETTING, HTTP, 16, serve_resets),
        (LATE, HTTP, 0, serve_late),
        (HANGING, SMTP, 16, serve_greetings),
    ):
        listener = socket.create_server((address, port), backlog=backlog)
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
    sys.stdout.write(READY)
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
