"""What the laboratory recorded reads as its clients measured it.

The captures and the truth beside them come from ``make lab ARGS=--keep``.
"""

from __future__ import annotations

from collections import Counter

import pytest
from lab.builds import ROOT
from lab.measures import judge
from lab.run import read
from lab.store import Record, recall

FOLDER = ROOT / "tests" / "captures"

RECORDS = list(recall(FOLDER))

MAX_BYTES = 60_000
MAX_TOTAL_BYTES = 3_000_000


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.name)
def test_a_recorded_pairing_reads_as_its_client_measured_it(record: Record) -> None:
    outcome = judge(record.kind, record.truth, read(record.capture))
    assert not outcome.failures


def test_recorded_captures_are_small() -> None:
    sizes = [record.capture.stat().st_size for record in RECORDS]
    assert max(sizes) <= MAX_BYTES
    assert sum(sizes) <= MAX_TOTAL_BYTES


def test_each_kind_of_pairing_was_recorded() -> None:
    kinds = Counter(record.kind for record in RECORDS)
    assert set(kinds) >= {"alternating", "per stream", "multiplexed", "failed", "lossy"}
