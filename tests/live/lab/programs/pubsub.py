"""Redis' publish and subscribe: one connection publishes, the others listen.

    python pubsub.py JOB.json

Writes JSON: the time to the answer of each subscription and publication, in ns.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from pathlib import Path

TIMEOUT_S = 30.0
MESSAGE_BYTES = 20


def connect(job: dict) -> socket.socket:
    """Open a connection."""
    return socket.create_connection((job["address"], job["port"]), TIMEOUT_S)


def ask(connection: socket.socket, line: str, n_bytes: int) -> int:
    """Ask and read the whole answer; the ns to its first byte."""
    start_ns = time.perf_counter_ns()
    connection.sendall(line.encode() + b"\r\n")
    answer = connection.recv(1)
    took_ns = time.perf_counter_ns() - start_ns
    while len(answer) < n_bytes:
        answer += connection.recv(n_bytes - len(answer))
    return took_ns


def main() -> None:
    """Do a job: the first share is published, each further connection listens."""
    job = json.loads(Path(sys.argv[1]).read_text())
    n_published, *others = job["shares"]
    n_published += sum(others) - len(others)
    listeners = [connect(job) for _ in others]
    said = b"*3\r\n$9\r\nsubscribe\r\n$3\r\nlab\r\n:1\r\n"
    times_ns = [ask(one, "SUBSCRIBE lab", len(said)) for one in listeners]
    message = b"*3\r\n$7\r\nmessage\r\n$3\r\nlab\r\n$20\r\n" + b"m" * MESSAGE_BYTES + b"\r\n"
    with connect(job) as publisher:
        for _ in range(n_published):
            times_ns.append(ask(publisher, f"PUBLISH lab {'m' * MESSAGE_BYTES}", 4))
            time.sleep(0.005)
    for one in listeners:
        left = len(message) * n_published
        while left:
            left -= len(one.recv(left))
        one.close()
    json.dump({"times_ns": times_ns}, sys.stdout)


if __name__ == "__main__":
    main()
