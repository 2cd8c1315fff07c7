"""Which way leads to an OTLP receiver: its URL says."""

from __future__ import annotations

from urllib.parse import urlsplit

from trtop.export.transports import HttpTransport, Transport
from trtop_core.errors import TrtopError
from trtop_daemon.ipc.export_orders import OtlpOrders


def make_transport(orders: OtlpOrders) -> Transport:
    """The way that a URL names.

    Raises:
        TrtopError: a package or a file that it takes is missing.
    """
    if urlsplit(orders.url).scheme.startswith("grpc"):
        try:
            from trtop.export.grpc_transport import GrpcTransport  # noqa: PLC0415 - an extra
        except ModuleNotFoundError as error:
            raise TrtopError(
                f"--otlp grpc:// needs {error.name}: pip install 'trtop[grpc]'"
            ) from None
        return GrpcTransport(orders)
    return HttpTransport(orders)
