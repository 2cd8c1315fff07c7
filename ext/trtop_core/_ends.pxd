# How a connection ends: reset, both FINs, time-out, eviction; and what is decided then.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from trtop_core._clock cimport FOREVER_NS
from trtop_core._connection cimport (
    D_FIN,
    P_HTTP2,
    P_MULTIPLEXED,
    S_ATTEMPT,
    S_CLOSED,
    S_ENDS_REQUESTS,
    S_EST,
    S_FIN,
    S_ONE_SIDED_DECIDED,
    S_REQUESTS_ENDED,
    S_REUSE_SAMPLED,
    S_RST,
    S_IN_SLOTS,
    S_SLOT_OPEN,
    S_TIMED,
    S_UNANSWERED,
    S_WAITING,
    S_WAS_CLOSED,
    connection_t,
)
from trtop_core._connection_log cimport place_t
from trtop_core._latency cimport sample_closing_floor, sample_latency
from trtop_core._records cimport RESET_AGE, REUSE, counter_row_t
from trtop_core._slots cimport run_slot_timer
from trtop_core._state cimport (
    State,
    add_sample,
    adjust_gauges,
    clock_of_others,
    count_gaps,
    touch,
)
from trtop_core._tickets cimport decide
from trtop_core._tls_handshake cimport fail_unfinished
from trtop_core._turns cimport drop_side, end_response
from trtop_core._waiting cimport count_unanswered, is_one_sided

cdef inline void reset(
    State state, connection_t* c, int64_t ts_ns, bint from_client, counter_row_t* row
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
            else:
                sample_latency(state, c, RESET_AGE, c.began_ns, ts_ns, 0)
    c.state &= ~<uint32_t>S_WAITING
    fail_unfinished(c, from_client, row)
    close(state, c, row)
    c.state |= S_RST
    c.state &= ~<uint32_t>S_TIMED

cdef inline void fin(
    State state, connection_t* c, bint from_client, counter_row_t* row
) noexcept nogil:
    if not c.state & S_RST:
        fail_unfinished(c, from_client, row)
        if not c.state & S_FIN:
            if from_client:
                row.fin_out += 1
            else:
                row.fin_in += 1
        if not from_client:
            c.state |= S_ENDS_REQUESTS
            end_requests_if_due(state, c, row)
            end_response(state, c)
    c.state |= S_FIN
    if c.client.flags & c.server.flags & D_FIN:
        close(state, c, row)

cdef inline void end_requests_if_due(
    State state, connection_t* c, counter_row_t* row
) noexcept nogil:
    """Behind the server's FIN nothing answers, once no hole before it is open."""
    if c.state & (S_ENDS_REQUESTS | S_REQUESTS_ENDED) != S_ENDS_REQUESTS:
        return
    if not c.server.holes or not state.holes.is_open_below(&c.server, FOREVER_NS):
        end_requests(state, c, row)

cdef inline void end_requests(State state, connection_t* c, counter_row_t* row) noexcept nogil:
    """The first closing: what is not answered now is unanswered."""
    cdef uint64_t n_unanswered
    if c.state & (S_REQUESTS_ENDED | S_RST):
        return
    c.state |= S_REQUESTS_ENDED
    decide(state, c, row)
    n_unanswered = count_unanswered(state, c)
    # A counter that hardly any connection needs: its cache line is left alone.
    if n_unanswered:
        row.unanswered += n_unanswered

cdef inline void close(State state, connection_t* c, counter_row_t* row) noexcept nogil:
    cdef bint is_blind = c.protocol & (P_MULTIPLEXED | P_HTTP2) == P_MULTIPLEXED
    if c.state & S_CLOSED:
        return
    c.state |= S_CLOSED
    end_requests(state, c, row)
    if not c.state & S_RST:
        decide(state, c, row)
        end_response(state, c)
    judge_acked(state, c, row)
    decide_one_sided(state, c, row)
    c.state &= ~<uint32_t>(S_SLOT_OPEN | S_IN_SLOTS)
    if not c.state & S_WAS_CLOSED:
        c.state |= S_WAS_CLOSED
        sample_closing_floor(state, c)
    if c.n_responses and not is_blind and not c.state & S_REUSE_SAMPLED:
        c.state |= S_REUSE_SAMPLED
        add_sample(state, c, c.destination, REUSE, c.n_responses)

cdef inline void judge_acked(State state, connection_t* c, counter_row_t* row) noexcept nogil:
    """Judge every acknowledged hole, however young."""
    if c.client.holes:
        count_gaps(c, row, state.holes.judge(&c.client, FOREVER_NS))
    if c.server.holes:
        count_gaps(c, row, state.holes.judge(&c.server, FOREVER_NS))

cdef inline void decide_one_sided(State state, connection_t* c, counter_row_t* row) noexcept nogil:
    if c.state & S_ONE_SIDED_DECIDED:
        return
    c.state |= S_ONE_SIDED_DECIDED
    row.one_sided += is_one_sided(c)

cdef inline void forget(
    State state, connection_t* c, counter_row_t* row, bint is_evicted=False
) noexcept nogil:
    """Take a closed connection out of the table; what was acknowledged since is judged."""
    judge_acked(state, c, row)
    drop_side(state, c, row)
    state.holes.clear(&c.client)
    state.holes.clear(&c.server)
    if state.has_log:
        log_connection(state, c, is_evicted, False)
    state.table.remove(c)

cdef inline void log_connection(
    State state, const connection_t* c, bint is_evicted, bint is_remembered
) noexcept nogil:
    """Record a connection, unless nobody asked for its direction."""
    cdef place_t place
    if c.destination == state.hidden_row:
        state.log.discard(c.number)
        return
    place.n_steps_back = state.n_steps_back
    place.tick = state.table.tick
    place.n_segments = 0 if state.is_ending_tick else state.n_seen + 1
    place.opened = state.table.opened[c.number]
    if state.n_deferred:
        state.log.hold()
    state.log.write(c, &place, is_evicted, is_remembered)

cdef inline void evict(State state, connection_t* c) noexcept nogil:
    """Forget a connection for want of room; an attempt that still waits counts in nothing."""
    cdef counter_row_t* row = touch(state, c)
    cdef uint32_t before = c.state
    # A slot that ends now has ended; nobody looks at its list any more.
    run_slot_timer(state, c, clock_of_others(state))
    c.state &= ~<uint32_t>S_WAITING
    # What waits for an answer counts in nothing any more, either.
    decide(state, c, row)
    c.state |= S_REQUESTS_ENDED
    close(state, c, row)
    adjust_gauges(row, before, c.state)
    state.health[0].evicted += 1
    forget(state, c, row, is_evicted=True)

cdef inline void time_out(connection_t* c, counter_row_t* row) noexcept nogil:
    row.timeouts += 1
    c.state = (c.state & ~<uint32_t>S_WAITING) | S_UNANSWERED
