# Slots of 10 s at whose ends the floors of open connections are sampled as `path_rtt`.
#
# A list of connection numbers for each tick in which slots end: one is listed with a store and
# looked at with a prefetch, where a timer of the wheel would touch cold lines of its neighbours. An
# entry that is out of date is told by its connection, which knows the end of its slot.

from libc.stdint cimport int64_t, uint32_t
from libc.stdlib cimport realloc

from trtop_core._clock cimport SECOND_NS
from trtop_core._connection cimport (
    S_ALIVE,
    S_CLOSED,
    S_HAS_FLOOR,
    S_IN_SLOTS,
    S_SLOT_OPEN,
    connection_t,
)
from trtop_core._records cimport PATH_RTT, floor_div
from trtop_core._state cimport N_SLOT_TICKS, State, add_sample, record_of, slot_list_t
from trtop_core._table cimport TICK_NS

cdef enum:
    SLOT_S = 10                  # how often a connection's floor is sampled while it is open
    FLOOR_SLOT = S_HAS_FLOOR | S_SLOT_OPEN
    FIRST_LISTED = 1 << 10
    N_AHEAD = 8                  # connections that are prefetched

cdef extern from *:
    void __builtin_prefetch(const void*, int) noexcept nogil

# Where the slot of a connection's latest segment ends: slots count from its first segment.
cdef inline int64_t slot_end_ns(const connection_t* c) noexcept nogil:
    cdef int64_t slot_ns = SLOT_S * <int64_t>SECOND_NS
    return c.began_clock_ns + ((c.last_ns - c.began_clock_ns) // slot_ns + 1) * slot_ns

cdef inline bint needs_slot(const connection_t* c) noexcept nogil:
    """Whether the end of a connection's slot has to be listed."""
    return c.state & (FLOOR_SLOT | S_CLOSED | S_IN_SLOTS) == FLOOR_SLOT

cdef inline bint list_slot(State state, connection_t* c) noexcept nogil:
    """List the end of a connection's slot; False if there is no room, or it is too far ahead."""
    cdef int64_t end_ns = slot_end_ns(c)
    cdef int64_t tick = floor_div(end_ns, TICK_NS)
    cdef slot_list_t* slots = &state.slots[tick & (N_SLOT_TICKS - 1)]
    cdef uint32_t* numbers
    if not state.table.tick <= tick < state.table.tick + N_SLOT_TICKS:
        return False
    if slots.n == slots.capacity:
        # Entries out of date included, at most one for each place in the table.
        if slots.n >= state.table.connections.shape[0]:
            return False
        numbers = <uint32_t*>realloc(
            slots.numbers, max(2 * slots.capacity, <uint32_t>FIRST_LISTED) * sizeof(uint32_t)
        )
        if numbers == NULL:
            return False
        slots.numbers = numbers
        slots.capacity = max(2 * slots.capacity, <uint32_t>FIRST_LISTED)
    slots.numbers[slots.n] = c.number
    slots.n += 1
    c.state |= S_IN_SLOTS
    lower_due(c)
    return True

cdef inline void lower_due(connection_t* c) noexcept nogil:
    """A listed slot's end is due for the segments of its own connection."""
    if c.state & (FLOOR_SLOT | S_IN_SLOTS) == FLOOR_SLOT | S_IN_SLOTS:
        c.due_ns = min(c.due_ns, slot_end_ns(c))

cdef inline void run_slot_timer(State state, connection_t* c, int64_t now_ns) noexcept nogil:
    """Sample the floor of an open connection if the slot of its latest segment has ended."""
    cdef int64_t end_ns
    if c.state & (FLOOR_SLOT | S_CLOSED) != FLOOR_SLOT:
        return
    end_ns = slot_end_ns(c)
    # Idling that closes it ends the slot before.
    if now_ns >= end_ns and end_ns < c.last_ns + state.idle_timeout_ns:
        c.state &= ~<uint32_t>(S_SLOT_OPEN | S_IN_SLOTS)
        add_sample(state, c, c.destination, PATH_RTT, c.floor_ns)

cdef inline void run_slots(State state, int64_t tick, int64_t now_ns) noexcept nogil:
    """Look at the slots that end in a tick, by now."""
    cdef slot_list_t* slots = &state.slots[tick & (N_SLOT_TICKS - 1)]
    cdef const connection_t* ahead
    cdef connection_t* c
    cdef uint32_t i, number
    for i in range(slots.n):
        if i + N_AHEAD < slots.n:
            ahead = state.table.busy(slots.numbers[i + N_AHEAD])
            __builtin_prefetch(ahead, 1)
            __builtin_prefetch(&ahead.floor_ns, 0)
            __builtin_prefetch(&ahead.began_clock_ns, 0)
        number = slots.numbers[i]
        if state.table.state_of(number) & (S_ALIVE | S_IN_SLOTS) != S_ALIVE | S_IN_SLOTS:
            continue
        if floor_div(slot_end_ns(state.table.look_at_times(number)), TICK_NS) == tick:
            c = record_of(state, number)
            run_slot_timer(state, c, now_ns)
            if not c.state & S_IN_SLOTS:
                c.due_ns = c.wheel_ns

cdef inline void end_slots(State state, int64_t tick, int64_t now_ns) noexcept nogil:
    """A tick ends: its slots are looked at for the last time."""
    cdef slot_list_t* slots = &state.slots[tick & (N_SLOT_TICKS - 1)]
    if slots.n:
        run_slots(state, tick, now_ns)
        slots.n = 0

cdef inline void clear_slots(State state) noexcept nogil:
    """Forget all lists, without telling the connections."""
    cdef int i
    for i in range(N_SLOT_TICKS):
        state.slots[i].n = 0
