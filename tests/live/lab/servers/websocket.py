"""WebSocket: Python's ``websockets``."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lab.pairing import Server, Site, python


@contextlib.contextmanager
def serve(site: Site) -> Iterator[None]:
    """Serve ticks and echoes."""
    with site.serving(*python("websocket.py", "serve", site.job())):
        yield


WEBSOCKET = Server("Python websockets", (), serve, modules=("websockets",))
