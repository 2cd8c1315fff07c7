"""The import path that scripts of 2016 use for what ``trtop.classic.reporter`` holds."""

from __future__ import annotations

from trtop.classic.reporter import (
    BaseReporter,
    CLICursesOutgoingTCPReporter,
    CLIEventAppendReporter,
)

__all__ = [
    "BaseReporter",
    "CLICursesOutgoingTCPReporter",
    "CLIEventAppendReporter",
]
