"""``EngineConfig``: what an engine is told once, before the first packet. Data only."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from trtop_core.records import NS_PER_S, Direction, GroupBy, Window

DEFAULT_IDLE_TIMEOUT_NS = 300 * NS_PER_S
"""A connection without a segment for so long no longer counts as active."""

DEFAULT_MAX_CONNECTIONS = 1_000_000
"""Bound on connections kept at once; 512 bytes each, and their entries in a hash table."""

DEFAULT_MAX_DESTINATIONS = 131_072
"""Bound on rows; what comes after it shares the row ``(other)``. About 700 bytes each, and their
sketches."""

MAX_CONNECTIONS_LIMIT = 1 << 26
"""Connection numbers share 32 bits with links; this is 22 GB of them."""


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """How an engine reads packets and what it keeps.

    Attributes:
        local: networks whose addresses are local; empty: every connection counts as outgoing.
        direction: which connections are shown, and by which end they are grouped.
        group_by: the finest grouping that snapshots can be asked for.
        idle_timeout_ns: see ``DEFAULT_IDLE_TIMEOUT_NS``.
        max_connections: see ``DEFAULT_MAX_CONNECTIONS``.
        max_destinations: see ``DEFAULT_MAX_DESTINATIONS``.
        decap: whether TCP inside tunnels counts.
        windows: the windows to keep besides ``Window.ALL``; each costs memory and time.

    Raises:
        ValueError: a field is out of range.
    """

    local: tuple[IPv4Network | IPv6Network, ...] = ()
    direction: Direction = Direction.OUT
    group_by: GroupBy = GroupBy.ADDR
    idle_timeout_ns: int = DEFAULT_IDLE_TIMEOUT_NS
    max_connections: int = DEFAULT_MAX_CONNECTIONS
    max_destinations: int = DEFAULT_MAX_DESTINATIONS
    decap: bool = True
    windows: tuple[Window, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.max_connections <= MAX_CONNECTIONS_LIMIT:
            raise ValueError(f"max_connections is within 1 … {MAX_CONNECTIONS_LIMIT:,}")
        if self.max_destinations < 1:
            raise ValueError("max_destinations is 1 or more")
        if self.idle_timeout_ns <= 0:
            raise ValueError("idle_timeout_ns is above 0")
