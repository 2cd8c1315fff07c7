"""Slow connections as cells of text."""

from __future__ import annotations

import ipaddress
from typing import Any

import numpy as np

from trtop.metrics import format as units
from trtop_core.activity import Activity
from trtop_core.detail import ConnectionState

HEADINGS = ("Client", "Server port", "State", "Age", "Silent for", "Responses", "Latest answer")
"""Of the cells of a connection."""

N_SLOWEST = 30
"""Connections of all destinations that a page lists."""


def slow_by_place(recorded: Activity) -> dict[int, list[Any]]:
    """The slowest connections of each row of the snapshot that has any, the slowest first."""
    found: dict[int, list[Any]] = {}
    for place, item in zip(recorded.slow_rows.tolist(), recorded.slow, strict=True):
        found.setdefault(place, []).append(item)
    return found


def slowest(recorded: Activity) -> list[tuple[int, Any]]:
    """The slowest of all connections with the rows of the snapshot that they belong to."""
    order = np.argsort(-recorded.slow["response_ns"], kind="stable")[:N_SLOWEST]
    return [(int(recorded.slow_rows[at]), recorded.slow[at]) for at in order]


def connection_cells(item: Any, clock_ns: int) -> list[str]:
    """One connection as text, by ``HEADINGS``.

    Args:
        item: dtype ``detail.CONNECTION``.
        clock_ns: capture time now.
    """
    state = ConnectionState(int(item["state"]))
    age = units.duration(max(0, clock_ns - int(item["opened_ns"])))
    waits = "+" if state is ConnectionState.WAITING else ""
    return [
        _client(item["client_addr"], int(item["client_port"])),
        str(int(item["server_port"])),
        state.name.lower().replace("_", " "),
        "unknown" if item["is_midstream"] else age,
        units.duration(max(0, clock_ns - int(item["last_ns"]))),
        f"{int(item['responses']):,}",
        units.duration(int(item["response_ns"])) + waits,
    ]


def _client(raw: Any, port: int) -> str:
    address = ipaddress.IPv6Address(bytes(raw))
    mapped = address.ipv4_mapped
    return f"[{address}]:{port}" if mapped is None else f"{mapped}:{port}"
