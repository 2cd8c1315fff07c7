from libc.stdint cimport int64_t, uint32_t

from trtop_core._state cimport State

cdef void move_clock(State state, int64_t now_ns) noexcept nogil
cdef void run_timers(State state, uint32_t number, int64_t now_ns) noexcept nogil
cdef void watch(State state, uint32_t number) noexcept nogil
