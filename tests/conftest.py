"""How pytest names tests, which of them get a second try, and which run one after the other.

Tests import what they share as ``support`` and ``reference``: pytest puts this folder on the path.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

os.environ["XDG_CONFIG_HOME"] = "/nonexistent"
"""Nobody's own settings change what is tested."""

NETWORK = ("classic/test_classic_live", "daemon/test_interfaces", "live/")
"""Files whose tests compare latencies with known delays, or change what interfaces there are: one
worker runs them all, so that none disturbs another."""

WAITING = (
    "classic/",
    "cli/test_attach",
    "daemon/test_daemon",
    "docs/test_screen_docs",
    "export/test_metrics_daemon",
    "export/test_metrics_server",
    "export/test_real_prometheus",
    "html/test_page_browser",
    "live/",
    "tui/test_drill_down",
    "tui/test_screen_terminal",
    "tui/test_screen_tmux",
)
"""Files whose tests wait for processes, kernels and terminals. On a machine at its limits one of
them may come too late: it is run once more, and the closing line counts that. The same thing
late twice is a failure. Tests of numbers have one try."""

TESTS = Path(__file__).parent

pytest.register_assert_rewrite("support")


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes by their length: a packet in a test's name helps nobody."""
    return f"{argname}-of-{len(val)}" if isinstance(val, bytes) else None


def pytest_configure(config: pytest.Config) -> None:
    """Under ``nohup`` SIGHUP is ignored, also by what a test starts: not in here."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


# Before xdist's own, which looks for groups.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that get a second try, and those that do not run side by side."""
    for item in items:
        name = item.path.relative_to(TESTS).as_posix()
        if name.startswith(NETWORK):
            item.add_marker(pytest.mark.xdist_group("network"))
        if name.startswith(WAITING):
            item.add_marker(pytest.mark.flaky(reruns=1))
