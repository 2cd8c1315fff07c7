"""The import path that scripts of 2016 use for what ``trtop.classic.analyzer`` holds."""

from __future__ import annotations

from trtop.classic.analyzer import (
    BaseAnalyser,
    BaseAnalyzer,
    OutgoingTCPAnalyzer,
)

__all__ = [
    "BaseAnalyser",
    "BaseAnalyzer",
    "OutgoingTCPAnalyzer",
]
