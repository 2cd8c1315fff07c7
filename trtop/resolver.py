"""The import path that scripts of 2016 use for what ``trtop.names.resolvers`` holds."""

from __future__ import annotations

from trtop.names.resolvers import (
    BaseResolver,
    CaptureResolver,
    ChainResolver,
    DefaultDNSResolver,
    DNSResolver,
    HostsResolver,
    NoResolver,
)

__all__ = [
    "BaseResolver",
    "CaptureResolver",
    "ChainResolver",
    "DNSResolver",
    "DefaultDNSResolver",
    "HostsResolver",
    "NoResolver",
]
