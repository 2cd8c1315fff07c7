"""How pytest names tests, and which of them get a second try."""

from __future__ import annotations

import pytest

WAITING = (
    "test_attach",
    "test_classic",
    "test_daemon",
    "test_drill_down",
    "test_live",
    "test_screen_docs",
    "test_screen_terminal",
    "test_screen_tmux",
    "test_trtopd",
)
"""Files whose tests wait for processes, kernels and terminals. On a machine at its limits one of
them may come too late: it is run once more, and the closing line counts that. The same thing
late twice is a failure. Tests of numbers have one try."""


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes by their length: a packet in a test's name helps nobody."""
    return f"{argname}-of-{len(val)}" if isinstance(val, bytes) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that get a second try."""
    for item in items:
        if item.path.stem.startswith(WAITING):
            item.add_marker(pytest.mark.flaky(reruns=1))
