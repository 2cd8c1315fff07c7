"""Reports as files: PREFIX.trtop (text), PREFIX.json, PREFIX.html, each complete or absent.

Takes a snapshot and a prefix, writes the table, the JSON document and the page.
Never writes on a terminal.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TextIO

from trtop.reporters.formats import Format, make_reporter
from trtop.table.style import TableStyle
from trtop_core.errors import TrtopError
from trtop_core.snapshot import Snapshot

if TYPE_CHECKING:
    from trtop.reporters.html_page.recorded import Recording

TABLE_SUFFIX = ".trtop"
JSON_SUFFIX = ".json"
HTML_SUFFIX = ".html"


def check_prefix(prefix: str) -> None:
    """Fail before the capture is read rather than after.

    Raises:
        TrtopError: files of that prefix cannot be written.
    """
    if not prefix or prefix.endswith("/") or os.path.isdir(prefix):
        raise TrtopError(f"--out {prefix or repr(prefix)}: is no beginning of a file name")
    folder = os.path.dirname(prefix) or "."
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise TrtopError(f"--out {prefix}: {folder} is no folder that can be written to")


def write_files(prefix: str, writers: dict[str, Callable[[TextIO], None]]) -> None:
    """Write files; one that exists is replaced when the new one is complete.

    Args:
        prefix: what paths begin with.
        writers: by suffix, what writes the file.

    Raises:
        TrtopError: one of them cannot be written.
    """
    for suffix, write in writers.items():
        path = f"{prefix}{suffix}"
        part = f"{path}.part"
        try:
            with open(part, "w", encoding="utf-8") as stream:
                write(stream)
            os.replace(part, path)
        except OSError as error:
            raise TrtopError(f"{path}: cannot be written: {error.strerror}") from error


def copy_report(
    snapshot: Snapshot,
    prefix: str,
    style: TableStyle,
    with_bins: bool,
    recording: Recording | None = None,
) -> None:
    """The final report as files, each complete or absent.

    Args:
        snapshot: what is reported.
        prefix: what paths begin with.
        style: thresholds that the user set, and columns; none: all.
        with_bins: JSON holds the sketches' bins.
        recording: what a page shows besides; None: there is no page.

    Raises:
        TrtopError: one of them cannot be written.
    """

    def write_as(report_format: Format) -> Callable[[TextIO], None]:
        return lambda stream: make_reporter(
            report_format, stream, lambda: style, with_bins, recording
        ).report(snapshot)

    writers = {TABLE_SUFFIX: write_as(Format.TABLE), JSON_SUFFIX: write_as(Format.JSON)}
    if recording is not None:
        writers[HTML_SUFFIX] = write_as(Format.HTML)
    write_files(prefix, writers)
