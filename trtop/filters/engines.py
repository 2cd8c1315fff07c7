"""A filter asked of an engine: only the rows that it shows are written out.

Takes an engine, a view and a filter; gives what ``filters.snapshots`` gives of a snapshot with all
rows, at less cost: of a latency that the filter asks for, one percentile of each row is worked out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from trtop.filters.filter import Filter
from trtop.filters.rows import Mask, Rows
from trtop_core.engine import Engine
from trtop_core.query import Candidates
from trtop_core.snapshot import Filtered, Snapshot
from trtop_core.view import View

Labels: TypeAlias = Callable[[npt.NDArray[Any]], Sequence[str]]
"""What rows of some keys are called."""


def filtered_of_engine(engine: Engine, view: View, chosen: Filter, labels: Labels) -> Snapshot:
    """The rows that a filter shows, in the view's order and up to its limit.

    Args:
        engine: has all rows.
        view: what is asked for of these rows.
        chosen: the filter.
        labels: what rows are called; asked only if a word needs it.

    Raises:
        ValueError: as ``Engine.snapshot``.
    """
    said: list[str] = []
    n_shown = 0

    def choose(candidates: Candidates, span_ns: int, loss: float | None) -> Mask:
        nonlocal n_shown
        label_list = lambda: labels(candidates.keys)  # noqa: E731
        rows = Rows(candidates, label_list, span_ns, view.percentile, loss)
        shown, remarks = chosen.shown(rows)
        said.extend(remarks)
        n_shown = int(np.count_nonzero(shown))
        return shown

    snapshot = engine.chosen_snapshot(view, choose)
    left = Filtered(chosen.text, snapshot.n_destinations, tuple(said))
    return replace(snapshot, n_destinations=n_shown, filtered=left)
