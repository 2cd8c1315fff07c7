"""Classic histograms out of sketches: how many samples lie at or below each of some bounds.

Takes sketches of n rows and bounds in their unit, gives cumulative counts. A bin lies below a bound
as a whole or not at all: exactly where the bound is the end of a bin, else as its middle does, so
that a count is that of a bound at most 0.55 % away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from trtop_core.metric_types import Unit
from trtop_core.metrics import METRIC_OF
from trtop_core.records import NS_PER_S
from trtop_core.sketch import MIDDLE, SketchColumn

COUNT_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 4_096)
"""Of what is counted rather than timed; powers of two end a bin, and so are exact."""


def bounds_of(name: str, bounds_s: Sequence[float]) -> tuple[float, ...]:
    """The bounds of one distribution, in the unit in which it is exported.

    Args:
        name: of ``metrics.SKETCHES``.
        bounds_s: of latencies, in seconds.
    """
    return tuple(bounds_s) if METRIC_OF[name].unit is Unit.NS else tuple(map(float, COUNT_BOUNDS))


def cumulative(column: SketchColumn, name: str, bounds: Sequence[float]) -> npt.NDArray[np.int64]:
    """Samples at or below each bound.

    Args:
        column: one sketch for each of n rows.
        name: of ``metrics.SKETCHES``.
        bounds: ascending, as ``bounds_of`` gives them.

    Returns:
        Shape (n, n_bounds).
    """
    scale = NS_PER_S if METRIC_OF[name].unit is Unit.NS else 1
    stored = np.rint(np.asarray(bounds) * scale).astype(np.int64)
    slots = np.searchsorted(stored, MIDDLE, side="left")
    counts = np.zeros((len(column), len(stored) + 1), np.int64)
    rows = np.repeat(np.arange(len(column)), np.diff(column.indptr))
    np.add.at(counts, (rows, slots[column.bins]), column.counts)
    return np.cumsum(counts[:, :-1], axis=1)
