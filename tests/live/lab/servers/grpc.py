"""gRPC: Python's grpcio."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from lab.pairing import Server, Site, python


@contextlib.contextmanager
def serve(site: Site) -> Iterator[None]:
    """Serve unary and streaming calls with the laboratory's delays."""
    with site.serving(*python("grpc_service.py", "serve", site.job())):
        yield


GRPC = Server("gRPC (Python)", (), serve, (50051, 50051), ("grpc",))
