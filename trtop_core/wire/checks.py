"""What questions must keep to besides what their types do; ``ValueError`` where one does not.

Called by whoever reads a question from bytes, and by whoever reads it again in an answer.
"""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from trtop_core.activity import ActivityView
from trtop_core.detail import DetailView
from trtop_core.records import DestinationKind
from trtop_core.trends import TrendView

MAX_CONNECTIONS = 1000
"""Connections of each kind in a detail: far more than anybody reads."""

_KINDS = tuple(int(kind) for kind in DestinationKind)


def check_detail_view(view: DetailView) -> None:
    """What a question about a destination must keep to besides what every one does.

    Raises:
        ValueError: it does not.
    """
    if view.kind not in _KINDS:
        raise ValueError("a destination is of no known kind")
    if view.n_connections > MAX_CONNECTIONS:
        raise ValueError(f"at most {MAX_CONNECTIONS:,} connections can be asked for")


def check_trend_view(view: TrendView) -> None:
    """What a question about some rows must keep to besides what every one does.

    Raises:
        ValueError: it does not.
    """
    _check_rows(view.rows)


def check_activity_view(view: ActivityView) -> None:
    """What a question about what was when must keep to besides what every one does.

    Raises:
        ValueError: it does not.
    """
    _check_rows(view.rows)


def _check_rows(rows: npt.NDArray[Any]) -> None:
    if rows["_pad"].any() or not all(kind in _KINDS for kind in rows["kind"].tolist()):
        raise ValueError("a destination is of no known kind")
