from libc.stdint cimport uint8_t

from trtop_core._connection cimport connection_t
from trtop_core._records cimport segment_t
from trtop_core._state cimport State

cdef void take(
    State state, const uint8_t* data, const segment_t* segment, connection_t* c, bint from_client
) noexcept nogil
