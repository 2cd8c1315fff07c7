"""Every fault of the soak once: numbers stay the truth, and what was lost is known exactly."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from soak.__main__ import Outcome, run
from soak.faults import FAULTS
from soak.traffic import KINDS, Minute
from support.netns import needs_root

MIB = 1 << 20


@needs_root
@pytest.mark.timeout(600)
def test_a_fault_each_minute_leaves_numbers_exact(tmp_path: Path) -> None:
    outcome = run(tmp_path, len(FAULTS))
    assert outcome.faults == Counter(dict.fromkeys(FAULTS, 1))
    assert outcome.deaths == 1
    assert outcome.missed > 0
    assert outcome.lost > 0
    assert {name.split()[-1] for name in outcome.rss} >= {"trtop-capture", "trtop-launcher"}


def test_memory_that_grows_is_told() -> None:
    outcome = Outcome()
    outcome.rss["flat"] = [10 * MIB] * 20 + [12 * MIB] * 20
    outcome.rss["grows"] = [10 * MIB + number * MIB for number in range(40)]
    assert outcome.grown() == ["grows"]


def test_minutes_differ_in_time_and_clients_only() -> None:
    minute = Minute.of(KINDS, 0.1)
    first, second = minute.at(1), minute.at(2)
    columns = {int(column) for column in (first != second).any(axis=0).nonzero()[0]}
    # Seconds of the time; the last byte of the client's address, as source or destination.
    assert columns <= {0, 1, 16 + 29, 16 + 33}
    assert len(minute.frames(1)) == len(minute)
