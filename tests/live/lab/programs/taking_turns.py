"""A client of protocols whose requests are one line or one packet, with a clock of its own.

    python taking_turns.py JOB.json

The job names address, port, TLS, and of each connection the requests as pairs of what to send and
what an answer ends with. Writes JSON: the time to the first byte of every answer, in ns.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import time
from pathlib import Path

TIMEOUT_S = 30.0


def connect(job: dict, session: list) -> socket.socket:
    """Open a connection; over TLS it resumes the last session, if it shall."""
    raw = socket.create_connection((job["address"], job["port"]), TIMEOUT_S)
    raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not job["tls"]:
        return raw
    context = session[0]
    connection = context.wrap_socket(
        raw, session=session[1] if job["resume"] else None, server_hostname="lab"
    )
    return connection


def client_context(version: str) -> ssl.SSLContext:
    """Give a context for one version of TLS that believes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = {
        "1.2": ssl.TLSVersion.TLSv1_2,
        "1.3": ssl.TLSVersion.TLSv1_3,
    }[version]
    return context


def exchange(connection: socket.socket, asked: bytes, end: bytes) -> int:
    """Ask, read the answer up to its end; the ns to its first byte."""
    start_ns = time.perf_counter_ns()
    if asked:
        connection.sendall(asked)
    first_ns = 0
    answer = b""
    while not answer.endswith(end) or not answer:
        piece = connection.recv(65_536)
        first_ns = first_ns or time.perf_counter_ns() - start_ns
        if not piece:
            raise ConnectionError(f"closed within an answer: {answer[-100:]!r}")
        answer += piece
    return first_ns


def main() -> None:
    """Do a job."""
    job = json.loads(Path(sys.argv[1]).read_text())
    session = [client_context(job["tls"]) if job["tls"] else None, None]
    times_ns = []
    for script in job["connections"]:
        with connect(job, session) as connection:
            for number, (asked, end) in enumerate(script):
                took_ns = exchange(connection, asked.encode("latin-1"), end.encode("latin-1"))
                if asked:  # nothing asked: a banner
                    times_ns.append(took_ns)
                if number == 0 and job["tls"] and session[1] is None:
                    session[1] = connection.session
            if job["farewell"]:
                connection.sendall(job["farewell"].encode("latin-1"))
    json.dump({"times_ns": times_ns}, sys.stdout)


if __name__ == "__main__":
    main()
