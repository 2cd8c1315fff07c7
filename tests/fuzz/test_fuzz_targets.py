"""Every fuzz target holds for its seeds, and for each input that once broke it."""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path

import pytest
from support.paths import ROOT

sys.path.insert(0, str(ROOT / "fuzz"))

from target import TARGETS, load

FINDINGS = Path(__file__).parent / "findings"

N_SEEDS = 60
"""Of each target; some have one for every capture."""


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_for_its_seeds(name: str) -> None:
    target = load(name)
    seeds = list(islice(target.seeds(), N_SEEDS))
    assert len(seeds) >= 10
    assert len(set(seeds)) == len(seeds)
    for seed in seeds:
        target.run(seed[: target.max_bytes])


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_takes_the_shortest_inputs(name: str) -> None:
    target = load(name)
    target.run(b"")
    for number in range(256):
        target.run(bytes([number]))


@pytest.mark.parametrize(
    "path", sorted(FINDINGS.glob("*/*")), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_what_was_found_once_is_not_found_again(path: Path) -> None:
    load(path.parent.name).run(path.read_bytes())


def test_findings_are_of_targets() -> None:
    assert {path.name for path in FINDINGS.iterdir()} <= set(TARGETS)
