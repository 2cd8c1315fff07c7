from trtop_core._cursor cimport cursor_t

cdef int enter_gre(cursor_t* at) noexcept nogil
cdef int enter_udp(cursor_t* at) noexcept nogil
