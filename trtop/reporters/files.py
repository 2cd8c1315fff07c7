"""Reports as files: PREFIX.trtop (text), PREFIX.json, PREFIX.html, each complete or absent.

Takes a snapshot and a prefix, writes the table, the JSON document and the page.
Never writes on a terminal.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
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

PART_SUFFIX = ".part"
"""Of a file that is not complete yet."""


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
    """Write files; those that exist are replaced when all the new ones are complete.

    Args:
        prefix: what paths begin with.
        writers: by suffix, what writes the file.

    Raises:
        TrtopError: one of them cannot be written; nothing is left of it, and what was replaced
            before is said.
    """
    paths = {f"{prefix}{suffix}": write for suffix, write in writers.items()}
    path, done = prefix, list[str]()
    try:
        for path, write in paths.items():
            with open(f"{path}{PART_SUFFIX}", "w", encoding="utf-8") as stream:
                write(stream)
        for path in paths:
            os.replace(f"{path}{PART_SUFFIX}", path)
            done.append(path)
    except OSError as error:
        written = f"; written: {', '.join(done)}" if done else ""
        nothing = "; nothing was written" if len(paths) > 1 and not done else ""
        reason = f"{path}: cannot be written: {error.strerror}{written}{nothing}"
        raise TrtopError(reason) from error
    finally:
        for each in paths:
            if each not in done:
                with suppress(OSError):
                    os.unlink(f"{each}{PART_SUFFIX}")


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
