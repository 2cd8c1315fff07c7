# Times between two packets: which of them are samples, and when.
#
# What ends at a packet whose own time waits to be believed (see `_timeline`) is kept until the next
# packet decides: one packet's worth at most. Never judges a time itself.

from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport realloc

from trtop_core._clock cimport TS_LIMIT_NS
from trtop_core._connection cimport (
    S_HAS_FLOOR,
    S_HAS_SYN_RTT,
    connection_t,
    turn_t,
)
from trtop_core._records cimport PATH_RTT, SYN_RTT
from trtop_core._state cimport (
    DEFER_FLOOR,
    DEFER_LATENCY,
    DEFER_ROUND_TRIP,
    State,
    add_sample,
    deferred_t,
)

cdef enum:
    FIRST_DEFERRED = 64

# Time from one packet to another, or -1 if it measures nothing: it would be negative, or a time is
# not known (clamped ones are not).
cdef inline int64_t time_between(int64_t start_ns, int64_t end_ns) noexcept nogil:
    if -TS_LIMIT_NS < start_ns and start_ns <= end_ns and end_ns < TS_LIMIT_NS:
        return end_ns - start_ns
    return -1

cdef inline void sample_latency(
    State state, connection_t* c, int sketch, int64_t start_ns, int64_t end_ns, int64_t less_ns
) noexcept nogil:
    """Sample a latency, less so much but never below 0."""
    cdef int64_t latency_ns = time_between(start_ns, end_ns)
    cdef deferred_t* deferred
    if latency_ns < 0:
        return
    if not state.is_waiting:
        latency_ns = max(<int64_t>0, latency_ns - less_ns)
        add_sample(state, c, c.destination, sketch, latency_ns)
        return
    deferred = defer(state, c, DEFER_LATENCY, start_ns, end_ns)
    if deferred != NULL:
        deferred.sketch = sketch
        deferred.less_ns = less_ns

cdef inline void sample_round_trip(
    State state, connection_t* c, int sketch, int64_t start_ns, int64_t end_ns
) noexcept nogil:
    """Sample a round trip, which lowers its connection's floor."""
    cdef int64_t rtt_ns = time_between(start_ns, end_ns)
    cdef deferred_t* deferred
    if rtt_ns < 0:
        return
    if not state.is_waiting:
        add_sample(state, c, c.destination, sketch, rtt_ns)
        lower_floor(c, sketch, rtt_ns)
        return
    deferred = defer(state, c, DEFER_ROUND_TRIP, start_ns, end_ns)
    if deferred != NULL:
        deferred.sketch = sketch
        state.has_deferred_round_trip = True

cdef inline void lower_floor(connection_t* c, int sketch, int64_t rtt_ns) noexcept nogil:
    if sketch == SYN_RTT:
        c.syn_rtt_ns = rtt_ns
        c.state |= S_HAS_SYN_RTT
    if not c.state & S_HAS_FLOOR or rtt_ns < c.floor_ns:
        c.state |= S_HAS_FLOOR
        c.floor_ns = rtt_ns

cdef inline void sample_closing_floor(State state, connection_t* c) noexcept nogil:
    """Sample the floor at closing, behind round trips that the closing packet itself may sample."""
    if state.has_deferred_round_trip:
        defer(state, c, DEFER_FLOOR, 0, 0)
    elif c.state & S_HAS_FLOOR:
        add_sample(state, c, c.destination, PATH_RTT, c.floor_ns)

cdef inline deferred_t* defer(
    State state, connection_t* c, int kind, int64_t start_ns, int64_t end_ns
) noexcept nogil:
    """Room for what is to be counted when the waiting packet's time is decided; NULL: none."""
    cdef int capacity = state.deferred_capacity
    cdef deferred_t* deferred
    if state.n_deferred == capacity:
        capacity = max(2 * capacity, <int>FIRST_DEFERRED)
        deferred = <deferred_t*>realloc(state.deferred, capacity * sizeof(deferred_t))
        if deferred == NULL:
            return NULL
        state.deferred = deferred
        state.deferred_capacity = capacity
    deferred = &state.deferred[state.n_deferred]
    state.n_deferred += 1
    deferred.kind = kind
    deferred.number = c.number
    deferred.opened = state.table.opened[c.number]
    deferred.destination = c.destination
    deferred.start_ns = deferred.first_ns = start_ns
    deferred.end_ns = end_ns
    return deferred
