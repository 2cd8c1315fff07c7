"""The import path that scripts of 2016 use for what ``trtop.classic.remote_state`` holds."""

from __future__ import annotations

from trtop.classic.remote_state import (
    TcpRemoteState,
)

__all__ = [
    "TcpRemoteState",
]
