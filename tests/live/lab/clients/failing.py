"""Clients whose TLS handshakes fail, each in a way of its own."""

from __future__ import annotations

from lab.measures import Truth
from lab.pairing import Client, Site, python


def use_curl(site: Site) -> Truth:
    """Do not believe the server's certificate, once a connection."""
    for _ in range(site.work.connections):
        site.run("curl", "-q", "-s", "-o", "/dev/null", site.url(), may_fail=True)
    return _all_failed(site)


def use_python(site: Site) -> Truth:
    """Fail in the way that the setup's mode names, once a connection."""
    site.run(*python("failing_tls.py", site.job()))
    return _all_failed(site)


def _all_failed(site: Site) -> Truth:
    return Truth(0, site.work.connections, tls_failed=site.work.connections)


CURL = Client("curl (OpenSSL)", ("curl",), use_curl)
PYTHON = Client("Python ssl", (), use_python)
