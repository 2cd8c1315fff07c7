# Capture time: a clock that follows the packets' timestamps, but no stray one.
#
# Takes the timestamp of every packet in the order of the file, and times that a live clock reached;
# moves the clock, runs the timers that this makes due, and settles what a packet that had to wait
# for the next one measured. A step walks all connections: what lies in the future counts as now,
# and what began on the other side of it is no sample.

from libc.stdint cimport int64_t, uint32_t

from trtop_core._clock cimport NO_TIME_NS
from trtop_core._connection cimport (
    P_HELD,
    P_HTTP2,
    P_SIDE,
    S_HAS_FLOOR,
    S_IN_SLOTS,
    S_IN_WHEEL,
    T_ANSWERED,
    T_PAST,
    connection_t,
    turn_t,
)
from trtop_core._eviction cimport drop_all
from trtop_core._latency cimport lower_floor, time_between
from trtop_core._records cimport PATH_RTT
from trtop_core._responses cimport grow_time
from trtop_core._sides cimport TLS_PAST, http2_t, tls_t
from trtop_core._sketch cimport add_to
from trtop_core._state cimport (
    DEFER_FLOOR,
    DEFER_LATENCY,
    DEFER_ROUND_TRIP,
    MAX_BEHIND,
    State,
    add_sample,
    add_sample_of,
    deferred_t,
    record_of,
    touch_for,
)
from trtop_core._table cimport NONE
from trtop_core._timers cimport run_due, run_ticks, start_ticks, watch
from trtop_core._waiting cimport clamp_turns

cdef extern from *:
    """
    #define TRTOP_SECONDS(n) (INT64_C(n) * 1000000000)
    /* A packet further ahead than this waits for the next one to confirm its time. */
    #define TRTOP_MAX_AHEAD_NS TRTOP_SECONDS(20)
    /* One at most this far behind confirms the time before it; further, the clock is wrong. */
    #define TRTOP_MAX_BEHIND_NS TRTOP_SECONDS(10)
    /* A jump further forward than this is a step: nothing was measured across it. */
    #define TRTOP_MAX_JUMP_NS TRTOP_SECONDS(86400)
    /* What windows see of such a jump: longer than any of them. */
    #define TRTOP_WINDOW_JUMP_NS TRTOP_SECONDS(600)
    """
    const int64_t MAX_AHEAD_NS "TRTOP_MAX_AHEAD_NS"
    const int64_t MAX_BEHIND_NS "TRTOP_MAX_BEHIND_NS"
    const int64_t MAX_JUMP_NS "TRTOP_MAX_JUMP_NS"
    const int64_t WINDOW_JUMP_NS "TRTOP_WINDOW_JUMP_NS"

# Times of packets that a walk over connections looks for.
cdef struct times_t:
    int64_t ns[MAX_BEHIND]
    int n
    bint are_kept            # these alone are times still; else these alone are none

# --- moving ---------------------------------------------------------------------------------------

cdef inline void take_time(State state, int64_t ts_ns) noexcept nogil:
    """Take the time of the next packet, whatever it is."""
    cdef bint is_settled = state.is_waiting and settle_by(state, ts_ns)
    if not state.has_first:
        state.has_first = True
        state.first_ns = ts_ns
    if not state.has_clock:
        start_clock(state, ts_ns)
    if is_settled:
        pass
    elif ts_ns < state.clock_ns - MAX_BEHIND_NS:
        fall_behind(state, ts_ns)
    else:
        state.n_behind = 0
        if ts_ns > state.clock_ns + MAX_AHEAD_NS:
            state.is_waiting = True
            state.waiting_ns = ts_ns
            state.waiting_number = NONE
        else:
            move_clock(state, ts_ns, NO_TIME_NS)
    judge_clock(state)

cdef inline void judge_clock(State state) noexcept nogil:
    """Whether the next packets need no second look, after everything that moved the clock."""
    cdef bint has_one = state.health[0].clock_steps + state.health[0].stray_times == 0
    state.is_usual = not state.is_waiting and state.n_behind == 0
    state.has_one_clock = state.is_usual and has_one

cdef inline void start_clock(State state, int64_t now_ns) noexcept nogil:
    state.has_clock = True
    state.clock_ns = now_ns
    start_ticks(state, now_ns)
    state.start_windows(now_ns)

cdef inline bint settle_by(State state, int64_t ts_ns) noexcept nogil:
    """Decide by the next packet about one that waits; if that is believed, so is the next."""
    cdef int64_t waiting_ns = state.waiting_ns
    cdef bint jumps_before, jumps_behind, is_edge
    state.is_waiting = False
    if ts_ns < waiting_ns - MAX_BEHIND_NS:
        state.health[0].stray_times += 1
        settle_deferred(state, waiting_ns, False)
        forget_time(state, waiting_ns)
        if state.waiting_number != NONE:
            clamp(state, record_of(state, state.waiting_number))
        return False
    jumps_before = waiting_ns - state.clock_ns > MAX_JUMP_NS
    jumps_behind = ts_ns - waiting_ns > MAX_JUMP_NS
    # Of two jumps at once the later is the edge; what lies between them is on neither side.
    is_edge = jumps_before and not jumps_behind
    if jumps_before and jumps_behind:
        settle_deferred(state, waiting_ns, False)
        forget_time(state, waiting_ns)
    else:
        settle_deferred(state, NO_TIME_NS, is_edge)
    move_clock(state, max(waiting_ns, ts_ns), waiting_ns if is_edge else NO_TIME_NS)
    return True

cdef inline void advance_clock(State state, int64_t now_ns) noexcept nogil:
    """Let a live clock go on by itself."""
    cdef int64_t kept_ns = NO_TIME_NS
    if not state.has_clock:
        start_clock(state, now_ns)
        return
    if state.is_waiting and now_ns >= state.waiting_ns:
        state.is_waiting = False
        kept_ns = state.waiting_ns
        settle_deferred(state, NO_TIME_NS, now_ns - state.clock_ns > MAX_JUMP_NS)
    move_clock(state, now_ns, kept_ns)
    judge_clock(state)

cdef inline void end_clock(State state) noexcept nogil:
    """The capture ends: a packet that still waits is believed, unless it is a day ahead."""
    if not state.is_waiting:
        return
    if state.waiting_ns <= state.clock_ns + MAX_JUMP_NS:
        advance_clock(state, state.waiting_ns)
    else:
        settle_deferred(state, state.waiting_ns, False)

cdef inline void move_clock(State state, int64_t now_ns, int64_t kept_ns) noexcept nogil:
    """Move on, and run what is due; after a step only times of one packet are times still."""
    cdef times_t times
    if now_ns - state.clock_ns > MAX_JUMP_NS:
        times.are_kept = True
        times.ns[0] = kept_ns
        times.n = 1
        step(state, now_ns, WINDOW_JUMP_NS)
        forget_times(state, &times, state.waiting_number)
    elif now_ns <= state.clock_ns:
        return
    run_ticks(state, now_ns)

cdef inline void step(State state, int64_t to_ns, int64_t window_jump_ns) noexcept nogil:
    state.health[0].clock_steps += 1
    state.jumped_ns += to_ns - state.clock_ns
    state.jump_windows(to_ns, window_jump_ns)

cdef inline void fall_behind(State state, int64_t ts_ns) noexcept nogil:
    """A packet far behind the clock; with so many in a row it is the clock that is wrong."""
    state.n_behind += 1
    if state.n_behind < MAX_BEHIND:
        # Of a connection only if it turns out to hold a segment; not of one of an earlier row.
        state.behind_numbers[state.n_behind - 1] = NONE
        return
    # What was due by the clock as it was has happened.
    run_due(state)
    step(state, ts_ns, 0)
    state.n_steps_back += 1
    state.clock_ns = ts_ns
    state.n_behind = 0
    start_ticks(state, ts_ns)
    # What eviction lined up rests on times that are gone.
    drop_all(&state.table.eviction)
    clamp_all(state)

cdef inline void note_behind(State state, uint32_t number, int64_t ts_ns) noexcept nogil:
    """Remember which connection a packet far behind the clock belongs to."""
    state.behind_numbers[state.n_behind - 1] = number
    state.behind_ns[state.n_behind - 1] = ts_ns

# --- what a packet that waited measured -----------------------------------------------------------

cdef inline void settle_deferred(State state, int64_t unknown_ns, bint is_edge) noexcept nogil:
    """Count what ended at the packet that waited.

    Args:
        unknown_ns: the packet's time, if it is none: nothing is measured by it.
        is_edge: the clock steps to the packet: nothing that began before it is measured.
    """
    cdef int i
    cdef deferred_t* deferred
    for i in range(state.n_deferred):
        deferred = &state.deferred[i]
        if is_edge and deferred.end_ns == state.waiting_ns:
            if deferred.start_ns != state.waiting_ns:
                deferred.start_ns = NO_TIME_NS
            if deferred.first_ns != state.waiting_ns:
                deferred.first_ns = NO_TIME_NS
        if deferred.start_ns == unknown_ns or deferred.end_ns == unknown_ns:
            deferred.start_ns = NO_TIME_NS
        if deferred.first_ns == unknown_ns or deferred.end_ns == unknown_ns:
            deferred.first_ns = NO_TIME_NS
        count_deferred(state, deferred)
    state.n_deferred = 0
    if state.has_log:
        state.log.let_go()
    if state.has_deferred_round_trip:
        state.has_deferred_round_trip = False
        # A floor may be new, and to be sampled when a slot ends.
        watch(state, record_of(state, state.waiting_number))

cdef inline void count_deferred(State state, deferred_t* deferred) noexcept nogil:
    cdef bint is_known = (
        state.table.is_known(deferred.number)
        and state.table.opened[deferred.number] == deferred.opened
    )
    cdef connection_t* c
    cdef int64_t latency_ns = time_between(deferred.start_ns, deferred.end_ns)
    if deferred.kind == DEFER_FLOOR:
        if is_known:
            c = record_of(state, deferred.number)
            if c.state & S_HAS_FLOOR:
                add_sample(state, c, deferred.destination, PATH_RTT, c.floor_ns)
    elif deferred.kind == DEFER_LATENCY:
        if latency_ns >= 0:
            latency_ns = max(<int64_t>0, latency_ns - deferred.less_ns)
            if is_known:
                add_sample_of(
                    state, deferred.number, deferred.destination, deferred.sketch, latency_ns
                )
            else:
                # The packet that waited opened another one for which it had to go.
                add_to(state.sketches, deferred.destination, deferred.sketch, latency_ns)
                if state.has_log:
                    state.log.sample_late(deferred.opened, deferred.sketch, latency_ns)
    elif deferred.kind == DEFER_ROUND_TRIP:
        if latency_ns >= 0 and is_known:
            c = record_of(state, deferred.number)
            add_sample(state, c, deferred.destination, deferred.sketch, latency_ns)
            lower_floor(c, deferred.sketch, latency_ns)
    else:
        grow_time(
            deferred.turn,
            latency_ns,
            time_between(deferred.first_ns, deferred.end_ns),
            deferred.is_excused,
            touch_for(state, deferred.number, deferred.destination),
        )

# --- walks over connections -----------------------------------------------------------------------

cdef inline void forget_time(State state, int64_t ts_ns) noexcept nogil:
    """The time of the packet that waited measures nothing."""
    cdef times_t times
    times.are_kept = False
    times.ns[0] = ts_ns
    times.n = 1
    if state.waiting_number != NONE:
        filter_times(state, record_of(state, state.waiting_number), &times)

cdef inline void forget_times(State state, const times_t* times, uint32_t number) noexcept nogil:
    """The clock stepped forward: nothing spans that but what one connection began behind it."""
    cdef uint32_t i
    cdef connection_t* c
    cdef bint was_packed
    cdef times_t none
    none.are_kept = True
    none.n = 0
    for i in range(state.table.n_used):
        if state.table.is_known(i):
            was_packed = state.table.is_packed(i)
            c = record_of(state, i)
            filter_times(state, c, times if i == number else &none)
            if was_packed:
                state.table.pack(c)

cdef inline void clamp_all(State state) noexcept nogil:
    """The clock stepped back to the latest of some packets in a row."""
    cdef uint32_t number
    cdef int i
    cdef times_t times
    cdef connection_t* c
    cdef bint was_packed
    times.are_kept = True
    for number in range(state.table.n_used):
        if not state.table.is_known(number):
            continue
        was_packed = state.table.is_packed(number)
        c = record_of(state, number)
        times.n = 0
        for i in range(MAX_BEHIND - 1):
            if state.behind_numbers[i] == number:
                times.ns[times.n] = state.behind_ns[i]
                times.n += 1
        filter_times(state, c, &times)
        # The wheel holds nothing any more.
        c.state &= ~<uint32_t>S_IN_WHEEL
        clamp(state, c)
        if was_packed:
            state.table.pack(c)

cdef inline void clamp(State state, connection_t* c) noexcept nogil:
    """Bring a connection's times of the future back to now."""
    cdef int64_t now_ns = state.clock_ns
    if c.last_ns > now_ns:
        c.last_ns = now_ns
        if state.table.eviction.is_on:
            state.table.note_rank(c)
    c.began_clock_ns = min(c.began_clock_ns, now_ns)
    c.state &= ~<uint32_t>S_IN_SLOTS
    if c.client.holes:
        state.holes.clamp(&c.client, now_ns)
    if c.server.holes:
        state.holes.clamp(&c.server, now_ns)
    clamp_turns(state, c, now_ns)
    watch(state, c)

cdef inline void filter_times(State state, connection_t* c, const times_t* times) noexcept nogil:
    """Forget the times of packets that something of a connection began or ended with."""
    cdef http2_t* http2
    cdef tls_t* tls
    cdef uint32_t number
    filter_time(&c.began_ns, times)
    filter_time(&c.timed_ns, times)
    filter_turn(&c.turn, (c.protocol & P_HELD) != 0, times)
    if not c.protocol & P_SIDE:
        return
    if not c.protocol & P_HTTP2:
        tls = &state.sides.tls[c.side - 1]
        if times.are_kept and not are_any(tls.hello_ns, tls.last_ns, times):
            tls.flags |= TLS_PAST
        else:
            filter_time(&tls.hello_ns, times)
            filter_time(&tls.last_ns, times)
        return
    http2 = &state.sides.http2[c.side - 1]
    filter_time(&http2.client.began.ts_ns, times)
    filter_time(&http2.client.cut.ts_ns, times)
    filter_time(&http2.server.began.ts_ns, times)
    filter_time(&http2.server.cut.ts_ns, times)
    number = http2.streams
    while number:
        filter_turn(&state.sides.streams[number - 1].turn, False, times)
        number = state.sides.streams[number - 1].next

cdef inline void filter_turn(turn_t* turn, bint is_held, const times_t* times) noexcept nogil:
    """Forget times of a turn; those of one that was answered before a step measure it still."""
    if turn.flags & T_PAST:
        return
    if times.are_kept and (turn.flags & T_ANSWERED or is_held):
        if not are_any(turn.asked_ns, turn.last_ns, times):
            turn.flags |= T_PAST
            return
    filter_time(&turn.asked_ns, times)
    filter_time(&turn.first_ns, times)
    filter_time(&turn.last_ns, times)

cdef inline bint are_any(int64_t a_ns, int64_t b_ns, const times_t* times) noexcept nogil:
    cdef int i
    for i in range(times.n):
        if a_ns == times.ns[i] or b_ns == times.ns[i]:
            return True
    return False

cdef inline void filter_time(int64_t* ts_ns, const times_t* times) noexcept nogil:
    cdef int i
    for i in range(times.n):
        if ts_ns[0] == times.ns[i]:
            if not times.are_kept:
                ts_ns[0] = NO_TIME_NS
            return
    if times.are_kept:
        ts_ns[0] = NO_TIME_NS
