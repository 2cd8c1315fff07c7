"""What the exporter keeps once it has read all it must: its way to the daemon and to the receiver.

Takes orders, gives ``Grants``. Opens nothing.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from trtop_core.wire.endpoint import parse_endpoint
from trtop_daemon.ipc.export_orders import Orders
from trtop_daemon.system.sandbox import DNS_PORT, NAME_FILES, Grants

PORTS = {"http": 80, "https": 443, "grpc": 4317, "grpcs": 4317}
"""Of receivers whose URL names none."""


def grants_of(orders: Orders) -> Grants:
    """What an exporter keeps besides what every one does.

    Scrapes come to sockets that listen already; nothing else is listened at.
    """
    daemon = parse_endpoint(orders.endpoint)
    ports = [] if daemon.path is not None else [daemon.port]
    if orders.otlp is not None:
        parts = urlsplit(orders.otlp.url)
        ports.append(parts.port or PORTS[parts.scheme])
    asks_dns = any(name.partition(":")[0] == "dns" for name in orders.names)
    if not ports and not asks_dns:
        return Grants()
    return Grants(NAME_FILES, connects=(*ports, DNS_PORT), uses_internet=True)
