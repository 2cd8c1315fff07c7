# How a connection ends: reset, both FINs, time-out, eviction; and what is decided then.

from libc.stdint cimport int64_t, uint16_t, uint32_t

from trtop_core._clock cimport FOREVER_NS
from trtop_core._connection cimport (
    D_FIN,
    D_HAS_ACKNOWLEDGED,
    D_SEEN,
    S_ATTEMPT,
    S_CLOSED,
    S_EST,
    S_FIN,
    S_MANY_SEGMENTS,
    S_ONE_SIDED_DECIDED,
    S_REUSE_SAMPLED,
    S_RST,
    S_TIMED,
    S_UNANSWERED,
    S_WAITING,
    connection_t,
)
from trtop_core._records cimport REUSE, counter_row_t
from trtop_core._state cimport State, adjust_gauges, count_gaps, touch
from trtop_core._turns cimport end_response

cdef inline void reset(
    State state, connection_t* c, bint from_client, counter_row_t* row
) noexcept nogil:
    if c.state & S_RST:
        return
    if c.state & S_FIN:
        row.rst_after_fin += 1
    else:
        row.rst += 1
        if from_client:
            row.rst_out += 1
        else:
            row.rst_in += 1
            if c.state & S_ATTEMPT and not c.n_synacks and not c.state & S_EST:
                row.refused += 1
    c.state &= ~<uint32_t>S_WAITING
    close(state, c, row)
    c.state |= S_RST
    c.state &= ~<uint32_t>S_TIMED

cdef inline void fin(
    State state, connection_t* c, bint from_client, counter_row_t* row
) noexcept nogil:
    if not c.state & S_RST:
        if not c.state & S_FIN:
            if from_client:
                row.fin_out += 1
            else:
                row.fin_in += 1
        if not from_client:
            end_response(c, state.sketches)
    c.state |= S_FIN
    if c.client.flags & c.server.flags & D_FIN:
        close(state, c, row)

cdef inline void close(State state, connection_t* c, counter_row_t* row) noexcept nogil:
    if c.state & S_CLOSED:
        return
    c.state |= S_CLOSED
    if not c.state & S_RST:
        end_response(c, state.sketches)
    judge_acked(state, c, row)
    decide_one_sided(state, c, row)
    if c.n_responses and not c.state & S_REUSE_SAMPLED:
        c.state |= S_REUSE_SAMPLED
        state.sketches.add(c.destination, REUSE, c.n_responses)

cdef inline void judge_acked(State state, connection_t* c, counter_row_t* row) noexcept nogil:
    """Judge every acknowledged hole, however young."""
    if c.client.holes:
        count_gaps(c, row, state.holes.judge(&c.client, FOREVER_NS))
    if c.server.holes:
        count_gaps(c, row, state.holes.judge(&c.server, FOREVER_NS))

cdef inline void decide_one_sided(State state, connection_t* c, counter_row_t* row) noexcept nogil:
    cdef uint16_t client = c.client.flags & (D_SEEN | D_HAS_ACKNOWLEDGED)
    cdef uint16_t server = c.server.flags & (D_SEEN | D_HAS_ACKNOWLEDGED)
    if c.state & S_ONE_SIDED_DECIDED:
        return
    c.state |= S_ONE_SIDED_DECIDED
    if c.state & S_MANY_SEGMENTS and (
        (client == D_SEEN | D_HAS_ACKNOWLEDGED and not server)
        or (server == D_SEEN | D_HAS_ACKNOWLEDGED and not client)
    ):
        row.one_sided += 1

cdef inline void forget(State state, uint32_t number, counter_row_t* row) noexcept nogil:
    """Take a closed connection out of the table; what was acknowledged since is judged."""
    cdef connection_t* c = &state.table.connections[number]
    judge_acked(state, c, row)
    state.holes.clear(&c.client)
    state.holes.clear(&c.server)
    state.table.remove(number)

cdef inline void evict(State state, uint32_t number) noexcept nogil:
    """Forget a connection for want of room; an attempt that still waits counts in nothing."""
    cdef connection_t* c = &state.table.connections[number]
    cdef counter_row_t* row = touch(state, c.destination)
    cdef uint32_t before = c.state
    c.state &= ~<uint32_t>S_WAITING
    close(state, c, row)
    adjust_gauges(row, before, c.state)
    state.health[0].evicted += 1
    forget(state, number, row)

cdef inline void time_out(connection_t* c, counter_row_t* row) noexcept nogil:
    row.timeouts += 1
    c.state = (c.state & ~<uint32_t>S_WAITING) | S_UNANSWERED
