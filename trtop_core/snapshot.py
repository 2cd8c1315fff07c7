"""A frozen, self-contained picture: one row per destination, totals, and the capture's health.

What an engine gives and every reporter takes. Holds copies only: nothing in it changes when the
engine goes on. Snapshots of connection-disjoint parts of a capture merge to that of the whole.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core.memory import take_records
from trtop_core.records import (
    COUNTER_ROW,
    COUNTERS,
    DESTINATION_KEY,
    GAUGES,
    NS_PER_S,
    SKETCHES,
    DestinationKind,
    GroupBy,
    Window,
)
from trtop_core.sketch import SketchColumn, concatenate
from trtop_core.view import View

SCHEMA = 1
"""Version of the records that ``Snapshot.record`` gives; rises when a field changes its meaning."""

DETAIL_PERCENTILES = (50, 90, 95, 99, 99.9)

SUSPECT_COMPLETENESS = 0.999
"""Below this a destination's row is suspect."""

SUSPECT_LOSS = 0.001
"""Above this share of lost packets every row is suspect."""

OTHER_NAME = "(other)"

TOTALS_NAME = "total"

_MAPPED = bytes(10) + b"\xff\xff"
_OTHER, _ADDR = int(DestinationKind.OTHER), int(DestinationKind.ADDR)


@dataclass(frozen=True, slots=True)
class Health:
    """May the numbers be trusted? What the capture held, lost and could not read.

    Attributes:
        packets: packets that reached the decoder.
        not_tcp: of these, packets without TCP.
        undecoded: of these, packets that should have held TCP, by reason (``Verdict`` names).
        duplicates: segments that the capture held twice.
        untimed: packets without a timestamp, skipped before the decoder.
        evicted: connections that a full table forgot, the longest idle first.
        holes_unkept: holes judged at once since the memory for holes was full.
        samples_unbinned: latencies that found no memory for a bin: they are in count, sum, min
            and max, not in the percentiles.
        received: what the capturing side says it received, None where it does not say.
        kernel_dropped: what the kernel dropped for lack of room; None where unknown.
        interface_dropped: what the interface dropped; None where unknown.
        read_lost: packets that the kernel kept and a capture process could not read.
        interruptions: times that capturing stopped by itself: a capture process died.
        interrupted_ns: time in which nothing was captured for that reason; of several interfaces
            or engines together, the sum.
        clock_steps: times that capture time jumped back, or forward by more than a day.
        stray_times: packets whose time was no time, which never moved the clock.
    """

    packets: int = 0
    not_tcp: int = 0
    undecoded: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    untimed: int = 0
    evicted: int = 0
    holes_unkept: int = 0
    samples_unbinned: int = 0
    received: int | None = None
    kernel_dropped: int | None = None
    interface_dropped: int | None = None
    read_lost: int = 0
    interruptions: int = 0
    interrupted_ns: int = 0
    clock_steps: int = 0
    stray_times: int = 0

    @property
    def loss(self) -> float | None:
        """Share of packets that the capture lost, 0 … 1; None where unknown."""
        known = [n for n in (self.kernel_dropped, self.interface_dropped) if n is not None]
        if not known:
            return None
        dropped = sum(known) + self.read_lost
        total = self.received if self.received else self.packets + dropped
        return min(1.0, dropped / total) if total else 0.0

    @property
    def interrupted(self) -> bool:
        """Whether nothing was captured for a while."""
        return self.interruptions > 0 or self.interrupted_ns > 0

    def record(self) -> dict[str, Any]:
        """As plain data, every field under its own name; unknown is None."""
        record = {item.name: getattr(self, item.name) for item in fields(self)}
        record["undecoded"] = dict(self.undecoded)
        return record

    @staticmethod
    def merged(parts: Sequence[Health]) -> Health:
        """The health of several captures together; a sum with an unknown part is unknown."""
        merged: dict[str, Any] = {}
        for item in fields(Health):
            values = [getattr(part, item.name) for part in parts]
            if item.name == "undecoded":
                names = dict.fromkeys(name for value in values for name in value)
                merged[item.name] = {
                    name: sum(value.get(name, 0) for value in values) for name in names
                }
            else:
                merged[item.name] = None if None in values else sum(values)
        return Health(**merged)


@dataclass(frozen=True, slots=True)
class Table:
    """n destinations: keys, counters and sketches, row by row.

    Attributes:
        keys: shape (n,), dtype ``records.DESTINATION_KEY``.
        counters: shape (n,), dtype ``records.COUNTER_ROW``.
        sketches: one column per name of ``records.SKETCHES``.
        names: what the rows are called, n of them; None: what their keys say.
        hosts: shape (n,), str: which machine saw each row; None unless rows are kept apart by it.
    """

    keys: npt.NDArray[Any]
    counters: npt.NDArray[Any]
    sketches: dict[str, SketchColumn]
    names: tuple[str, ...] | None = None
    hosts: npt.NDArray[np.str_] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: npt.NDArray[np.intp]) -> Table:
        """Some rows, in the order given."""
        columns = {name: column.take(rows) for name, column in self.sketches.items()}
        names = None if self.names is None else tuple(self.names[row] for row in rows)
        hosts = None if self.hosts is None else self.hosts[rows]
        keys, counters = take_records(self.keys, rows), take_records(self.counters, rows)
        return Table(keys, counters, columns, names, hosts)

    def row_names(self) -> list[str]:
        """What each row is called, not escaped."""
        return destination_names(self.keys) if self.names is None else list(self.names)

    def cut(self, start: int, end: int) -> Table:
        """Consecutive rows, as views."""
        columns = {name: column.cut(start, end) for name, column in self.sketches.items()}
        names = None if self.names is None else self.names[start:end]
        hosts = None if self.hosts is None else self.hosts[start:end]
        return Table(self.keys[start:end], self.counters[start:end], columns, names, hosts)

    def grouped(self, group_by: GroupBy) -> Table:
        """Rows with equal keys merged, after dropping what ``group_by`` does not look at."""
        keys = self.keys.copy()
        if group_by is GroupBy.ADDR:
            keys["port"] = 0
            keys["kind"][keys["kind"] == DestinationKind.ADDR_PORT] = DestinationKind.ADDR
        unique, labels = np.unique(keys, return_inverse=True)
        return self.merged(unique, labels.reshape(-1))

    def total(self) -> Table:
        """One row that is the union of all."""
        return self.merged(np.zeros(1, DESTINATION_KEY), np.zeros(len(self), np.intp))

    def merged(self, keys: npt.NDArray[Any], labels: npt.NDArray[np.intp]) -> Table:
        """Rows with equal labels merged into one.

        Args:
            keys: shape (n_groups,): what the rows of the result stand for.
            labels: shape (n,), each within 0 … n_groups - 1.
        """
        counters = np.zeros(len(keys), COUNTER_ROW)
        for name in COUNTERS + GAUGES:
            np.add.at(counters[name], labels, self.counters[name])
        columns = {name: column.group(labels, len(keys)) for name, column in self.sketches.items()}
        return Table(keys, counters, columns)

    @staticmethod
    def concatenated(tables: Sequence[Table]) -> Table:
        """The rows of several tables, one after the other; equal keys stay apart."""
        return Table(
            np.concatenate([table.keys for table in tables]),
            np.concatenate([table.counters for table in tables]),
            {name: concatenate([table.sketches[name] for table in tables]) for name in SKETCHES},
        )


def rate_per_s(count: int, span_ns: int) -> float | None:
    """A counter per second; None where no time has passed."""
    return count * NS_PER_S / span_ns if span_ns > 0 else None


def completeness_of(gap_bytes: int, acked_bytes: int) -> float | None:
    """1 - gap_bytes / acked_bytes; None while nothing was acknowledged."""
    return max(0.0, 1 - gap_bytes / acked_bytes) if acked_bytes else None


def is_suspect(completeness: float | None, loss: float | None) -> bool:
    """The capture missed so much that a row's counters are lower bounds."""
    return (completeness is not None and completeness < SUSPECT_COMPLETENESS) or (
        loss is not None and loss > SUSPECT_LOSS
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a report: a table's row, with what is derived from it.

    Attributes:
        table: where the numbers are.
        idx: which row of it.
        span_ns: capture time that the counters cover, for rates; 0 where there is none.
        loss: share of packets that the capture lost in the window, None where unknown.
        name: what the row is called.
    """

    table: Table
    idx: int
    span_ns: int
    loss: float | None
    name: str

    @property
    def host(self) -> str | None:
        """The machine that saw it; None unless rows are kept apart by that."""
        return None if self.table.hosts is None else str(self.table.hosts[self.idx])

    def count(self, name: str) -> int:
        """A counter or gauge under its own name."""
        return int(self.table.counters[name][self.idx])

    def rate(self, name: str) -> float | None:
        """A counter per second of the window; None where no time has passed."""
        return rate_per_s(self.count(name), self.span_ns)

    @property
    def n_connections(self) -> int:
        """``syn + midstream``: what rst, fin_out and fin_in are percentages of."""
        return self.count("syn") + self.count("midstream")

    @property
    def completeness(self) -> float | None:
        """1 - gap_bytes / acked_bytes; None while nothing was acknowledged."""
        return completeness_of(self.count("gap_bytes"), self.count("acked_bytes"))

    @property
    def suspect(self) -> bool:
        """The capture missed so much that this row's counters are lower bounds."""
        return is_suspect(self.completeness, self.loss)

    def samples(self, sketch: str) -> int:
        """How many samples a sketch has."""
        return int(self.table.sketches[sketch].stats["count"][self.idx])

    def quantile(self, sketch: str, percentile: float) -> int | None:
        """A percentile in ns (``reuse``: responses), None without samples."""
        column = self.table.sketches[sketch].take(np.array([self.idx]))
        value = int(column.quantiles(percentile)[0])
        return None if value < 0 else value

    def sketch_record(self, sketch: str, with_bins: bool = False) -> dict[str, Any]:
        """Count, sum, min, max and percentiles of one sketch, with units in the names.

        Args:
            sketch: a name of ``records.SKETCHES``.
            with_bins: add ``bins``, a list of [bin number, samples].
        """
        column = self.table.sketches[sketch].take(np.array([self.idx]))
        unit = "" if sketch == "reuse" else "_ns"
        stats = column.stats[0]
        n_samples = int(stats["count"])
        record: dict[str, Any] = {"count": n_samples, f"sum{unit}": column.sums()[0]}
        record[f"min{unit}"] = int(stats["min"]) if n_samples else None
        record[f"max{unit}"] = int(stats["max"]) if n_samples else None
        for percentile in DETAIL_PERCENTILES:
            value = int(column.quantiles(percentile)[0])
            record[f"p{percentile}{unit}"] = None if value < 0 else value
        if with_bins:
            record["bins"] = column.bin_counts(0)
        return record

    def record(self, with_bins: bool = False) -> dict[str, Any]:
        """Every field of this row as plain data; sketches without samples have count 0."""
        record: dict[str, Any] = {"destination": self.name}
        if self.host is not None:
            record["host"] = self.host
        for name in COUNTERS + GAUGES:
            record[name] = self.count(name)
        record["syn_rate"] = self.rate("syn")
        record["est_rate"] = self.rate("est")
        record["completeness"] = self.completeness
        record["suspect"] = self.suspect
        for sketch in SKETCHES:
            record[sketch] = self.sketch_record(sketch, with_bins)
        return record


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What an engine knew at one moment of capture time.

    Attributes:
        view: the question that this answers.
        clock_ns: capture time now: the latest timestamp of any packet; None before the first.
        first_ns: clock at the first packet; None before it.
        span_ns: capture time that counters cover: of the window, or since the first packet.
        table: the rows that the view asked for, in its order.
        total: one row that is the union of all destinations, those beyond a limit included.
        n_destinations: rows there would be without a limit.
        health: of the whole capture so far.
        window_health: of the view's window alone.
    """

    view: View
    clock_ns: int | None
    first_ns: int | None
    span_ns: int
    table: Table
    total: Table
    n_destinations: int
    health: Health
    window_health: Health

    def rows(self) -> Iterator[Row]:
        """The rows, in the view's order."""
        loss = self.window_health.loss
        for idx, name in enumerate(self.table.row_names()):
            yield Row(self.table, idx, self.span_ns, loss, name)

    @property
    def totals(self) -> Row:
        """The row of all destinations together."""
        return Row(self.total, 0, self.span_ns, self.window_health.loss, TOTALS_NAME)

    def record(self, with_bins: bool = False) -> dict[str, Any]:
        """The whole snapshot as plain data, as the JSON report shows it."""
        health = self.health.record()
        health["loss"] = self.health.loss
        health["completeness"] = self.totals.completeness
        window = self.view.window
        return {
            "schema": SCHEMA,
            "window": "all" if window is Window.ALL else f"{int(window)}s",
            "first_ns": self.first_ns,
            "clock_ns": self.clock_ns,
            "span_ns": self.span_ns,
            "n_destinations": self.n_destinations,
            "health": health,
            "totals": {
                key: value
                for key, value in self.totals.record(with_bins).items()
                if key not in ("destination", "host")
            },
            "destinations": [row.record(with_bins) for row in self.rows()],
        }


def destination_names(keys: npt.NDArray[Any]) -> list[str]:
    """What destinations are called: ``192.0.2.7``, ``2001:db8::1``, ``192.0.2.7:443``, ``[…]:443``.

    Args:
        keys: shape (n,), dtype ``records.DESTINATION_KEY``.
    """
    kinds, ports = keys["kind"].tolist(), keys["port"].tolist()
    raw = keys["addr"].tobytes()
    names = []
    for idx, (kind, port) in enumerate(zip(kinds, ports, strict=True)):
        if kind == _OTHER:
            names.append(OTHER_NAME)
            continue
        name = address_name(raw[16 * idx : 16 * idx + 16])
        if kind == _ADDR:
            names.append(name)
        else:
            names.append(f"[{name}]:{port}" if ":" in name else f"{name}:{port}")
    return names


def address_name(addr: bytes) -> str:
    """An address of 16 bytes, IPv4 mapped, as text: ``192.0.2.7``, ``2001:db8::1``."""
    if addr.startswith(_MAPPED):
        return f"{addr[12]}.{addr[13]}.{addr[14]}.{addr[15]}"
    return str(ipaddress.IPv6Address(addr))


def arrange(table: Table, view: View) -> Table:
    """The rows in the view's order, cut to its limit; ties go by address and port.

    Args:
        table: all rows, one per destination.
        view: names the column, the direction and the limit.
    """
    if view.sort != "destination":
        column = _sort_column(table, view)
    elif table.names is None:
        column = None
    else:
        column = _ranks(table.names)
    return table.take(order_of(table.keys, column, view))


def _ranks(names: Sequence[str]) -> npt.NDArray[np.float64]:
    """The place of each name in their order, upper and lower case alike."""
    folded = [name.casefold() for name in names]
    place = {name: i for i, name in enumerate(sorted(set(folded)))}
    return np.array([place[name] for name in folded], np.float64)


def order_of(
    keys: npt.NDArray[Any], column: npt.NDArray[np.float64] | None, view: View
) -> npt.NDArray[np.intp]:
    """Row numbers in the view's order, cut to its limit; ties go by address and port.

    Args:
        keys: shape (n,), dtype ``records.DESTINATION_KEY``.
        column: shape (n,): what to sort by; None: by destination.
        view: names the direction and the limit.
    """
    # Addresses as two numbers each, whose order is that of their bytes.
    words = np.ascontiguousarray(keys["addr"]).view(">u8")
    by_key = np.lexsort((keys["port"], words[:, 1], words[:, 0], keys["kind"]))
    if column is None:
        order = by_key[::-1] if view.descending else by_key
    else:
        sorted_by_key = column[by_key]
        order = by_key[
            np.argsort(-sorted_by_key if view.descending else sorted_by_key, kind="stable")
        ]
    return order if view.limit is None else order[: view.limit]


def _sort_column(table: Table, view: View) -> npt.NDArray[np.float64]:
    if view.sort in SKETCHES:
        return table.sketches[view.sort].quantiles(view.percentile).astype(np.float64)
    return counter_column(table.counters, view)


def sorting_counters(view: View) -> tuple[str, ...]:
    """The counters that ``counter_column`` looks at."""
    if view.sort == "completeness":
        return ("acked_bytes", "gap_bytes")
    return (view.sort.removesuffix("_rate"),)


def counter_column(
    counters: npt.NDArray[Any] | Mapping[str, npt.NDArray[np.uint64]], view: View
) -> npt.NDArray[np.float64]:
    """What to sort by, where it is no sketch and not the destination; shape (n,).

    Args:
        counters: ``sorting_counters`` by name, or shape (n,), dtype ``records.COUNTER_ROW``.
        view: names the column.
    """
    if view.sort in ("est_rate", "syn_rate"):
        return np.asarray(counters[view.sort.removesuffix("_rate")], np.float64)
    if view.sort == "completeness":
        acked = np.maximum(counters["acked_bytes"], 1)
        return np.asarray(1 - counters["gap_bytes"] / acked, np.float64)
    return np.asarray(counters[view.sort], np.float64)


def merge(snapshots: Sequence[Snapshot], view: View) -> Snapshot:
    """One snapshot of connection-disjoint parts of one capture, as of all of it.

    Args:
        snapshots: taken without a limit, with the same window.
        view: how to group, sort and limit the result.

    Raises:
        ValueError: there are none, windows differ, or one has left out rows.
    """
    if not snapshots:
        raise ValueError("there is nothing to merge")
    if any(part.view.window is not view.window for part in snapshots):
        raise ValueError("only snapshots of the same window merge")
    if any(len(part.table) != part.n_destinations for part in snapshots):
        raise ValueError("snapshots that left out rows cannot be merged")
    table = Table.concatenated([part.table for part in snapshots]).grouped(view.group_by)
    clocks = [part.clock_ns for part in snapshots if part.clock_ns is not None]
    firsts = [part.first_ns for part in snapshots if part.first_ns is not None]
    clock, first = max(clocks, default=None), min(firsts, default=None)
    if view.window is Window.ALL and clock is not None and first is not None:
        span = clock - first
    else:
        span = max(part.span_ns for part in snapshots)
    return Snapshot(
        view=view,
        clock_ns=clock,
        first_ns=first,
        span_ns=span,
        table=arrange(table, view),
        total=table.total(),
        n_destinations=len(table),
        health=Health.merged([part.health for part in snapshots]),
        window_health=Health.merged([part.window_health for part in snapshots]),
    )
