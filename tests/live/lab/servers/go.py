"""Go: net/http."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lab.builds import go_program
from lab.pairing import Server, Site


@contextlib.contextmanager
def serve(site: Site) -> Iterator[None]:
    """Serve with the laboratory's delays."""
    with site.serving(go_program(), "serve", site.job()):
        yield


GO = Server("Go net/http", ("go",), serve)
