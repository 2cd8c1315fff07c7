"""Snapshots of several machines in one picture, each row with the machine that saw it.

Takes snapshots by host, gives one snapshot; where rows need not be kept apart, ``snapshot.merge``
does without hosts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from trtop_core.snapshot import Snapshot, Table, arrange, merge
from trtop_core.view import View


def merge_by_host(parts: Mapping[str, Snapshot], view: View) -> Snapshot:
    """One snapshot whose rows are those of all parts, each under its host.

    Args:
        parts: snapshots taken without a limit, with the same window, by the name of the host.
        view: how to group, sort and limit the result.

    Raises:
        ValueError: there are none, windows differ, or one has left out rows.
    """
    merged = merge(list(parts.values()), replace(view, limit=None))
    tables = [part.table.grouped(view.group_by) for part in parts.values()]
    table = Table.concatenated(tables)
    names = np.array(list(parts), np.str_)
    hosts = names[np.repeat(np.arange(len(parts)), [len(part) for part in tables])]
    rows = replace(table, hosts=hosts)
    return replace(
        merged,
        view=view,
        table=arrange(rows, view),
        total=replace(merged.total, hosts=np.array([""], np.str_)),
        n_destinations=len(rows),
    )
