cimport cython

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from trtop_core._flows cimport Flows
from trtop_core._lookup cimport lookup_t
from trtop_core._records cimport N_VERDICTS, packet_index_t, segment_t
from trtop_core._state cimport State

cdef enum:
    MAX_SHARDS = 64

# A packet of a shard, and what can be fetched for it before its turn.
cdef packed struct own_t:
    uint32_t packet          # its number in the batch
    uint32_t hash
    uint32_t has_payload

@cython.final
cdef class ShardedBatch:
    cdef const uint8_t[::1] data
    cdef const packet_index_t[::1] index
    cdef segment_t[::1] segments
    cdef uint8_t[::1] lookups    # of `lookup_t`
    cdef int64_t[::1] tops       # the latest time up to each packet
    cdef own_t[:, ::1] own       # the packets of each shard
    cdef uint32_t n_own[MAX_SHARDS]
    cdef uint64_t verdicts[N_VERDICTS]
    cdef uint64_t n_segments
    cdef int64_t least_ns
    cdef bint is_even            # no packet lies far from the ones in front of it
    cdef Shards owner

@cython.final
cdef class Shards:
    cdef readonly list flows
    cdef list states
    cdef Flows first
    cdef uint32_t n_shards
    cdef uint64_t max_connections
    cdef uint64_t max_holes
    cdef uint64_t max_http2
    cdef uint64_t max_streams

    cdef ShardedBatch new_batch(self, Py_ssize_t n_packets)
    cdef void deal(self, ShardedBatch batch, lookup_t* lookups) noexcept nogil
    cdef void make_room(self, State state, const lookup_t* lookup)
    cdef void evict_one(self)
    cdef void share_out(self, State state)
