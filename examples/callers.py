"""The clients of the example capture: prime numbers of connections and requests.

Runs inside the clients' network namespace, about 25 seconds, then says so and keeps what is still
open until its standard input ends.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import services

PAUSE_S = 0.02
APART_S = 0.08
"""Between callers whose SYNs are sent again alike: more than the kernel rounds its timers by."""
PATIENCE_S = 30
ABSENT_WAIT_S = 21
"""Time above the 20 s after which an unanswered attempt has timed out."""


def call_web(address: str, n_connections: int, n_requests: int) -> None:
    """Requests over connections that stay open, in turn."""
    connections = [http.client.HTTPConnection(address, services.HTTP) for _ in range(n_connections)]
    _ask(connections, n_requests)


def call_lossy(n_connections: int, n_requests: int) -> None:
    """Requests over TLS connections that stay open, in turn."""
    _ask([_encrypted(services.LOSSY) for _ in range(n_connections)], n_requests)


def call_not_reused(n: int) -> None:
    """One TLS connection for each request."""
    for _ in range(n):
        _ask([_encrypted(services.NOT_REUSED)], 1)


def _encrypted(address: str) -> http.client.HTTPSConnection:
    """A connection over TLS; the certificate is a self-made one."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(address, context=context)


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
    """Several, soon one after the other, to a server that has room for one at a time."""

    def call(number: int) -> None:
        time.sleep(number * APART_S)
        call_web(services.LATE, 1, 1)

    _all_at_once([partial(call, number) for number in range(n)])


def call_hanging(n_connections: int) -> list[socket.socket]:
    """Commands to a server that speaks first, and one more to each when it answers no more.

    Returns:
        The connections, which still wait.
    """
    connections = [
        socket.create_connection((services.HANGING, services.SMTP)) for _ in range(n_connections)
    ]
    for connection in connections:
        connection.recv(4096)
    for number in range(services.N_ANSWERED):
        connection = connections[number % n_connections]
        connection.sendall(b"NOOP\r\n")
        connection.recv(4096)
        time.sleep(PAUSE_S)
    for connection in connections:
        connection.sendall(b"NOOP\r\n")
    return connections


def call_absent(n: int) -> None:
    """SYNs that nobody answers."""

    def call() -> None:
        with contextlib.suppress(OSError):
            socket.create_connection((services.ABSENT, services.HTTP), timeout=ABSENT_WAIT_S)

    _all_at_once([call] * n)


def _ask(connections: list[http.client.HTTPConnection], n_requests: int) -> None:
    for number in range(n_requests):
        connection = connections[number % len(connections)]
        connection.request("GET", f"/items/{number}")
        connection.getresponse().read()
        time.sleep(PAUSE_S)
    for connection in connections:
        _hang_up(connection)


def _hang_up(connection: http.client.HTTPConnection) -> None:
    """Close first, and listen until the server has: what it still sends meets no closed port."""
    connection.sock.shutdown(socket.SHUT_WR)
    while connection.sock.recv(4096):
        pass
    connection.close()


def _all_at_once(calls: list[Callable[[], object]]) -> None:
    with ThreadPoolExecutor(len(calls)) as pool:
        for running in [pool.submit(call) for call in calls]:
            running.result()


def main() -> None:
    """All services at once; the absent one takes longest, and one request comes after it."""
    socket.setdefaulttimeout(PATIENCE_S)
    waiting = call_hanging(2)
    _all_at_once(
        [
            partial(call_absent, 2),
            partial(call_web, services.KEEP_ALIVE, 7, 101),
            partial(call_web, services.FAR, 3, 37),
            partial(call_web, services.SLOW, 3, 23),
            partial(call_lossy, 5, 29),
            partial(call_refusing, 13),
            partial(call_resetting, 11),
            partial(call_not_reused, 30),
            partial(call_late, 5),
        ]
    )
    call_not_reused(1)
    sys.stdout.write(services.READY)
    sys.stdout.flush()
    sys.stdin.read()
    for connection in waiting:
        connection.close()


if __name__ == "__main__":
    main()
