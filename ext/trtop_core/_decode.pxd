from libc.stdint cimport uint8_t, uint32_t, uint64_t

from trtop_core._cursor cimport cursor_t
from trtop_core._records cimport packet_index_t, segment_t

cdef void decode_block(
    const uint8_t* data,
    const packet_index_t* index,
    Py_ssize_t n_packets,
    bint decap,
    segment_t* out,
) noexcept nogil

cdef int decode_packet(
    const uint8_t* data,
    const packet_index_t* entry,
    bint decap,
    segment_t* out,
    cursor_t* at,
) noexcept nogil
