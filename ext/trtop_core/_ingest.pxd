# What a segment does to the connections: whose it is, whether it counts, what it changes besides.
#
# Takes segments in the order of the capture, behind the clock; gives the connection of each. The
# one function here that every packet goes through is `ingest`.

from libc.stdint cimport int64_t, uint8_t, uint32_t

from trtop_core._connection cimport (
    S_ATTEMPT,
    S_CLOSED,
    S_IN_WHEEL,
    S_MANY_SYNS,
    S_RST,
    S_UNANSWERED,
    S_WAITING,
    connection_t,
    direction_of,
    direction_t,
    is_from_client,
)
from trtop_core._duplicates cimport head_of, is_duplicate, may_be_held, remember
from trtop_core._eviction cimport RANK_STATE
from trtop_core._lookup cimport is_same, lookup_t
from trtop_core._opening cimport open_connection, opens_anew, turn_roles
from trtop_core._records cimport TCP_ACK, TCP_RST, TCP_SYN, segment_t
from trtop_core._segment cimport take_steady
from trtop_core._slots cimport list_slot, needs_slot
from trtop_core._state cimport State, adjust_gauges, seen_head_t
from trtop_core._table cimport NONE
from trtop_core._timeline cimport note_behind
from trtop_core._timers cimport run_timers, watch

cdef enum:
    GAUGE_STATE = S_CLOSED | S_UNANSWERED | S_WAITING | S_MANY_SYNS
    TIMED_STATE = GAUGE_STATE | S_RST
    FOLLOWED_STATE = GAUGE_STATE | TIMED_STATE | RANK_STATE

ctypedef void (*take_any_t)(
    State, const uint8_t*, const segment_t*, connection_t*, bint
) noexcept nogil

cdef inline int64_t begin_unusual(State state, const segment_t* segment) noexcept nogil:
    """Before a segment whose time waits to be believed, or lies far behind the clock: its clock."""
    cdef int64_t clock_ns = state.clock_ns
    if state.is_waiting:
        # Nobody but its own connection believes in its time yet.
        state.believed_ns = clock_ns
        state.clock_ns = segment.ts_ns
    return clock_ns

cdef inline void end_unusual(
    State state, const segment_t* segment, uint32_t place, int64_t clock_ns
) noexcept nogil:
    """After it: whose it was is remembered, and the clock is everybody's again."""
    cdef uint32_t number = NONE if place == NONE else state.table.connections[place].number
    if not state.is_waiting:
        note_behind(state, number, segment.ts_ns)
        return
    state.waiting_number = number
    state.clock_ns = clock_ns

cdef inline uint32_t ingest(
    State state,
    const uint8_t* data,
    const segment_t* segment,
    const lookup_t* lookup,
    take_any_t take_unsteady,
) noexcept nogil:
    """Count a segment; give the place of its connection, or ``NONE`` for a duplicate.

    Args:
        take_unsteady: ``take_any``, by a pointer: see `_flows`.
    """
    cdef uint32_t place = lookup.place
    cdef connection_t* connections = &state.table.connections[0]
    cdef connection_t* c = &connections[place]
    cdef seen_head_t* head = head_of(state, lookup.fingerprint)
    cdef direction_t* own
    cdef bint from_client
    cdef uint32_t before
    cdef uint32_t row
    # What an earlier packet of the block did to the table makes the guess worthless.
    if place >= NONE or not is_same(c, &lookup.ends):
        place = state.table.find(&lookup.ends, lookup.hash, state.clock_ns)
        c = &connections[place]
    if place != NONE and c.due_ns <= state.clock_ns:
        run_timers(state, c, state.clock_ns)
        if not is_same(c, &lookup.ends):
            place = NONE
    if place != NONE:
        from_client = is_from_client(c, lookup.from_high)
        if (
            may_be_held(state, head, lookup.fingerprint, segment.ts_ns - c.last_ns)
            and is_duplicate(
                state,
                direction_of(c, from_client ^ 1),
                head.number,
                lookup.fingerprint,
                segment.ts_ns,
            )
        ):
            state.health[0].duplicates += 1
            state.n_seen += 1
            return NONE
        if segment.flags & TCP_SYN:
            place = take_opening(state, segment, lookup, place, from_client)
            c = &connections[place]
            from_client = is_from_client(c, lookup.from_high)
    else:
        place = open_connection(state, segment, lookup, NONE)
        c = &connections[place]
        from_client = is_from_client(c, lookup.from_high)
    own = direction_of(c, from_client ^ 1)
    remember(state, own, head, lookup.fingerprint, segment.ts_ns)
    if state.has_log:
        state.log.count_packet(c.number, from_client)
    before = c.state
    row = c.destination
    if not take_steady(state, data, segment, c, own, from_client):
        take_unsteady(state, data, segment, c, from_client)
    if (
        (before ^ c.state) & FOLLOWED_STATE
        or not c.state & S_IN_WHEEL
        or needs_slot(c)
    ):
        follow(state, c, row, before)
    return place

cdef inline void follow(
    State state, connection_t* c, uint32_t row, uint32_t before
) noexcept nogil:
    """What a connection's new state changes beside it: gauges, its rank, its slot, its timer."""
    cdef bint is_unlisted
    if (before ^ c.state) & GAUGE_STATE:
        adjust_gauges(&state.destinations.rows[row], before, c.state)
    if (before ^ c.state) & RANK_STATE and state.table.eviction.is_on:
        state.table.note_rank(c)
    is_unlisted = needs_slot(c) and not list_slot(state, c)
    if (before ^ c.state) & TIMED_STATE or not c.state & S_IN_WHEEL or is_unlisted:
        watch(state, c)

cdef inline uint32_t take_opening(
    State state,
    const segment_t* segment,
    const lookup_t* lookup,
    uint32_t place,
    bint from_client,
) noexcept nogil:
    """A SYN or SYN/ACK of a known 4-tuple: the place of the connection that it belongs to now."""
    cdef connection_t* c = &state.table.connections[place]
    if opens_anew(c, segment, from_client):
        return open_connection(state, segment, lookup, place)
    if (
        from_client
        and segment.flags & (TCP_SYN | TCP_ACK | TCP_RST) == TCP_SYN | TCP_ACK
        and not c.state & S_ATTEMPT
    ):
        turn_roles(state, c)
    return place
