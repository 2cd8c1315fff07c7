# Capture time, and what happens when it runs out for a connection.
#
# Timers run out at or after their clock, before the packet at hand counts. Ticks of the wheel end
# on the seconds that windows are cut at, so that a timer counts in the slot in which it ran out.

from libc.stdint cimport int64_t, uint32_t

from trtop_core._clock cimport FOREVER_NS, SECOND_NS
from trtop_core._connection cimport (
    S_CLOSED,
    S_IDLE,
    S_UNANSWERED,
    S_WAITING,
    connection_t,
    direction_of,
    direction_t,
)
from trtop_core._ends cimport close, evict, forget, time_out
from trtop_core._records cimport counter_row_t, floor_div
from trtop_core._state cimport State, adjust_gauges, count_gaps, touch
from trtop_core._table cimport NONE, N_TICKS, TICK_NS

cdef enum:
    JUDGE_AFTER_NS = SECOND_NS   # an acknowledged hole may be filled for so long
    ANSWER_TIMEOUT_S = 20
    CLOSED_MEMORY_S = 60
    TIMED_OUT_MEMORY_S = 300

cdef inline void move_clock(State state, int64_t now_ns) noexcept nogil:
    if not state.has_clock:
        state.has_clock = True
        state.first_ns = now_ns
        state.clock_ns = now_ns
        state.table.tick = floor_div(now_ns, TICK_NS)
        state.next_tick_ns = (state.table.tick + 1) * TICK_NS
        state.roll_epoch(now_ns)
        return
    if now_ns <= state.clock_ns:
        return
    while state.next_tick_ns <= now_ns and state.table.n_in_wheel:
        end_tick(state)
    state.table.tick = floor_div(now_ns, TICK_NS)
    state.next_tick_ns = (state.table.tick + 1) * TICK_NS
    state.clock_ns = now_ns
    state.roll_epoch(now_ns)

cdef inline void end_tick(State state) noexcept nogil:
    """Look at the connections that this tick of the wheel holds, and go to the next."""
    cdef int64_t now_ns = state.next_tick_ns
    cdef uint32_t number, following
    state.clock_ns = max(state.clock_ns, now_ns - 1)
    number = state.table.wheel[state.table.tick & (N_TICKS - 1)]
    if number != NONE:
        state.roll_epoch(now_ns - 1)
    state.table.tick += 1
    state.next_tick_ns += TICK_NS
    while number != NONE:
        following = state.table.connections[number].wheel_next
        run_timers(state, number, now_ns - 1)
        number = following

cdef inline void run_timers(State state, uint32_t number, int64_t now_ns) noexcept nogil:
    """Do what is due for one connection; it may be forgotten."""
    cdef connection_t* c = &state.table.connections[number]
    cdef counter_row_t* row = touch(state, c.destination)
    cdef uint32_t before = c.state
    cdef int side
    cdef direction_t* d
    if c.state & S_WAITING and now_ns >= c.syn_clock_ns + seconds(ANSWER_TIMEOUT_S):
        time_out(c, row)
    for side in range(2):
        d = direction_of(c, side)
        if d.holes:
            count_gaps(c, row, state.holes.judge(d, now_ns - JUDGE_AFTER_NS))
    if not c.state & S_CLOSED and now_ns >= c.last_ns + state.idle_timeout_ns:
        close(state, c, row)
        c.state |= S_IDLE
    adjust_gauges(row, before, c.state)
    if now_ns >= c.last_ns + memory_ns(c):
        before = c.state
        close(state, c, row)
        adjust_gauges(row, before, c.state)
        forget(state, number, row)
    else:
        watch(state, number)
        if c.state & S_IDLE and not before & S_IDLE:
            state.table.note_rank(number)

cdef inline void make_room(State state) noexcept nogil:
    """Forget a connection of the full table; none if the timers that are due make room already."""
    cdef uint32_t number = state.table.next_due(state.clock_ns)
    while number != NONE:
        run_timers(state, number, state.clock_ns)
        number = state.table.next_due(state.clock_ns)
    if state.table.is_full():
        evict(state, state.table.next_to_evict())

cdef inline void watch(State state, uint32_t number) noexcept nogil:
    """Put a connection where the wheel looks at it when its next timer is due."""
    cdef connection_t* c = &state.table.connections[number]
    cdef int64_t due_ns = c.last_ns + memory_ns(c)
    cdef int side
    if c.state & S_WAITING:
        due_ns = min(due_ns, c.syn_clock_ns + seconds(ANSWER_TIMEOUT_S))
    if not c.state & S_CLOSED:
        due_ns = min(due_ns, c.last_ns + state.idle_timeout_ns)
    for side in range(2):
        if direction_of(c, side).holes:
            due_ns = min(
                due_ns, later(state.holes.first_acked_ns(direction_of(c, side)), JUDGE_AFTER_NS)
            )
    if due_ns >= FOREVER_NS // 2:
        state.table.unwatch(number)
        c.due_ns = FOREVER_NS
    else:
        state.table.watch(number, due_ns)

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
