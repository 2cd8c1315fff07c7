"""Go: net/http, timed by ``httptrace``."""

from __future__ import annotations

from lab.builds import go_program
from lab.measures import Truth
from lab.pairing import Client, Site


def use(site: Site) -> Truth:
    """Send requests, each share over a transport of its own."""
    return site.timed(site.run(go_program(), "use", site.job()))


GO = Client("Go net/http", ("go",), use)
