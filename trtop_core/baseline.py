"""``Baseline``: an engine's numbers at one moment, so that later ones can be counted from there.

Takes an engine's arrays, gives what came since: counters and bins subtract exactly, and least and
greatest are exact too, since sketches look for them anew from the moment on. Numpy only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core.groups import SketchState
from trtop_core.health import Health
from trtop_core.metrics import COUNTERS
from trtop_core.query import Exported
from trtop_core.records import SKETCH_STATS


@dataclass(frozen=True, slots=True)
class Baseline:
    """What an engine had counted at one moment.

    Attributes:
        counters: shape (n,), dtype ``metrics.COUNTER_ROW``.
        stats: shape (n * n_sketches,), dtype ``records.SKETCH_STATS``.
        pages: shape (n_pages, bins per page), uint64.
        health: of the capture.
        clock_ns: capture time; None before the first packet.
        span_ns: capture time since the first packet, less what steps jumped.
    """

    counters: npt.NDArray[Any]
    stats: npt.NDArray[Any]
    pages: npt.NDArray[np.uint64]
    health: Health
    clock_ns: int | None
    span_ns: int

    @classmethod
    def taken(
        cls,
        counters: npt.NDArray[Any],
        sketches: SketchState,
        health: Health,
        at: tuple[int | None, int],
    ) -> Baseline:
        """The baseline of an engine, settled; its sketches forget their least and greatest.

        Args:
            counters: shape (n,), as the engine exports them.
            sketches: likewise; OUT: ``min`` and ``max`` of the stats.
            health: of the capture so far.
            at: the clock, and the capture time since the first packet.
        """
        taken = cls(
            counters.copy(), sketches.stats.copy(), sketches.pages.copy(), health, at[0], at[1]
        )
        sketches.stats["min"] = np.iinfo(np.int64).max
        sketches.stats["max"] = np.iinfo(np.int64).min
        return taken

    def since(self, now: Exported) -> Exported:
        """What came since, of an engine's rows now; gauges are as of now."""
        counters = now.counters.copy()
        n_rows = len(self.counters)
        for name in COUNTERS:
            counters[name][:n_rows] -= self.counters[name]
        pages = now.state.pages.copy()
        pages[: len(self.pages)] -= self.pages
        state = SketchState(self._stats_since(now.state.stats), now.state.page_keys, pages)
        return Exported(now.keys, counters, state, now.span_ns - self.span_ns, None)

    def _stats_since(self, now: npt.NDArray[Any]) -> npt.NDArray[Any]:
        stats = now.copy()
        old = stats[: len(self.stats)]
        borrow = old["sum_lo"] < self.stats["sum_lo"]
        old["count"] -= self.stats["count"]
        old["sum_lo"] -= self.stats["sum_lo"]
        old["sum_hi"] -= self.stats["sum_hi"] + borrow
        stats[stats["count"] == 0] = np.zeros(1, SKETCH_STATS)[0]
        return stats
