from libc.stdint cimport uint32_t

from trtop_core._cursor cimport cursor_t

cdef int enter_link(cursor_t* at, uint32_t link_type) noexcept nogil
cdef int step_ethernet(cursor_t* at) noexcept nogil
cdef int step_ethertype(cursor_t* at) noexcept nogil
cdef int step_ppp(cursor_t* at) noexcept nogil
