"""``Collected``: everything that is exported, as it was at one time. Data only."""

from __future__ import annotations

from dataclasses import dataclass, field

from trtop.export.catalog import OTHER
from trtop.export.ledger import Accounts
from trtop_core.health import Health
from trtop_core.table import Table, key_origins


@dataclass(frozen=True, slots=True)
class Label:
    """What a row is called in every system.

    Attributes:
        destination: address, or ``other``.
        port: the server's; None where rows are not kept by port.
        name: of that address, escaped; empty where nobody knows one.
    """

    destination: str
    port: int | None = None
    name: str = ""

    @property
    def values(self) -> tuple[str, str, str]:
        """As the labels of a series."""
        return self.destination, "" if self.port is None else str(self.port), self.name


@dataclass(frozen=True, slots=True)
class Collected:
    """What there is to export.

    Attributes:
        accounts: what each series has counted.
        labels: what the rows are called.
        verdicts: a word per row but the last; empty: the destination was silent.
        health: of the capture.
        n_destinations: that the daemon knows.
        host: the machine that captures.
        is_capturing: something captures there.
        notices: how many conditions hold, by severity.
        clock_ns: capture time; None before the first packet.
        time_ns: when this was collected, ns since the epoch.
        duration_s: what asking took.
        own: the exporter's own counts by name and label.
    """

    accounts: Accounts
    labels: tuple[Label, ...]
    verdicts: tuple[str, ...]
    health: Health
    n_destinations: int
    host: str
    is_capturing: bool
    notices: dict[str, int]
    clock_ns: int | None
    time_ns: int
    duration_s: float
    own: dict[tuple[str, str], float] = field(default_factory=dict)


def labels_of(table: Table, names: dict[tuple[str, int], str]) -> tuple[Label, ...]:
    """What rows are called.

    Args:
        table: the rows.
        names: by address and port, escaped.
    """
    labels = []
    for address, port in key_origins(table.keys):
        if address is None:
            labels.append(Label(OTHER))
        else:
            labels.append(Label(address, port, names.get((address, port or 0), "")))
    return tuple(labels)
