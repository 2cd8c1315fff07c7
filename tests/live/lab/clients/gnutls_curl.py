"""libcurl with GnuTLS."""

from __future__ import annotations

from lab.measures import Truth
from lab.pairing import PROGRAMS, Client, Site

PYTHON = "/usr/bin/python3"
"""Debian's own, which has the package python3-pycurl."""


def use(site: Site) -> Truth:
    """Send requests, each share over a handle of its own."""
    return site.timed(site.run(PYTHON, PROGRAMS / "gnutls_curl.py", site.job()))


CURL = Client("libcurl (GnuTLS)", (PYTHON,), use)
