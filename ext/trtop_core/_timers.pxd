# What happens when capture time runs out for a connection.
#
# Timers run out at or after their clock, before the packet at hand counts. Ticks of the wheel end
# on the seconds that windows are cut at, so that a timer counts in the slot in which it ran out.

from libc.stdint cimport int64_t, uint32_t

from trtop_core._clock cimport FOREVER_NS, SECOND_NS
from trtop_core._connection cimport (
    S_CLOSED,
    S_IDLE,
    S_IN_SLOTS,
    S_IN_WHEEL,
    S_UNANSWERED,
    S_WAITING,
    connection_t,
    direction_of,
    direction_t,
)
from trtop_core._ends cimport close, end_requests_if_due, evict, forget, time_out
from trtop_core._records cimport counter_row_t, floor_div
from trtop_core._slots cimport (
    clear_slots,
    end_slots,
    lower_due,
    needs_slot,
    run_slot_timer,
    run_slots,
    slot_end_ns,
)
from trtop_core._state cimport (
    N_SLOT_TICKS,
    State,
    adjust_gauges,
    clock_of_others,
    count_gaps,
    record_of,
    touch,
)
from trtop_core._table cimport NONE, N_TICKS, TICK_NS

cdef enum:
    JUDGE_AFTER_NS = SECOND_NS   # an acknowledged hole may be filled for so long
    ANSWER_TIMEOUT_S = 20
    CLOSED_MEMORY_S = 60
    TIMED_OUT_MEMORY_S = 300

cdef inline void start_ticks(State state, int64_t now_ns) noexcept nogil:
    """Begin at a clock with an empty wheel."""
    state.table.clear_wheel(floor_div(now_ns, TICK_NS))
    clear_slots(state)
    state.next_tick_ns = (state.table.tick + 1) * TICK_NS

cdef inline void run_ticks(State state, int64_t now_ns) noexcept nogil:
    """Move the clock on, and run what is due in the ticks that end by that."""
    while state.next_tick_ns <= now_ns and state.table.n_in_wheel:
        if (
            not state.table.tick & (N_TICKS - 1)
            and now_ns // TICK_NS > state.table.tick + 2 * N_TICKS
        ):
            leap(state, now_ns)
        end_tick(state)
    state.table.tick = floor_div(now_ns, TICK_NS)
    state.next_tick_ns = (state.table.tick + 1) * TICK_NS
    state.clock_ns = now_ns
    state.roll_epoch(now_ns)

cdef inline void run_due(State state) noexcept nogil:
    """Run what is due by the clock in the tick that has not ended."""
    cdef uint32_t number = state.table.wheel[state.table.tick & (N_TICKS - 1)]
    cdef uint32_t following
    while number != NONE:
        following = state.table.links[number].next
        if state.table.look_at_times(number).due_ns <= state.clock_ns:
            run_timers(state, record_of(state, number), state.clock_ns)
        number = following
    run_slots(state, state.table.tick, state.clock_ns)

cdef inline void end_tick(State state) noexcept nogil:
    """Look at the connections that this tick of the wheel holds, and go to the next."""
    cdef int64_t now_ns = state.next_tick_ns
    cdef uint32_t number, following
    state.clock_ns = max(state.clock_ns, now_ns - 1)
    number = state.table.wheel[state.table.tick & (N_TICKS - 1)]
    if number != NONE or state.slots[state.table.tick & (N_SLOT_TICKS - 1)].n:
        state.roll_epoch(now_ns - 1)
    end_slots(state, state.table.tick, now_ns - 1)
    state.table.tick += 1
    state.next_tick_ns += TICK_NS
    state.is_ending_tick = True
    while number != NONE:
        following = state.table.links[number].next
        run_timers(state, record_of(state, number), now_ns - 1)
        number = following
    state.is_ending_tick = False

cdef inline void run_timers(State state, connection_t* c, int64_t now_ns) noexcept nogil:
    """Do what is due for one connection; it may be forgotten."""
    cdef counter_row_t* row = touch(state, c)
    cdef uint32_t before = c.state
    cdef int side
    cdef direction_t* d
    if c.state & S_WAITING and now_ns >= c.began_clock_ns + seconds(ANSWER_TIMEOUT_S):
        time_out(c, row)
    for side in range(2):
        d = direction_of(c, side)
        if d.holes:
            count_gaps(c, row, state.holes.judge(d, now_ns - JUDGE_AFTER_NS))
    end_requests_if_due(state, c, row)
    run_slot_timer(state, c, now_ns)
    if not c.state & S_CLOSED and now_ns >= c.last_ns + state.idle_timeout_ns:
        close(state, c, row)
        c.state |= S_IDLE
    if before != c.state:
        adjust_gauges(row, before, c.state)
    if now_ns >= c.last_ns + memory_ns(c):
        before = c.state
        close(state, c, row)
        adjust_gauges(row, before, c.state)
        forget(state, c, row)
    else:
        watch(state, c)
        if c.state & S_IDLE and not before & S_IDLE and state.table.eviction.is_on:
            state.table.note_rank(c)

cdef inline void make_room(State state) noexcept nogil:
    """Forget a connection of the full table; none if the timers that are due make room already."""
    cdef int64_t now_ns = clock_of_others(state)
    cdef uint32_t number = state.table.next_due(now_ns)
    while number != NONE:
        run_timers(state, record_of(state, number), now_ns)
        number = state.table.next_due(now_ns)
    if state.table.is_full():
        evict(state, record_of(state, state.table.next_to_evict()))

cdef inline void leap(State state, int64_t now_ns) noexcept nogil:
    """Skip the ticks, once in a turn of the wheel, up to that in which the next timer runs out."""
    cdef int64_t to_ns = now_ns
    cdef uint32_t number
    cdef connection_t* c
    cdef bint was_packed
    for number in range(state.table.n_used):
        if state.table.is_known(number):
            to_ns = min(to_ns, next_due_ns(state, state.table.look(number)))
    if floor_div(to_ns, TICK_NS) <= state.table.tick:
        return
    start_ticks(state, to_ns)
    for number in range(state.table.n_used):
        if state.table.is_known(number):
            was_packed = state.table.is_packed(number)
            c = record_of(state, number)
            c.state &= ~<uint32_t>(S_IN_WHEEL | S_IN_SLOTS)
            watch(state, c)
            if was_packed:
                state.table.pack(c)

cdef inline void watch(State state, connection_t* c) noexcept nogil:
    """Put a connection where the wheel looks at it when its next timer is due."""
    cdef int64_t due_ns = wheel_due_ns(state, c)
    if due_ns >= FOREVER_NS // 2:
        state.table.unwatch(c)
        c.due_ns = c.wheel_ns = FOREVER_NS
    else:
        state.table.watch(c, due_ns)
    lower_due(c)

cdef inline int64_t wheel_due_ns(State state, const connection_t* c) noexcept nogil:
    """The clock at which the next timer runs out, that of a listed slot excepted."""
    cdef int64_t due_ns = c.last_ns + memory_ns(c)
    if c.state & S_WAITING:
        due_ns = min(due_ns, c.began_clock_ns + seconds(ANSWER_TIMEOUT_S))
    if not c.state & S_CLOSED:
        due_ns = min(due_ns, c.last_ns + state.idle_timeout_ns)
        if needs_slot(c):
            # There was no room in the lists.
            due_ns = min(due_ns, slot_end_ns(c))
    if c.client.holes:
        due_ns = min(due_ns, later(state.holes.first_acked_ns(&c.client), JUDGE_AFTER_NS))
    if c.server.holes:
        due_ns = min(due_ns, later(state.holes.first_acked_ns(&c.server), JUDGE_AFTER_NS))
    return due_ns

cdef inline int64_t next_due_ns(State state, const connection_t* c) noexcept nogil:
    cdef int64_t due_ns = wheel_due_ns(state, c)
    return min(due_ns, slot_end_ns(c)) if c.state & S_IN_SLOTS else due_ns

cdef inline int64_t later(int64_t clock_ns, int64_t by_ns) noexcept nogil:
    return clock_ns if clock_ns == FOREVER_NS else clock_ns + by_ns

cdef inline int64_t memory_ns(const connection_t* c) noexcept nogil:
    """How long after its last segment a connection is forgotten."""
    if c.state & (S_CLOSED | S_IDLE) == S_CLOSED:
        return seconds(CLOSED_MEMORY_S)
    if c.state & S_UNANSWERED:
        return seconds(TIMED_OUT_MEMORY_S)
    return FOREVER_NS // 2

cdef inline int64_t seconds(int64_t n) noexcept nogil:
    return n * SECOND_NS
