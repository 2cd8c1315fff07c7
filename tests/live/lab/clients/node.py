"""Node.js: http, https and http2, timed by the request's own events."""

from __future__ import annotations

from lab.measures import Truth
from lab.pairing import PROGRAMS, Client, Site


def use(site: Site) -> Truth:
    """Send requests over keep-alive agents or sessions, one after the other."""
    return site.timed(site.run("node", PROGRAMS / "lab.js", "use", site.job()))


NODE = Client("Node.js", ("node",), use)
