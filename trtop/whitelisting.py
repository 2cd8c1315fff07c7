"""The import path that scripts of 2016 use for what ``trtop.names.whitelist`` holds."""

from __future__ import annotations

from trtop.names.whitelist import (
    BaseWhitelist,
    BothWhitelist,
    DefaultWhitelist,
    RuleWhitelist,
    StaticListWhitelist,
)

__all__ = [
    "BaseWhitelist",
    "BothWhitelist",
    "DefaultWhitelist",
    "RuleWhitelist",
    "StaticListWhitelist",
]
