cimport cython

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from trtop_core._lookup cimport lookup_t
from trtop_core._records cimport packet_index_t, segment_t
from trtop_core._state cimport State

cdef enum:
    BLOCK_SIZE = 64          # packets that are decoded and looked up together: stays in L1

@cython.final
cdef class Prepared:
    cdef const uint8_t[::1] data
    cdef const packet_index_t[::1] index
    cdef segment_t[::1] segments
    cdef uint8_t[::1] lookups    # of `lookup_t`
    cdef Flows owner

@cython.final
cdef class Flows:
    cdef readonly State state
    cdef segment_t[::1] segments
    cdef lookup_t lookups[BLOCK_SIZE]
    cdef uint64_t[::1] link_types
    cdef bint decap

    cdef void prepare_block(
        self,
        const uint8_t* data,
        const packet_index_t* index,
        int n_packets,
        segment_t* segments,
        lookup_t* lookups,
    ) noexcept nogil
    cdef void ingest_block(
        self,
        State state,
        const uint8_t* data,
        const packet_index_t* index,
        int n_packets,
        const segment_t* segments,
        lookup_t* lookups,
    ) noexcept nogil
