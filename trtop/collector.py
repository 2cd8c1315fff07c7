"""The import path that scripts of 2016 use for what ``trtop.classic.collector`` holds."""

from __future__ import annotations

from trtop.classic.collector import (
    BaseCollector,
    TCPDumpFileCollector,
)

__all__ = [
    "BaseCollector",
    "TCPDumpFileCollector",
]
