"""The final report as files: ``PREFIX.trtop`` (the table) and ``PREFIX.json``.

Takes a snapshot and a prefix, writes both, each complete or absent.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from trtop.columns import Threshold
from trtop.reporters import JsonReporter, Reporter, TableReporter
from trtop.table import TableStyle
from trtop_core.errors import TrtopError
from trtop_core.snapshot import Snapshot

TABLE_SUFFIX = ".trtop"
JSON_SUFFIX = ".json"


def check_prefix(prefix: str) -> None:
    """Fail before the capture is read rather than after.

    Raises:
        TrtopError: its folder cannot be written to.
    """
    folder = Path(prefix).parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise TrtopError(f"--out {prefix}: {folder} is no folder that can be written to")


def write_copies(
    prefix: str, snapshot: Snapshot, thresholds: Mapping[str, Threshold], with_bins: bool
) -> None:
    """Write both files.

    Args:
        prefix: what their names begin with.
        snapshot: what they show.
        thresholds: what is marked in the table.
        with_bins: whether the sketches' bins are in the JSON.

    Raises:
        TrtopError: a file cannot be written.
    """
    style = TableStyle(thresholds=thresholds)
    for suffix in (TABLE_SUFFIX, JSON_SUFFIX):
        path = f"{prefix}{suffix}"
        part = f"{path}.part"
        try:
            with open(part, "w", encoding="utf-8") as stream:
                reporter: Reporter = (
                    TableReporter(stream, style)
                    if suffix == TABLE_SUFFIX
                    else JsonReporter(stream, with_bins)
                )
                reporter.report(snapshot)
            os.replace(part, path)
        except OSError as error:
            raise TrtopError(f"{path}: cannot be written: {error.strerror}") from error
