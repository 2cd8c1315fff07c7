"""``Table``: n destinations as arrays, row by row, and what destinations are called.

Takes arrays, gives arrays. Rows can be picked, cut, grouped and merged; a table never changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from trtop_core.memory import take_records
from trtop_core.metrics import COUNTER_ROW, COUNTERS, GAUGES, SKETCHES
from trtop_core.records import DESTINATION_KEY, DestinationKind, GroupBy, Wait
from trtop_core.sketch import SketchColumn, concatenate

OTHER_NAME = "(other)"

_MAPPED = bytes(10) + b"\xff\xff"
_OTHER, _ADDR = int(DestinationKind.OTHER), int(DestinationKind.ADDR)


class RowName(NamedTuple):
    """What a row is called where somebody was asked for names.

    Attributes:
        label: as it is shown: a name or an address, with a port where rows are kept by that.
        name: the name alone; None where nobody knows one.
        is_one_address: all of the row is of one address.
    """

    label: str
    name: str | None = None
    is_one_address: bool = True


class RowOrigin(NamedTuple):
    """Where a row's packets went.

    Attributes:
        address: as text; None where the row is of several.
        port: None where rows are not kept by port.
        name: of that address; None where nobody knows one.
    """

    address: str | None
    port: int | None
    name: str | None


NOWHERE = RowOrigin(None, None, None)
"""Of a row that stands for no destination."""


@dataclass(frozen=True, slots=True)
class Table:
    """n destinations: keys, counters and sketches, row by row.

    Attributes:
        keys: shape (n,), dtype ``records.DESTINATION_KEY``.
        counters: shape (n,), dtype ``metrics.COUNTER_ROW``.
        sketches: one column per name of ``metrics.SKETCHES``.
        names: what the rows are called, n of them; None: what their keys say.
        hosts: shape (n,), str: which machine saw each row; None unless rows are kept apart by it.
        waits_ns: shape (n, 2), by ``Wait``: for how long the oldest attempt and the oldest request
            have waited for an answer by now, 0 where none does; None: not known.
        ports: shape (n, n_causes), of rows of addresses: the port that stands out, by cause, see
            ``verdicts.ports``; None: not known.
    """

    keys: npt.NDArray[Any]
    counters: npt.NDArray[Any]
    sketches: dict[str, SketchColumn]
    names: tuple[RowName, ...] | None = None
    hosts: npt.NDArray[np.str_] | None = None
    waits_ns: npt.NDArray[np.int64] | None = None
    ports: npt.NDArray[np.uint16] | None = None

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, rows: npt.NDArray[np.intp]) -> Table:
        """Some rows, in the order given."""
        columns = {name: column.take(rows) for name, column in self.sketches.items()}
        names = None if self.names is None else tuple(self.names[row] for row in rows)
        hosts = None if self.hosts is None else self.hosts[rows]
        waits_ns = None if self.waits_ns is None else self.waits_ns[rows]
        keys, counters = take_records(self.keys, rows), take_records(self.counters, rows)
        ports = None if self.ports is None else self.ports[rows]
        return Table(keys, counters, columns, names, hosts, waits_ns, ports)

    def row_names(self) -> list[str]:
        """What each row is called, not escaped."""
        if self.names is None:
            return destination_names(self.keys)
        return [name.label for name in self.names]

    def row_origins(self) -> list[RowOrigin]:
        """Address, port and name of each row, not escaped."""
        found = key_origins(self.keys)
        if self.names is None:
            return [RowOrigin(address, port, None) for address, port in found]
        return [
            RowOrigin(address if called.is_one_address else None, port, called.name)
            for (address, port), called in zip(found, self.names, strict=True)
        ]

    def cut(self, start: int, end: int) -> Table:
        """Consecutive rows, as views."""
        columns = {name: column.cut(start, end) for name, column in self.sketches.items()}
        names = None if self.names is None else self.names[start:end]
        hosts = None if self.hosts is None else self.hosts[start:end]
        waits_ns = None if self.waits_ns is None else self.waits_ns[start:end]
        ports = None if self.ports is None else self.ports[start:end]
        keys, counters = self.keys[start:end], self.counters[start:end]
        return Table(keys, counters, columns, names, hosts, waits_ns, ports)

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
        waits_ns = None
        if self.waits_ns is not None:
            waits_ns = np.zeros((len(keys), len(Wait)), np.int64)
            np.maximum.at(waits_ns, labels, self.waits_ns)
        return Table(keys, counters, columns, waits_ns=waits_ns)

    @staticmethod
    def concatenated(tables: Sequence[Table]) -> Table:
        """The rows of several tables, one after the other; equal keys stay apart."""
        return Table(
            np.concatenate([table.keys for table in tables]),
            np.concatenate([table.counters for table in tables]),
            {name: concatenate([table.sketches[name] for table in tables]) for name in SKETCHES},
            waits_ns=_joined_waits(tables),
        )


def _joined_waits(tables: Sequence[Table]) -> npt.NDArray[np.int64] | None:
    """How long rows of several tables wait; None where one of these does not know."""
    waits_ns = [table.waits_ns for table in tables if table.waits_ns is not None]
    return np.concatenate(waits_ns) if len(waits_ns) == len(tables) else None


def destination_names(keys: npt.NDArray[Any]) -> list[str]:
    """What destinations are called: ``192.0.2.7``, ``2001:db8::1``, ``192.0.2.7:443``, ``[…]:443``.

    Args:
        keys: shape (n,), dtype ``records.DESTINATION_KEY``.
    """
    names = []
    for address, port in key_origins(keys):
        if address is None:
            names.append(OTHER_NAME)
        elif port is None:
            names.append(address)
        else:
            names.append(f"[{address}]:{port}" if ":" in address else f"{address}:{port}")
    return names


def key_origins(keys: npt.NDArray[Any]) -> list[tuple[str | None, int | None]]:
    """Addresses and ports of destinations; no address: the rest, no port: rows are not kept by it.

    Args:
        keys: shape (n,), dtype ``records.DESTINATION_KEY``.
    """
    kinds, ports = keys["kind"].tolist(), keys["port"].tolist()
    raw = keys["addr"].tobytes()
    found: list[tuple[str | None, int | None]] = []
    for idx, (kind, port) in enumerate(zip(kinds, ports, strict=True)):
        if kind == _OTHER:
            found.append((None, None))
            continue
        address = address_name(raw[16 * idx : 16 * idx + 16])
        found.append((address, None if kind == _ADDR else port))
    return found


def address_name(addr: bytes) -> str:
    """An address of 16 bytes, IPv4 mapped, as text: ``192.0.2.7``, ``2001:db8::1``."""
    if addr.startswith(_MAPPED):
        return f"{addr[12]}.{addr[13]}.{addr[14]}.{addr[15]}"
    from ipaddress import IPv6Address  # noqa: PLC0415 - loading it takes a while

    return str(IPv6Address(addr))
