"""Ports that stand out: where nearly all that is wrong with an address happens at one port.

Takes the rows of an address, one for each of its ports, gives a port for each cause. A pure
function.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core.verdicts.causes import Cause
from trtop_core.verdicts.evidence import Evidence
from trtop_core.verdicts.rules import AFFECTED

CAUSES_OF_PORTS = (Cause.REFUSED, Cause.NO_ANSWER, Cause.RESET, Cause.TLS_FAILS, Cause.SILENT)
"""Causes whose cases belong to a port: what listens there, or does not."""

NEARLY_ALL = 0.9
"""A port stands out that has this share of an address's cases."""


def standing_out(
    ports: npt.NDArray[np.uint16],
    counters: npt.NDArray[Any],
    labels: npt.NDArray[np.intp],
    n_groups: int,
) -> npt.NDArray[np.uint16]:
    """The port that stands out in each group, by cause; 0 where none does.

    Args:
        ports: shape (n,), each once within its group.
        counters: shape (n,), dtype ``metrics.COUNTER_ROW``.
        labels: shape (n,): the group of each, within 0 … n_groups - 1.
        n_groups: addresses.

    Returns:
        Shape (n_groups, n_causes), in the order of ``CAUSES_OF_PORTS``.
    """
    evidence = Evidence(counters, {}, None)
    found = np.zeros((n_groups, len(CAUSES_OF_PORTS)), np.uint16)
    for place, cause in enumerate(CAUSES_OF_PORTS):
        cases = AFFECTED[cause](evidence)
        of_groups = np.bincount(labels, cases, n_groups)
        chosen = np.flatnonzero((cases > 0) & (cases >= NEARLY_ALL * of_groups[labels]))
        found[labels[chosen], place] = ports[chosen]
    return found
