"""Series of a bounded number of destinations: none goes back, and nothing counts twice or never."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders.snapshot import Destination, destination, other, table

from trtop.export.ledger import HOLD_S, Accounts, Ledger
from trtop_core.metrics import COUNTERS, SKETCHES

START_NS = 1_000


def update(ledger: Ledger, rows: list[Destination], now_s: float) -> Accounts:
    made = table(rows)
    return ledger.update(made, made, now_s, START_NS + round(now_s * 1e9))


def counts(accounts: Accounts, name: str = "syn") -> dict[str, int]:
    return dict(zip(accounts.rows.row_names(), accounts.rows.counters[name].tolist(), strict=True))


def test_all_have_series_while_there_is_room() -> None:
    accounts = update(Ledger(3, START_NS), [destination("192.0.2.1", syn=5)], 0.0)
    assert counts(accounts) == {"192.0.2.1": 5, "(other)": 0}
    assert accounts.n_folded == 0
    assert accounts.starts_ns == (START_NS, START_NS)


def test_the_busiest_have_series_and_the_rest_is_added_up() -> None:
    rows = [destination(f"192.0.2.{i}", syn=i) for i in range(1, 6)]
    accounts = update(Ledger(2, START_NS), rows, 0.0)
    assert counts(accounts) == {"192.0.2.5": 5, "192.0.2.4": 4, "(other)": 6}
    assert accounts.n_folded == 3


def test_half_of_the_series_are_for_the_worst_verdicts() -> None:
    rows = [destination(f"192.0.2.{i}", syn=i, est=i, synack=i) for i in range(100, 104)]
    rows.append(destination("192.0.2.1", syn=3, refused=3, rst=3, rst_in=3))
    accounts = update(Ledger(2, START_NS), rows, 0.0)
    assert set(counts(accounts)) == {"192.0.2.1", "192.0.2.103", "(other)"}


def test_the_engines_own_rest_is_in_other_and_never_a_series() -> None:
    accounts = update(Ledger(5, START_NS), [destination("192.0.2.1", syn=1), other(syn=70)], 0.0)
    assert counts(accounts) == {"192.0.2.1": 1, "(other)": 70}
    assert accounts.n_folded == 0


def test_a_destination_that_gets_a_series_late_counts_in_it_from_then_on() -> None:
    ledger = Ledger(1, START_NS)
    update(ledger, [destination("192.0.2.1", syn=9), destination("192.0.2.2", syn=5)], 0.0)
    later = HOLD_S + 1
    late = [destination("192.0.2.1", syn=9), destination("192.0.2.2", syn=50, active=3)]
    accounts = update(ledger, late, later)
    # 5 were in other, 45 more have come since: they were counted there too.
    assert counts(accounts) == {"192.0.2.2": 0, "(other)": 50}
    assert counts(accounts, "active") == {"192.0.2.2": 3, "(other)": 0}
    assert accounts.starts_ns[0] == START_NS + round(later * 1e9)
    late[1] = destination("192.0.2.2", syn=57, active=1)
    assert counts(update(ledger, late, later + 1)) == {"192.0.2.2": 7, "(other)": 50}
    assert (ledger.n_started, ledger.n_ended) == (2, 1)


def test_a_series_stays_for_a_while_after_others_have_become_more_important() -> None:
    ledger = Ledger(1, START_NS)
    update(ledger, [destination("192.0.2.1", syn=9), destination("192.0.2.2", syn=5)], 0.0)
    late = [destination("192.0.2.1", syn=9), destination("192.0.2.2", syn=50)]
    assert counts(update(ledger, late, HOLD_S - 1)) == {"192.0.2.1": 9, "(other)": 50}


def test_a_destination_without_a_past_in_other_begins_with_all_it_has() -> None:
    ledger = Ledger(2, START_NS)
    update(ledger, [destination("192.0.2.1", syn=9)], 0.0)
    now = [destination("192.0.2.1", syn=9), destination("192.0.2.2", syn=4)]
    assert counts(update(ledger, now, 1.0)) == {"192.0.2.1": 9, "192.0.2.2": 4, "(other)": 0}


def test_an_engine_that_counts_anew_is_a_reset_of_all() -> None:
    ledger = Ledger(1, START_NS)
    update(ledger, [destination("192.0.2.1", syn=9), destination("192.0.2.2", syn=5)], 0.0)
    accounts = update(ledger, [destination("192.0.2.2", syn=2)], 5.0)
    assert counts(accounts) == {"192.0.2.2": 2, "(other)": 0}
    assert accounts.starts_ns == (START_NS + 5_000_000_000,) * 2


def test_what_another_worker_has_told_counts_in_no_series() -> None:
    ledger = Ledger(1, START_NS, from_now=True)
    rows = [
        destination("192.0.2.1", syn=9, active=2),
        destination("192.0.2.2", syn=5),
        other(syn=3),
    ]
    accounts = update(ledger, rows, 4.0)
    assert counts(accounts) == {"192.0.2.1": 0, "(other)": 0}
    assert counts(accounts, "active") == {"192.0.2.1": 2, "(other)": 0}
    assert accounts.starts_ns == (START_NS + 4_000_000_000,) * 2
    rows = [destination("192.0.2.1", syn=10), destination("192.0.2.2", syn=7), other(syn=7)]
    assert counts(update(ledger, rows, 5.0)) == {"192.0.2.1": 1, "(other)": 6}


SAMPLES = st.lists(st.integers(1_000, 10**9), max_size=3)
GROWTH = st.tuples(st.integers(0, 7), st.integers(0, 50), SAMPLES)
STEPS = st.lists(st.lists(GROWTH, max_size=6), min_size=1, max_size=12)
"""What comes between two updates: number of a destination, attempts, response times."""


@settings(max_examples=40, deadline=None)
@given(STEPS, st.integers(1, 4), st.floats(1, 1.5 * HOLD_S))
def test_no_series_goes_back_and_all_increases_add_up(
    steps: list[Any], limit: int, pause_s: float
) -> None:
    ledger, now_s = Ledger(limit, START_NS), 0.0
    totals: dict[int, tuple[int, list[int]]] = {}
    last: dict[tuple[bytes, int], tuple[int, int, dict[int, int]]] = {}
    n_syn = n_samples = 0
    for step in steps:
        for number, more, samples in step:
            syn, kept = totals.get(number, (0, []))
            totals[number] = syn + more, kept + samples
        rows = [
            destination(f"192.0.2.{number}", syn=syn, response_time=kept)
            for number, (syn, kept) in totals.items()
        ]
        accounts = update(ledger, rows, now_s)
        assert len(accounts.rows) <= limit + 1
        now: dict[tuple[bytes, int], tuple[int, int, dict[int, int]]] = {}
        column = accounts.rows.sketches["response_time"]
        for i, start in enumerate(accounts.starts_ns):
            key = accounts.rows.keys[i].tobytes(), start
            bins = dict(map(tuple, column.bin_counts(i)))  # type: ignore[arg-type]
            syn, count = int(accounts.rows.counters["syn"][i]), int(column.stats["count"][i])
            assert sum(bins.values()) == count
            now[key] = syn, count, bins
            before = last.get(key, (0, 0, {}))
            assert syn >= before[0]
            assert all(bins.get(number, 0) >= n for number, n in before[2].items())
            n_syn += syn - before[0]
            n_samples += count - before[1]
        last, now_s = now, now_s + pause_s
        assert n_syn == sum(syn for syn, _ in totals.values())
        assert n_samples == sum(len(kept) for _, kept in totals.values())


@pytest.mark.parametrize("name", ["rst", "bytes_in"])
def test_every_counter_is_kept_so(name: str) -> None:
    assert name in COUNTERS
    ledger = Ledger(1, START_NS)
    first = [destination("192.0.2.1", syn=9), destination("192.0.2.2", syn=5, **{name: 10})]
    update(ledger, first, 0.0)
    late = [destination("192.0.2.1", syn=9), destination("192.0.2.2", syn=50, **{name: 30})]
    assert counts(update(ledger, late, HOLD_S + 1), name) == {"192.0.2.2": 0, "(other)": 30}
    assert "response_time" in SKETCHES
