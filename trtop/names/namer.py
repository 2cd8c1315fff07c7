"""Names and whitelists applied to snapshots: rows are named, left out, and merged by name.

Takes a snapshot with all rows, gives the one that a view asks for. Asks resolvers and whitelists
through ``LookupCache``, so nothing here waits, and no packet ever does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trtop.filters.filter import Filter
from trtop.filters.rows import Members
from trtop.filters.snapshots import filtered, with_ports
from trtop.names.base import BaseResolver
from trtop.names.lookup_cache import LookupCache
from trtop.names.resolvers import NoResolver
from trtop.names.whitelist import BaseWhitelist, BothWhitelist, DefaultWhitelist, RuleWhitelist
from trtop_core.records import DestinationKind, GroupBy
from trtop_core.snapshot import Snapshot
from trtop_core.sorting import arrange
from trtop_core.table import RowName, Table, address_name
from trtop_core.view import View

MAX_NAME = 255
"""Characters of a name; what is longer is cut. Whoever answers a PTR query chooses it."""

CUT = "…"

Destination = tuple[str, int]
"""Address and port; port 0: any."""


@dataclass(frozen=True, slots=True)
class Named:
    """What rows are called, and which are shown.

    Attributes:
        names: one per row; None: what its key says.
        kept: one per row: whether it is shown.
    """

    names: list[str | None]
    kept: list[bool]


class Namer:
    """Asks a resolver and a whitelist, each once per destination, and filters rows.

    Args:
        resolver: gives names; a chain is asked link by link.
        whitelist: says what is shown.
        clock_s: a clock in seconds that never goes back.

    Attributes:
        is_enabled: names are shown and rows filtered; else only the whitelist works.
        row_filter: which of the named rows are shown; totals are of all. None: all.
    """

    def __init__(
        self,
        resolver: BaseResolver | None = None,
        whitelist: BaseWhitelist | None = None,
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.resolver = resolver or NoResolver()
        self.whitelist = whitelist or DefaultWhitelist()
        self.is_enabled = True
        self.row_filter: Filter | None = None
        self._links = [_Link(link, clock_s) for link in self.resolver.links()]
        self._needs_port = self.whitelist.needs_port or any(
            link.resolver.needs_port for link in self._links
        )
        asked, self._rules = _parts(self.whitelist)
        self._permits: LookupCache[Destination, bool] | None = None
        if asked is not None:
            self._permits = LookupCache(
                f"whitelist {asked.__class__.__name__}",
                lambda key: (bool(asked.allow(*key)), None),
                default=True,
                clock_s=clock_s,
            )

    @property
    def needs_port(self) -> bool:
        """Rows must be told apart by port, however they are shown."""
        chosen = self.row_filter if self.is_enabled else None
        return self._needs_port or (chosen is not None and chosen.needs_ports)

    @property
    def is_idle(self) -> bool:
        """There is nothing to ask: rows stay as they are."""
        is_silent = self._rules is None and self._permits is None
        return not self._links and is_silent and self.row_filter is None

    @property
    def shapes_rows(self) -> bool:
        """Rows of a snapshot are named, merged or left out as things are."""
        is_enabled = self.is_enabled and (bool(self._links) or self.row_filter is not None)
        return is_enabled or self._rules is not None or self._permits is not None

    @property
    def names_by_port(self) -> bool:
        """A name depends on the port."""
        return any(link.resolver.needs_port for link in self._links)

    @property
    def has_names(self) -> bool:
        """There is somebody who knows names."""
        return bool(self._links)

    @property
    def failures(self) -> list[str]:
        """One line for each resolver and whitelist that raised, and what follows from it."""
        failures = [
            f"{link.cache.what}: {link.cache.failure} (addresses are shown)"
            for link in self._links
            if link.cache is not None and link.cache.failure
        ]
        if self._permits is not None and self._permits.failure:
            failures.append(f"{self._permits.what}: {self._permits.failure} (rows are shown)")
        return failures

    def look(self, table: Table) -> Named:
        """What is known now about the rows of a table; starts asking about the others."""
        names: list[str | None] = []
        kept = []
        is_asked = self.is_enabled or (self._rules is not None and self._rules.needs_name)
        keys = table.keys
        raw, ports = keys["addr"].tobytes(), keys["port"].tolist()
        for idx, (port, kind) in enumerate(zip(ports, keys["kind"].tolist(), strict=True)):
            if kind == DestinationKind.OTHER:
                names.append(None)
                kept.append(True)
                continue
            addr = address_name(raw[16 * idx : 16 * idx + 16])
            is_kept = self._permits is None or self._permitted(addr, port)
            name = self.name(addr, port) if is_kept and is_asked else None
            names.append(name)
            kept.append(is_kept)
        if self._rules is not None:
            allowed = self._rules.mask(keys, names) | (keys["kind"] == DestinationKind.OTHER)
            kept = [one and other for one, other in zip(kept, allowed.tolist(), strict=True)]
        return Named(names if self.is_enabled else [None] * len(names), kept)

    def name(self, addr: str, port: int) -> str | None:
        """What is known of a destination's name now, not escaped; asks, and never waits.

        Args:
            addr: IPv4 or IPv6 address.
            port: the server's; 0 where it is not known.

        Returns:
            The name; None: none, or none yet.
        """
        is_pending = False
        for link in self._links:
            # What a slower resolver further down would say matters only if this one says nothing.
            if is_pending and not link.resolver.is_instant:
                continue
            name, is_known = link.look_up(addr, port)
            if name is not None:
                return name
            is_pending |= not is_known
        return None

    @property
    def is_waiting(self) -> bool:
        """Answers are under way."""
        return any(cache.n_pending for cache in self._caches())

    @property
    def n_answers(self) -> int:
        """How many answers have come so far."""
        return sum(cache.n_answers for cache in self._caches())

    def wait(self, timeout_s: float) -> None:
        """Wait for answers that are under way."""
        deadline_s = time.monotonic() + timeout_s
        for cache in self._caches():
            cache.wait(max(0.0, deadline_s - time.monotonic()))

    def close(self) -> None:
        """Ask nothing more."""
        for cache in self._caches():
            cache.close()

    def _caches(self) -> Iterator[LookupCache[Destination, Any]]:
        yield from (link.cache for link in self._links if link.cache is not None)
        if self._permits is not None:
            yield self._permits

    def _permitted(self, addr: str, port: int) -> bool:
        assert self._permits is not None
        allowed, is_known = self._permits.look_up((addr, port if self.whitelist.needs_port else 0))
        return allowed and is_known


def _parts(whitelist: BaseWhitelist) -> tuple[BaseWhitelist | None, RuleWhitelist | None]:
    """What is asked once per destination, and the rules that are looked at each time.

    Asks for ``__class__``: a script's ``default_whitelist`` stands for an object of another type.
    """
    if isinstance(whitelist, BothWhitelist):
        return whitelist.first, whitelist.rules
    if isinstance(whitelist, RuleWhitelist):
        return None, whitelist
    return (None if whitelist.__class__ is DefaultWhitelist else whitelist), None


class _Link:
    """One resolver of a chain; a slow one has a look-up cache."""

    def __init__(self, resolver: BaseResolver, clock_s: Callable[[], float]) -> None:
        self.resolver = resolver
        what = f"resolver {resolver.__class__.__name__}"
        self.cache: LookupCache[Destination, str | None] | None = None
        if not resolver.is_instant:
            self.cache = LookupCache(
                what, self._ask, default=None, n_threads=resolver.concurrency, clock_s=clock_s
            )

    def look_up(self, addr: str, port: int) -> tuple[str | None, bool]:
        """The name (None: the address), and whether the resolver has answered."""
        port = port if self.resolver.needs_port else 0
        if self.cache is not None:
            return self.cache.look_up((addr, port))
        return clean_name(self.resolver.resolve(addr, port), addr), True

    def _ask(self, key: Destination) -> tuple[str | None, float | None]:
        answer = self.resolver.answer(*key)
        return clean_name(answer.name, key[0]), answer.max_age_s


def clean_name(name: object, addr: str) -> str | None:
    """Whatever a resolver gave as a name of bounded length, not escaped; None: the address."""
    if name is None or name == addr:
        return None
    text = name.decode("utf-8", "backslashreplace") if isinstance(name, bytes) else str(name)
    if not text:
        return None
    return text if len(text) <= MAX_NAME else text[: MAX_NAME - 1] + CUT


def wide(view: View, needs_port: bool) -> View:
    """The view to ask an engine for, so that ``named`` can make ``view`` of the answer.

    Its order is the view's, so that names are asked for from the top down.
    """
    group_by = GroupBy.ADDR_PORT if needs_port else view.group_by
    return replace(view, limit=None, group_by=group_by)


def named(snapshot: Snapshot, view: View, namer: Namer) -> Snapshot:
    """The snapshot that a view asks for, with names, without what is not allowed.

    Args:
        snapshot: of ``wide(view, namer.needs_port)``: all rows.
        view: how to group, sort and limit them.
        namer: who knows names.
    """
    chosen = namer.row_filter if namer.is_enabled else None
    view = with_ports(view, chosen)
    seen = namer.look(snapshot.table)
    table, total = snapshot.table, snapshot.total
    names = seen.names
    if not all(seen.kept):
        rows = np.flatnonzero(seen.kept)
        table = table.take(rows)
        total = table.total()
        names = [names[row] for row in rows]
    if table.names is not None:
        table = replace(table, names=None)
    members = None
    if table.hosts is None:  # rows of different machines stay apart
        table, members = _merged_by_name(table, names, view.group_by)
    result = replace(snapshot, view=view, table=table, total=total, n_destinations=len(table))
    if chosen is not None:
        result = filtered(result, chosen, members)
    return replace(result, table=arrange(result.table, view))


def _merged_by_name(
    table: Table, names: Sequence[str | None], group_by: GroupBy
) -> tuple[Table, Members | None]:
    """Rows with equal names as one row each, named, and what those of several are made of."""
    if group_by is GroupBy.ADDR:
        plain = table.keys.copy()
        plain["port"] = 0
        plain["kind"][plain["kind"] == DestinationKind.ADDR_PORT] = DestinationKind.ADDR
        table = replace(table, keys=plain)
        shown = list(names)
    else:
        ports = table.keys["port"].tolist()
        shown = [
            name if name is None else f"{name}:{port}"
            for name, port in zip(names, ports, strict=True)
        ]
    own = table.row_names()
    called = [name or own_name for name, own_name in zip(shown, own, strict=True)]
    groups = {name: i for i, name in enumerate(dict.fromkeys(called))}
    if len(groups) == len(table):
        known = zip(called, names, strict=True)
        return replace(table, names=tuple(RowName(label, name) for label, name in known)), None
    labels = np.array([groups[name] for name in called], np.intp)
    firsts = np.unique(labels, return_index=True)[1]
    merged = table.merged(table.keys[firsts], labels)
    n_addresses = np.zeros(len(groups), np.intp)
    pairs = {(label, key["addr"].tobytes()) for label, key in zip(labels, table.keys, strict=True)}
    np.add.at(n_addresses, [label for label, _ in pairs], 1)
    found = zip(groups, firsts.tolist(), n_addresses.tolist(), strict=True)
    made = tuple(RowName(label, names[first], n == 1) for label, first, n in found)
    return replace(merged, names=made), Members(table.keys, labels)
