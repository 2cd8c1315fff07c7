"""Node.js: http, https and http2."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lab.pairing import PROGRAMS, Server, Site


@contextlib.contextmanager
def serve(site: Site) -> Iterator[None]:
    """Serve with the laboratory's delays."""
    with site.serving("node", PROGRAMS / "lab.js", "serve", site.job()):
        yield


NODE = Server("Node.js", ("node",), serve)
