"""The daemon's log: lines on standard error, in the form that its reader wants.

Under systemd it goes to the journal, with fields (``journal``); where that is not to be reached, a
line begins with its priority (sd-daemon(3)). Elsewhere it begins with the time. Names from outside
are escaped. A log that cannot be written (a full disk) stops nothing.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from collections.abc import Mapping
from typing import TextIO

from trtop_daemon.system.journal import JournalHandler

PRIORITIES = {
    logging.DEBUG: 7,
    logging.INFO: 6,
    logging.WARNING: 4,
    logging.ERROR: 3,
    logging.CRITICAL: 2,
}

PLAIN_FORM = "%(asctime)s trtopd: %(levelname)s: %(message)s"


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        lines = super().format(record).splitlines() or [""]
        return "\n".join(self.marked(record, printable(line)) for line in lines)

    def marked(self, record: logging.LogRecord, line: str) -> str:
        return line


class _ForJournal(_OneLine):
    def marked(self, record: logging.LogRecord, line: str) -> str:
        return f"<{PRIORITIES.get(record.levelno, 6)}>{line}"


def start_log(environ: Mapping[str, str]) -> None:
    """Log to standard error from now on."""
    logging.raiseExceptions = False
    handler = _journal() if is_connected_to_journal(environ) else _plain(_OneLine(PLAIN_FORM))
    for name, level in (("trtop_daemon", logging.INFO), ("trtop_core", logging.INFO)):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        logger.setLevel(level)
        logger.propagate = False
    logging.addLevelName(logging.INFO, "info")
    logging.addLevelName(logging.WARNING, "warning")
    logging.addLevelName(logging.ERROR, "error")


def _journal() -> logging.Handler:
    """The journal's own socket; where it is not to be reached, lines that begin with a priority."""
    try:
        return JournalHandler(
            lambda level: PRIORITIES.get(level, PRIORITIES[logging.INFO]), printable
        )
    except OSError:
        return _plain(_ForJournal("%(message)s"))


def _plain(formatter: logging.Formatter) -> logging.Handler:
    handler = logging.StreamHandler(_unbuffered(sys.stderr))
    handler.setFormatter(formatter)
    return handler


def _unbuffered(stream: TextIO) -> TextIO:
    """The same file, of which nothing is kept that could not be written.

    What a full disk did not take would be tried again when Python ends, and change the exit status.
    """
    try:
        raw = io.FileIO(stream.fileno(), "w", closefd=False)
    except OSError:  # it is no file
        return stream
    return io.TextIOWrapper(raw, stream.encoding, "backslashreplace", write_through=True)


def is_connected_to_journal(environ: Mapping[str, str]) -> bool:
    """Standard error is the stream that systemd says it gave us (``JOURNAL_STREAM``)."""
    try:
        found = os.fstat(2)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM", "") == f"{found.st_dev}:{found.st_ino}"


def printable(text: str) -> str:
    """Control characters and the like as escapes, so that a name cannot forge a line."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
