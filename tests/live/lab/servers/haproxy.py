"""HAProxy, in front of the laboratory's service."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lab.pairing import Server, Site
from lab.servers.origin import backend

CONFIG = """
global
    log stderr local0 warning
defaults
    mode http
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    timeout http-keep-alive 30s
    http-reuse always
frontend near
    bind {address}:{port} {flags}
    default_backend service
backend service
    server service {backend}
"""


def _flags(site: Site) -> str:
    setup = site.setup
    if not setup.tls:
        return "proto h2" if setup.http2 else ""
    words = ["ssl", "crt", str(site.folder / "both.pem")]
    words += [f"ssl-min-ver TLSv{setup.tls} ssl-max-ver TLSv{setup.tls}"]
    words += ["alpn", "h2,http/1.1" if setup.http2 else "http/1.1"]
    words += ["no-tls-tickets"] * (not setup.tickets) + ["allow-0rtt"] * setup.early_data
    return " ".join(words)


@contextlib.contextmanager
def serve(site: Site) -> Iterator[None]:
    """Serve, with a backend of known delay."""
    site.file("both.pem", site.certificate.read_text() + site.key.read_text())
    with backend(site) as upstream:
        config = CONFIG.format(
            address=site.address, port=site.port, flags=_flags(site), backend=upstream
        )
        with site.serving("haproxy", "-db", "-f", site.file("haproxy.cfg", config)):
            yield


HAPROXY = Server("HAProxy", ("haproxy",), serve)
