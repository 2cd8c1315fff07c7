"""``rows_of_keys``: which of an engine's rows make up the rows that a question names."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core.records import DestinationKind, GroupBy

_MIX = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
"""Odd multipliers: equal keys have equal sums, and few others do."""


def rows_of_keys(
    keys: npt.NDArray[Any], wanted: npt.NDArray[Any], group_by: GroupBy
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """An engine's rows that make up those of a question.

    Args:
        keys: shape (n,), dtype ``records.DESTINATION_KEY``: the engine's.
        wanted: shape (m,): those of the question; of equal ones the first counts.
        group_by: how the question's are grouped.

    Returns:
        Row numbers, ascending, and the place in ``wanted`` of each.
    """
    place_of: dict[bytes, int] = {}
    for place, key in enumerate(wanted):
        place_of.setdefault(key.tobytes(), place)
    shown = keys.copy()
    if group_by is GroupBy.ADDR:
        shown["port"] = 0
        shown["kind"][shown["kind"] == DestinationKind.ADDR_PORT] = DestinationKind.ADDR
    likely = np.flatnonzero(np.isin(_mixed(shown), _mixed(wanted)))
    found = [(row, place_of.get(shown[row].tobytes(), -1)) for row in likely.tolist()]
    pairs = np.array([pair for pair in found if pair[1] >= 0], np.intp).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _mixed(keys: npt.NDArray[Any]) -> npt.NDArray[np.uint64]:
    """One number for each key."""
    words = np.ascontiguousarray(keys).view(np.uint64).reshape(len(keys), len(_MIX))
    mixed = np.zeros(len(keys), np.uint64)
    for column, factor in zip(words.T, _MIX, strict=True):
        mixed ^= column * np.uint64(factor)
    return mixed
