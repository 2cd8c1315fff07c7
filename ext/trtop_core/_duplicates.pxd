# Segments that a capture holds twice, looked for among the latest counted ones.
#
# A ring holds the counted ones among the latest segments of all connections, chained by hash; each
# direction numbers its own. Without an IPv4 id, a true retransmission faster than 1 ms passes for a
# duplicate; of more segments than the ring has room for within 1 ms, the earliest are forgotten.

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from trtop_core._connection cimport direction_t
from trtop_core._endpoints cimport fold
from trtop_core._records cimport segment_t
from trtop_core._state cimport N_SEEN, N_SEEN_HEADS, State, seen_head_t, seen_t

cdef enum:
    DUPLICATE_NS = 1_000_000
    MAX_SEGMENTS_BEFORE = 16     # of the same direction
    HAS_OLDER = 1                # of a mark: the ring holds an earlier segment of the hash
    SENDER_BIT = 55

# What makes a segment a duplicate, and whose it is, folded. 45 bits of it are compared, and the
# running number beside: 2^-45 mistake one.
cdef inline uint64_t fingerprint_of(
    const segment_t* segment, uint32_t ends_hash, bint from_high, const uint64_t* secret
) noexcept nogil:
    # Which has no IPv4 id cannot be predicted: no branch depends on it.
    cdef uint64_t has_no_id = 0 - <uint64_t>(segment.ip_id == 0)
    cdef uint64_t identity = segment.ip_id | has_no_id & (
        (<uint64_t>1 << 32) | (<uint64_t>segment.window << 16) | segment.checksum
    )
    return fold(
        ((<uint64_t>segment.seq << 32) | segment.ack) ^ secret[0],
        ((<uint64_t>segment.flags << 56) ^ (<uint64_t>segment.payload_len << 34) ^ identity)
        # Between the flags and the length, so that no difference of ids makes up for it.
        ^ (<uint64_t>from_high << SENDER_BIT)
        ^ (secret[1] + ends_hash),
    )

# The latest segment of a hash.
cdef inline seen_head_t* head_of(State state, uint64_t fingerprint) noexcept nogil:
    return &state.seen_heads[<uint32_t>(fingerprint >> 32) & (N_SEEN_HEADS - 1)]

# Whether it is worth while to look for a segment among the latest: almost never. Told by the head,
# and by how far the segment is behind the latest of its connection. One branch: nobody can predict
# what the latest of a hash is, and compilers make branches of comparisons. So each reason against
# it is a number that is 0 where it does not hold.
cdef inline bint may_be_held(
    State state, const seen_head_t* head, uint64_t fingerprint, int64_t behind_ns
) noexcept nogil:
    cdef uint32_t is_gone = (<uint32_t>state.n_seen - head.number - 1) // N_SEEN
    cdef uint32_t differs = (head.mark ^ <uint32_t>fingerprint) & ~<uint32_t>HAS_OLDER
    cdef uint32_t is_last = (head.mark & HAS_OLDER) - 1
    # Times may be as far from each other as 64 bits tell; where they are, they are no one clock's.
    cdef uint32_t is_late = <uint32_t>((<uint64_t>DUPLICATE_NS - <uint64_t>behind_ns) >> 63)
    return is_gone | (differs & is_last) | (is_late & state.has_one_clock) == 0

# Whether a segment equals one of the latest of its direction, at most 1 ms after it.
cdef inline bint is_duplicate(
    State state, const direction_t* d, uint32_t head, uint64_t fingerprint, int64_t ts_ns
) noexcept nogil:
    cdef uint32_t n_back = <uint32_t>state.n_seen - head
    cdef const seen_t* seen
    cdef int64_t age_ns
    while 1 <= n_back <= N_SEEN:
        seen = &state.seen[(state.n_seen - n_back) & (N_SEEN - 1)]
        if seen.print_low == <uint32_t>fingerprint:
            if not 1 <= <uint16_t>(d.n_counted - seen.number) <= MAX_SEGMENTS_BEFORE:
                return False
            age_ns = ts_ns - seen.ts_ns
            if 0 <= age_ns <= DUPLICATE_NS:
                return True
        if seen.back == 0:
            return False
        n_back += seen.back
    return False

# Count a segment of a direction, with the latest of its hash before.
cdef inline void remember(
    State state, direction_t* d, seen_head_t* head, uint64_t fingerprint, int64_t ts_ns
) noexcept nogil:
    cdef uint32_t n_seen = <uint32_t>state.n_seen
    cdef uint32_t n_back = n_seen - head.number
    cdef bint has_older = n_back < N_SEEN
    cdef seen_t* seen = &state.seen[n_seen & (N_SEEN - 1)]
    seen.ts_ns = ts_ns
    seen.print_low = <uint32_t>fingerprint
    seen.number = d.n_counted
    seen.back = <uint16_t>(n_back & (0 - <uint32_t>has_older))
    d.n_counted += 1
    head.number = n_seen
    head.mark = <uint32_t>fingerprint & ~<uint32_t>HAS_OLDER | has_older
    state.n_seen += 1
