"""How pytest names tests, and which of them run one after the other.

Tests import what they share as ``support`` and ``reference``: pytest puts this folder on the path.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

os.environ["XDG_CONFIG_HOME"] = "/nonexistent"
"""Nobody's own settings change what is tested."""

NETWORK = ("classic/test_classic_live", "daemon/test_interfaces", "live/")
"""Files whose tests compare latencies with known delays, or change what interfaces there are: one
worker runs them all, so that none disturbs another."""

SIGNALS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)

TESTS = Path(__file__).parent

HANDLERS = pytest.StashKey[dict[signal.Signals, Any]]()

pytest.register_assert_rewrite("support")


# A change is tested with the same examples each time; `make properties` tries new ones.
settings.register_profile("known", derandomize=True)
settings.register_profile("new")
settings.load_profile("new" if os.environ.get("TRTOP_NEW_EXAMPLES") else "known")


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Bytes by their length: a packet in a test's name helps nobody."""
    return f"{argname}-of-{len(val)}" if isinstance(val, bytes) else None


def pytest_configure(config: pytest.Config) -> None:
    """Under ``nohup`` SIGHUP is ignored, also by what a test starts: not in here."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    config.stash[HANDLERS] = {number: signal.getsignal(number) for number in SIGNALS}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    """Signals are handled after a test as before: what the next one starts inherits them."""
    yield
    for number, handler in item.config.stash[HANDLERS].items():
        signal.signal(number, handler)


# Before xdist's own, which looks for groups.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that do not run side by side."""
    for item in items:
        name = item.path.relative_to(TESTS).as_posix()
        if name.startswith(NETWORK):
            item.add_marker(pytest.mark.xdist_group("network"))
