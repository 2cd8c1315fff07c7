from libc.stdint cimport int32_t, int64_t, uint32_t

from trtop_core._connection cimport (
    D_ACKED,
    D_FIN,
    D_HAS_SENT,
    D_HIGHEST_ACK,
    D_REACHED,
    direction_t,
)
from trtop_core._holes cimport HolePool

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

cdef int64_t start_at(
    direction_t* d, HolePool holes, uint32_t seq, int64_t ts_ns, int64_t now_ns
) noexcept nogil
cdef int64_t begin(
    direction_t* d, HolePool holes, uint32_t seq, int64_t ts_ns, int64_t now_ns
) noexcept nogil
cdef void take_segment(
    direction_t* d, HolePool holes, uint32_t seq, uint32_t payload_len, bint is_fin, int64_t ts_ns,
    taken_t* taken
) noexcept nogil
cdef int64_t acknowledge(
    direction_t* d, HolePool holes, uint32_t ack, int64_t ts_ns, int64_t now_ns
) noexcept nogil
