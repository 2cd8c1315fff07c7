# How a connection begins: on a SYN, in mid-stream, in the place of an old one; and its roles.

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from trtop_core._clock cimport BEFORE_ALL_NS
from trtop_core._connection cimport (
    D_HAS_FIRST,
    S_ATTEMPT,
    S_BANNER_POSSIBLE,
    S_CLIENT_IS_HIGH,
    S_CLOSED,
    S_RST,
    S_TIMED,
    S_WAITING,
    connection_t,
    direction_of,
    direction_t,
)
from trtop_core._ends cimport close, forget, time_out
from trtop_core._lookup cimport lookup_t
from trtop_core._records cimport TCP_ACK, TCP_RST, TCP_SYN, counter_row_t, segment_t
from trtop_core._state cimport State, adjust_gauges, touch
from trtop_core._table cimport NONE
from trtop_core._timers cimport make_room
from trtop_core._turns cimport forget_turns

cdef enum:
    NUMBERS_APART = 40_503   # 2^16 times the golden ratio: far from those of the latest ones

cdef inline bint opens_anew(
    const connection_t* c, const segment_t* segment, bint from_client
) noexcept nogil:
    """Whether a segment of a known 4-tuple starts a new connection."""
    cdef int i
    cdef const direction_t* receiver = &c.server if from_client else &c.client
    if not segment.flags & TCP_SYN or segment.flags & TCP_RST:
        return False
    if not segment.flags & TCP_ACK:
        if c.state & S_RST or not from_client:
            return True
        if c.state & S_ATTEMPT:
            return segment.seq != c.isns[0]
        # The capture swapped SYN and SYN/ACK: this is the SYN that the first one answered.
        return not (c.n_synacks and c.synack_acks[0] == segment.seq + 1)
    if c.state & S_ATTEMPT:
        return False
    if not from_client:
        for i in range(c.n_synacks):
            if c.synack_isns[i] == segment.seq and c.synack_acks[i] == segment.ack:
                return False
    return not (
        receiver.flags & D_HAS_FIRST and c.first_seqs[1 if from_client else 0] == segment.ack
    )

cdef inline uint32_t open_connection(
    State state, const segment_t* segment, const lookup_t* lookup, uint32_t old
) noexcept nogil:
    """Start a connection, instead of the one at a place or beside all; give its place."""
    cdef uint32_t place
    cdef connection_t* c
    cdef counter_row_t* row
    cdef uint32_t before
    cdef direction_t before_low, before_high
    cdef bint from_client = state.sender_is_client(segment)
    if old != NONE:
        c = &state.table.connections[old]
        before = c.state
        row = touch(state, c)
        if c.state & S_WAITING:
            time_out(c, row)
        close(state, c, row)
        adjust_gauges(row, before, c.state)
        before_low = end_of(c, False)[0]
        before_high = end_of(c, True)[0]
        forget(state, c, row)
    elif state.table.is_full():
        make_room(state)
    place = state.table.insert(&lookup.ends, lookup.hash, state.clock_ns)
    c = &state.table.connections[place]
    c.client.gap_end = c.client.lost_below = BEFORE_ALL_NS
    c.server.gap_end = c.server.lost_below = BEFORE_ALL_NS
    if from_client == lookup.from_high:
        c.state |= S_CLIENT_IS_HIGH
    if old != NONE:
        # Duplicates are a matter of the 4-tuple: what was seen last stays known.
        follow_on(end_of(c, False), &before_low)
        follow_on(end_of(c, True), &before_high)
    else:
        # Far from the numbers of a connection that had the same 4-tuple.
        c.client.n_counted = c.server.n_counted = <uint16_t>(state.n_seen * NUMBERS_APART)
    state.table.opened[c.number] = state.n_seen
    c.last_ns = c.began_clock_ns = state.clock_ns
    c.began_ns = segment.ts_ns
    c.destination = state.row_of(c)
    row = touch(state, c)
    if segment.flags & (TCP_SYN | TCP_ACK | TCP_RST) == TCP_SYN:
        c.state |= S_ATTEMPT | S_WAITING | S_BANNER_POSSIBLE
        c.isns[0] = segment.seq
        row.syn += 1
        row.pending += 1
    else:
        row.midstream += 1
    row.active += 1
    if state.table.eviction.is_on:
        state.table.note_rank(c)
    return place

cdef inline direction_t* end_of(connection_t* c, bint is_high) noexcept nogil:
    """What one of the two ends sends."""
    return direction_of(c, is_high != ((c.state & S_CLIENT_IS_HIGH) != 0))

cdef inline void follow_on(direction_t* d, const direction_t* before) noexcept nogil:
    """An end goes on in a new connection."""
    d.n_counted = before.n_counted

cdef inline void turn_roles(State state, connection_t* c) noexcept nogil:
    """A late SYN/ACK came from who was taken for the client: what follows counts there."""
    cdef direction_t swapped = c.client
    cdef counter_row_t* row = touch(state, c)
    cdef uint32_t shown = c.state
    adjust_gauges(row, shown, shown | S_CLOSED)
    c.client = c.server
    c.server = swapped
    c.first_seqs[0], c.first_seqs[1] = c.first_seqs[1], c.first_seqs[0]
    c.isns[0], c.isns[1] = c.isns[1], c.isns[0]
    c.state ^= S_CLIENT_IS_HIGH
    forget_turns(state, c, row)
    c.state &= ~<uint32_t>S_TIMED
    c.destination = state.row_of(c)
    row = touch(state, c)
    adjust_gauges(row, shown | S_CLOSED, shown)
