cimport cython

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from trtop_core._connection cimport (
    S_CLOSED,
    S_FRAGMENTED,
    S_UNANSWERED,
    S_WAITING,
    connection_t,
)
from trtop_core._destinations cimport DestinationTable
from trtop_core._holes cimport HolePool, gaps_t
from trtop_core._records cimport N_VERDICTS, counter_row_t, segment_t
from trtop_core._sides cimport SidePools
from trtop_core._sketch cimport SketchStore
from trtop_core._table cimport ConnectionTable
from trtop_core._window cimport WindowLog

# What the capture as a whole counts.
cdef packed struct health_t:
    uint64_t verdicts[N_VERDICTS]
    uint64_t duplicates
    uint64_t evicted
    uint64_t untimed
    uint64_t received
    uint64_t kernel_dropped
    uint64_t interface_dropped
    uint64_t read_lost
    uint64_t interruptions
    uint64_t interrupted_ns

cdef packed struct network_t:
    uint64_t address[2]      # big-endian bytes, masked
    uint64_t mask[2]

@cython.final
cdef class State:
    cdef readonly ConnectionTable table
    cdef readonly DestinationTable destinations
    cdef readonly SketchStore sketches
    cdef readonly HolePool holes
    cdef SidePools sides
    cdef WindowLog health_log
    cdef health_t[::1] health
    cdef network_t[::1] local
    cdef int direction
    cdef bint by_port
    cdef bint has_windows
    cdef int64_t idle_timeout_ns
    cdef uint32_t hidden_row
    cdef int64_t clock_ns
    cdef int64_t next_tick_ns
    cdef int64_t first_ns
    cdef bint has_clock

    cdef bint sender_is_client(self, const segment_t* segment) noexcept nogil
    cdef bint is_local(self, const uint8_t* address) noexcept nogil
    cdef uint32_t row_of(self, const connection_t* c) noexcept nogil
    cdef void roll_epoch(self, int64_t now_ns) noexcept nogil

# A row that is about to change.
cdef inline counter_row_t* touch(State state, uint32_t row) noexcept nogil:
    if state.has_windows:
        return state.destinations.touch(row)
    return &state.destinations.rows[row]

# Keep `active` and `pending` in step with a connection's state.
cdef inline void adjust_gauges(counter_row_t* row, uint32_t before, uint32_t after) noexcept nogil:
    row.active += (not after & (S_CLOSED | S_UNANSWERED))
    row.active -= (not before & (S_CLOSED | S_UNANSWERED))
    row.pending += (after & S_WAITING) != 0
    row.pending -= (before & S_WAITING) != 0

cdef inline void count_gaps(connection_t* c, counter_row_t* row, gaps_t gaps) noexcept nogil:
    if not c.state & S_FRAGMENTED:
        row.capture_gaps += gaps.n_gaps
        row.gap_bytes += gaps.n_bytes
