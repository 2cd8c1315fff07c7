# What one side of a connection has sent and what the other acknowledged of it.
#
# Takes the sequence numbers of segments and the peer's ACKs; tells what of a segment is new, what
# filled a hole, and how many bytes an ACK newly acknowledged. Never looks at payload.

from libc.stdint cimport int32_t, int64_t, uint32_t

from trtop_core._clock cimport BEFORE_ALL_NS
from trtop_core._connection cimport (
    D_ACKED,
    D_EARLY_ACK,
    D_FIN,
    D_HAS_SENT,
    D_HIGHEST_ACK,
    D_KNOWS_START,
    D_REACHED,
    direction_t,
)
from trtop_core._holes cimport N_DROPPED, N_OPEN, HolePool, filled_t

cdef enum:
    MAX_ACK_AHEAD = 1 << 30  # an ACK further beyond what was sent is not believed

# What a segment's sequence space turned out to be.
cdef struct taken_t:
    int64_t start
    int64_t data_end
    int64_t end
    int64_t new_start        # its first new position
    int64_t reached_before
    int64_t n_bytes          # payload that was not held before
    int64_t filled_to        # end of its last payload that fell into an open hole; else `start`
    int64_t youngest_ns      # of the holes that it fell into
    bint filled_hole
    bint has_new_data
    bint is_first_fin

# The position nearest to what was reached that has this sequence number.
cdef inline int64_t unwrap(const direction_t* d, uint32_t number) noexcept nogil:
    if not d.flags & D_REACHED:
        return number
    return d.reached + <int32_t>(number - <uint32_t>d.reached)

# The common case of `take_segment`: nothing is missing, and the segment follows what was reached
# or carries nothing. False if it is not that case; then nothing was done.
cdef inline bint take_in_order(
    direction_t* d, uint32_t seq, uint32_t payload_len, taken_t* taken
) noexcept nogil:
    cdef int64_t start = d.reached + <int32_t>(seq - <uint32_t>d.reached)
    if d.holes or d.frontier != d.reached:
        return False
    if payload_len and start != d.reached:
        return False
    taken.start = start
    taken.data_end = taken.end = start + payload_len
    taken.new_start = max(start, d.reached)
    taken.reached_before = d.reached
    taken.n_bytes = payload_len
    taken.filled_to = start
    taken.youngest_ns = 0
    taken.filled_hole = False
    taken.has_new_data = payload_len > 0
    taken.is_first_fin = False
    if payload_len:
        d.reached = d.frontier = taken.end
        d.flags |= D_HAS_SENT
    return True

# The common case of `acknowledge`: it lies within what was sent, and nothing is missing there.
# Gives the bytes newly acknowledged, or -1 if it is not that case; then nothing was done.
cdef inline int64_t acknowledge_in_order(direction_t* d, uint32_t ack) noexcept nogil:
    cdef int64_t position = d.reached + <int32_t>(ack - <uint32_t>d.reached)
    cdef int64_t n_bytes
    if d.flags & (D_REACHED | D_ACKED | D_HIGHEST_ACK) != D_REACHED | D_ACKED | D_HIGHEST_ACK:
        return -1
    if d.holes or position > d.reached or position > d.frontier:
        return -1
    if position > d.highest_ack:
        d.highest_ack = position
    if position <= d.acked:
        return 0
    n_bytes = position - d.acked
    d.acked = position
    return n_bytes

cdef inline int64_t start_at(
    direction_t* d, HolePool holes, uint32_t seq, int64_t ts_ns, int64_t now_ns
) noexcept nogil:
    """Begin with the sequence number after a SYN; give the bytes acknowledged already."""
    cdef int64_t position = unwrap(d, seq)
    cdef uint32_t first_ack, highest_ack
    cdef bint has_acks
    d.flags |= D_KNOWS_START
    d.lost_below = BEFORE_ALL_NS
    if d.flags & D_REACHED and d.flags & D_HAS_SENT and position <= d.reached:
        return 0
    if d.flags & D_HIGHEST_ACK:
        has_acks = True
        first_ack = highest_ack = <uint32_t>d.highest_ack
    else:
        has_acks = (d.flags & D_EARLY_ACK) != 0
        first_ack, highest_ack = <uint32_t>d.frontier, <uint32_t>d.reached
    holes.clear(d)
    d.reached = d.frontier = d.acked = position
    d.flags = (d.flags | D_REACHED | D_ACKED) & ~(D_HIGHEST_ACK | D_EARLY_ACK)
    if not has_acks:
        return 0
    return replay(d, holes, first_ack, highest_ack, ts_ns, now_ns)

cdef inline int64_t begin(
    direction_t* d, HolePool holes, uint32_t seq, int64_t ts_ns, int64_t now_ns
) noexcept nogil:
    """Begin in mid-stream with a first segment; give the bytes acknowledged already."""
    cdef uint32_t first_ack, highest_ack
    cdef bint has_acks = (d.flags & D_EARLY_ACK) != 0
    if d.flags & D_REACHED:
        return 0
    first_ack, highest_ack = <uint32_t>d.frontier, <uint32_t>d.reached
    d.reached = d.frontier = d.acked = seq
    d.lost_below = max(d.lost_below, d.reached)
    d.flags = (d.flags | D_REACHED) & ~D_EARLY_ACK
    if not has_acks:
        return 0
    return replay(d, holes, first_ack, highest_ack, ts_ns, now_ns)

cdef inline int64_t replay(
    direction_t* d,
    HolePool holes,
    uint32_t first_ack,
    uint32_t highest_ack,
    int64_t ts_ns,
    int64_t now_ns,
) noexcept nogil:
    """Account for the ACKs that came before the direction was seen: its first and its highest."""
    cdef int64_t n_bytes = acknowledge(d, holes, first_ack, ts_ns, now_ns)
    if highest_ack != first_ack:
        n_bytes += acknowledge(d, holes, highest_ack, ts_ns, now_ns)
    return n_bytes

cdef inline void take_segment(
    direction_t* d,
    HolePool holes,
    uint32_t seq,
    uint32_t payload_len,
    bint is_fin,
    int64_t ts_ns,
    taken_t* taken,
) noexcept nogil:
    """Account for a segment's payload and FIN."""
    cdef int64_t start = unwrap(d, seq)
    cdef int64_t data_end = start + payload_len
    cdef int64_t end = data_end + (1 if is_fin else 0)
    cdef int64_t reached = d.reached
    cdef int64_t new_start = max(start, reached)
    cdef int64_t n_new = max(<int64_t>0, data_end - new_start)
    cdef filled_t filled
    taken.start = start
    taken.data_end = data_end
    taken.end = end
    taken.new_start = new_start
    taken.reached_before = reached
    taken.has_new_data = n_new > 0
    taken.is_first_fin = is_fin and not d.flags & D_FIN
    taken.n_bytes = n_new
    taken.filled_to = start
    taken.filled_hole = False
    taken.youngest_ns = 0
    if is_fin:
        d.flags |= D_FIN
    if end == start:
        return
    if d.holes:
        taken.n_bytes += holes.count_open(d, start, min(data_end, reached), &taken.filled_to)
        filled = holes.fill(d, start, end)
        taken.filled_hole = filled.any
        taken.youngest_ns = filled.youngest_ns
    if start > d.frontier:
        holes.add(d, d.frontier, start, ts_ns, N_OPEN)
    d.frontier = max(d.frontier, end)
    d.reached = max(reached, end)
    d.flags |= D_HAS_SENT

cdef inline int64_t acknowledge(
    direction_t* d, HolePool holes, uint32_t ack, int64_t ts_ns, int64_t now_ns
) noexcept nogil:
    """Account for the peer's ACK; give the bytes that it newly acknowledged."""
    cdef int64_t position, n_bytes
    if not d.flags & D_REACHED:
        if not d.flags & D_EARLY_ACK:
            d.flags |= D_EARLY_ACK
            d.frontier = d.reached = ack
        elif <int32_t>(ack - <uint32_t>d.reached) > 0:
            d.reached = ack
        return 0
    position = unwrap(d, ack)
    if position > d.reached + MAX_ACK_AHEAD:
        return 0
    if not d.flags & D_HIGHEST_ACK or position > d.highest_ack:
        d.highest_ack = position
        d.flags |= D_HIGHEST_ACK
    if not d.flags & D_ACKED:
        # The first ACK of a mid-stream direction: what lies below may have passed before.
        d.flags |= D_ACKED
        d.acked = max(d.acked, position)
        if d.holes:
            holes.drop_below(d, position)
        if position > d.frontier:
            holes.add(d, d.frontier, position, ts_ns, N_DROPPED)
            d.frontier = position
        return 0
    if position <= d.acked:
        return 0
    n_bytes = position - d.acked
    d.acked = position
    if position > d.frontier:
        holes.add(d, d.frontier, position, ts_ns, N_OPEN)
        d.frontier = position
    if d.holes:
        holes.acknowledge(d, position, now_ns)
    return n_bytes
