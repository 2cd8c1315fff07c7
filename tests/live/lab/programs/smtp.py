"""Sends mail with ``smtplib``, timed around each command.

    python smtp.py JOB.json

Each share is the mails of one connection. Writes JSON: the time to each reply, in ns.
"""

from __future__ import annotations

import json
import smtplib
import socket
import ssl
import sys
import time
from pathlib import Path

TIMEOUT_S = 30.0

MAIL = "From: a@lab.test\r\nTo: b@lab.test\r\nSubject: hello\r\n\r\nhello\r\n"


class Timed(smtplib.SMTP):
    """A connection that notes when it had sent something and when the reply had come."""

    def __init__(self, *args: object, **kw: object) -> None:
        self.times_ns: list[int] = []
        self._sent_ns = 0
        super().__init__(*args, **kw)

    def send(self, s: bytes | str) -> None:
        """Send, and look at the clock."""
        super().send(s)
        self._sent_ns = time.perf_counter_ns()

    def getreply(self) -> tuple[int, bytes]:
        """Wait for a reply, and look at the clock."""
        reply = super().getreply()
        if self._sent_ns:  # else: the banner
            self.times_ns.append(time.perf_counter_ns() - self._sent_ns)
        return reply


def main() -> None:
    """Do a job."""
    job = json.loads(Path(sys.argv[1]).read_text())
    times_ns = []
    for share in job["shares"]:
        connection = Timed(job["address"], job["port"], timeout=TIMEOUT_S, local_hostname="lab")
        # Else a command behind the last record of a handshake waits here for its ACK.
        assert connection.sock is not None
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if job["tls"]:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            connection.starttls(context=context)
        for _ in range(share):
            connection.sendmail("a@lab.test", ["b@lab.test"], MAIL)
        connection.quit()
        times_ns += connection.times_ns
    json.dump({"times_ns": times_ns}, sys.stdout)


if __name__ == "__main__":
    main()
