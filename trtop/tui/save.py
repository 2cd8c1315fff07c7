"""What ``s`` writes: what is looked at as text, all its rows as JSON, and a page for a browser."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import TextIO

from trtop.metrics.columns import COLUMNS
from trtop.reporters.files import HTML_SUFFIX, JSON_SUFFIX, TABLE_SUFFIX, write_files
from trtop.reporters.html_page.recorded import Recording
from trtop.reporters.html_page.reporter import HtmlReporter
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


SUFFIXES = (TABLE_SUFFIX, JSON_SUFFIX, HTML_SUFFIX)


def is_there(prefix: str) -> bool:
    """Whether saving would replace a file."""
    return any(os.path.lexists(f"{prefix}{suffix}") for suffix in SUFFIXES)


def prefix_of(name: str) -> str:
    """What was typed as a prefix; the name of one of the files stands for its prefix."""
    name = os.path.expanduser(name)
    for suffix in SUFFIXES:
        if name.endswith(suffix) and len(name) > len(suffix):
            return name.removesuffix(suffix)
    return name


def save(
    prefix: str,
    scene: Scene,
    answer: Snapshot,
    baseline: Snapshot | None,
    names: Names | None,
    recording: Recording | None = None,
) -> str:
    """Write PREFIX.trtop, PREFIX.json and PREFIX.html.

    Args:
        prefix: what the paths begin with.
        scene: what is looked at.
        answer: with all rows of it.
        baseline: numbers count from here on.
        names: what destinations are called, None for addresses alone.
        recording: what the page shows of what came when; None where nobody kept it.

    Returns:
        What became of it, in one sentence.

    Raises:
        PermissionError: this process may not write there.
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

    def write_page(stream: TextIO) -> None:
        style = TableStyle(thresholds=scene.thresholds)
        HtmlReporter(stream, lambda: style, recording).report(recorded(listed, names))

    writers: dict[str, Callable[[TextIO], None]] = {
        TABLE_SUFFIX: write_text,
        JSON_SUFFIX: write_json,
        HTML_SUFFIX: write_page,
    }
    try:
        write_files(prefix, writers)
    except (TrtopError, ValueError) as error:  # ValueError: a NUL in the path
        if isinstance(error.__cause__, PermissionError):
            raise error.__cause__ from None
        return str(error)
    return f"saved {prefix}{TABLE_SUFFIX}, {JSON_SUFFIX} and {HTML_SUFFIX}"
