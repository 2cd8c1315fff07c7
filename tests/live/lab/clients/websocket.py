"""WebSocket: Python's ``websockets``, timed by each message's echo."""

from __future__ import annotations

from dataclasses import replace

from lab.measures import Truth
from lab.pairing import Client, Site, python


def use(site: Site) -> Truth:
    """Talk; where both sides take turns, upgrade and close are turns of each connection too."""
    truth = site.timed(site.run(*python("websocket.py", "use", site.job())))
    return replace(truth, requests=truth.requests + 2 * truth.connections)


WEBSOCKET = Client("Python websockets", (), use, ("websockets",))
