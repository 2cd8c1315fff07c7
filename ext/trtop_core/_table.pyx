# cython: freethreading_compatible=False
"""The table of connections: found by 4-tuple, watched by timer, bounded, with an order of eviction.

Open addressing with linear probing over a keyed hash; a timer wheel of doubly linked lists. Never
decides when a connection begins or ends.
"""

cimport cython
from libc.stdint cimport int64_t, uint32_t
from libc.string cimport memcmp, memcpy, memset

import numpy as np

from trtop_core._connection cimport (
    P_HELLO,
    P_HTTP2,
    P_MULTIPLEXED,
    S_ALIVE,
    S_ATTEMPT,
    S_CLIENT_IS_HIGH,
    S_CLOSED,
    S_EST,
    S_FIN,
    S_IDLE,
    S_IN_WHEEL,
    S_RST,
    S_UNANSWERED,
    S_WAITING,
    T_ANSWERED,
    T_COUNTED,
    T_HANDSHAKE,
    T_OPEN,
    connection_t,
)
from trtop_core._destinations cimport N_HASH_KEYS
from trtop_core._eviction cimport (
    N_RANKS,
    dequeue,
    drop_all,
    drop_entries,
    enqueue,
    entry_t,
    eviction_t,
    note_due,
    pop,
    rank_of,
)
from trtop_core._records cimport floor_div

from trtop_core.memory import aligned_zeros

DIRECTION = np.dtype(
    [(name, "<i8") for name in (
        "reached", "frontier", "acked", "highest_ack", "lost_below", "gap_end"
    )]
    + [("holes", "<u4"), ("flags", "<u2"), ("n_nodes", "<u2"), ("n_counted", "<u2")]
    + [("_pad", "<u2", 3)]
)
TURN = np.dtype(
    [(name, "<i8") for name in ("asked_ns", "first_ns", "last_ns")]
    + [("n_bytes", "<u8"), ("stream_ns", "<i8"), ("flags", "<u4"), ("n_stalls", "<u4")]
    + [(name, "<i8") for name in ("client_start", "server_start", "asked_from", "waits_since_ns")]
)
CONNECTION = np.dtype(
    [
        ("low_addr", "u1", 16),
        ("high_addr", "u1", 16),
        ("low_port", "<u2"),
        ("high_port", "<u2"),
        ("hash", "<u4"),
        ("state", "<u4"),
        ("destination", "<u4"),
        ("last_ns", "<i8"),
        ("due_ns", "<i8"),
        ("client", DIRECTION),
        ("server", DIRECTION),
        ("server_end", "<i8"),
        ("protocol", "<u4"),
        ("n_responses", "<u4"),
        ("turn", TURN),
        ("timed_start", "<i8"),
        ("timed_end", "<i8"),
        ("timed_ns", "<i8"),
        ("floor_ns", "<i8"),
        ("began_ns", "<i8"),
        ("began_clock_ns", "<i8"),
        ("wheel_ns", "<i8"),
        ("synack_ns", "<i8"),
        ("syn_rtt_ns", "<i8"),
        ("syn_end", "<u4"),
        ("synack_isns", "<u4", 2),
        ("synack_acks", "<u4", 2),
        ("wheel_next", "<u4"),
        ("wheel_prev", "<u4"),
        ("side", "<u4"),
        ("first_seqs", "<u4", 2),
        ("isns", "<u4", 2),
        ("opened", "<u8"),
        ("n_synacks", "u1"),
        ("_pad", "u1", 31),
    ]
)
STATE_BITS = {
    "client_is_high": S_CLIENT_IS_HIGH,
    "attempt": S_ATTEMPT,
    "est": S_EST,
    "waiting": S_WAITING,
    "unanswered": S_UNANSWERED,
    "rst": S_RST,
    "fin": S_FIN,
    "closed": S_CLOSED,
    "idle": S_IDLE,
}
"""Bits of ``state``, for those who read copies of connections."""

TURN_BITS = {
    "open": T_OPEN,
    "handshake": T_HANDSHAKE,
    "answered": T_ANSWERED,
    "counted": T_COUNTED,
}
"""Bits of a turn's ``flags``, for those who read copies of connections."""

PROTOCOL_BITS = {
    "tls": P_HELLO,
    "http2": P_HTTP2,
    "multiplexed": P_MULTIPLEXED,
}
"""Bits of ``protocol``, for those who read copies of connections."""

ENTRY = np.dtype([("hash", "<u4"), ("connection", "<u4")])

FIRST_ENTRIES = 1 << 12

cdef enum:
    ENTRIES_PER_CONNECTION = 2   # of the order of eviction, before what is outdated is cleared away


@cython.final
cdef class ConnectionTable:
    """Connections, by number.

    Args:
        max_connections: bound.
        hash_words: shape (N_HASH_KEYS,), uint64, secret and random.
    """

    def __init__(self, max_connections, hash_words):
        cdef int i
        # Zeroed memory is mapped when it is first touched: the bound costs nothing until then.
        self.connections = aligned_zeros(max_connections, CONNECTION)
        self.entries = np.zeros(FIRST_ENTRIES, ENTRY)
        self.mask = FIRST_ENTRIES - 1
        self.wheel = np.full(N_TICKS, NONE, np.uint32)
        for i in range(N_HASH_KEYS):
            self.hash_key.words[i] = hash_words[i]
        self.free = NONE
        self.n_used = 0
        self.n_connections = 0
        self.n_in_wheel = 0
        self.tick = 0

    def __dealloc__(self):
        drop_all(&self.eviction)
        drop_entries(&self.eviction.due)

    def of_destinations(self, rows):
        """Copies of the connections that count in some rows, shape (n,), dtype ``CONNECTION``."""
        connections = np.asarray(self.connections)[: self.n_used]
        is_theirs = np.isin(connections["destination"], rows)
        is_theirs &= (connections["state"] & <int>S_ALIVE) != 0
        return connections[is_theirs]

    def part(self, start, end):
        """Copies of the connections with numbers ``start`` … ``end - 1``, forgotten ones left out.

        Shape (n,), dtype ``CONNECTION``; numbers end at ``n_numbers``.
        """
        connections = np.asarray(self.connections)[start : min(end, self.n_used)]
        return connections[(connections["state"] & <int>S_ALIVE) != 0]

    def remembered(self):
        """The numbers of all connections, shape (n,), uint32, and when each was opened, uint64:
        how many segments the capture held before.
        """
        connections = np.asarray(self.connections)[: self.n_used]
        numbers = np.flatnonzero((connections["state"] & <int>S_ALIVE) != 0).astype(np.uint32)
        return numbers, connections["opened"][numbers]

    @property
    def n_numbers(self):
        """How many connections had a place at once; numbers begin with 0."""
        return self.n_used

    cdef uint32_t find(self, const endpoints_t* ends, uint32_t hash_) noexcept nogil:
        """The connection of a 4-tuple, or ``NONE``."""
        cdef uint32_t at = hash_ & self.mask
        cdef uint32_t number
        while self.entries[at].connection:
            if self.entries[at].hash == hash_:
                number = self.entries[at].connection - 1
                if memcmp(&self.connections[number], ends, 36) == 0:
                    return number
            at = (at + 1) & self.mask
        return NONE

    cdef bint is_full(self) noexcept nogil:
        return self.n_connections == self.connections.shape[0]

    cdef uint32_t insert(self, const endpoints_t* ends, uint32_t hash_) noexcept nogil:
        """A zeroed record for a 4-tuple that is not in the table, which is not full."""
        cdef uint32_t number, at
        cdef connection_t* c
        if (self.n_connections + 1) * 2 > self.mask:
            self.grow_entries()
        if self.free != NONE:
            number = self.free
            self.free = self.connections[number].wheel_next
        else:
            number = self.n_used
            self.n_used += 1
        c = &self.connections[number]
        memset(c, 0, sizeof(connection_t))
        memcpy(c, ends, 36)
        c.hash = hash_
        c.state = S_ALIVE
        c.wheel_next = c.wheel_prev = NONE
        at = hash_ & self.mask
        while self.entries[at].connection:
            at = (at + 1) & self.mask
        self.entries[at].hash = hash_
        self.entries[at].connection = number + 1
        self.n_connections += 1
        return number

    cdef void remove(self, uint32_t number) noexcept nogil:
        """Forget a connection."""
        cdef connection_t* c = &self.connections[number]
        cdef uint32_t at = c.hash & self.mask
        cdef uint32_t hole, home
        self.unwatch(number)
        while self.entries[at].connection != number + 1:
            at = (at + 1) & self.mask
        # Close the gap: move back every entry that its home no longer reaches otherwise.
        hole = at
        while True:
            at = (at + 1) & self.mask
            if self.entries[at].connection == 0:
                break
            home = self.entries[at].hash & self.mask
            if ((at - home) & self.mask) >= ((at - hole) & self.mask):
                self.entries[hole] = self.entries[at]
                hole = at
        self.entries[hole].connection = 0
        c.state = 0
        c.wheel_next = self.free
        self.free = number
        self.n_connections -= 1

    cdef void note_rank(self, uint32_t number) noexcept nogil:
        """Note that a connection is new, or of another rank, for the order of eviction."""
        cdef const connection_t* c = &self.connections[number]
        if not self.eviction.is_on:
            return
        if self.eviction.n_entries < <size_t>ENTRIES_PER_CONNECTION * self.connections.shape[0]:
            enqueue(&self.eviction, rank_of(c.state), c.last_ns, c.opened, number)
        elif self.is_full():
            self.line_up()
        else:
            drop_all(&self.eviction)

    cdef uint32_t next_due(self, int64_t now_ns) noexcept nogil:
        """A connection whose timer has run out in this tick, which has not ended; or ``NONE``."""
        cdef entry_t entry
        cdef eviction_t* eviction = &self.eviction
        if not eviction.knows_due or eviction.due_tick != self.tick:
            self.gather_due()
        while eviction.due.end and eviction.due.items[0].key_ns <= now_ns:
            pop(&eviction.due, &entry)
            if (
                self.connections[entry.number].state & S_IN_WHEEL
                and self.connections[entry.number].wheel_ns == entry.key_ns
            ):
                return entry.number
        return NONE

    cdef void gather_due(self) noexcept nogil:
        """Order the timers of this tick."""
        cdef uint32_t number = self.wheel[self.tick & (N_TICKS - 1)]
        self.eviction.due.end = 0
        self.eviction.due_tick = self.tick
        self.eviction.knows_due = True
        while number != NONE:
            note_due(&self.eviction, self.tick, self.connections[number].wheel_ns, number)
            number = self.connections[number].wheel_next

    cdef uint32_t next_to_evict(self) noexcept nogil:
        """The connection of the least rank that has been idle longest; the table is full."""
        cdef int rank
        cdef entry_t entry
        cdef const connection_t* c
        if not self.eviction.is_on:
            self.line_up()
        for rank in range(N_RANKS):
            while dequeue(&self.eviction, rank, &entry):
                c = &self.connections[entry.number]
                if not c.state & S_ALIVE or c.opened != entry.opened or rank_of(c.state) != rank:
                    continue
                if c.last_ns == entry.key_ns:
                    return entry.number
                if not enqueue(&self.eviction, rank, c.last_ns, c.opened, entry.number):
                    break
        return 0  # there is no memory for the order; in a full table every number is in use

    cdef void line_up(self) noexcept nogil:
        """Make an entry for every connection."""
        cdef uint32_t number
        cdef const connection_t* c
        drop_all(&self.eviction)
        for number in range(self.n_used):
            c = &self.connections[number]
            if c.state & S_ALIVE:
                if not enqueue(&self.eviction, rank_of(c.state), c.last_ns, c.opened, number):
                    return
        self.eviction.is_on = True

    cdef void watch(self, uint32_t number, int64_t due_ns) noexcept nogil:
        """Have a connection looked at when a tick of the wheel ends, at or before ``due_ns``."""
        cdef connection_t* c = &self.connections[number]
        cdef int64_t tick = floor_div(due_ns, TICK_NS)
        cdef uint32_t head
        if tick < self.tick:
            tick = self.tick
        if tick > self.tick + N_TICKS - 1:
            tick = self.tick + N_TICKS - 1
            due_ns = tick * TICK_NS
        if c.state & S_IN_WHEEL:
            if c.wheel_ns == due_ns:
                c.due_ns = due_ns
                return
            self.unwatch(number)
        c.due_ns = c.wheel_ns = due_ns
        head = self.wheel[tick & (N_TICKS - 1)]
        c.wheel_prev = NONE - 1 - <uint32_t>(tick & (N_TICKS - 1))
        c.wheel_next = head
        if head != NONE:
            self.connections[head].wheel_prev = number
        self.wheel[tick & (N_TICKS - 1)] = number
        c.state |= S_IN_WHEEL
        self.n_in_wheel += 1
        if tick == self.tick:
            note_due(&self.eviction, tick, due_ns, number)

    cdef void unwatch(self, uint32_t number) noexcept nogil:
        """Take a connection out of the wheel. The first of a list names its tick, from the top."""
        cdef connection_t* c = &self.connections[number]
        if not c.state & S_IN_WHEEL:
            return
        if c.wheel_prev >= NONE - N_TICKS:
            self.wheel[NONE - 1 - c.wheel_prev] = c.wheel_next
        else:
            self.connections[c.wheel_prev].wheel_next = c.wheel_next
        if c.wheel_next != NONE:
            self.connections[c.wheel_next].wheel_prev = c.wheel_prev
        c.state &= ~<uint32_t>S_IN_WHEEL
        self.n_in_wheel -= 1

    cdef void clear_wheel(self, int64_t tick) noexcept nogil:
        """Empty the wheel, without telling its connections, and go to a tick."""
        cdef int i
        for i in range(N_TICKS):
            self.wheel[i] = NONE
        self.n_in_wheel = 0
        self.tick = tick
        self.eviction.knows_due = False

    cdef void grow_entries(self) noexcept nogil:
        """Double the hash table."""
        cdef uint32_t at, i
        cdef table_entry_t entry
        cdef table_entry_t[::1] old = self.entries
        with gil:
            self.entries = np.zeros(2 * len(old), ENTRY)
        self.mask = self.mask * 2 + 1
        for i in range(<uint32_t>old.shape[0]):
            entry = old[i]
            if entry.connection:
                at = entry.hash & self.mask
                while self.entries[at].connection:
                    at = (at + 1) & self.mask
                self.entries[at] = entry
