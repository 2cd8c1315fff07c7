from libc.stdint cimport uint32_t

from trtop_core._connection cimport connection_t
from trtop_core._records cimport segment_t
from trtop_core._state cimport State
from trtop_core._table cimport endpoints_t

# The two ends of a segment, found or about to be found in the table.
cdef struct lookup_t:
    endpoints_t ends
    uint32_t hash
    uint32_t number          # a guess, before its turn comes
    bint from_high           # the sender is the high end

cdef bint opens_anew(
    const connection_t* c, const segment_t* segment, bint from_client
) noexcept nogil
cdef uint32_t open_connection(
    State state, const segment_t* segment, const lookup_t* lookup, uint32_t old
) noexcept nogil
cdef void turn_roles(State state, connection_t* c) noexcept nogil
