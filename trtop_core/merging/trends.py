"""The trends of connection-disjoint parts of a capture as those of all of it.

Takes what engines gave to one question, gives one ``Trends``; numpy only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trtop_core._window import EPOCH_NS, LEVELS
from trtop_core.trends import Trends, TrendView


def merge_trends(parts: Sequence[Trends], view: TrendView) -> Trends:
    """One answer of connection-disjoint parts of one capture.

    Errors are those of one engine. A slot's percentile of response times is the greatest of the
    parts': that of all is not above it.

    Args:
        parts: answers to ``view``, each of another part.
        view: the question.

    Raises:
        ValueError: there are none.
    """
    if not parts:
        raise ValueError("there is nothing to merge")
    _, n_epochs, max_slots = next(spec for spec in LEVELS if spec[0] == int(view.window))
    slot_ns = n_epochs * EPOCH_NS
    numbers = [part.starts_ns // slot_ns for part in parts]
    known = np.unique(np.concatenate(numbers))
    if not len(known):
        return parts[0]
    last = int(known[-1])
    first = max(int(known[0]), last - max_slots + 1)
    # Between a part that stopped long ago and the others there may be slots that nobody has.
    starts_ns = np.arange(first, last + 1, dtype=np.int64) * slot_ns
    begun_ns, ends_ns = starts_ns + slot_ns, starts_ns.copy()
    shape = (len(view.rows), len(starts_ns))
    errors, times = np.zeros(shape, np.int64), np.full(shape, -1, np.int64)
    for part, of_part in zip(parts, numbers, strict=True):
        is_kept = of_part >= first
        places = of_part[is_kept] - first
        np.minimum.at(begun_ns, places, part.starts_ns[is_kept])
        np.maximum.at(ends_ns, places, (part.starts_ns + part.spans_ns)[is_kept])
        np.add.at(errors.T, places, part.errors[:, is_kept].T)
        np.maximum.at(times.T, places, part.response_time_ns[:, is_kept].T)
    nobody = ends_ns <= starts_ns
    begun_ns[nobody], ends_ns[nobody] = starts_ns[nobody], starts_ns[nobody] + slot_ns
    return Trends(view, begun_ns, ends_ns - begun_ns, errors, times)
