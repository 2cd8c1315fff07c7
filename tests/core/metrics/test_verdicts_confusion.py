"""The verdict names the true cause of generated destinations, and never accuses a sound one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from support.builders.savefile import Captured, write_pcap
from support.verdicts import CAUSES, N_ROWS, Destination, capture_of, destinations

SNAPLEN = 600
"""Whole ClientHellos, no large payloads."""

LEAST_RIGHT = 0.95


@pytest.fixture(scope="module")
def made() -> list[Destination]:
    return destinations()


@pytest.fixture(scope="module")
def verdicts(made: list[Destination], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    path = tmp_path_factory.mktemp("verdicts") / "causes.pcap"
    packets = [Captured(ts_ns, data[:SNAPLEN], len(data)) for ts_ns, data in capture_of(made)]
    path.write_bytes(write_pcap(packets, nanoseconds=True))
    return verdicts_of(path)


def verdicts_of(path: Path) -> dict[str, str]:
    command = [sys.executable, "-m", "trtop", "--format", "json", str(path)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=120)
    rows = json.loads(done.stdout)["destinations"]
    return {row["destination"]: row.get("verdict") for row in rows}


def confusion(made: list[Destination], verdicts: dict[str, str]) -> dict[str, Counter[str]]:
    """What each true cause was called."""
    table: dict[str, Counter[str]] = {cause: Counter() for cause in CAUSES}
    for destination in made:
        table[destination.cause][verdicts[destination.address]] += 1
    return table


@pytest.mark.parametrize("cause", [cause for cause in CAUSES if cause != "ok"])
def test_the_true_cause_is_named(
    cause: str, made: list[Destination], verdicts: dict[str, str]
) -> None:
    called = confusion(made, verdicts)[cause]
    assert called.total() == N_ROWS
    assert called[cause] >= LEAST_RIGHT * N_ROWS, called


def test_a_sound_destination_is_never_accused(
    made: list[Destination], verdicts: dict[str, str]
) -> None:
    assert confusion(made, verdicts)["ok"] == {"ok": N_ROWS}


def test_the_same_seed_tells_the_same_story(made: list[Destination]) -> None:
    assert destinations() == made
    assert destinations(seed=2) != made
