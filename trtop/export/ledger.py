"""``Ledger``: which destinations have series of their own, and what each series has counted.

Takes all rows of an engine from time to time, gives a bounded number of rows and one that adds up
the rest. No counter of a series ever goes back, and no packet counts in two series:

- a destination that gets a series of its own counts in it from then on; what it counted before, in
  ``other``, stays there;
- a destination that loses its series counts in ``other`` from then on; what its series had counted
  is not added to ``other``, and a new series of it begins at zero.

So the increases of all series together are those of the total, always. What systems read as a
counter's reset (a restart of the daemon) is one. Knows no names, formats or sockets.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trtop_core.merging.delta import subtract
from trtop_core.metrics import GAUGES
from trtop_core.records import DESTINATION_KEY, DestinationKind
from trtop_core.table import Table
from trtop_core.verdicts.causes import Cause
from trtop_core.verdicts.rules import severity, verdicts

HOLD_S = 600.0
"""How long a series stays that is no longer among the most important ones: two scrapes of a slow
Prometheus, and no series comes and goes with every scrape."""

BAD_SHARE = 2
"""One in so many of the series is for destinations with the worst verdicts."""

_KEY_BYTES = DESTINATION_KEY.itemsize

OTHER_KEY = np.zeros(1, DESTINATION_KEY)
OTHER_KEY["kind"] = DestinationKind.OTHER


@dataclass(slots=True)
class Series:
    """One destination that has series of its own.

    Attributes:
        base: its row when it got them, of which nothing counts in them; None: all counts.
        start_ns: since when they count, ns since the epoch.
        wanted_s: when it was last among the most important ones.
    """

    base: Table | None
    start_ns: int
    wanted_s: float


@dataclass(frozen=True, slots=True)
class Accounts:
    """What all series have counted at one time.

    Attributes:
        rows: one per destination with series of its own, and at the end one for all others.
        starts_ns: since when each row counts.
        n_folded: destinations in the last row.
    """

    rows: Table
    starts_ns: tuple[int, ...]
    n_folded: int


class Ledger:
    """Keeps the accounts.

    Args:
        limit: destinations with series of their own, at most.
        start_ns: since when the engine counts, ns since the epoch.
        from_now: nothing counts that came before the first update: it has been told already.

    Attributes:
        n_started: destinations that were given series of their own so far.
        n_ended: destinations whose series ended so far.
    """

    def __init__(self, limit: int, start_ns: int, from_now: bool = False) -> None:
        self.n_started = 0
        self.n_ended = 0
        self._limit = limit
        self._start_ns = start_ns
        self._from_now = from_now
        self._held: dict[bytes, Series] = {}
        self._seen: frozenset[bytes] = frozenset()
        self._retired: Table | None = None
        self._told: Table | None = None
        self._n_syn = 0

    def update(self, table: Table, recent: Table, now_s: float, now_ns: int) -> Accounts:
        """Take the rows as they are now.

        Args:
            table: all rows, of all time.
            recent: all rows of the last minute, which verdicts are of.
            now_s: a clock that never goes back.
            now_ns: ns since the epoch.
        """
        place = _places(table)
        self._begin_anew_if_reset(table, place, now_ns)
        if self._from_now:
            self._seen, self._retired = frozenset(place), _as_counted(_one(table))
            self._start_ns, self._from_now = now_ns, False
        for key in self._newcomers(table, recent, place, now_s):
            base = None
            if key in self._seen:
                base = _as_counted(table.take(np.array([place[key]])))
            start_ns = self._start_ns if base is None else now_ns
            self._held[key] = Series(base, start_ns, now_s)
            self.n_started += 1
        self._seen = frozenset(key for key in place if key not in self._held)
        return self._accounts(table, place)

    def _begin_anew_if_reset(self, table: Table, place: dict[bytes, int], now_ns: int) -> None:
        """An engine that counts anew: so do the series."""
        n_syn = int(table.counters["syn"].sum())
        if n_syn < self._n_syn or any(key not in place for key in self._held):
            self._held.clear()
            self._seen, self._retired, self._start_ns = frozenset(), None, now_ns
        self._n_syn = n_syn

    def _newcomers(
        self, table: Table, recent: Table, place: dict[bytes, int], now_s: float
    ) -> list[bytes]:
        """Who gets a series now; those that must go for them are gone."""
        ranked = _most_important(table, recent, self._limit)
        wanted = [key for key in ranked if key in place]
        for key in wanted:
            if key in self._held:
                self._held[key].wanted_s = now_s
        newcomers = [key for key in wanted if key not in self._held]
        n_lacking = len(newcomers) - (self._limit - len(self._held))
        if n_lacking > 0:
            old = sorted(
                (series.wanted_s, key)
                for key, series in self._held.items()
                if now_s - series.wanted_s >= HOLD_S
            )
            for _, key in old[:n_lacking]:
                self._retire(key)
        return newcomers[: self._limit - len(self._held)]

    def _retire(self, key: bytes) -> None:
        """End a series: what it has told stays out of the rest, what has come since goes there."""
        assert self._told is not None
        own = _as_counted(self._told.take(np.array([_places(self._told)[key]])))
        del self._held[key]
        parts = [own] if self._retired is None else [self._retired, own]
        self._retired = _one(Table.concatenated(parts))
        self.n_ended += 1

    def _accounts(self, table: Table, place: dict[bytes, int]) -> Accounts:
        at = np.array([place[key] for key in self._held], np.intp)
        bases = [series.base for series in self._held.values() if series.base is not None]
        rows = table.take(at)
        is_folded = np.ones(len(table), np.bool_)
        is_folded[at] = False
        folded = table.take(np.flatnonzero(is_folded))
        n_folded = int((folded.keys["kind"] != DestinationKind.OTHER).sum())
        if bases:
            all_bases = Table.concatenated(bases)
            rows = subtract(rows, all_bases)
            folded = Table.concatenated([folded, all_bases])
        other = _one(folded)
        if self._retired is not None:
            other = subtract(other, self._retired)
        starts = (*(series.start_ns for series in self._held.values()), self._start_ns)
        self._told = Table.concatenated([rows, other])
        return Accounts(self._told, starts, n_folded)


def _most_important(table: Table, recent: Table, limit: int) -> list[bytes]:
    """Destinations by what is wrong with them, and by attempts; the most important first."""
    worst = _ranked(recent, severity(recent.counters, recent.sketches), _is_bad(recent))
    busiest = _ranked(table, (table.counters["syn"] + table.counters["midstream"]).astype(float))
    chosen = dict.fromkeys(worst[: limit // BAD_SHARE])
    for key in busiest:
        if len(chosen) >= limit:
            break
        chosen[key] = None
    return list(chosen)


def _is_bad(table: Table) -> npt.NDArray[np.bool_]:
    return np.asarray(verdicts(table.counters, table.sketches) < Cause.WAITING)


def _ranked(
    table: Table, weight: npt.NDArray[np.float64], mask: npt.NDArray[np.bool_] | None = None
) -> list[bytes]:
    """Keys of rows, the heaviest first, equal ones by address; the row of the rest left out."""
    kept = table.keys["kind"] != DestinationKind.OTHER
    if mask is not None:
        kept &= mask
    rows = np.flatnonzero(kept)
    raw = table.keys.tobytes()
    keys = [raw[i * _KEY_BYTES : (i + 1) * _KEY_BYTES] for i in rows.tolist()]
    order = sorted(zip((-weight[rows]).tolist(), keys, strict=True))
    return [key for _, key in order]


def _places(table: Table) -> dict[bytes, int]:
    """Row numbers by key."""
    raw = table.keys.tobytes()
    return {raw[i * _KEY_BYTES : (i + 1) * _KEY_BYTES]: i for i in range(len(table))}


def _as_counted(rows: Table) -> Table:
    """What rows have counted, without their gauges, which are of now."""
    counters = rows.counters.copy()
    for name in GAUGES:
        counters[name] = 0
    return Table(rows.keys, counters, rows.sketches)


def _one(table: Table) -> Table:
    """One row that is the union of some, under the key of the rest."""
    return table.merged(OTHER_KEY, np.zeros(len(table), np.intp))
