"""TLS 1.3 session tickets, which a server sends unasked and which answer nothing.

Takes the server's segments in the first request turn behind a handshake; holds leading ones that
look like tickets, and tells when the response has begun, and with which segment. It errs to the
late side for a server that sends no tickets and whose small first record travels alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..clock import Moment
from ..data import Answer
from . import tls

MIN_TICKET_BYTES = 60
MAX_TICKET_BYTES = 1_400
# How long after the first held segment another length may still be another ticket: so many round
# trips and ns. Without a known round trip:
N_ROUND_TRIPS = 2
EXTRA_NS = 5_000_000
UNKNOWN_NS = 10_000_000


def ticket_len(payload: bytes, payload_len: int) -> int | None:
    """Return the length of the records of a ticket-like segment; None if it is not like that."""
    if len(payload) < tls.RECORD_HEADER_BYTES:
        return None
    length = int.from_bytes(payload[3:5], "big")
    record_len = tls.RECORD_HEADER_BYTES + length
    if not MIN_TICKET_BYTES <= length <= MAX_TICKET_BYTES or payload_len % record_len:
        return None
    header = payload[: tls.RECORD_HEADER_BYTES]
    for at in range(0, len(payload), record_len):
        captured = payload[at : at + tls.RECORD_HEADER_BYTES]
        if not tls.starts_record(header, tls.APPLICATION_DATA):
            return None
        if captured != header[: len(captured)]:
            return None
    return length


@dataclass
class Held:
    """Segments that look like tickets: what answers if the first of them is no ticket."""

    length: int
    answer: Answer
    end: int
    # Every held segment as (when, bytes, whether the window was closed since the one before).
    segments: list[tuple[Moment, int, bool]]

    def may_be_ticket(self, length: int, moment: Moment, floor_ns: int | None) -> bool:
        """Whether a further ticket-like segment may be one more ticket."""
        limit_ns = UNKNOWN_NS if floor_ns is None else N_ROUND_TRIPS * floor_ns + EXTRA_NS
        return length == self.length or moment.ns - self.answer.moment.ns <= limit_ns
