"""``Rows``: what a filter is asked about, each part worked out when it is first needed.

Takes a table and what its rows are called; gives texts to search, ports, and numbers of whole
columns as float64, NaN where there is none. Knows no filter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core.metrics import METRIC_OF
from trtop_core.parse import Network
from trtop_core.query import Candidates
from trtop_core.records import DestinationKind
from trtop_core.table import OTHER_NAME, Table, address_name
from trtop_core.verdicts.evidence import Evidence
from trtop_core.verdicts.rules import causes_of

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

CONFLICT = "~"
"""Behind a name that sources contradict; whole names are looked for without it."""


MAPPED = np.frombuffer(bytes(10) + b"\xff\xff", np.uint8)
"""What IPv4 addresses begin with in keys; those of IPv6 never do."""


@dataclass(frozen=True)
class Members:
    """The destinations that rows of equal names are made of.

    Attributes:
        keys: shape (n,), dtype ``records.DESTINATION_KEY``.
        row_of: shape (n,): the row that each is a part of.
    """

    keys: npt.NDArray[Any]
    row_of: npt.NDArray[np.intp]


@dataclass(frozen=True)
class Rows:
    """The rows that a filter is asked about.

    Attributes:
        table: their numbers.
        label_list: gives what each is called, shape (n,), with its port where rows have ports;
            asked only if a word needs it.
        span_ns: capture time that the counters cover.
        percentile: what latencies are compared by.
        loss: share of packets that the capture lost in the window; None where unknown.
        members: what rows are made of, where one may be of several addresses.
    """

    table: Table | Candidates
    label_list: Callable[[], Sequence[str]]
    span_ns: int
    percentile: float
    loss: float | None = None
    members: Members | None = None

    def __len__(self) -> int:
        return len(self.table.keys)

    @cached_property
    def names(self) -> list[str]:
        """Names alone in lower case, empty where a row has none."""
        found = []
        ports = self.table.keys["port"].tolist()
        for label, port, own in zip(self.label_list(), ports, self._own_addresses, strict=True):
            name = label.lower().removesuffix(f":{port}") if port else label.lower()
            bare = name.removeprefix("[").removesuffix("]")
            found.append("" if bare == own else name)
        return found

    @cached_property
    def addresses(self) -> list[list[str]]:
        """The addresses of each row, without ports."""
        if self.members is None:
            return [[address] for address in self._own_addresses]
        found: list[list[str]] = [[] for _ in range(len(self))]
        texts = _addresses(self.members.keys)
        for row, address in zip(self.members.row_of.tolist(), texts, strict=True):
            if address not in found[row][-1:]:
                found[row].append(address)
        return found

    @cached_property
    def _own_addresses(self) -> list[str]:
        return _addresses(self.table.keys)

    def where_text(self, fits: Callable[[str], bool], of_name: bool) -> Mask:
        """Rows with a name or an address that fits; where machines are kept apart, or theirs does.

        Args:
            fits: takes one of them in lower case.
            of_name: only names are looked at.
        """
        found = np.array([bool(name) and fits(name) for name in self.names], bool)
        if self.table.hosts is not None:
            found |= np.array([fits(host.lower()) for host in self.table.hosts.tolist()], bool)
        if not of_name:
            found |= np.array([any(map(fits, texts)) for texts in self.addresses], bool)
        return found

    def inside(self, network: Network) -> Mask:
        """Rows with an address in a network."""
        keys = self.table.keys if self.members is None else self.members.keys
        address, mask = network.network_address.packed, network.netmask.packed
        if network.version == 4:
            address = MAPPED.tobytes() + address
            mask = b"\xff" * len(MAPPED) + mask
        masked = keys["addr"] & np.frombuffer(mask, np.uint8)
        is_inside = (masked == np.frombuffer(address, np.uint8)).all(axis=1)
        is_inside &= keys["kind"] != DestinationKind.OTHER
        if network.version == 6 and network.prefixlen < 8 * len(MAPPED):
            is_inside &= (keys["addr"][:, : len(MAPPED)] != MAPPED).any(axis=1)
        if self.members is None:
            return np.asarray(is_inside)
        found = np.zeros(len(self), bool)
        found[self.members.row_of[is_inside]] = True
        return found

    @cached_property
    def ports(self) -> Floats:
        """Ports; NaN where rows are not kept by port."""
        keys = self.table.keys
        has_port = keys["kind"] == DestinationKind.ADDR_PORT
        return np.where(has_port, keys["port"].astype(np.float64), np.nan)

    @cached_property
    def causes(self) -> npt.NDArray[np.int8]:
        """Verdicts by number."""
        table = self.table
        evidence = Evidence(table.counters, table.sketches, self.loss, waits_ns=table.waits_ns)
        return causes_of(evidence)

    def column(self, name: str, statistic: str = "") -> Floats:
        """A metric of every row, NaN where it is unknown.

        Args:
            name: of the metric.
            statistic: of a distribution; empty: the percentile that is shown.
        """
        metric = METRIC_OF[name]
        if metric.derive is not None:
            return metric.derive(self.table.counters, self.span_ns)
        sketch = self.table.sketches.get(name)
        if sketch is None:
            return np.asarray(self.table.counters[name].astype(np.float64))
        counts = sketch.stats["count"].astype(np.float64)
        if statistic == "count":
            return counts
        if statistic in ("min", "max"):
            found = sketch.stats[statistic].astype(np.float64)
        elif statistic == "mean":
            found = np.array(sketch.sums(), np.float64) / np.maximum(counts, 1)
        else:
            percentile = float(statistic[1:]) if statistic else self.percentile
            found = sketch.quantiles(percentile).astype(np.float64)
        return np.where(counts > 0, found, np.nan)

    def whole(self, name: str) -> Floats:
        """What a counter or gauge is a share of."""
        counters = self.table.counters
        parts = [counters[part].astype(np.float64) for part in METRIC_OF[name].share_of]
        return np.asarray(np.sum(parts, axis=0), np.float64)


def _addresses(keys: npt.NDArray[Any]) -> list[str]:
    raw = keys["addr"].tobytes()
    return [
        OTHER_NAME if kind == DestinationKind.OTHER else address_name(raw[16 * i : 16 * i + 16])
        for i, kind in enumerate(keys["kind"].tolist())
    ]
