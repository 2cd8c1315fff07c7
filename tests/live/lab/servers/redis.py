"""Redis: its own ``DEBUG SLEEP`` is the known delay."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lab.pairing import Server, Site


@contextlib.contextmanager
def serve(site: Site) -> Iterator[None]:
    """Serve an empty database, in clear or over TLS."""
    words = ["redis-server", "--save", "", "--dir", site.folder, "--bind", site.address]
    words += ["--enable-debug-command", "yes", "--protected-mode", "no"]
    if site.setup.tls:
        words += ["--port", "0", "--tls-port", site.port, "--tls-auth-clients", "no"]
        words += ["--tls-cert-file", site.certificate, "--tls-key-file", site.key]
        words += [
            "--tls-ca-cert-file",
            site.certificate,
            "--tls-protocols",
            f"TLSv{site.setup.tls}",
        ]
    else:
        words += ["--port", site.port]
    with site.serving(*map(str, words)):
        yield


REDIS = Server("Redis", ("redis-server",), serve, (6379, 6379))
