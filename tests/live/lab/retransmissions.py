"""Counts retransmissions that a capture at the client's host must hold, from the path's own log.

The capture lies before what is lost on the way out, and behind what is lost on the way in. So of
the client's segments it holds every one, of the server's those that were let through. A segment
that was sent again is a retransmission there if something beyond its end has passed the capture
before; where nothing had (the tail was lost), it is the first that the capture sees of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from lab.forwarder import Segment
from lab.measures import Truth

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

HALF = 1 << 31


def passed_again(truth: Truth, log: Iterable[Segment]) -> Truth:
    """Give what was true, with the retransmissions that the path's log tells of."""
    counts = {True: 0, False: 0}
    reached: dict[tuple[bool, int, int], int] = {}
    for segment in log:
        if segment.is_lost and not segment.is_out:
            continue
        key = (segment.is_out, segment.sport, segment.dport)
        if segment.flags & SYN:
            reached[key] = segment.seq + 1
        if segment.flags & (SYN | RST):
            continue
        length = segment.payload_bytes + bool(segment.flags & FIN)
        if not length:  # an ACK alone tells of what it follows, and moves nothing
            continue
        end = segment.seq + length
        before = reached.get(key, segment.seq)
        if (
            not _is_beyond(end, before)
            and segment.payload_bytes
            and not _keeps_alive(segment, before)
        ):
            counts[segment.is_out] += 1
        elif _is_beyond(end, before):
            reached[key] = end
    return replace(truth, retrans_out=counts[True], retrans_in=counts[False])


def _is_beyond(one: int, other: int) -> bool:
    """Compare sequence numbers modulo 2^32 (RFC 9293 §3.4)."""
    return 0 < (one - other) % (1 << 32) < HALF


def _keeps_alive(segment: Segment, before: int) -> bool:
    return segment.payload_bytes <= 1 and (segment.seq + 1 - before) % (1 << 32) == 0
