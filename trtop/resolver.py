"""The import path that scripts of 2016 use for what ``trtop.names`` holds of resolvers."""

from __future__ import annotations

from trtop.names.base import BaseResolver
from trtop.names.capture import CaptureResolver
from trtop.names.dns import DNSResolver
from trtop.names.resolvers import ChainResolver, DefaultDNSResolver, HostsResolver, NoResolver

__all__ = [
    "BaseResolver",
    "CaptureResolver",
    "ChainResolver",
    "DNSResolver",
    "DefaultDNSResolver",
    "HostsResolver",
    "NoResolver",
]
