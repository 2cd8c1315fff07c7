"""``JournalHandler``: the log as records of systemd's journal, with fields that can be asked for.

Takes records of ``logging``, sends each as one datagram in the journal's own form
(systemd.io/JOURNAL_NATIVE_PROTOCOL). What a record has to say besides its text is in its ``fields``
(``extra={"fields": {...}}``); each becomes ``TRTOP_NAME=``. A journal that takes nothing stops
nothing.
"""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Callable

JOURNAL_SOCKET = "/run/systemd/journal/socket"

IDENTIFIER = "trtopd"

PREFIX = "TRTOP_"

MAX_TEXT = 16_384
"""Characters of a message: what fits into a datagram with all its fields."""


class JournalHandler(logging.Handler):
    """Sends records to the journal.

    Args:
        priority_of: a level of ``logging`` as a priority of syslog(3).
        clean: makes text from outside safe to show.
        path: the journal's socket.

    Raises:
        OSError: there is no journal.
    """

    def __init__(
        self,
        priority_of: Callable[[int], int],
        clean: Callable[[str], str],
        path: str = JOURNAL_SOCKET,
    ) -> None:
        super().__init__()
        self._priority_of = priority_of
        self._clean = clean
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            # Connected now: later there may be no right to.
            self._socket.connect(path)
            self._socket.setblocking(False)
        except OSError:
            self._socket.close()
            raise

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        try:
            message = self._clean(record.getMessage())
            if record.exc_info:
                lines = logging.Formatter().formatException(record.exc_info).splitlines()
                message = "\n".join([message, *map(self._clean, lines)])
            fields = {
                "MESSAGE": message[:MAX_TEXT],
                "PRIORITY": self._priority_of(record.levelno),
                "SYSLOG_IDENTIFIER": IDENTIFIER,
                "CODE_FUNC": record.funcName,
                "LOGGER": record.name,
            }
            for name, value in getattr(record, "fields", {}).items():
                fields[PREFIX + name.upper()] = value
            self._socket.send(b"".join(_field(name, str(text)) for name, text in fields.items()))
        except (OSError, ValueError):
            self.handleError(record)

    def close(self) -> None:
        """Send no more."""
        self._socket.close()
        super().close()


def _field(name: str, text: str) -> bytes:
    data = text.encode(errors="backslashreplace")
    if b"\n" not in data:
        return b"%s=%s\n" % (name.encode(), data)
    return b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(data)), data)
