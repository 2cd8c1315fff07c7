"""HTTP clients of Python: ``requests`` and ``httpx``, timed below the library."""

from __future__ import annotations

from lab.measures import Truth
from lab.pairing import Client, Site, python


def use_requests(site: Site) -> Truth:
    """Ask, each share over a session of its own."""
    return site.timed(site.run(*python("python_http.py", "requests", site.job())))


def use_httpx(site: Site) -> Truth:
    """Ask, each share over a client of its own; HTTP/2 if the setup says so."""
    return site.timed(site.run(*python("python_http.py", "httpx", site.job())))


REQUESTS = Client("Python requests", (), use_requests, ("requests",))
HTTPX = Client("Python httpx", (), use_httpx, ("httpx", "h2"))
