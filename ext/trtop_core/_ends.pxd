from libc.stdint cimport uint32_t

from trtop_core._connection cimport connection_t
from trtop_core._records cimport counter_row_t
from trtop_core._state cimport State

cdef void reset(State state, connection_t* c, bint from_client, counter_row_t* row) noexcept nogil
cdef void fin(State state, connection_t* c, bint from_client, counter_row_t* row) noexcept nogil
cdef void close(State state, connection_t* c, counter_row_t* row) noexcept nogil
cdef void judge_acked(State state, connection_t* c, counter_row_t* row) noexcept nogil
cdef void decide_one_sided(State state, connection_t* c, counter_row_t* row) noexcept nogil
cdef void forget(State state, uint32_t number, counter_row_t* row) noexcept nogil
cdef void evict(State state, uint32_t number) noexcept nogil
cdef void time_out(connection_t* c, counter_row_t* row) noexcept nogil
