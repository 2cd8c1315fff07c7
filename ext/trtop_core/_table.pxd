cimport cython

from libc.stdint cimport int64_t, uint32_t, uint64_t

from trtop_core._connection cimport connection_t
from trtop_core._destinations cimport DestinationTable, hash_key_t
from trtop_core._endpoints cimport endpoints_t
from trtop_core._eviction cimport eviction_t
from trtop_core._packed cimport packed_pool_t

cdef enum:
    NONE = 0x7FFFFFFF        # no connection, no place, no link
    N_TICKS = 4096           # of the wheel
    TICK_NS = 125_000_000    # divides a second: windows are cut at those

cdef extern from *:
    """
    /* A number stands for a packed connection: above all places, and above NONE. */
    #define TRTOP_PACKED UINT32_C(0x80000000)
    """
    const uint32_t PACKED "TRTOP_PACKED"

# Where a connection is: its place plus one, or its number plus one and PACKED; 0: empty.
cdef packed struct table_entry_t:
    uint32_t hash
    uint32_t connection

# Neighbours of a connection in its list of the wheel, by number.
cdef packed struct link_t:
    uint32_t next
    uint32_t prev

@cython.final
cdef class ConnectionTable:
    cdef connection_t[::1] connections      # by place
    cdef table_entry_t[::1] entries
    # By number: the place plus one, or PACKED and the piece; 0: forgotten.
    cdef uint32_t[::1] places
    cdef uint64_t[::1] opened               # by number: segments of the capture before its first
    cdef link_t[::1] links                  # by number; of forgotten ones the next to be used again
    cdef uint32_t[::1] wheel
    cdef DestinationTable destinations
    cdef packed_pool_t packed
    cdef connection_t unpacked              # the one that `look` gave last
    cdef hash_key_t hash_key
    cdef uint32_t mask
    cdef uint32_t free           # numbers
    cdef uint32_t free_place
    cdef uint32_t n_used         # numbers ever taken
    cdef uint32_t n_places       # ever taken
    cdef uint32_t hand           # the place that was looked at last for one to pack
    cdef int64_t short_rest_ns
    cdef int64_t long_rest_ns
    cdef uint32_t min_records
    cdef readonly uint32_t n_connections
    cdef uint32_t n_in_wheel
    cdef eviction_t eviction
    cdef int64_t tick

    cdef uint32_t find(self, const endpoints_t* ends, uint32_t hash_, int64_t now_ns) noexcept nogil
    cdef uint32_t find_packed(
        self, const endpoints_t* ends, uint32_t hash_, int64_t now_ns
    ) noexcept nogil
    cdef bint is_full(self) noexcept nogil
    cdef uint32_t insert(
        self, const endpoints_t* ends, uint32_t hash_, int64_t now_ns
    ) noexcept nogil
    cdef void remove(self, connection_t* c) noexcept nogil
    cdef bint is_known(self, uint32_t number) noexcept nogil
    cdef connection_t* at(self, uint32_t number, int64_t now_ns) noexcept nogil
    cdef bint is_packed(self, uint32_t number) noexcept nogil
    cdef const connection_t* busy(self, uint32_t number) noexcept nogil
    cdef const connection_t* look(self, uint32_t number) noexcept nogil
    cdef const connection_t* look_at_times(self, uint32_t number) noexcept nogil
    cdef uint32_t state_of(self, uint32_t number) noexcept nogil
    cdef bint may_ask(self, uint32_t number) noexcept nogil
    cdef bint mark(self, uint32_t number, uint32_t bits) noexcept nogil
    cdef bint pack(self, connection_t* c) noexcept nogil
    cdef void note_rank(self, const connection_t* c) noexcept nogil
    cdef uint32_t next_due(self, int64_t now_ns) noexcept nogil
    cdef void gather_due(self) noexcept nogil
    cdef uint32_t next_to_evict(self) noexcept nogil
    cdef void line_up(self) noexcept nogil
    cdef void watch(self, connection_t* c, int64_t due_ns) noexcept nogil
    cdef void unwatch(self, connection_t* c) noexcept nogil
    cdef void clear_wheel(self, int64_t tick) noexcept nogil
    cdef bint move_together(self) noexcept nogil
    cdef uint32_t take_place(self, int64_t now_ns) noexcept nogil
    cdef bint rests(self, const connection_t* c, int64_t now_ns) noexcept nogil
    cdef uint32_t entry_of(self, uint32_t hash_, uint32_t connection) noexcept nogil
    cdef void unpack(self, uint32_t number, uint32_t place) noexcept nogil
    cdef void grow_entries(self) noexcept nogil
