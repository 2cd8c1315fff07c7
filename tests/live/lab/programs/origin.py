"""A service of known delay over HTTP/1.1, plain or over Python's ``ssl``.

    python origin.py ADDRESS PORT [--tls 1.2|1.3 --certificate FILE --key FILE] [--no-tickets]

``/work`` answers after the laboratory's delay, ``/bulk`` at once and large, ``/poll`` after a
longer one, ``/events`` sends server-sent events, ``/page?N`` is a page that fetches N times and
reports how long that took; what is posted to ``/report`` becomes a file in the current folder. One
thread a connection, so that a delay is as exact as ``sleep`` is.
"""

from __future__ import annotations

import argparse
import http.server
import itertools
import ssl
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent))

from lab.delays import BULK_BYTES, EVENT_PAUSE_MS, N_EVENTS, POLL_MS, REPORT, delay_ms

TIMEOUT_S = 30.0

PAGE = b"""<!DOCTYPE html><title>lab</title><link rel="icon" href="data:,"><body><script>
(async () => {
  const n = Number(location.search.slice(1));
  for (let i = 0; i < n; i++) await (await fetch("/work?" + i, {cache: "no-store"})).text();
  await new Promise(resolve => setTimeout(resolve, 50));
  const timings = performance.getEntriesByType("resource").filter(e => e.name.includes("/work"));
  const body = JSON.stringify(timings.map(entry => entry.responseStart - entry.requestStart));
  await fetch("/report", {method: "POST", body});
})();
</script>
"""

_numbers = itertools.count()


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = TIMEOUT_S

    def setup(self) -> None:
        """Shake hands in the connection's own thread."""
        context = self.server.tls
        if context:
            self.request.settimeout(TIMEOUT_S)
            self.request = context.wrap_socket(self.request, server_side=True)
        super().setup()

    def do_GET(self) -> None:
        """Answer, late."""
        if self.path.startswith("/events"):
            self._send_events()
            return
        if self.path.startswith("/page"):
            self._answer(PAGE, "text/html")
            return
        if self.path.startswith("/bulk"):
            self._answer(b"b" * (BULK_BYTES - 1) + b"\n")
            return
        late_ms = POLL_MS if self.path.startswith("/poll") else delay_ms(next(_numbers))
        time.sleep(late_ms / 1_000)
        self._answer(b"hello\n")

    def do_POST(self) -> None:
        """Take a body, answer late."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if not self.path.startswith("/bulk"):
            time.sleep(delay_ms(next(_numbers)) / 1_000)
        self._answer(b"taken\n")
        if self.path.startswith("/report"):
            part = Path(REPORT).with_suffix(".part")
            part.write_bytes(body)
            part.rename(REPORT)

    def _answer(self, body: bytes, kind: str = "text/plain") -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def _send_events(self) -> None:
        """Send a head and events that follow one another slowly, then close."""
        time.sleep(delay_ms(next(_numbers)) / 1_000)
        self.wfile.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
        )
        for number in range(N_EVENTS):
            time.sleep(EVENT_PAUSE_MS / 1_000)
            self.wfile.write(b"data: %d\n\n" % number)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


class Server(http.server.ThreadingHTTPServer):
    """The service."""

    request_queue_size = 128
    daemon_threads = True
    tls: ssl.SSLContext | None = None

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a client that goes away is no fault."""


def tls_context(version: str, certificate: str, key: str, tickets: bool) -> ssl.SSLContext:
    """Give a context for one version of TLS only."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = {
        "1.2": ssl.TLSVersion.TLSv1_2,
        "1.3": ssl.TLSVersion.TLSv1_3,
    }[version]
    context.load_cert_chain(certificate, key)
    if not tickets:
        context.num_tickets = 0
        context.options |= ssl.OP_NO_TICKET
    return context


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    parser.add_argument("--tls", choices=("1.2", "1.3"))
    parser.add_argument("--certificate")
    parser.add_argument("--key")
    parser.add_argument("--no-tickets", action="store_true")
    options = parser.parse_args()
    server = Server((options.address, options.port), Handler)
    if options.tls:
        server.tls = tls_context(
            options.tls, options.certificate, options.key, not options.no_tickets
        )
    server.serve_forever()


if __name__ == "__main__":
    main()
