# What a response counts, from its first segment to its last.
#
# Takes a turn (of a connection, or of one stream of HTTP/2) and the server's data that answers it.
# Never decides which segment answers what.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from trtop_core._clock cimport FOREVER_NS, SECOND_NS
from trtop_core._connection cimport (
    S_WINDOW_IS_ZERO,
    T_ANSWERED,
    T_COUNTED,
    T_HANDSHAKE,
    T_KNOWS_SERVER,
    T_RAW_SERVER,
    T_SAMPLED,
    T_SENT_AGAIN,
    T_STREAM,
    T_WINDOW_WAS_ZERO,
    T_WITHHELD,
    connection_t,
    leave_past,
    turn_t,
)
from trtop_core._direction cimport unwrap
from trtop_core._latency cimport defer, sample_latency, time_between
from trtop_core._records cimport (
    RESPONSE_DURATION,
    RESPONSE_TIME,
    SERVER_TIME,
    counter_row_t,
)
from trtop_core._state cimport DEFER_GROWTH, State, deferred_t

cdef enum:
    STREAM_BYTES = 1 << 20
    STALL_NS = SECOND_NS
    ENDING_FLAGS = T_ANSWERED | T_SAMPLED | T_COUNTED | T_HANDSHAKE

# The first segment of a response, and what was known when it arrived.
cdef struct answer_t:
    int64_t ts_ns
    int64_t floor_ns
    bint has_floor
    bint is_withheld
    bint was_sent_again

cdef inline int64_t server_start_of(const connection_t* c, const turn_t* turn) noexcept nogil:
    """Where a turn starts on the server's side, if that is known."""
    if turn.flags & T_RAW_SERVER:
        return unwrap(&c.server, <uint32_t>turn.server_start)
    return turn.server_start

cdef inline bint misses_server(
    State state, const connection_t* c, const turn_t* turn, int64_t end
) noexcept nogil:
    """Whether the capture never held a byte of the server's since the turn's start."""
    cdef int64_t start
    if not turn.flags & T_KNOWS_SERVER:
        return False
    start = server_start_of(c, turn)
    if not c.server.holes and start >= c.server.lost_below:
        return False
    return state.holes.misses(&c.server, start, end)

cdef inline bint is_withheld(
    State state, const connection_t* c, const turn_t* turn, int64_t start
) noexcept nogil:
    """Whether the capture missed something that the time of a response depends on."""
    if c.client.holes or turn.client_start < c.client.lost_below:
        if state.holes.misses(&c.client, turn.client_start, FOREVER_NS):
            return True
    return misses_server(state, c, turn, start)

cdef inline void note_window_of(const connection_t* c, turn_t* turn) noexcept nogil:
    """A pause is no stall if the client's window was closed in it."""
    if c.state & S_WINDOW_IS_ZERO:
        turn.flags |= T_WINDOW_WAS_ZERO
    else:
        turn.flags &= ~<uint32_t>T_WINDOW_WAS_ZERO

cdef inline void begin_response(
    State state, connection_t* c, turn_t* turn, const answer_t* answer, counter_row_t* row
) noexcept nogil:
    """A response begins: time to first byte."""
    turn.flags |= T_ANSWERED
    if answer.is_withheld:
        turn.flags |= T_WITHHELD
    turn.first_ns = turn.last_ns = answer.ts_ns
    if not turn.flags & T_COUNTED:
        return
    c.n_responses += 1
    row.responses += 1
    if answer.was_sent_again:
        row.slow_by_loss += 1
    if answer.is_withheld:
        row.withheld += 1
        return
    sample_latency(state, c, RESPONSE_TIME, turn.asked_ns, answer.ts_ns, 0)
    if answer.has_floor:
        sample_latency(state, c, SERVER_TIME, turn.asked_ns, answer.ts_ns, answer.floor_ns)

cdef inline void grow_response(
    State state, connection_t* c, turn_t* turn, int64_t ts_ns, int64_t n_bytes, counter_row_t* row
) noexcept nogil:
    """More data of a response that has begun."""
    leave_past(turn)
    if turn.flags & T_COUNTED:
        add_bytes(turn, n_bytes, row)
        add_time(state, c, turn, ts_ns, row)
    turn.last_ns = ts_ns
    note_window_of(c, turn)

cdef inline void grow_by_first(
    const connection_t* c, turn_t* turn, int64_t n_bytes, counter_row_t* row
) noexcept nogil:
    """The data with which a response begins: no time has passed since."""
    if turn.flags & T_COUNTED:
        add_bytes(turn, n_bytes, row)
    note_window_of(c, turn)

cdef inline void fill_response(
    connection_t* c,
    turn_t* turn,
    int64_t ts_ns,
    int64_t n_bytes,
    bint is_of_turn,
    counter_row_t* row,
) noexcept nogil:
    """Late data of a response; it lengthens the response if it is of its own turn."""
    if is_of_turn:
        leave_past(turn)
    if turn.flags & T_COUNTED:
        add_bytes(turn, n_bytes, row)
    if is_of_turn:
        turn.last_ns = ts_ns
        note_window_of(c, turn)

cdef inline void add_bytes(turn_t* turn, int64_t n_bytes, counter_row_t* row) noexcept nogil:
    turn.n_bytes += <uint64_t>n_bytes
    if turn.flags & T_STREAM:
        row.stream_bytes += <uint64_t>n_bytes
    elif turn.n_bytes >= STREAM_BYTES:
        turn.flags |= T_STREAM
        row.streams += 1
        row.stream_bytes += turn.n_bytes
        row.stream_ns += <uint64_t>turn.stream_ns
        row.stalls += turn.n_stalls

cdef inline void add_time(
    State state, connection_t* c, turn_t* turn, int64_t ts_ns, counter_row_t* row
) noexcept nogil:
    """A segment makes its response longer: now, or when its time is believed."""
    cdef bint is_excused = (turn.flags & T_WINDOW_WAS_ZERO) != 0
    cdef deferred_t* deferred
    if not state.is_waiting:
        grow_time(
            turn,
            time_between(turn.last_ns, ts_ns),
            time_between(turn.first_ns, ts_ns),
            is_excused,
            row,
        )
        return
    deferred = defer(state, c, DEFER_GROWTH, turn.last_ns, ts_ns)
    if deferred != NULL:
        deferred.first_ns = turn.first_ns
        deferred.turn = turn
        deferred.is_excused = is_excused

cdef inline void grow_time(
    turn_t* turn, int64_t pause_ns, int64_t since_first_ns, bint is_excused, counter_row_t* row
) noexcept nogil:
    """The time by which a segment makes its response longer, and whether it ended a stall."""
    cdef bint is_stall = pause_ns > STALL_NS and not is_excused
    cdef int64_t grown_ns = max(<int64_t>0, since_first_ns - turn.stream_ns)
    turn.stream_ns += grown_ns
    turn.n_stalls += is_stall
    if turn.flags & T_STREAM:
        row.stream_ns += <uint64_t>grown_ns
        row.stalls += is_stall

cdef inline void end_of_response(State state, connection_t* c, turn_t* turn) noexcept nogil:
    """Sample the time to the last byte, once."""
    if turn.flags & ENDING_FLAGS != T_ANSWERED | T_COUNTED:
        return
    turn.flags |= T_SAMPLED
    if not turn.flags & T_WITHHELD:
        sample_latency(state, c, RESPONSE_DURATION, turn.asked_ns, turn.last_ns, 0)
