"""A client whose TLS handshakes fail: ``python failing_tls.py JOB.json``.

The job's mode says how: ``version`` speaks a version that the server does not, ``certificate``
has none where one is asked for, ``hello`` leaves after its first flight, ``reset`` does so with a
RST.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import sys
from pathlib import Path

TIMEOUT_S = 30.0

OTHER_VERSION = {"1.2": ssl.TLSVersion.TLSv1_3, "1.3": ssl.TLSVersion.TLSv1_2}

RESET = struct.pack("ii", 1, 0)
"""For SO_LINGER: closing sends a RST."""


def fail(job: dict) -> None:
    """Connect and fail."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    raw = socket.create_connection((job["address"], job["port"]), TIMEOUT_S)
    mode = job["mode"]
    if mode in ("hello", "reset"):
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing)
        with contextlib.suppress(ssl.SSLWantReadError):
            tls.do_handshake()
        raw.sendall(outgoing.read())
        raw.recv(1)  # the server's flight has come
        if mode == "reset":
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        raw.close()
        return
    if mode == "version":
        context.minimum_version = context.maximum_version = OTHER_VERSION[job["tls"]]
    with contextlib.suppress(OSError), context.wrap_socket(raw) as connection:
        connection.recv(1)  # TLS 1.3: the alert comes after the handshake
        sys.exit("the handshake did not fail")


def main() -> None:
    """Do a job."""
    job = json.loads(Path(sys.argv[1]).read_text())
    for _ in job["shares"]:
        fail(job)


if __name__ == "__main__":
    main()
