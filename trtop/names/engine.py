"""``NamedEngine``: an engine whose snapshots carry names and leave out what is not allowed.

Takes packets and views as an engine does. Lets a resolver that reads the capture look at each
batch, and asks all others only when a snapshot is made.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, runtime_checkable

from trtop.names.namer import Namer, named, wide
from trtop_core._flows import Prepared
from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.engine import Engine
from trtop_core.records import GroupBy
from trtop_core.snapshot import Snapshot
from trtop_core.view import View

PATIENCE_S = 10.0
"""How long a final report waits for names that are under way."""


@runtime_checkable
class PacketReader(Protocol):
    """A resolver that looks for names in the packets themselves."""

    def feed(self, batch: PacketBatch) -> None:
        """Look at a batch."""


class NamedEngine(Engine):
    """Counts as an engine does, and shows names.

    Args:
        config: what to keep and how to group it.
        seed: secret random bytes, as for ``Engine``.
        namer: who knows names and what is allowed.
        n_jobs: as for ``Engine``.
    """

    def __init__(self, config: EngineConfig, seed: bytes, namer: Namer, n_jobs: int = 1) -> None:
        if namer.needs_port:
            config = replace(config, group_by=GroupBy.ADDR_PORT)
        super().__init__(config, seed, n_jobs)
        self.namer = namer
        self._readers = [link for link in namer.resolver.links() if isinstance(link, PacketReader)]

    def feed(self, batch: PacketBatch, prepared: Prepared | None = None) -> None:
        """Count the packets of a batch, and look for names in them where that is asked for.

        Args:
            batch: as ``Engine.feed``.
            prepared: as ``Engine.feed``.

        Raises:
            ValueError: as ``Engine.feed``.
        """
        for reader in self._readers:
            reader.feed(batch)
        super().feed(batch, prepared)

    def snapshot(self, view: View) -> Snapshot:
        """What is known at this moment, names included; never waits for one.

        Raises:
            ValueError: as ``Engine.snapshot``.
        """
        if not self.namer.shapes_rows:
            return super().snapshot(view)
        everything = super().snapshot(wide(view, self.namer.needs_port))
        return named(everything, view, self.namer)

    def settled_snapshot(self, view: View, patience_s: float = PATIENCE_S) -> Snapshot:
        """What is known once the names that are under way have come.

        Raises:
            ValueError: as ``Engine.snapshot``.
        """
        return settled(lambda: self.snapshot(view), self.namer, patience_s)


def settled(take: Callable[[], Snapshot], namer: Namer, patience_s: float = PATIENCE_S) -> Snapshot:
    """A snapshot after waiting for the names that are under way.

    Args:
        take: makes a snapshot.
        namer: who is waited for.
        patience_s: not longer than this.
    """
    deadline_s = time.monotonic() + patience_s
    while True:
        n_answers = namer.n_answers
        snapshot = take()
        left_s = deadline_s - time.monotonic()
        # An answer may have come while the snapshot was made; and it may lead to the next
        # question: a whitelist's to a resolver, one link's of a chain to the next.
        if left_s <= 0 or not (namer.is_waiting or namer.n_answers > n_answers):
            return snapshot
        namer.wait(left_s)
