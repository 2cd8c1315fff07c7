"""Captures that the laboratory recorded: what clients measured is what they show, to this day.

``make lab ARGS=--keep`` records them: each is a whole capture, with what was true beside it in
JSON. Engine and twin must agree on them too.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from lab.measures import judge
from lab.run import read
from lab.store import Record, recall
from reference import Twin, read_capture
from support.compare import SEED, batch_of, differences
from support.paths import ROOT

from trtop_core.config import EngineConfig
from trtop_core.engine import Engine
from trtop_core.view import View

FOLDER = ROOT / "tests" / "captures"

RECORDS = tuple(recall(FOLDER))


def named(records: Iterable[Record]) -> list[object]:
    return [pytest.param(record, id=record.name) for record in records]


def test_there_are_captures_of_every_kind() -> None:
    assert len(RECORDS) > 40
    kinds = {record.kind for record in RECORDS}
    assert {kind.name for kind in kinds} >= {
        "ALTERNATING", "PER_STREAM", "MULTIPLEXED", "FAILED", "LOSSY",
    }  # fmt: skip


@pytest.mark.parametrize("record", named(RECORDS))
def test_a_capture_shows_what_the_client_measured(record: Record) -> None:
    assert not judge(record.kind, record.truth, read(record.capture)).failures


@pytest.mark.parametrize("record", named(RECORDS))
def test_engine_and_twin_agree(record: Record) -> None:
    packets, error = read_capture(record.capture)
    assert error is None
    twin, engine = Twin(), Engine(EngineConfig(), SEED)
    for packet in packets:
        twin.feed(packet)
    engine.feed(batch_of(packets))
    engine.finish()
    assert differences(engine.snapshot(View()), twin.ended()) == []
