"""Which row of a named snapshot each destination of an engine is part of.

Takes the keys that an engine counts by, and a snapshot of it; gives numbers of rows. What belongs
to no row, since it is not allowed, filtered or beyond a limit, has none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from trtop.names.namer import Namer
from trtop_core.metrics import COUNTER_ROW
from trtop_core.records import DestinationKind, GroupBy
from trtop_core.snapshot import Snapshot
from trtop_core.table import Table, destination_names

NO_PLACE = -1


def places_in(
    snapshot: Snapshot, keys: npt.NDArray[Any], namer: Namer | None
) -> npt.NDArray[np.intp]:
    """The row of each key, shape (n,); ``NO_PLACE``: none.

    Args:
        snapshot: made of the engine that has the keys.
        keys: shape (n,), dtype ``records.DESTINATION_KEY``.
        namer: who named the rows; None: nobody.
    """
    by_port = snapshot.view.group_by is GroupBy.ADDR_PORT
    plain = keys.copy()
    if not by_port:
        plain["port"] = 0
        plain["kind"][plain["kind"] == DestinationKind.ADDR_PORT] = DestinationKind.ADDR
    labels = destination_names(plain)
    kept = [True] * len(keys)
    if namer is not None:
        seen = namer.look(Table(keys, np.zeros(len(keys), COUNTER_ROW), {}))
        kept = seen.kept
        ports = keys["port"].tolist()
        for i, name in enumerate(seen.names):
            if name is not None:
                labels[i] = f"{name}:{ports[i]}" if by_port else name
    by_label = {name: i for i, name in enumerate(snapshot.table.row_names())}
    own = [key.tobytes() for key in snapshot.table.keys]
    by_key = {} if snapshot.table.hosts is not None else {key: i for i, key in enumerate(own)}
    found = np.full(len(keys), NO_PLACE, np.intp)
    for i, (label, key) in enumerate(zip(labels, plain, strict=True)):
        if kept[i]:
            place = by_label.get(label)
            found[i] = by_key.get(key.tobytes(), NO_PLACE) if place is None else place
    return found
