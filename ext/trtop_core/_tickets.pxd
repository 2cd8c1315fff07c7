# Session tickets of TLS 1.3: small records of the server that come before its response.
#
# Holds what may be a ticket until the next data tell, and takes it for the response if none do.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from trtop_core._connection cimport (
    P_HELD,
    T_ANSWERED,
    T_COUNTED,
    T_OPEN,
    T_SENT_AGAIN,
    connection_t,
    leave_past,
    turn_t,
)
from trtop_core._context cimport segment_context_t
from trtop_core._multiplex cimport MIN_SEGMENT_BYTES, settle_shape
from trtop_core._records cimport counter_row_t
from trtop_core._responses cimport (
    add_bytes,
    add_time,
    answer_t,
    begin_response,
    is_withheld,
    note_window_of,
)
from trtop_core._sides cimport (
    TLS_HELD_FLOOR,
    TLS_HELD_SENT_AGAIN,
    TLS_HELD_SHORT,
    TLS_HELD_WITHHELD,
    tls_t,
)
from trtop_core._state cimport State
from trtop_core._tls cimport ticket_len
from trtop_core._turns cimport note_sent, tls_of

cdef enum:
    # How long after the first held segment another length may still be another ticket: so many
    # round trips and ns. Without a known round trip: TICKETS_UNKNOWN_NS.
    TICKETS_ROUND_TRIPS = 2
    TICKETS_EXTRA_NS = 5_000_000
    TICKETS_UNKNOWN_NS = 10_000_000

cdef inline void answer_now(
    State state, const segment_context_t* at, answer_t* first
) noexcept nogil:
    """What is known when a segment may be the first of a response."""
    cdef const turn_t* turn = &at.c.turn
    first.ts_ns = at.segment.ts_ns
    first.floor_ns = at.floor_ns
    first.has_floor = at.has_floor
    first.is_withheld = is_withheld(state, at.c, turn, at.taken.start)
    first.was_sent_again = (turn.flags & T_SENT_AGAIN) != 0

cdef inline bint hold(State state, segment_context_t* at) noexcept nogil:
    """Hold a segment that may be a ticket; tell whether it is held.

    It errs to the late side for a server that sends no tickets and whose small first record travels
    alone.
    """
    cdef connection_t* c = at.c
    cdef turn_t* turn = &c.turn
    cdef tls_t* tls = tls_of(state, c)
    cdef uint32_t length = ticket_len(
        at.payload, at.segment.payload_caplen, at.segment.payload_len
    )
    cdef answer_t first
    cdef int64_t limit_ns = TICKETS_UNKNOWN_NS
    if length == 0 or tls == NULL:
        return False
    if not c.protocol & P_HELD:
        answer_now(state, at, &first)
        c.protocol |= P_HELD
        tls.held_len = length
        tls.held_ns = turn.first_ns = turn.last_ns = first.ts_ns
        tls.held_floor_ns = first.floor_ns
        tls.held_end = at.taken.data_end
        tls.flags &= ~<uint32_t>(TLS_HELD_WITHHELD | TLS_HELD_SENT_AGAIN | TLS_HELD_FLOOR)
        if first.is_withheld:
            tls.flags |= TLS_HELD_WITHHELD
        if first.was_sent_again:
            tls.flags |= TLS_HELD_SENT_AGAIN
        if first.has_floor:
            tls.flags |= TLS_HELD_FLOOR
    else:
        if at.has_floor:
            limit_ns = TICKETS_ROUND_TRIPS * at.floor_ns + TICKETS_EXTRA_NS
        if length != tls.held_len and at.segment.ts_ns - tls.held_ns > limit_ns:
            return False
        tls.held_end = max(tls.held_end, at.taken.data_end)
    if at.taken.n_bytes < MIN_SEGMENT_BYTES:
        tls.flags |= TLS_HELD_SHORT
    else:
        tls.flags &= ~<uint32_t>TLS_HELD_SHORT
    # As if the response had begun; nothing is counted yet.
    leave_past(turn)
    turn.n_bytes += <uint64_t>at.taken.n_bytes
    add_time(state, c, turn, at.segment.ts_ns, at.row)
    turn.last_ns = at.segment.ts_ns
    note_window_of(c, turn)
    return True

cdef inline void forget_held(connection_t* c) noexcept nogil:
    """What was held were tickets."""
    c.protocol &= ~<uint32_t>P_HELD
    c.turn.n_bytes = 0
    c.turn.n_stalls = 0
    c.turn.stream_ns = 0

cdef inline void decide(State state, connection_t* c, counter_row_t* row) noexcept nogil:
    """Nothing more will tell tickets from a response, or HTTP/2 from one request."""
    cdef turn_t* turn = &c.turn
    cdef tls_t* tls = tls_of(state, c)
    cdef int64_t last_ns = turn.last_ns
    cdef answer_t first
    if tls == NULL:
        return
    settle_shape(c, tls, row)
    if not c.protocol & P_HELD:
        return
    c.protocol &= ~<uint32_t>P_HELD
    if turn.flags & (T_OPEN | T_ANSWERED) != T_OPEN:
        return
    # The held one's, unless that measures nothing.
    first.ts_ns = turn.first_ns
    first.floor_ns = tls.held_floor_ns
    first.has_floor = (tls.flags & TLS_HELD_FLOOR) != 0
    first.is_withheld = (tls.flags & TLS_HELD_WITHHELD) != 0
    first.was_sent_again = (tls.flags & TLS_HELD_SENT_AGAIN) != 0
    begin_response(state, c, turn, &first, row)
    turn.last_ns = last_ns
    if turn.flags & T_COUNTED:
        add_bytes(turn, 0, row)
    note_sent(c, tls.held_end)
