"""Errors of the environment: one line for the user, and an exit status.

A bad packet is data and is counted; a bad call raises ``ValueError``; what is wrong with files,
permissions or formats raises ``TrtopError`` and is caught once, in ``main``.
"""

from __future__ import annotations

EXIT_OK = 0
EXIT_UNUSABLE = 1
"""Nothing could be measured: wrong options, no permission, not a capture."""
EXIT_INCOMPLETE = 2
"""Something was measured and reported, but a part of the input could not be read."""

EXIT_FOUND = 3
"""There are rows that ``--fail-on`` asks for."""

EXIT_CAPTURE_DEAD = 4
"""A daemon answered, and nothing is captured there now: its numbers stand still."""


class TrtopError(Exception):
    """Something outside the program is wrong; ``str()`` is one line that says what to do.

    Attributes:
        exit_status: what the command ends with.
    """

    exit_status = EXIT_UNUSABLE


def one_line(text: str) -> str:
    """A text in which somebody else's words stand, line feeds and the like as escapes."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def reason_of(error: OSError) -> str:
    """What the system says, without its number, behind the file that it says it of."""
    reason = error.strerror or str(error)
    return reason if error.filename is None else f"{error.filename}: {reason}"


class NotACaptureError(TrtopError):
    """The bytes are no pcap and no pcapng: nothing could be read."""


class DamagedCaptureError(TrtopError):
    """The capture is cut off or damaged; every packet before that point was given out.

    Args:
        reason: what is wrong, in plain words.
        offset_bytes: offset in the (decompressed) stream of the record that broke.
        n_packets: packets that were read before it.
    """

    exit_status = EXIT_INCOMPLETE

    def __init__(self, reason: str, offset_bytes: int, n_packets: int) -> None:
        self.reason = reason
        self.offset_bytes = offset_bytes
        self.n_packets = n_packets
        super().__init__(f"{reason} at byte {offset_bytes:,}, after packet {n_packets:,}")
