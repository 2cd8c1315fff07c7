"""Rows on the screen, made of a source's answer: since a reset, by name, filtered.

What a view cannot ask for is done here, on all rows of an answer. Gives a ``ViewModel``, which
holds only the rows that are wanted. Never changes a number: rows are merged, left out or
subtracted.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop.filters.filter import Filter
from trtop.filters.rows import Members, Rows
from trtop.table.rows import Figures, QuickRow, quick_totals
from trtop.tui.source import FilteringSource, SnapshotSource
from trtop.tui.state import Grouping, RowKey, State
from trtop_core.merging.delta import since
from trtop_core.records import DestinationKind
from trtop_core.snapshot import Snapshot
from trtop_core.sorting import arrange
from trtop_core.table import RowName, Table, destination_names
from trtop_core.view import View

Names = Callable[[str, int], str | None]
"""Takes an address and a port (0 where rows have none), gives what is known of its name by now;
None: nothing. Never waits: who looks names up does so elsewhere."""

MAX_NAME_CHARS = 255
"""Characters of a name that DNS allows; anything longer is cut."""


@dataclass(frozen=True)
class ViewModel:
    """The rows that are drawn, and how many there are in all.

    Attributes:
        snapshot: in the view's order, with the rows that are wanted.
        names: of these rows, as they are shown, not escaped.
        members: of these rows, how many destinations each stands for; 1 but for names.
        n_rows: rows there are under the filter.
        n_destinations: rows there are without a filter.
        is_since_reset: numbers count from a reset on.
        filter: the rows are those that it shows, None for all.
        remarks: what no row has that the filter asks for, one sentence each.
    """

    snapshot: Snapshot
    names: tuple[str, ...]
    members: tuple[int, ...]
    n_rows: int
    n_destinations: int
    is_since_reset: bool = False
    filter: Filter | None = None
    remarks: tuple[str, ...] = ()

    @cached_property
    def totals(self) -> QuickRow:
        """The row of all destinations together, those that a filter leaves out included."""
        return quick_totals(self.snapshot)

    @cached_property
    def _figures(self) -> Figures:
        snapshot = self.snapshot
        return Figures(snapshot.table, snapshot.span_ns, snapshot.window_health.loss)

    def row(self, idx: int) -> QuickRow:
        """A row at hand."""
        snapshot = self.snapshot
        loss = snapshot.window_health.loss
        name = self.names[idx]
        return QuickRow(snapshot.table, idx, snapshot.span_ns, loss, name, self._figures)

    def key(self, idx: int) -> RowKey | None:
        """Which destination a row stands for; None beyond the rows at hand."""
        if not 0 <= idx < len(self.names):
            return None
        key = self.snapshot.table.keys[idx]
        return RowKey(bytes(key["addr"]), int(key["port"]), int(key["kind"]))

    def place(self, key: RowKey) -> int | None:
        """Where a destination's row is; None if it is not among the rows at hand."""
        keys = self.snapshot.table.keys
        is_it = (keys["addr"] == np.frombuffer(key.addr, np.uint8)).all(axis=1)
        found = np.flatnonzero(is_it & (keys["port"] == key.port) & (keys["kind"] == key.kind))
        return int(found[0]) if len(found) else None


def question(state: State, n_rows: int, is_since_reset: bool) -> View:
    """What to ask a source for, so that ``make_view_model`` has what it needs.

    Args:
        state: what the user looks at.
        n_rows: rows that are wanted, from the first on.
        is_since_reset: numbers count from a reset on.
    """
    return everything(state) if needs_all_rows(state, is_since_reset) else state.view(n_rows)


def ask(
    source: SnapshotSource, state: State, n_rows: int, is_since_reset: bool, names: Names | None
) -> Snapshot | None:
    """The answer that ``make_view_model`` needs, with no more rows than it takes to give it.

    Args:
        source: gives snapshots.
        state: what the user looks at.
        n_rows: rows that are wanted, from the first on.
        is_since_reset: numbers count from a reset on.
        names: what destinations are called, None for addresses alone.
    """
    chosen = state.shown_filter
    is_plain = not _makes_rows(state, is_since_reset)
    if chosen is not None and is_plain and isinstance(source, FilteringSource):
        shown_names = names if state.with_names else None
        view = state.view(n_rows)
        answer = source.poll_chosen(view, chosen, lambda keys: _names(keys, shown_names))
        if answer is not None:
            return answer
    return source.poll(question(state, n_rows, is_since_reset))


def everything(state: State) -> View:
    """What to ask for all rows; in the order that costs least, since ``make_view_model`` sorts."""
    return replace(state.view(None), sort="destination", descending=False)


def asked_by(state: State) -> object:
    """What of a state a question, and the model of its answer, depend on."""
    return (
        state.window,
        state.period,
        state.shown_grouping,
        state.sort,
        state.is_descending,
        state.percentile,
        state.shown_filter,
        state.with_names,
    )


def needs_all_rows(state: State, is_since_reset: bool) -> bool:
    """Whether rows are picked here rather than by the source."""
    return state.shown_filter is not None or _makes_rows(state, is_since_reset)


def _makes_rows(state: State, is_since_reset: bool) -> bool:
    """Whether rows are not those that the source has: by name, or since a reset."""
    is_from_reset = is_since_reset and state.covers_all
    return is_from_reset or state.shown_grouping is Grouping.NAME


def make_view_model(
    answer: Snapshot, state: State, n_rows: int, baseline: Snapshot | None, names: Names | None
) -> ViewModel:
    """The rows on the screen.

    Args:
        answer: to ``ask`` or ``question`` with the same arguments, or one with all rows.
        state: what the user looks at.
        n_rows: rows that are wanted, from the first on.
        baseline: numbers count from here on; taken without a limit, by the same grouping.
        names: what destinations are called, None for addresses alone.
    """
    chosen, grouping = state.shown_filter, state.shown_grouping
    shown_names = names if state.with_names or grouping is Grouping.NAME else None
    if answer.view == state.view(n_rows) and not needs_all_rows(state, baseline is not None):
        table = answer.table
        return ViewModel(
            answer,
            tuple(_names(table.keys, shown_names)),
            (1,) * len(table),
            answer.n_destinations,
            answer.n_destinations,
        )
    if answer.filtered is not None and chosen is not None:
        left = answer.filtered
        return ViewModel(
            answer,
            tuple(_names(answer.table.keys, shown_names)),
            (1,) * len(answer.table),
            answer.n_destinations,
            left.n_before,
            filter=chosen,
            remarks=left.remarks,
        )
    is_since_reset = baseline is not None and state.covers_all
    if baseline is not None and is_since_reset:
        answer = since(answer, baseline)
    table, labels, members, parts = answer.table, None, None, None
    if grouping is Grouping.NAME:
        table, labels, members, parts = _by_name(table, names)
    n_destinations = len(table)
    view = state.view(n_rows)
    remarks: list[str] = []
    picked = np.arange(n_destinations)
    if chosen is not None:
        rows = Rows(
            table,
            _label_list(table.keys, labels, shown_names),
            answer.span_ns,
            state.percentile,
            answer.window_health.loss,
            parts,
        )
        shown, remarks = chosen.shown(rows)
        picked = np.flatnonzero(shown)
    n_rows_there = len(picked)
    if labels is None or members is None:
        table = arrange(table, view, picked)
        found, counts = _names(table.keys, shown_names), [1] * len(table)
    else:
        place = {key.tobytes(): i for i, key in enumerate(table.keys)}
        table = arrange(table, view, picked)
        order = [place[key.tobytes()] for key in table.keys]
        found, counts = [labels[i] for i in order], [members[i] for i in order]
    return ViewModel(
        replace(answer, view=view, table=table, n_destinations=n_rows_there),
        tuple(found),
        tuple(counts),
        n_rows_there,
        n_destinations,
        is_since_reset,
        chosen,
        tuple(remarks),
    )


def recorded(model: ViewModel, names: Names | None) -> Snapshot:
    """The rows at hand for a report: each called by its address, its name beside it.

    Args:
        model: of rows that stand for one destination each.
        names: what destinations are called, None for addresses alone.
    """
    table = model.snapshot.table
    if names is None:
        return model.snapshot
    found = tuple(
        RowName(address, _known_name(key, names))
        for key, address in zip(table.keys, destination_names(table.keys), strict=True)
    )
    return replace(model.snapshot, table=replace(table, names=found))


def _label_list(
    keys: npt.NDArray[Any], labels: Sequence[str] | None, names: Names | None
) -> Callable[[], Sequence[str]]:
    """What a filter's words are looked for in, besides addresses."""
    return lambda: labels if labels is not None else _names(keys, names)


def _names(keys: npt.NDArray[Any], names: Names | None) -> list[str]:
    """What rows are called: their names where those are known, else their addresses."""
    addresses = destination_names(keys)
    if names is None:
        return addresses
    return [_named(key, address, names) for key, address in zip(keys, addresses, strict=True)]


def _named(key: Any, address: str, names: Names) -> str:
    name = _known_name(key, names)
    if name is None:
        return address
    return f"{name}:{int(key['port'])}" if key["kind"] == DestinationKind.ADDR_PORT else name


def _known_name(key: Any, names: Names) -> str | None:
    """The name of a destination without its port."""
    if key["kind"] == DestinationKind.OTHER:
        return None
    bare = ipaddress.IPv6Address(bytes(key["addr"]))
    name = names(str(bare.ipv4_mapped or bare), int(key["port"]))
    return name[:MAX_NAME_CHARS] if name else None


def _by_name(table: Table, names: Names | None) -> tuple[Table, list[str], list[int], Members]:
    """Rows of equal names as one, what they are called, of how many and of what each is made."""
    bare = table.keys.copy()
    bare["port"] = 0
    bare["kind"][bare["kind"] == DestinationKind.ADDR_PORT] = DestinationKind.ADDR
    found = destination_names(bare)
    if names is not None:
        found = [
            _known_name(key, names) or address
            for key, address in zip(table.keys, found, strict=True)
        ]
    place: dict[str, int] = {}
    labels = np.array([place.setdefault(name, len(place)) for name in found], np.intp)
    first = np.unique(labels, return_index=True)[1]
    counts = np.bincount(labels, minlength=len(place)).tolist()
    merged = table.merged(table.keys[first], labels)
    return merged, list(place), counts, Members(table.keys, labels)
