"""What a segment without new data is: a keep-alive, reordered, or sent again."""

from __future__ import annotations

from .direction import Direction
from .packets.decode import Segment

# A retransmission takes a round trip: what fills a hole sooner was reordered. In tenths of the
# floor; at least, and without a floor (Wireshark's default), in ns.
FLOOR_TENTHS = 9
MIN_REORDER_NS = 1_000_000
UNKNOWN_REORDER_NS = 3_000_000


def is_keepalive(own: Direction, segment: Segment) -> bool:
    """Whether a segment of 0 or 1 byte repeats the last number, all before being acknowledged."""
    if segment.is_syn or segment.is_fin or segment.payload_len > 1:
        return False
    if own.reached is None or own.highest_ack is None or own.highest_ack < own.reached:
        return False
    return own.unwrap(segment.seq) == own.reached - 1


def is_young(age_ns: int, floor_ns: int | None) -> bool:
    """Whether a hole of this age was filled too soon for a retransmission."""
    if floor_ns is None:
        return age_ns < UNKNOWN_REORDER_NS
    return age_ns < MIN_REORDER_NS or age_ns * 10 < floor_ns * FLOOR_TENTHS
