# Requests that wait for their answer: the gauges, and what is unanswered when a connection ends.
#
# The gauges are counted when a snapshot is made.

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from trtop_core._clock cimport FOREVER_NS, SECOND_NS
from trtop_core._connection cimport (
    D_FIN,
    D_HAS_ACKNOWLEDGED,
    D_SEEN,
    P_HELD,
    P_HTTP2,
    P_SHAPE,
    P_SUSPENDED,
    S_ALIVE,
    S_MANY_SEGMENTS,
    S_REQUESTS_ENDED,
    T_ANSWERED,
    T_COUNTED,
    T_HANDSHAKE,
    T_OPEN,
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

cdef inline void ask_again(turn_t* turn, int64_t ts_ns, int64_t now_ns) noexcept nogil:
    """A request goes on: it waits from here on."""
    leave_past(turn)
    turn.asked_ns = ts_ns
    turn.waits_since_ns = now_ns

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

# The requests of one connection that wait now.
cdef struct waiting_t:
    uint64_t n
    uint64_t n_long
    int64_t oldest_ns        # capture time since when the oldest waits; FOREVER_NS without one

cdef inline void count_waiting(State state) noexcept nogil:
    """Set the gauges ``waiting`` and ``waiting_long`` of every row, for a snapshot.

    It takes a look at every connection, so that requests which are answered, as nearly all are,
    cost nothing while packets come.
    """
    cdef uint32_t number
    cdef const connection_t* c
    cdef waiting_t found
    cdef counter_row_t* rows = &state.destinations.rows[0]
    for number in range(state.destinations.n_rows):
        rows[number].waiting = rows[number].waiting_long = 0
    rows[state.hidden_row].waiting = rows[state.hidden_row].waiting_long = 0
    for number in range(state.table.n_used):
        if not state.table.may_ask(number):
            continue
        c = state.table.look(number)
        found = waiting_of(state, c)
        rows[c.destination].waiting += found.n
        rows[c.destination].waiting_long += found.n_long

cdef inline int64_t oldest_wait_of(State state, const uint8_t* is_wanted) noexcept nogil:
    """How long the oldest request waits at these rows, in ns; -1 without one."""
    cdef uint32_t number
    cdef const connection_t* c
    cdef int64_t oldest_ns = FOREVER_NS
    for number in range(state.table.n_used):
        if not state.table.may_ask(number):
            continue
        c = state.table.look(number)
        # Those that nobody asked for have a row behind all others.
        if c.destination < state.destinations.n_rows and is_wanted[c.destination]:
            oldest_ns = min(oldest_ns, waiting_of(state, c).oldest_ns)
    return -1 if oldest_ns == FOREVER_NS else max(0, state.clock_ns - oldest_ns)

cdef inline waiting_t waiting_of(State state, const connection_t* c) noexcept nogil:
    cdef uint32_t number
    cdef const stream_t* stream
    cdef waiting_t found
    found.n = found.n_long = 0
    found.oldest_ns = FOREVER_NS
    if c.state & (S_ALIVE | S_REQUESTS_ENDED) != S_ALIVE or is_one_sided(c):
        return found
    if not c.protocol & P_HELD and (waits(state, c, &c.turn) or is_silent(state, c)):
        add_waiting(state, &c.turn, &found)
    if c.protocol & P_HTTP2:
        number = state.sides.http2[c.side - 1].streams
        while number:
            stream = &state.sides.streams[number - 1]
            if waits(state, c, &stream.turn):
                add_waiting(state, &stream.turn, &found)
            number = stream.next
    return found

cdef inline void add_waiting(
    State state, const turn_t* turn, waiting_t* found
) noexcept nogil:
    found.n += 1
    found.n_long += is_long(state, turn)
    found.oldest_ns = min(found.oldest_ns, turn.waits_since_ns)

cdef inline bint is_long(State state, const turn_t* turn) noexcept nogil:
    return state.clock_ns >= turn.waits_since_ns + <int64_t>WAITING_LONG_S * SECOND_NS

cdef inline bint is_silent(State state, const connection_t* c) noexcept nogil:
    """Whether a first request waits behind a handshake that HTTP/2 would have answered long ago.

    It may still turn out to be HTTP/2, whose server begins with its settings.
    """
    cdef uint32_t undecided = P_SUSPENDED | P_SHAPE
    return (
        c.protocol & undecided == undecided
        and c.turn.flags & (T_OPEN | T_HANDSHAKE | T_ANSWERED) == T_OPEN
        and is_long(state, &c.turn)
        and not misses_server(state, c, &c.turn, FOREVER_NS)
    )

cdef inline void clamp_turns(State state, connection_t* c, int64_t now_ns) noexcept nogil:
    """The clock stepped back: what lies in the future counts as now."""
    cdef uint32_t number
    cdef stream_t* stream
    c.turn.waits_since_ns = min(c.turn.waits_since_ns, now_ns)
    if c.protocol & P_HTTP2:
        number = state.sides.http2[c.side - 1].streams
        while number:
            stream = &state.sides.streams[number - 1]
            stream.turn.waits_since_ns = min(stream.turn.waits_since_ns, now_ns)
            number = stream.next
