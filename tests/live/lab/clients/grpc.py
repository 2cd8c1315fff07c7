"""gRPC: Python's grpcio, timed around each call."""

from __future__ import annotations

from lab.measures import Truth
from lab.pairing import Client, Site, python


def use(site: Site) -> Truth:
    """Call, each share over a channel of its own."""
    return site.timed(site.run(*python("grpc_service.py", "use", site.job())))


GRPC = Client("gRPC (Python)", (), use, ("grpc",))
