"""Texts kept under ``tests/golden``; ``TRTOP_REWRITE_GOLDEN=1`` writes them anew."""

from __future__ import annotations

import os

from support.paths import TESTS

FOLDER = TESTS / "golden"

SWITCH = "TRTOP_REWRITE_GOLDEN"


def check_golden(name: str, text: str) -> None:
    """Compare a text with the kept one."""
    path = FOLDER / name
    if os.environ.get(SWITCH) == "1":
        FOLDER.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"{name} differs; {SWITCH}=1 rewrites it"
