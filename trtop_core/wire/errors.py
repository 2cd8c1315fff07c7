"""What can be wrong with bytes from a socket."""

from __future__ import annotations


class WireError(ValueError):
    """The bytes are no message, or one that contradicts itself; ``str()`` is one plain line."""


class WireVersionError(WireError):
    """The message is of another version of the protocol.

    Args:
        theirs: the version of the message.
        ours: the version that is spoken here.
    """

    def __init__(self, theirs: int, ours: int) -> None:
        self.theirs = theirs
        self.ours = ours
        super().__init__(f"version {theirs} of the protocol; use version {ours}")
