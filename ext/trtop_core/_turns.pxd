from libc.stdint cimport int64_t, uint8_t, uint32_t

from trtop_core._connection cimport connection_t
from trtop_core._records cimport counter_row_t
from trtop_core._sketch cimport SketchStore

# A segment with new data, as the alternation of requests and responses sees it.
cdef struct new_data_t:
    int64_t ts_ns
    const uint8_t* payload   # what was captured of it
    uint32_t payload_caplen
    uint32_t payload_len
    uint32_t head            # offset of the first new byte in the payload
    int64_t n_bytes
    int64_t new_start
    int64_t own_reached
    int64_t peer_reached
    bint knows_peer

cdef void client_data(
    connection_t* c, const new_data_t* data, counter_row_t* row, SketchStore sketches
) noexcept nogil
cdef void server_data(
    connection_t* c, const new_data_t* data, counter_row_t* row, SketchStore sketches,
    bint is_withheld, bint has_floor, int64_t floor_ns
) noexcept nogil
cdef void server_filled(connection_t* c, int64_t n_bytes, counter_row_t* row) noexcept nogil
cdef void end_response(connection_t* c, SketchStore sketches) noexcept nogil
cdef void forget_turns(connection_t* c) noexcept nogil
