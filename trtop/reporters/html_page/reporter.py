"""HTML: a report for people, one file that loads nothing and works from ``file://``.

Takes one snapshot and what was recorded beside it, writes one page. Its own style and script are
allowed by their hashes, everything else is forbidden by the page's policy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import TextIO

from trtop.metrics.columns import COLUMNS, Column
from trtop.reporters.html_page.body import body
from trtop.reporters.html_page.data import PageRows, page_data
from trtop.reporters.html_page.encoding import content_hash, script_json
from trtop.reporters.html_page.recorded import Recording
from trtop.table.rows import quick_rows
from trtop.table.style import TableStyle
from trtop_core.snapshot import Snapshot

MAX_ROWS = 2_000
"""Rows of a page; more are slow to sort, and nobody reads them."""

N_COLUMNS = 18
"""The most important ones, unless the user chose others."""

SCRIPTS = ("numbers.js", "plots.js", "timeline.js", "rows.js", "detail.js", "page.js")
STYLE = "page.css"


class HtmlReporter:
    """Writes a snapshot as a page.

    Args:
        stream: where to.
        style: says which columns and thresholds the user chose.
        recording: what came when; None where nobody knows.
    """

    def __init__(
        self,
        stream: TextIO,
        style: Callable[[], TableStyle],
        recording: Recording | None = None,
    ) -> None:
        self._stream = stream
        self._style = style
        self._recording = recording

    def report(self, snapshot: Snapshot) -> None:
        """Write one page."""
        style = self._style()
        recorded = None if self._recording is None else self._recording(snapshot)
        columns = style.columns or default_columns()
        rows = list(islice(quick_rows(snapshot), MAX_ROWS))
        page = PageRows(snapshot, rows, columns, recorded)
        data = page_data(page)
        script, sheet = _script(), _file(STYLE)
        write = self._stream.write
        policy = (
            f"default-src 'none'; script-src {content_hash(script)}; "
            f"style-src {content_hash(sheet)}; base-uri 'none'; form-action 'none'"
        )
        write('<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n')
        write(f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n')
        write('<meta name="viewport" content="width=device-width, initial-scale=1">\n')
        write('<meta name="referrer" content="no-referrer">\n')
        write("<title>trtop: TCP connections by destination</title>\n")
        write(f"<style>{sheet}</style></head>\n<body>\n")
        for piece in body(page, style.thresholds, len(data["details"])):
            write(_ascii(piece))
        write('\n<script type="application/json" id="data">')
        write(script_json(data))
        write(f"</script>\n<script>{script}</script>\n</body></html>\n")
        self._stream.flush()


def load_parts() -> None:
    """Read what every page holds, for a process that will not be able to read it later."""
    for name in (*SCRIPTS, STYLE):
        _file(name)


def default_columns() -> Sequence[Column]:
    """The most important columns, in the order of the screen."""
    chosen = sorted(COLUMNS, key=lambda column: column.importance)[:N_COLUMNS]
    return [column for column in COLUMNS if column in chosen]


def _ascii(text: str) -> str:
    """Markup in ASCII: a page is the same whatever the encoding of the stream."""
    return text.encode("ascii", "xmlcharrefreplace").decode("ascii")


@cache
def _file(name: str) -> str:
    return files("trtop.reporters.html_page").joinpath(name).read_text(encoding="utf-8")


@cache
def _script() -> str:
    return "\n".join(_file(name) for name in SCRIPTS)
