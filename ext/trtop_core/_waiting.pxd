# Requests that wait for their answer: the gauges, and what is unanswered when a connection ends.
#
# The gauges are kept in step as segments come, so that a snapshot reads them like counters.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from trtop_core._clock cimport FOREVER_NS, SECOND_NS
from trtop_core._connection cimport (
    D_FIN,
    D_HAS_ACKNOWLEDGED,
    D_SEEN,
    P_HELD,
    P_HTTP2,
    S_MANY_SEGMENTS,
    S_REQUESTS_ENDED,
    T_ANSWERED,
    T_COUNTED,
    T_HANDSHAKE,
    T_OPEN,
    T_WAITING,
    T_WAITING_LONG,
    connection_t,
    leave_past,
    turn_t,
)
from trtop_core._records cimport counter_row_t
from trtop_core._responses cimport misses_server
from trtop_core._sides cimport stream_t
from trtop_core._state cimport State

cdef enum:
    WAITING_LONG_S = 10
    ASKING = T_OPEN | T_COUNTED

cdef inline bint is_asking(const turn_t* turn) noexcept nogil:
    """Whether it is a request that counts and has no answer."""
    return turn.flags & (T_OPEN | T_COUNTED | T_HANDSHAKE | T_ANSWERED) == ASKING

cdef inline bint is_one_sided(const connection_t* c) noexcept nogil:
    """Whether one direction was never seen although the other acknowledged something."""
    cdef uint32_t client = c.client.flags & (D_SEEN | D_HAS_ACKNOWLEDGED)
    cdef uint32_t server = c.server.flags & (D_SEEN | D_HAS_ACKNOWLEDGED)
    return c.state & S_MANY_SEGMENTS and (
        (client == D_SEEN | D_HAS_ACKNOWLEDGED and not server)
        or (server == D_SEEN | D_HAS_ACKNOWLEDGED and not client)
    )

cdef inline bint waits(State state, const connection_t* c, const turn_t* turn) noexcept nogil:
    """Whether a request waits for an answer that the capture cannot have missed."""
    return is_asking(turn) and not misses_server(state, c, turn, FOREVER_NS)

cdef inline void set_waiting(
    State state, connection_t* c, turn_t* turn, bint is_waiting, counter_row_t* row
) noexcept nogil:
    """Keep the gauges in step with one request."""
    cdef int64_t due_ns
    if is_waiting:
        if not turn.flags & T_WAITING:
            turn.flags |= T_WAITING
            row.waiting += 1
            due_ns = turn.waits_since_ns + <int64_t>WAITING_LONG_S * SECOND_NS
            if due_ns < c.due_ns:
                state.table.watch(<uint32_t>(c - &state.table.connections[0]), due_ns)
        return
    if turn.flags & T_WAITING:
        row.waiting -= 1
        row.waiting_long -= (turn.flags & T_WAITING_LONG) != 0
        turn.flags &= ~<uint32_t>(T_WAITING | T_WAITING_LONG)

cdef inline void update_waiting(State state, connection_t* c, counter_row_t* row) noexcept nogil:
    """Decide anew which requests of a connection wait."""
    cdef bint is_over = c.state & S_REQUESTS_ENDED or is_one_sided(c)
    cdef bint is_held = (c.protocol & P_HELD) != 0
    cdef uint32_t number
    cdef stream_t* stream
    if c.turn.flags:
        set_waiting(
            state, c, &c.turn, not is_over and not is_held and waits(state, c, &c.turn), row
        )
    if c.protocol & P_HTTP2:
        number = state.sides.http2[c.side - 1].streams
        while number:
            stream = &state.sides.streams[number - 1]
            set_waiting(
                state, c, &stream.turn, not is_over and waits(state, c, &stream.turn), row
            )
            number = stream.next

cdef inline void ask_again(turn_t* turn, int64_t ts_ns, int64_t now_ns, counter_row_t* row) noexcept nogil:
    """A request goes on: it waits from here on."""
    leave_past(turn)
    turn.asked_ns = ts_ns
    turn.waits_since_ns = now_ns
    if turn.flags & T_WAITING_LONG:
        turn.flags &= ~<uint32_t>T_WAITING_LONG
        row.waiting_long -= 1

cdef inline uint64_t count_unanswered(State state, const connection_t* c) noexcept nogil:
    """The requests that nothing will answer, when the connection first closes."""
    cdef uint64_t n = 0
    cdef uint32_t number
    cdef const stream_t* stream
    if c.client.flags & D_FIN or is_one_sided(c):
        # The last run before a client's FIN is a farewell.
        return 0
    if not c.protocol & P_HELD and waits(state, c, &c.turn):
        n += 1
    if c.protocol & P_HTTP2:
        number = state.sides.http2[c.side - 1].streams
        while number:
            stream = &state.sides.streams[number - 1]
            n += waits(state, c, &stream.turn)
            number = stream.next
    return n

cdef inline void note_long_waits(
    State state, connection_t* c, int64_t now_ns, counter_row_t* row
) noexcept nogil:
    """Count the requests that by now wait too long."""
    cdef uint32_t number
    cdef stream_t* stream
    note_long_wait(&c.turn, now_ns, row)
    if c.protocol & P_HTTP2:
        number = state.sides.http2[c.side - 1].streams
        while number:
            stream = &state.sides.streams[number - 1]
            note_long_wait(&stream.turn, now_ns, row)
            number = stream.next

cdef inline void note_long_wait(turn_t* turn, int64_t now_ns, counter_row_t* row) noexcept nogil:
    if turn.flags & (T_WAITING | T_WAITING_LONG) == T_WAITING:
        if now_ns >= turn.waits_since_ns + <int64_t>WAITING_LONG_S * SECOND_NS:
            turn.flags |= T_WAITING_LONG
            row.waiting_long += 1

cdef inline int64_t long_wait_due_ns(State state, const connection_t* c) noexcept nogil:
    """The clock at which the next request waits too long, or the end of time."""
    cdef int64_t due_ns = long_wait_due_of(&c.turn)
    cdef uint32_t number
    if c.protocol & P_HTTP2:
        number = state.sides.http2[c.side - 1].streams
        while number:
            due_ns = min(due_ns, long_wait_due_of(&state.sides.streams[number - 1].turn))
            number = state.sides.streams[number - 1].next
    return due_ns

cdef inline int64_t long_wait_due_of(const turn_t* turn) noexcept nogil:
    if turn.flags & (T_WAITING | T_WAITING_LONG) != T_WAITING:
        return FOREVER_NS
    return turn.waits_since_ns + <int64_t>WAITING_LONG_S * SECOND_NS

cdef inline void clamp_turns(
    State state, connection_t* c, int64_t now_ns, counter_row_t* row
) noexcept nogil:
    """The clock stepped back: what lies in the future counts as now."""
    cdef uint32_t number
    cdef stream_t* stream
    clamp_turn(&c.turn, now_ns, row)
    if c.protocol & P_HTTP2:
        number = state.sides.http2[c.side - 1].streams
        while number:
            stream = &state.sides.streams[number - 1]
            clamp_turn(&stream.turn, now_ns, row)
            number = stream.next

cdef inline void clamp_turn(turn_t* turn, int64_t now_ns, counter_row_t* row) noexcept nogil:
    if turn.waits_since_ns > now_ns:
        turn.waits_since_ns = now_ns
        if turn.flags & T_WAITING_LONG:
            turn.flags &= ~<uint32_t>T_WAITING_LONG
            row.waiting_long -= 1
