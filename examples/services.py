"""The servers of the example capture: one per way in which a service can behave.

Runs inside the servers' network namespace until its standard input ends.
"""

from __future__ import annotations

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
ENCRYPTED = "192.0.2.17"
GREETING = "192.0.2.18"
SILENT = "192.0.2.19"
KEEP_ALIVE_V6 = "2001:db8::11"

ADDRESSES = (
    KEEP_ALIVE,
    SLOW,
    REFUSING,
    RESETTING,
    NOT_REUSED,
    LATE,
    ENCRYPTED,
    GREETING,
    KEEP_ALIVE_V6,
)
"""Addresses that exist; nobody has ``SILENT``."""

READY = "ready\n"
LATE_ACCEPT_S = 0.35
ABORT = struct.pack("ii", 1, 0)
"""SO_LINGER on, 0 s: close() sends a RST."""


@dataclass(frozen=True, slots=True)
class WebService:
    """An HTTP/1.1 server.

    Attributes:
        address: where it listens.
        port: where it listens.
        delay_s: how long it thinks about a request.
        body_bytes: what it answers.
        keeps: it leaves connections open for further requests.
    """

    address: str
    port: int
    delay_s: float
    body_bytes: int
    keeps: bool


WEB_SERVICES = (
    WebService(KEEP_ALIVE, HTTP, delay_s=0.005, body_bytes=9_000, keeps=True),
    WebService(KEEP_ALIVE_V6, HTTP, delay_s=0.010, body_bytes=2_000, keeps=True),
    WebService(SLOW, HTTP, delay_s=0.150, body_bytes=700, keeps=True),
    WebService(NOT_REUSED, HTTP, delay_s=0.003, body_bytes=500, keeps=False),
    WebService(ENCRYPTED, TLS, delay_s=0.007, body_bytes=1_500, keeps=True),
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
            if not service.keeps:
                self.send_header("Connection", "close")
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
    """Accept seldom: the queue is full, and the kernel drops SYNs meanwhile."""
    while True:
        time.sleep(LATE_ACCEPT_S)
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        connection.recv(4096)
        connection.close()


def serve_greetings(listener: socket.socket) -> None:
    """Speak first, as SMTP does."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"220 mail.example.com ESMTP\r\n")
        while connection.recv(4096):
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
        (GREETING, SMTP, 16, serve_greetings),
    ):
        listener = socket.create_server((address, port), backlog=backlog)
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
    sys.stdout.write(READY)
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
