# cython: freethreading_compatible=False
"""The table of connections: found by 4-tuple, watched by timer, bounded, with an order of eviction.

Open addressing with linear probing over a keyed hash; a timer wheel of doubly linked lists. Never
decides when a connection begins or ends.

A connection has a number for as long as it is known, and a record at a place while packets come.
When a new one needs a place, one that rests is packed (`_packing`), so that there are about as many
records as connections that are busy at a time; whoever needs it again has it unpacked. Whether one
is packed changes nothing that is counted, nor any order.
"""

cimport cython
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

import numpy as np

from trtop_core._connection cimport (
    S_ALIVE,
    S_CLOSED,
    S_IN_WHEEL,
    S_REQUESTS_ENDED,
    S_UNANSWERED,
    S_WAITING,
    T_ANSWERED,
    T_COUNTED,
    T_HANDSHAKE,
    T_OPEN,
    connection_t,
)
from trtop_core._destinations cimport N_HASH_KEYS, DestinationTable
from trtop_core._endpoints cimport hash_ends
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
from trtop_core._packed cimport (
    PACKED_UNIT,
    begin_move,
    drop_pool,
    end_move,
    give_piece,
    keep_packed,
    mark_packed,
    move_piece,
    read_packed,
    read_times,
    shape_of,
)
from trtop_core._packing cimport shape_t
from trtop_core._records cimport floor_div

from trtop_core._connection import CONNECTION
from trtop_core.memory import aligned_zeros

ENTRY = np.dtype([("hash", "<u4"), ("connection", "<u4")])
LINK = np.dtype([("next", "<u4"), ("prev", "<u4")])

FIRST_ENTRIES = 1 << 12

cdef enum:
    MAX_EIGHTHS = 5              # of the hash table, before it is doubled
    ENTRIES_PER_CONNECTION = 2   # of the order of eviction, before what is outdated is cleared away
    # Records that are looked at for one to pack before a new one is taken. The more, the fewer
    # records there are beside the busy ones, and the longer a search without success.
    N_LOOKS = 4
    # A request that counts and has no answer.
    ASKING = T_OPEN | T_COUNTED
    WAITING_TURN = ASKING | T_HANDSHAKE | T_ANSWERED

SHORT_REST_NS = 50_000_000
"""For so long nothing comes of one that is closed, or waits for its SYN/ACK: most likely nothing
will."""

LONG_REST_NS = 200_000_000
"""Open ones talk again: packed later, they are seldom packed in vain."""

MIN_RECORDS = 4_096
"""So many records, 1.8 MB, are there before any connection is packed."""


cdef inline bint has_ends(const connection_t* c, const endpoints_t* ends) noexcept nogil:
    cdef const uint64_t* a = <const uint64_t*>c
    cdef const uint64_t* b = <const uint64_t*>ends
    return (
        (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3])
        | (c.low_port ^ ends.low_port) | (c.high_port ^ ends.high_port)
    ) == 0


@cython.final
cdef class ConnectionTable:
    """Connections, by number.

    Args:
        max_connections: bound.
        hash_words: shape (N_HASH_KEYS,), uint64, secret and random.
        destinations: whose keys connections count in.
    """

    def __init__(self, max_connections, hash_words, DestinationTable destinations not None):
        cdef int i
        # Zeroed memory is mapped when it is first touched: the bound costs nothing until then.
        self.connections = aligned_zeros(max_connections, CONNECTION)
        self.places = np.zeros(max_connections, np.uint32)
        self.opened = np.zeros(max_connections, np.uint64)
        self.links = np.zeros(max_connections, LINK)
        self.destinations = destinations
        self.entries = np.zeros(FIRST_ENTRIES, ENTRY)
        self.mask = FIRST_ENTRIES - 1
        self.wheel = np.full(N_TICKS, NONE, np.uint32)
        for i in range(N_HASH_KEYS):
            self.hash_key.words[i] = hash_words[i]
        self.free = self.free_place = NONE
        self.n_used = self.n_places = self.hand = 0
        self.n_connections = 0
        self.n_in_wheel = 0
        self.tick = 0
        self.set_rest(SHORT_REST_NS, LONG_REST_NS, MIN_RECORDS)

    def __dealloc__(self):
        drop_all(&self.eviction)
        drop_entries(&self.eviction.due)
        drop_pool(&self.packed)

    def set_rest(self, int64_t short_ns, int64_t long_ns, uint32_t min_records):
        """Say when connections may be packed: how long after their last segment.

        Args:
            short_ns: of those that are closed or were never answered.
            long_ns: of others.
            min_records: before there are so many records, none is packed.
        """
        self.short_rest_ns = short_ns
        self.long_rest_ns = long_ns
        self.min_records = min_records

    def pack_resting(self, int64_t now_ns):
        """Pack all that rest at a capture time, whether their places are needed or not.

        Returns:
            How many were packed.
        """
        cdef uint32_t place
        cdef int n_packed = 0
        for place in range(self.n_places):
            if self.rests(&self.connections[place], now_ns):
                n_packed += self.pack(&self.connections[place])
        return n_packed

    @property
    def n_records(self):
        """How many connections had a record at once."""
        return self.n_places

    @property
    def n_packed(self):
        """How many connections are packed."""
        return np.count_nonzero(np.asarray(self.places)[: self.n_used] & <uint32_t>PACKED)

    @property
    def packed_bytes(self):
        """The bytes of all that are packed."""
        return self.packed.n_kept * PACKED_UNIT

    @property
    def pool_bytes(self):
        """The bytes that packed ones have needed, with those that lie free for the next."""
        return self.packed.n_units * PACKED_UNIT

    def of_destinations(self, rows):
        """Copies of the connections that count in some rows, shape (n,), dtype ``CONNECTION``."""
        is_theirs = np.zeros(self.destinations.rows.shape[0], np.uint8)
        is_theirs[rows] = True
        return self.copies(0, self.n_used, is_theirs)

    def part(self, start, end):
        """Copies of the connections with numbers ``start`` … ``end - 1``, forgotten ones left out.

        Shape (n,), dtype ``CONNECTION``; numbers end at ``n_numbers``.
        """
        return self.copies(start, min(end, self.n_used), None)

    def copies(self, uint32_t start, uint32_t end, const unsigned char[::1] is_wanted):
        """Copies of connections, shape (n,), dtype ``CONNECTION``, in the order of their numbers.

        Args:
            start: the first number.
            end: the one behind the last.
            is_wanted: by row of destinations, whether its connections are; None: all are.
        """
        cdef uint32_t number
        cdef uint32_t n_copies = 0
        cdef connection_t[::1] copies
        for number in range(start, end):
            if self.is_known(number):
                n_copies += (
                    is_wanted is None
                    or is_wanted[self.look_at_times(number).destination]
                )
        copied = np.empty(n_copies, CONNECTION)
        copies = copied
        n_copies = 0
        for number in range(start, end):
            if self.is_known(number) and (
                is_wanted is None or is_wanted[self.look_at_times(number).destination]
            ):
                copies[n_copies] = self.look(number)[0]
                n_copies += 1
        return copied

    def remembered(self):
        """The numbers of all connections, shape (n,), uint32, and when each was opened, uint64:
        how many segments the capture held before.
        """
        numbers = np.flatnonzero(np.asarray(self.places)[: self.n_used]).astype(np.uint32)
        return numbers, np.asarray(self.opened)[numbers]

    @property
    def n_numbers(self):
        """How many connections were known at once; numbers begin with 0."""
        return self.n_used

    cdef uint32_t find(
        self, const endpoints_t* ends, uint32_t hash_, int64_t now_ns
    ) noexcept nogil:
        """The place of the connection of a 4-tuple, or ``NONE``."""
        cdef const table_entry_t* entries = &self.entries[0]
        cdef uint32_t mask = self.mask
        cdef uint32_t at = hash_ & mask
        cdef uint32_t connection
        while True:
            connection = entries[at].connection
            if entries[at].hash == hash_:
                if connection & PACKED:
                    return self.find_packed(ends, hash_, now_ns)
                if connection and has_ends(&self.connections[connection - 1], ends):
                    return connection - 1
            if not connection:
                return NONE
            at = (at + 1) & mask

    cdef uint32_t find_packed(
        self, const endpoints_t* ends, uint32_t hash_, int64_t now_ns
    ) noexcept nogil:
        """What `find` gives where any of that hash is packed."""
        cdef uint32_t at = hash_ & self.mask
        cdef uint32_t connection, place
        while self.entries[at].connection:
            if self.entries[at].hash == hash_:
                connection = self.entries[at].connection
                if not connection & PACKED:
                    if has_ends(&self.connections[connection - 1], ends):
                        return connection - 1
                elif has_ends(self.look((connection ^ PACKED) - 1), ends):
                    place = self.take_place(now_ns)
                    self.unpack((connection ^ PACKED) - 1, place)
                    return place
            at = (at + 1) & self.mask
        return NONE

    cdef bint is_full(self) noexcept nogil:
        return self.n_connections == self.connections.shape[0]

    cdef uint32_t insert(
        self, const endpoints_t* ends, uint32_t hash_, int64_t now_ns
    ) noexcept nogil:
        """The place of a zeroed record for a 4-tuple that is not in the table, which is not full.
        """
        cdef uint32_t number, place, at
        cdef connection_t* c
        if <uint64_t>(self.n_connections + 1) * 8 > <uint64_t>self.mask * MAX_EIGHTHS:
            self.grow_entries()
        place = self.take_place(now_ns)
        if self.free != NONE:
            number = self.free
            self.free = self.links[number].next
        else:
            number = self.n_used
            self.n_used += 1
        self.places[number] = place + 1
        c = &self.connections[place]
        memset(c, 0, sizeof(connection_t))
        memcpy(c, ends, 36)
        c.hash = hash_
        c.state = S_ALIVE
        c.number = number
        at = hash_ & self.mask
        while self.entries[at].connection:
            at = (at + 1) & self.mask
        self.entries[at].hash = hash_
        self.entries[at].connection = place + 1
        self.n_connections += 1
        return place

    cdef void remove(self, connection_t* c) noexcept nogil:
        """Forget a connection."""
        cdef uint32_t place = <uint32_t>(c - &self.connections[0])
        cdef uint32_t number = c.number
        cdef uint32_t at, hole, home
        self.unwatch(c)
        # Close the gap: move back every entry that its home no longer reaches otherwise.
        at = hole = self.entry_of(c.hash, place + 1)
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
        c.number = self.free_place
        self.free_place = place
        self.places[number] = 0
        self.links[number].next = self.free
        self.free = number
        self.n_connections -= 1

    # --- records ----------------------------------------------------------------------------------

    cdef bint is_known(self, uint32_t number) noexcept nogil:
        return self.places[number] != 0

    cdef bint is_packed(self, uint32_t number) noexcept nogil:
        return (self.places[number] & PACKED) != 0

    cdef const connection_t* busy(self, uint32_t number) noexcept nogil:
        """The record of a connection, if it has one; else any: for a prefetch."""
        cdef uint32_t place = self.places[number]
        return &self.connections[place - 1 if place - 1 < NONE else 0]

    cdef connection_t* at(self, uint32_t number, int64_t now_ns) noexcept nogil:
        """The record of a known connection, which may be changed."""
        cdef uint32_t place
        if self.places[number] & PACKED:
            place = self.take_place(now_ns)
            self.unpack(number, place)
            return &self.connections[place]
        return &self.connections[self.places[number] - 1]

    cdef const connection_t* look(self, uint32_t number) noexcept nogil:
        """A known connection, read-only: its record, or what it is until the next look."""
        cdef uint32_t piece = self.places[number]
        if not piece & PACKED:
            return &self.connections[piece - 1]
        read_packed(&self.packed, piece ^ PACKED, &self.destinations.keys[0], &self.unpacked)
        self.unpacked.number = number
        return &self.unpacked

    cdef const connection_t* look_at_times(self, uint32_t number) noexcept nogil:
        """State, destination, `last_ns`, `began_clock_ns`, `wheel_ns` and `due_ns` of a known one.
        """
        cdef uint32_t piece = self.places[number]
        if not piece & PACKED:
            return &self.connections[piece - 1]
        read_times(&self.packed, piece ^ PACKED, &self.unpacked)
        return &self.unpacked

    cdef uint32_t state_of(self, uint32_t number) noexcept nogil:
        """The state of a connection; 0 of a forgotten one."""
        cdef uint32_t piece = self.places[number]
        if piece & PACKED:
            return shape_of(&self.packed, piece ^ PACKED).state
        return self.connections[piece - 1].state if piece else 0

    cdef bint may_ask(self, uint32_t number) noexcept nogil:
        """Whether a request of a known connection may wait, told without unpacking it."""
        cdef uint32_t piece = self.places[number]
        cdef const shape_t* shape
        if not piece & PACKED:
            return piece != 0
        shape = shape_of(&self.packed, piece ^ PACKED)
        return not shape.state & S_REQUESTS_ENDED and shape.turn_flags & WAITING_TURN == ASKING

    cdef bint mark(self, uint32_t number, uint32_t bits) noexcept nogil:
        """Set bits of a packed connection's state that predict nothing; False if it cannot be."""
        return mark_packed(&self.packed, self.places[number] ^ PACKED, bits)

    cdef uint32_t take_place(self, int64_t now_ns) noexcept nogil:
        """A place for a record: of one that is forgotten or packed, else a new one."""
        cdef uint32_t place
        cdef int _i
        for _i in range(N_LOOKS):
            if self.free_place != NONE or self.n_places <= self.min_records:
                break
            self.hand += 1
            if self.hand >= self.n_places:
                self.hand = 0
            if self.rests(&self.connections[self.hand], now_ns):
                self.pack(&self.connections[self.hand])
        place = self.free_place
        if place != NONE:
            self.free_place = self.connections[place].number
            return place
        self.n_places += 1
        return self.n_places - 1

    cdef bint rests(self, const connection_t* c, int64_t now_ns) noexcept nogil:
        """Whether nothing has come of a connection for so long that it may be packed."""
        cdef int64_t since_ns = now_ns - c.last_ns
        if not c.state & S_ALIVE or c.last_ns > now_ns or since_ns < self.short_rest_ns:
            return False
        return c.state & (S_CLOSED | S_WAITING | S_UNANSWERED) or since_ns >= self.long_rest_ns

    cdef bint pack(self, connection_t* c) noexcept nogil:
        """Pack a connection; False if it has what cannot be packed, or there is no room."""
        cdef uint32_t place = <uint32_t>(c - &self.connections[0])
        cdef uint32_t piece
        if c.client.holes | c.server.holes | c.side:
            return False
        piece = keep_packed(&self.packed, c, &self.destinations.keys[0])
        if not piece and self.packed.is_sparse and self.move_together():
            piece = keep_packed(&self.packed, c, &self.destinations.keys[0])
        if not piece:
            return False
        self.entries[self.entry_of(c.hash, place + 1)].connection = (c.number + 1) | PACKED
        self.places[c.number] = piece | PACKED
        c.state = 0
        c.number = self.free_place
        self.free_place = place
        return True

    cdef bint move_together(self) noexcept nogil:
        """Leave nothing free between packed connections; False if there is no memory for it."""
        cdef packed_pool_t moved
        cdef uint32_t number
        if not begin_move(&self.packed, &moved):
            return False
        for number in range(self.n_used):
            if self.places[number] & PACKED:
                self.places[number] = PACKED | move_piece(
                    &self.packed, self.places[number] ^ PACKED, &moved
                )
        # All numbers were looked at: not again before as many bytes lie free.
        moved.n_loose = self.n_used // PACKED_UNIT
        end_move(&self.packed, &moved)
        return True

    cdef void unpack(self, uint32_t number, uint32_t place) noexcept nogil:
        """Make a packed connection a record at a place that is free."""
        cdef connection_t* c = &self.connections[place]
        cdef uint32_t piece = self.places[number] ^ PACKED
        read_packed(&self.packed, piece, &self.destinations.keys[0], c)
        give_piece(&self.packed, piece)
        c.number = number
        c.hash = hash_ends(&self.hash_key, <endpoints_t*>c)
        self.places[number] = place + 1
        self.entries[self.entry_of(c.hash, (number + 1) | PACKED)].connection = place + 1

    cdef uint32_t entry_of(self, uint32_t hash_, uint32_t connection) noexcept nogil:
        """Where the entry of a connection stands."""
        cdef uint32_t at = hash_ & self.mask
        while self.entries[at].connection != connection:
            at = (at + 1) & self.mask
        return at

    # --- the order of eviction, the wheel ---------------------------------------------------------

    cdef void note_rank(self, const connection_t* c) noexcept nogil:
        """Note that a connection is new, or of another rank, for an order that is kept up."""
        if self.eviction.n_entries < <size_t>ENTRIES_PER_CONNECTION * self.connections.shape[0]:
            enqueue(
                &self.eviction, rank_of(c.state), c.last_ns, self.opened[c.number], c.number
            )
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
                self.state_of(entry.number) & S_IN_WHEEL
                and self.look_at_times(entry.number).wheel_ns == entry.key_ns
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
            note_due(&self.eviction, self.tick, self.look_at_times(number).wheel_ns, number)
            number = self.links[number].next

    cdef uint32_t next_to_evict(self) noexcept nogil:
        """The connection of the least rank that has been idle longest; the table is full."""
        cdef int rank
        cdef int64_t last_ns
        cdef uint32_t state
        cdef entry_t entry
        if not self.eviction.is_on:
            self.line_up()
        for rank in range(N_RANKS):
            while dequeue(&self.eviction, rank, &entry):
                state = self.state_of(entry.number)
                if (
                    not state & S_ALIVE
                    or self.opened[entry.number] != entry.opened
                    or rank_of(state) != rank
                ):
                    continue
                last_ns = self.look_at_times(entry.number).last_ns
                if last_ns == entry.key_ns:
                    return entry.number
                if not enqueue(&self.eviction, rank, last_ns, entry.opened, entry.number):
                    break
        return 0  # there is no memory for the order; in a full table every number is in use

    cdef void line_up(self) noexcept nogil:
        """Make an entry for every connection."""
        cdef uint32_t number
        cdef const connection_t* c
        drop_all(&self.eviction)
        for number in range(self.n_used):
            if self.is_known(number):
                c = self.look_at_times(number)
                if not enqueue(
                    &self.eviction, rank_of(c.state), c.last_ns, self.opened[number], number
                ):
                    return
        self.eviction.is_on = True

    cdef void watch(self, connection_t* c, int64_t due_ns) noexcept nogil:
        """Have a connection looked at when a tick of the wheel ends, at or before ``due_ns``."""
        cdef int64_t tick = floor_div(due_ns, TICK_NS)
        cdef uint32_t head
        cdef uint32_t number = c.number
        if tick < self.tick:
            tick = self.tick
        if tick > self.tick + N_TICKS - 1:
            tick = self.tick + N_TICKS - 1
            due_ns = tick * TICK_NS
        if c.state & S_IN_WHEEL:
            if c.wheel_ns == due_ns:
                c.due_ns = due_ns
                return
            self.unwatch(c)
        c.due_ns = c.wheel_ns = due_ns
        head = self.wheel[tick & (N_TICKS - 1)]
        self.links[number].prev = NONE - 1 - <uint32_t>(tick & (N_TICKS - 1))
        self.links[number].next = head
        if head != NONE:
            self.links[head].prev = number
        self.wheel[tick & (N_TICKS - 1)] = number
        c.state |= S_IN_WHEEL
        self.n_in_wheel += 1
        if tick == self.tick:
            note_due(&self.eviction, tick, due_ns, number)

    cdef void unwatch(self, connection_t* c) noexcept nogil:
        """Take a connection out of the wheel. The first of a list names its tick, from the top."""
        cdef link_t link
        if not c.state & S_IN_WHEEL:
            return
        link = self.links[c.number]
        if link.prev >= NONE - N_TICKS:
            self.wheel[NONE - 1 - link.prev] = link.next
        else:
            self.links[link.prev].next = link.next
        if link.next != NONE:
            self.links[link.next].prev = link.prev
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
