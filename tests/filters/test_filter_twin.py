"""The filters of whole columns beside their twin, which looks at one row after the other."""

import ipaddress
from typing import Any

import numpy as np
from filters.row_by_row import OneRow, holds
from filters.test_filter_parser import TREES
from hypothesis import given, settings
from hypothesis import strategies as st
from support.builders.snapshot import Destination, snapshot

from trtop.filters.filter import parse_filter
from trtop.filters.masks import mask_of
from trtop.filters.rows import Members, Rows
from trtop.filters.tree import Node
from trtop_core.metrics import COUNTERS, GAUGES, SKETCHES
from trtop_core.records import NS_PER_S
from trtop_core.table import Table, destination_names
from trtop_core.view import View

COUNTS = st.sampled_from([0, 0, 1, 2, 7, 10, 100, 10**6, 10**9])
TIMES = st.sampled_from([1_000, 50_000, 10**6, 10**8, 10**9, 5 * 10**9])
NAMES = st.none() | st.sampled_from(["db-7.internal", "Cache", "web", "a.example.com", "10.0.0.9"])


@st.composite
def destinations(draw: st.DrawFn) -> tuple[Destination, str | None]:
    address = draw(
        st.sampled_from(["10.0.0.1", "10.0.0.2", "192.0.2.1", "2001:db8::7"])
        | st.ip_addresses().map(str).filter(lambda text: "::ffff" not in text)
    )
    numbers = draw(st.dictionaries(st.sampled_from(COUNTERS + GAUGES), COUNTS, max_size=12))
    samples: dict[str, Any] = draw(
        st.dictionaries(st.sampled_from(SKETCHES), st.lists(TIMES, max_size=12), max_size=5)
    )
    port = draw(st.sampled_from([0, 80, 443]))
    return Destination(str(ipaddress.ip_address(address)), port, numbers, samples), draw(NAMES)


@settings(deadline=None)
@given(TREES, st.lists(destinations(), max_size=4), st.sampled_from([50.0, 95.0, 99.9]))
def test_it_holds_for_the_rows_of_the_twin(
    tree: Node, rows: list[tuple[Destination, str | None]], percentile: float
) -> None:
    check(tree, rows, percentile)


WRITTEN = (
    "rst>5%", "est<=7%", "est/syn>0.07", "server/rtt>80%", "p50(rtt)>=1ms", "mean(lat)>1ms",
    "verdict:slow", "verdict:no", "syn_rate>0.5", "completeness<99.9%", "count(rtt)>2",
    "bytes_in/requests>1k", "rtt>net", "port!=443", "not port 443", "~^1", "*.internal",
)  # fmt: skip


@settings(deadline=None)
@given(st.sampled_from(WRITTEN), st.lists(destinations(), min_size=1, max_size=5))
def test_forms_that_users_write_hold_for_the_rows_of_the_twin(
    text: str, rows: list[tuple[Destination, str | None]]
) -> None:
    chosen = parse_filter(text)
    assert chosen is not None
    check(chosen.tree, rows, 95.0)


def check(tree: Node, given_rows: list[tuple[Destination, str | None]], percentile: float) -> None:
    made = [row for row, _ in given_rows]
    answer = snapshot(made, View(sort="destination"), span_ns=10 * NS_PER_S)
    answer_table = Table.concatenated([snapshot([row]).table for row in made]) if made else None
    table = answer.table if answer_table is None else answer_table
    names = [name for _, name in given_rows]
    own = destination_names(table.keys)
    labels = [
        address if name is None else f"{name}:{row.port}" if row.port else name
        for (row, name), address in zip(given_rows, own, strict=True)
    ]
    rows = Rows(table, lambda: labels, 10 * NS_PER_S, percentile)
    shown = mask_of(tree, rows).tolist()
    expected = []
    for i, row in enumerate(made):
        numbers = next(iter(snapshot([row]).rows()))
        numbers = type(numbers)(numbers.table, 0, 10 * NS_PER_S, None, labels[i])
        one = OneRow(numbers, row.addr, row.port or None, _name(names[i], row.addr), percentile)
        expected.append(holds(tree, one))
    assert shown == expected


def _name(name: str | None, address: str) -> str | None:
    return None if name == address else name


def test_a_row_of_several_addresses_is_found_by_each() -> None:
    rows = [Destination("10.0.0.1"), Destination("2001:db8::7"), Destination("192.0.2.1")]
    parts = Table.concatenated([snapshot([row]).table for row in rows])
    row_of = np.array([0, 0, 1], np.intp)
    merged = parts.merged(parts.keys[[0, 2]], row_of)
    asked = Rows(merged, lambda: ["web", "192.0.2.1"], 1, 95.0, None, Members(parts.keys, row_of))
    for text, expected in (
        ("2001:db8::/32", [True, False]),
        ("net 192/8", [False, True]),
        ("0.0.0.0/0", [True, True]),
        ("db8", [True, False]),
        ("10.0.0.1", [True, False]),
        ("host 192.0.2.1", [False, True]),
        ("host 2001:db8::7", [True, False]),
        ("web", [True, False]),
        ("name:~.", [True, False]),
    ):
        chosen = parse_filter(text)
        assert chosen is not None
        assert chosen.mask(asked).tolist() == expected, text
