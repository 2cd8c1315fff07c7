"""The command line of a script, read once, when one of its values is first used.

Gives frozen ``Options``. Holds no parts and makes none: collectors, analyzers and reporters may
all ask here.
"""

from __future__ import annotations

import sys

from trtop.escape import escape
from trtop.options.report_options import Options, parse
from trtop_core.errors import TrtopError

_read: list[Options] = []
"""What the process was told; empty until somebody asks."""


def options() -> Options:
    """What the command line of this process says; reads it the first time.

    Raises:
        SystemExit: it makes no sense, which was said in one line.
    """
    if not _read:
        try:
            _read.append(parse(sys.argv[1:], needs_input=False))
            for note in _read[0].notes:
                complain(note)
        except TrtopError as error:
            complain(str(error))
            raise SystemExit(error.exit_status) from None
    return _read[0]


def set_options(given: Options) -> None:
    """Take options that somebody else has read already."""
    _read[:] = [given]


def complain(message: str) -> None:
    """One line on standard error."""
    sys.stderr.write(f"trtop: {escape(message)}\n")
