"""Granian: hyper and rustls, around an ASGI application."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from lab.pairing import PROGRAMS, Server, Site


@contextlib.contextmanager
def serve(site: Site) -> Iterator[None]:
    """Serve with the laboratory's delays."""
    setup = site.setup
    words = [sys.executable, "-m", "granian", "--interface", "asgi", "--working-dir", PROGRAMS]
    words += ["--host", site.address, "--port", str(site.port), "--no-access-log"]
    words += ["--http", "2" if setup.http2 else "1"]
    if setup.tls:
        words += ["--ssl-certificate", site.certificate, "--ssl-keyfile", site.key]
        words += ["--ssl-protocol-min", f"tls{setup.tls}"]
    with site.serving(*words, "asgi_app:app"):
        yield


GRANIAN = Server("Granian (rustls)", (), serve, modules=("granian",))
