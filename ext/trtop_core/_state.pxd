cimport cython

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from trtop_core._connection cimport (
    S_CLOSED,
    S_FRAGMENTED,
    S_UNANSWERED,
    S_MANY_SYNS,
    S_WAITING,
    connection_t,
    turn_t,
)
from trtop_core._connection_log cimport ConnectionLog
from trtop_core._destinations cimport DestinationTable
from trtop_core._holes cimport HolePool, gaps_t
from trtop_core._records cimport N_VERDICTS, counter_row_t, segment_t
from trtop_core._sides cimport SidePools
from trtop_core._sketch cimport SketchStore, add_to
from trtop_core._table cimport ConnectionTable
from trtop_core._window cimport WindowLog, touch_row

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
    uint64_t clock_steps
    uint64_t stray_times

cdef packed struct network_t:
    uint64_t address[2]      # big-endian bytes, masked
    uint64_t mask[2]

cdef enum:
    MAX_BEHIND = 32          # so many packets in a row far behind the clock turn it back
    N_SEEN = 1 << 12         # segments among which a duplicate is looked for
    N_SEEN_HEADS = 2 * N_SEEN

    N_SLOT_TICKS = 128       # more than those in which a slot of 10 s may end

# The connections whose slots end in one tick; see `_slots`.
cdef struct slot_list_t:
    uint32_t* numbers
    uint32_t n
    uint32_t capacity

cdef enum deferred_kind_t:
    DEFER_LATENCY = 0
    DEFER_ROUND_TRIP = 1
    DEFER_FLOOR = 2
    DEFER_GROWTH = 3         # of a response

# What ended at a packet whose time waits to be believed.
cdef struct deferred_t:
    int kind
    int sketch
    uint32_t destination
    bint is_excused
    int64_t start_ns
    int64_t first_ns
    int64_t end_ns
    int64_t less_ns
    uint32_t number          # of the connection
    uint64_t opened          # likewise: another one may have the number
    turn_t* turn

# One counted segment, in a ring by the number of segments before it; see `_duplicates`.
cdef packed struct seen_t:
    int64_t ts_ns
    uint32_t print_low
    uint16_t number          # of its direction, counted up
    uint16_t back            # so far before it lies the one before of the same hash; 0: none

# The latest of those of one hash.
cdef packed struct seen_head_t:
    uint32_t number          # of the segments before it
    uint32_t mark            # `print_low`, the last bit apart; see `_duplicates`

@cython.final
cdef class State:
    cdef readonly ConnectionTable table
    cdef readonly DestinationTable destinations
    cdef readonly SketchStore sketches
    cdef readonly HolePool holes
    cdef SidePools sides
    cdef readonly ConnectionLog log  # None: nobody asks for connections
    cdef bint has_log
    cdef WindowLog health_log
    cdef object history          # what ended slots are told to; None: nobody
    cdef health_t[::1] health
    cdef network_t[::1] local
    cdef int direction
    cdef bint by_port
    cdef bint has_windows
    cdef bint is_watched         # by a log or windows: rows tell before they change
    cdef int64_t idle_timeout_ns
    cdef uint32_t hidden_row
    cdef int64_t clock_ns
    cdef int64_t next_tick_ns
    cdef int64_t first_ns        # of the first packet
    cdef int64_t jumped_ns       # what steps of the clock add up to
    cdef int64_t window_shift_ns  # from the clock to that of the windows, which never steps back
    cdef int64_t window_first_ns
    cdef bint has_clock
    cdef bint has_first
    # The clock's doubts: the packet whose time waits to be believed, and those far behind.
    cdef bint is_usual           # there are none
    cdef bint has_one_clock      # nor were there any before
    cdef bint is_waiting
    cdef bint has_deferred_round_trip
    cdef int64_t waiting_ns
    cdef int64_t believed_ns     # the clock of all others, while a packet that waits counts
    cdef uint32_t waiting_number
    cdef int n_behind
    cdef uint32_t behind_numbers[MAX_BEHIND]
    cdef int64_t behind_ns[MAX_BEHIND]
    cdef deferred_t* deferred
    cdef slot_list_t slots[N_SLOT_TICKS]
    cdef int n_deferred
    cdef int deferred_capacity
    # The latest counted segments, and the last of each hash.
    cdef seen_t[::1] seen
    cdef seen_head_t[::1] seen_heads
    cdef uint64_t n_seen         # segments so far, duplicates among them
    # Where what happens lies among all that happens: steps back of the clock so far, and whether it
    # is a tick of the wheel that ends.
    cdef int64_t n_steps_back
    cdef bint is_ending_tick

    cdef bint sender_is_client(self, const segment_t* segment) noexcept nogil
    cdef bint is_local(self, const uint8_t* address) noexcept nogil
    cdef uint32_t row_of(self, const connection_t* c) noexcept nogil
    cdef void roll_epoch(self, int64_t now_ns) noexcept nogil
    cdef void start_windows(self, int64_t now_ns) noexcept nogil
    cdef void jump_windows(self, int64_t to_ns, int64_t by_ns) noexcept nogil

# The row of a connection's destination, which is about to change on its behalf.
cdef inline counter_row_t* touch(State state, const connection_t* c) noexcept nogil:
    if not state.is_watched:
        return &state.destinations.rows[c.destination]
    return touch_watched(state, c.number, c.destination)

# A row that is about to change on behalf of a connection, which may count elsewhere by now.
cdef inline counter_row_t* touch_for(State state, uint32_t number, uint32_t row) noexcept nogil:
    if not state.is_watched:
        return &state.destinations.rows[row]
    return touch_watched(state, number, row)

# The same where somebody wants to know what it was before.
cdef inline counter_row_t* touch_watched(
    State state, uint32_t number, uint32_t row
) noexcept nogil:
    if state.has_log:
        state.log.attend(number, &state.destinations.rows[row])
    if state.has_windows:
        touch_row(state.destinations.log, row, &state.destinations.rows[row])
    return &state.destinations.rows[row]

# A sample of a connection, for its destination's distribution.
cdef inline void add_sample(
    State state, const connection_t* c, uint32_t row, int sketch, int64_t value
) noexcept nogil:
    add_to(state.sketches, row, sketch, value)
    if state.has_log:
        state.log.sample(c.number, sketch, value)

# A sample of a connection that may be forgotten by now.
cdef inline void add_sample_of(
    State state, uint32_t number, uint32_t row, int sketch, int64_t value
) noexcept nogil:
    add_to(state.sketches, row, sketch, value)
    if state.has_log:
        state.log.sample(number, sketch, value)

# The record of a known connection, which may be changed.
cdef inline connection_t* record_of(State state, uint32_t number) noexcept nogil:
    return state.table.at(number, state.clock_ns)

# The clock of a connection that is not the one of the packet at hand.
cdef inline int64_t clock_of_others(State state) noexcept nogil:
    return state.believed_ns if state.is_waiting else state.clock_ns

cdef enum:
    SENT_AGAIN = S_WAITING | S_MANY_SYNS

# Keep `active` and `pending` in step with a connection's state.
cdef inline void adjust_gauges(counter_row_t* row, uint32_t before, uint32_t after) noexcept nogil:
    row.active += (not after & (S_CLOSED | S_UNANSWERED))
    row.active -= (not before & (S_CLOSED | S_UNANSWERED))
    row.pending += (after & S_WAITING) != 0
    row.pending -= (before & S_WAITING) != 0
    row.pending_retrans += (after & SENT_AGAIN) == SENT_AGAIN
    row.pending_retrans -= (before & SENT_AGAIN) == SENT_AGAIN

cdef inline void count_gaps(connection_t* c, counter_row_t* row, gaps_t gaps) noexcept nogil:
    if not c.state & S_FRAGMENTED:
        row.capture_gaps += gaps.n_gaps
        row.gap_bytes += gaps.n_bytes
