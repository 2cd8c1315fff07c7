"""What ``s`` writes: what is looked at as text, and all its rows as JSON."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TextIO

from trtop.metrics.columns import COLUMNS
from trtop.reporters.files import JSON_SUFFIX, TABLE_SUFFIX, write_files
from trtop.reporters.json_document import JsonReporter
from trtop.table.render import render
from trtop.table.style import TableStyle
from trtop.table.text import plain
from trtop.tui.frame import TerminalCaps
from trtop.tui.pages.registry import PAGE_OF_MODE
from trtop.tui.scene import Scene
from trtop.tui.state import Grouping
from trtop.tui.view_model import Names, make_view_model, recorded
from trtop_core.errors import TrtopError
from trtop_core.snapshot import Snapshot

SAVE_WIDTH = 132
"""Characters of a line of a saved drill-down."""


def is_there(prefix: str) -> bool:
    """Whether saving would replace a file."""
    return any(os.path.lexists(f"{prefix}{suffix}") for suffix in (TABLE_SUFFIX, JSON_SUFFIX))


def save(
    prefix: str, scene: Scene, answer: Snapshot, baseline: Snapshot | None, names: Names | None
) -> str:
    """Write PREFIX.trtop and PREFIX.json.

    Args:
        prefix: what the paths begin with.
        scene: what is looked at.
        answer: with all rows of it.
        baseline: numbers count from here on.
        names: what destinations are called, None for addresses alone.

    Returns:
        What became of it, in one sentence.
    """
    state, n_all = scene.state, max(1, answer.n_destinations)
    rows = make_view_model(answer, state, n_all, baseline, names)
    listed = rows
    if state.shown_grouping is Grouping.NAME:
        # A record is of one address, whatever it is called.
        by_address = replace(state, grouping=Grouping.ADDR)
        listed = make_view_model(answer, by_address, n_all, baseline, names)

    def write_text(stream: TextIO) -> None:
        page = PAGE_OF_MODE.get(scene.state.mode)
        if page is not None and page.is_saved:
            lines = page.lines(scene, SAVE_WIDTH, TerminalCaps(color=False))
            text = [plain(line) for line in lines]
        else:
            chosen = tuple(state.shown_columns)
            columns = () if chosen == COLUMNS else chosen
            style = TableStyle(thresholds=scene.thresholds, columns=columns)
            text = list(render(rows.snapshot, style, rows.names))
        stream.writelines(f"{line.rstrip()}\n" for line in text)

    def write_json(stream: TextIO) -> None:
        JsonReporter(stream).report(recorded(listed, names))

    try:
        write_files(prefix, {TABLE_SUFFIX: write_text, JSON_SUFFIX: write_json})
    except (TrtopError, ValueError) as error:  # ValueError: a NUL in the path
        return str(error)
    return f"saved {prefix}{TABLE_SUFFIX} and {prefix}{JSON_SUFFIX}"
