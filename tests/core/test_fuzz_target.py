"""The fuzz target under hypothesis: any bytes end in a report or a ``TrtopError``."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.paths import ROOT

sys.path.insert(0, str(ROOT / "fuzz"))

from fuzz_capture import MAX_INPUT_BYTES, mutate, run_one
from seeds import read_seeds

from trtop_core import engine

SEEDS = read_seeds([ROOT / "examples" / "services.pcap"])


def test_seeds_are_captures_that_are_read() -> None:
    assert len(SEEDS) >= 4
    assert all(len(seed) <= MAX_INPUT_BYTES for seed in SEEDS)
    assert sum(run_one(seed) for seed in SEEDS) >= len(SEEDS) - 1  # the file itself is cut


def test_the_invariants_can_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz_capture.COUNTERS", ("no_such_counter",))
    with pytest.raises(ValueError, match="no_such_counter"):
        run_one(SEEDS[1])


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(SEEDS) - 1), st.randoms(use_true_random=False))
def test_damaged_captures(number, random) -> None:
    run_one(mutate(random, SEEDS[number], SEEDS))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 255), st.integers(0, len(SEEDS) - 1), st.binary(max_size=600))
def test_arbitrary_packets_behind_a_header(choice: int, number: int, rest: bytes) -> None:
    run_one(bytes([choice]) + SEEDS[number][1:41] + rest)


def test_engines_made_afterwards_have_all_of_their_memory() -> None:
    before = engine.MAX_SKETCH_PAGES, engine.MIN_HOLES
    run_one(SEEDS[1])
    assert before == (engine.MAX_SKETCH_PAGES, engine.MIN_HOLES)
