"""``EngineConfig``: what an engine is told once, before the first packet. Data only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trtop_core.records import NS_PER_S, Direction, GroupBy, Window

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

DEFAULT_IDLE_TIMEOUT_NS = 300 * NS_PER_S
"""A connection without a segment for so long no longer counts as active."""

DEFAULT_MAX_CONNECTIONS = 1_000_000
"""Bound on connections kept at once: some 100 bytes each, 448 of those that are busy besides."""

DEFAULT_HISTORY_BYTES = 64 << 20
"""Bound on what the screen and daemons keep of the past."""

MIN_HISTORY_BYTES = 1 << 20
"""Less holds hardly a slot, whose sums of everything alone take some KiB."""

DEFAULT_MAX_DESTINATIONS = 131_072
"""Bound on rows; what comes after it shares the row ``(other)``. About 700 bytes each, and their
sketches."""

MAX_CONNECTIONS_LIMIT = 1 << 26
"""Connection numbers share 32 bits with links; this is 30 GB of them, were all busy."""


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
        history_bytes: bound on what is kept of the past; 0: nothing. Needs all windows.
        is_paced: packets come as time goes by, rather than as fast as they can be read.
        history_credit_ns: time that a history may take beyond what packets have earned it, so that
            its slots are short.
        keeps_connections: whether each connection is recorded when it is forgotten; costs 700
            bytes more for each that is kept, and time.

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
    history_bytes: int = 0
    is_paced: bool = False
    history_credit_ns: int = 0
    keeps_connections: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.max_connections <= MAX_CONNECTIONS_LIMIT:
            raise ValueError(f"max_connections is within 1 … {MAX_CONNECTIONS_LIMIT:,}")
        if self.max_destinations < 1:
            raise ValueError("max_destinations is 1 or more")
        if self.idle_timeout_ns <= 0:
            raise ValueError("idle_timeout_ns is above 0")
        if self.history_bytes and len(set(self.windows) - {Window.ALL}) < len(Window) - 1:
            raise ValueError("a history needs all windows")


def engine_config(  # noqa: PLR0913 - as many as a command line may name
    *,
    local: Iterable[IPv4Network | IPv6Network] = (),
    direction: Direction = Direction.OUT,
    group_by: GroupBy = GroupBy.ADDR,
    decap: bool = True,
    windows: Iterable[Window] = (),
    idle_timeout_s: float | None = None,
    max_connections: int | None = None,
    history_bytes: int = 0,
    is_paced: bool = False,
    keeps_connections: bool = False,
) -> EngineConfig:
    """A configuration from what users say.

    Args:
        local: as ``EngineConfig.local``.
        direction: as ``EngineConfig.direction``.
        group_by: as ``EngineConfig.group_by``.
        decap: as ``EngineConfig.decap``.
        windows: what will be asked for; ``Window.ALL`` is always kept.
        idle_timeout_s: above 0; None for the default.
        max_connections: None for the default.
        history_bytes: as ``EngineConfig.history_bytes``.
        is_paced: as ``EngineConfig.is_paced``.
        keeps_connections: as ``EngineConfig.keeps_connections``.

    Raises:
        ValueError: a number is out of range.
    """
    if history_bytes and history_bytes < MIN_HISTORY_BYTES:
        raise ValueError(f"a history takes {MIN_HISTORY_BYTES >> 20} MiB or more")
    idle_timeout_ns = DEFAULT_IDLE_TIMEOUT_NS
    if idle_timeout_s is not None:
        idle_timeout_ns = max(1, round(idle_timeout_s * NS_PER_S))
    return EngineConfig(
        local=tuple(local),
        direction=direction,
        group_by=group_by,
        idle_timeout_ns=idle_timeout_ns,
        max_connections=DEFAULT_MAX_CONNECTIONS if max_connections is None else max_connections,
        decap=decap,
        windows=tuple(window for window in windows if window is not Window.ALL),
        history_bytes=history_bytes,
        is_paced=is_paced,
        keeps_connections=keeps_connections,
    )
