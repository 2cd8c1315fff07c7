"""The clients of the example capture: prime numbers of connections and requests.

Runs inside the clients' network namespace, about 25 seconds.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import services

PAUSE_S = 0.02
PATIENCE_S = 30
SILENT_WAIT_S = 21
"""Time above the 20 s after which an unanswered attempt has timed out."""


def call_web(address: str, n_connections: int, n_requests: int) -> None:
    """Requests over connections that stay open, in turn."""
    connections = [http.client.HTTPConnection(address, services.HTTP) for _ in range(n_connections)]
    _ask(connections, n_requests)


def call_encrypted(n_connections: int, n_requests: int) -> None:
    """Call over TLS; the certificate is a self-made one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connections = [
        http.client.HTTPSConnection(services.ENCRYPTED, context=context)
        for _ in range(n_connections)
    ]
    _ask(connections, n_requests)


def call_not_reused(n: int) -> None:
    """One connection for each request."""
    for _ in range(n):
        connection = http.client.HTTPConnection(services.NOT_REUSED)
        _ask([connection], 1)


def call_refusing(n: int) -> None:
    """Connections to a closed port."""
    for _ in range(n):
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection((services.REFUSING, services.HTTP))
        time.sleep(PAUSE_S)


def call_resetting(n: int) -> None:
    """Responses that break off."""
    for _ in range(n):
        connection = http.client.HTTPConnection(services.RESETTING)
        with contextlib.suppress(ConnectionResetError):
            _ask([connection], 1)


def call_late(n: int) -> None:
    """Several at once, to a server that accepts one at a time."""
    call = partial(call_web, services.LATE, 1, 1)
    _all_at_once([call] * n)


def call_greeting(n_connections: int, n_requests: int) -> None:
    """Commands to a server that speaks first."""
    connections = [
        socket.create_connection((services.GREETING, services.SMTP)) for _ in range(n_connections)
    ]
    for connection in connections:
        connection.recv(4096)
    for number in range(n_requests):
        connection = connections[number % n_connections]
        connection.sendall(b"NOOP\r\n")
        connection.recv(4096)
        time.sleep(PAUSE_S)
    for connection in connections:
        connection.close()


def call_silent(n: int) -> None:
    """SYNs that nobody answers."""

    def call() -> None:
        with contextlib.suppress(OSError):
            socket.create_connection((services.SILENT, services.HTTP), timeout=SILENT_WAIT_S)

    _all_at_once([call] * n)


def _ask(connections: list[http.client.HTTPConnection], n_requests: int) -> None:
    for number in range(n_requests):
        connection = connections[number % len(connections)]
        connection.request("GET", f"/items/{number}")
        connection.getresponse().read()
        time.sleep(PAUSE_S)
    for connection in connections:
        connection.close()


def _all_at_once(calls: list[Callable[[], None]]) -> None:
    with ThreadPoolExecutor(len(calls)) as pool:
        for running in [pool.submit(call) for call in calls]:
            running.result()


def main() -> None:
    """All services at once; the silent one takes longest, and one request comes after it."""
    socket.setdefaulttimeout(PATIENCE_S)
    _all_at_once(
        [
            partial(call_silent, 2),
            partial(call_web, services.KEEP_ALIVE, 7, 101),
            partial(call_web, services.KEEP_ALIVE_V6, 3, 37),
            partial(call_web, services.SLOW, 3, 23),
            partial(call_encrypted, 5, 29),
            partial(call_refusing, 13),
            partial(call_resetting, 11),
            partial(call_not_reused, 30),
            partial(call_late, 5),
            partial(call_greeting, 2, 17),
        ]
    )
    call_not_reused(1)


if __name__ == "__main__":
    main()
