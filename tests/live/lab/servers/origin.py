"""The laboratory's own HTTP/1.1 service: Python, plain or with ``ssl``; behind proxies as well."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lab.pairing import Server, Site, python

BACKEND_PORT = 9000


def command(site: Site) -> list[str]:
    """Give the command line of the service as the setup wants it."""
    words = python("origin.py", site.address, site.port)
    if site.setup.tls:
        words += ["--tls", site.setup.tls]
        words += ["--certificate", str(site.certificate), "--key", str(site.key)]
    if not site.setup.tickets:
        words.append("--no-tickets")
    return words


@contextlib.contextmanager
def serve(site: Site) -> Iterator[None]:
    """Serve clients directly."""
    with site.serving(*command(site)):
        yield


@contextlib.contextmanager
def backend(site: Site) -> Iterator[str]:
    """Serve a proxy on the same host, whose traffic no capture sees; gives its address."""
    words = python("origin.py", "127.0.0.1", BACKEND_PORT)
    with site.serving(*words, port=BACKEND_PORT):
        yield f"127.0.0.1:{BACKEND_PORT}"


PYTHON = Server("Python http.server, ssl", (), serve)
