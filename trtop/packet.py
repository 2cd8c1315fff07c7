"""The import path that scripts of 2016 use for what ``trtop.classic.packet`` holds."""

from __future__ import annotations

from trtop.classic.packet import (
    UnifiedPacket,
)

__all__ = [
    "UnifiedPacket",
]
