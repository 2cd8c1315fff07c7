# What the alternation of requests and responses is told of one segment.

from libc.stdint cimport int64_t, uint8_t, uint32_t

from trtop_core._connection cimport connection_t
from trtop_core._direction cimport taken_t
from trtop_core._records cimport counter_row_t, segment_t
from trtop_core._walk cimport piece_t

cdef struct segment_context_t:
    const segment_t* segment
    const uint8_t* payload   # what was captured of it
    connection_t* c
    counter_row_t* row
    taken_t taken
    int64_t now_ns           # clock
    int64_t acked            # what it acknowledges of the peer; without `has_ack` beyond all
    int64_t own_start        # where a turn would start that begins with it
    int64_t peer_start       # if `knows_peer`; a sequence number if `is_peer_raw`
    int64_t floor_ns         # the least round trip before it, if `has_floor`
    bint has_ack
    bint knows_peer
    bint is_peer_raw
    bint has_floor
    bint from_client

cdef inline piece_t new_bytes(const segment_context_t* at) noexcept nogil:
    """The bytes of a segment from its first new one on."""
    cdef piece_t piece
    cdef int64_t head = at.taken.new_start - at.taken.start
    cdef uint32_t caplen = at.segment.payload_caplen
    piece.bytes = at.payload
    piece.caplen = 0
    if head < caplen:
        piece.bytes += head
        piece.caplen = caplen - <uint32_t>head
    piece.start = at.taken.new_start
    piece.end = at.taken.data_end
    return piece
