"""What a user meant by a capture that is not there: an interface, or a command.

Takes the names that were given, gives one line. Looks whether files and interfaces exist, opens
nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from trtop.options.commands import NAMES

INTERFACES = "/sys/class/net"

INTERFACE_NAMES = r"any|lo|(eth|wlan|bond|br|tun|tap|wg|docker|veth)[0-9]+|en[opsx]\w+"
"""What interfaces are called, here or on another machine."""

LIKENESS = 0.6
"""Of a word and a command that it may have been meant for."""


def what_was_meant(inputs: Sequence[str]) -> str | None:
    """A line for the first input that is not there and looks like something else; else None."""
    for name in inputs:
        if not name or os.sep in name or "\0" in name or os.path.lexists(name):
            continue
        if re.fullmatch(INTERFACE_NAMES, name) or os.path.isdir(os.path.join(INTERFACES, name)):
            return f"{name}: no such file; to capture on an interface: sudo trtop live -i {name}"
        import difflib  # noqa: PLC0415 - only for a slip of the pen

        near = difflib.get_close_matches(name.lower(), NAMES, 1, LIKENESS)
        if near:
            return f"{name}: no such file; did you mean trtop {near[0]}?"
    return None
