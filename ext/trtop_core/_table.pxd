cimport cython

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from trtop_core._connection cimport connection_t
from trtop_core._destinations cimport hash_key_t
from trtop_core._eviction cimport eviction_t

cdef enum:
    NONE = 0x7FFFFFFF        # no connection, no link
    N_TICKS = 4096           # of the wheel
    TICK_NS = 125_000_000    # divides a second: windows are cut at those

# The two ends of a segment in a fixed order, so that both directions find the same connection.
cdef packed struct endpoints_t:
    uint8_t low_addr[16]
    uint8_t high_addr[16]
    uint16_t low_port
    uint16_t high_port

cdef packed struct table_entry_t:
    uint32_t hash
    uint32_t connection      # plus one; 0: empty

@cython.final
cdef class ConnectionTable:
    cdef connection_t[::1] connections
    cdef table_entry_t[::1] entries
    cdef uint32_t[::1] wheel
    cdef hash_key_t hash_key
    cdef uint32_t mask
    cdef uint32_t free
    cdef uint32_t n_used         # records ever taken
    cdef readonly uint32_t n_connections
    cdef uint32_t n_in_wheel
    cdef eviction_t eviction
    cdef int64_t tick

    cdef uint32_t find(self, const endpoints_t* ends, uint32_t hash_) noexcept nogil
    cdef bint is_full(self) noexcept nogil
    cdef uint32_t insert(self, const endpoints_t* ends, uint32_t hash_) noexcept nogil
    cdef void remove(self, uint32_t number) noexcept nogil
    cdef void note_rank(self, uint32_t number) noexcept nogil
    cdef uint32_t next_due(self, int64_t now_ns) noexcept nogil
    cdef void gather_due(self) noexcept nogil
    cdef uint32_t next_to_evict(self) noexcept nogil
    cdef void line_up(self) noexcept nogil
    cdef void watch(self, uint32_t number, int64_t due_ns) noexcept nogil
    cdef void unwatch(self, uint32_t number) noexcept nogil
    cdef void clear_wheel(self, int64_t tick) noexcept nogil
    cdef void grow_entries(self) noexcept nogil
