# cython: freethreading_compatible=False
"""Packets -> connections -> counters of destinations: the loop that every packet goes through.

A block of packets is decoded, hashed, and the table lines it will touch are prefetched before they
are used, so that cache misses overlap. The result depends on the order of packets alone, never on
how they were cut into batches.
"""

cimport cython

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

import numpy as np

from trtop_core._connection cimport S_ONE_SIDED_DECIDED, connection_t
from trtop_core._decode cimport decode_block
from trtop_core._destinations cimport hash_key_t
from trtop_core._duplicates cimport fingerprint_of
from trtop_core._endpoints cimport hash_ends
from trtop_core._ends cimport decide_one_sided, judge_acked, log_connection
from trtop_core._ingest cimport begin_unusual, end_unusual, ingest, take_any_t
from trtop_core._lookup cimport guess, lookup_t, order_ends, prefetch_lines
from trtop_core._records cimport LINK_TYPE, SEGMENT, counter_row_t, packet_index_t, segment_t
from trtop_core._segment cimport take_any
from trtop_core._state cimport State, record_of, touch
from trtop_core._table cimport NONE, table_entry_t
from trtop_core._timeline cimport MAX_BEHIND_NS, advance_clock, end_clock, take_time
from trtop_core._timers cimport run_due
from trtop_core._waiting cimport count_waiting, is_one_sided, oldest_wait_of

from trtop_core._decode import check_bounds
from trtop_core._state import HEALTH
from trtop_core.records import SEGMENT as SEGMENT_DTYPE

cdef enum:
    N_LINK_TYPES = 1 << 16   # LINKTYPE_ values have 16 bits

cdef int64_t BEHIND_NS = MAX_BEHIND_NS

cdef extern from *:
    void __builtin_prefetch(const void*, int) noexcept nogil


@cython.final
cdef class Prepared:
    """A batch whose packets are decoded, for the ``Flows`` that made it."""


# What most packets do not need is called by pointers: a compiler that sees only one call of a
# function puts it there, and the loop over packets is left without registers.
ctypedef void (*take_time_t)(State, int64_t) noexcept nogil

cdef take_time_t TAKE_TIME = take_time
cdef take_any_t TAKE_ANY = take_any


@cython.final
cdef class Flows:
    """The loop, around a ``State``.

    Args:
        state: the tables.
        decap: whether TCP inside tunnels counts.
    """

    def __init__(self, State state not None, decap):
        self.state = state
        self.segments = np.zeros(BLOCK_SIZE, SEGMENT_DTYPE)
        self.link_types = np.zeros(N_LINK_TYPES, np.uint64)
        self.decap = decap

    @property
    def clock(self):
        """Capture time now and at the first packet, in ns, or None before it."""
        cdef State state = self.state
        return (state.clock_ns, state.first_ns) if state.has_first else None

    @property
    def span_ns(self):
        """Capture time since the first packet, less what steps of the clock jumped."""
        cdef State state = self.state
        return state.clock_ns - state.first_ns - state.jumped_ns if state.has_first else 0

    @property
    def window_clock(self):
        """The windows' own time, which never steps back: now, at the first packet; and what added
        to it gives capture time.
        """
        cdef State state = self.state
        shift_ns = state.window_shift_ns
        return state.clock_ns - shift_ns, state.window_first_ns, shift_ns

    def feed(self, const uint8_t[::1] data, const packet_index_t[::1] index):
        """Take the packets of a batch.

        Raises:
            ValueError: a packet lies outside the data.
        """
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t n_packets = index.shape[0]
        cdef int n
        cdef State state = self.state
        cdef const uint8_t* base = &data[0] if data.shape[0] else NULL
        check_bounds(data, index)
        with nogil:
            while at < n_packets:
                n = <int>min(n_packets - at, BLOCK_SIZE)
                self.prepare_block(base, &index[at], n, &self.segments[0], self.lookups)
                self.ingest_block(state, base, &index[at], n, &self.segments[0], self.lookups)
                at += BLOCK_SIZE

    def prepare(self, const uint8_t[::1] data, const packet_index_t[::1] index):
        """Decode the packets of a batch: all that can be done before the ones in front of them.

        Touches no state: another thread may take packets meanwhile.

        Returns:
            The batch, for ``feed_prepared``.

        Raises:
            ValueError: a packet lies outside the data.
        """
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t n_packets = index.shape[0]
        cdef Prepared prepared = Prepared.__new__(Prepared)
        cdef lookup_t* lookups
        check_bounds(data, index)
        prepared.data = data
        prepared.index = index
        prepared.segments = np.empty(n_packets, SEGMENT_DTYPE)
        prepared.lookups = np.empty(n_packets * sizeof(lookup_t), np.uint8)
        prepared.owner = self
        cdef const uint8_t* base = &data[0] if data.shape[0] else NULL
        if n_packets == 0:
            return prepared
        lookups = <lookup_t*>&prepared.lookups[0]
        with nogil:
            while at < n_packets:
                self.prepare_block(
                    base,
                    &index[at],
                    <int>min(n_packets - at, BLOCK_SIZE),
                    &prepared.segments[at],
                    &lookups[at],
                )
                at += BLOCK_SIZE
        return prepared

    def feed_prepared(self, Prepared prepared not None):
        """Take the packets of a batch that ``prepare`` gave.

        Raises:
            ValueError: it comes from another one, whose hashes differ.
        """
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t n_packets
        cdef State state = self.state
        cdef const uint8_t* base
        cdef lookup_t* lookups
        if prepared.owner is not self:
            raise ValueError("the batch was prepared by another engine")
        n_packets = prepared.index.shape[0]
        if n_packets == 0:
            return
        base = &prepared.data[0] if prepared.data.shape[0] else NULL
        lookups = <lookup_t*>&prepared.lookups[0]
        with nogil:
            while at < n_packets:
                self.ingest_block(
                    state,
                    base,
                    &prepared.index[at],
                    <int>min(n_packets - at, BLOCK_SIZE),
                    &prepared.segments[at],
                    &lookups[at],
                )
                at += BLOCK_SIZE

    def advance(self, int64_t now_ns):
        """Let the clock go on by itself, and run the timers that are due."""
        cdef State state = self.state
        with nogil:
            advance_clock(state, now_ns)

    def add_counters(
        self, uint64_t untimed, uint64_t received, uint64_t kernel, uint64_t interface
    ):
        """Add what the capturing side reports, as increments."""
        cdef State state = self.state
        state.health[0].untimed += untimed
        state.health[0].received += received
        state.health[0].kernel_dropped += kernel
        state.health[0].interface_dropped += interface

    def add_lost(self, uint64_t read_lost, uint64_t interruptions, uint64_t interrupted_ns):
        """Add what the capturing side lost beside the kernel's drops, as increments."""
        cdef State state = self.state
        state.health[0].read_lost += read_lost
        state.health[0].interruptions += interruptions
        state.health[0].interrupted_ns += interrupted_ns

    def settle(self):
        """Run the timers that are due by the clock; afterwards everything can be exported."""
        cdef State state = self.state
        with nogil:
            if state.has_clock:
                run_due(state)
            state.sketches.flush()
            count_waiting(state)

    def oldest_wait_ns(self, const uint8_t[::1] is_wanted):
        """How long the request waits that waits longest for its answer, in ns; -1 without one.

        Args:
            is_wanted: shape (n_rows,), of the rows of destinations: whether it is looked for there.

        Raises:
            ValueError: the shape is another one.
        """
        cdef State state = self.state
        cdef int64_t oldest_ns = -1
        if is_wanted.shape[0] != state.destinations.n_rows:
            raise ValueError("as many marks as there are rows of destinations")
        if is_wanted.shape[0]:
            with nogil:
                oldest_ns = oldest_wait_of(state, &is_wanted[0])
        return oldest_ns

    def finish(self):
        """The capture ends: judge what is acknowledged, and decide what is one-sided."""
        cdef State state = self.state
        with nogil:
            end_clock(state)
        self.settle()
        with nogil:
            decide_all(state)

    def log_remembered(self, const uint32_t[::1] numbers):
        """Record connections that are in the table; they stay there.

        What they count afterwards is recorded by nobody.

        Args:
            numbers: shape (n,), some of ``ConnectionTable.remembered``.

        Raises:
            ValueError: one of them is no connection's.
        """
        cdef State state = self.state
        cdef Py_ssize_t i
        for i in range(numbers.shape[0]):
            if numbers[i] >= state.table.n_used:
                raise ValueError("no such connection")
            if state.table.is_known(numbers[i]):
                log_connection(state, state.table.look(numbers[i]), False, True)

    def export_health(self, level=None):
        """Counters of the capture, shape (), dtype ``HEALTH``; with a level, of its window."""
        cdef State state = self.state
        now = state.health.base[0].copy()
        if level is None or not state.has_clock:
            return now
        _, _, raw = state.health_log.earliest(level, state.health_log.first_slot(level))
        if len(raw):
            before = raw.view(HEALTH).reshape(-1)[0]
            for name in HEALTH.names:
                now[name] -= before[name]
        return now

    def unsupported_link_types(self):
        """Link types that were not decoded, and how many packets each had."""
        counts = np.asarray(self.link_types)
        return {int(kind): int(counts[kind]) for kind in np.flatnonzero(counts)}

    cdef void prepare_block(
        self,
        const uint8_t* data,
        const packet_index_t* index,
        int n_packets,
        segment_t* segments,
        lookup_t* lookups,
    ) noexcept nogil:
        """What a packet is by itself: its segment, whose it is, and the hashes of both."""
        cdef int i
        cdef segment_t* segment
        cdef lookup_t* lookup
        cdef const hash_key_t* hash_key = &self.state.table.hash_key
        decode_block(data, index, n_packets, self.decap, segments)
        for i in range(n_packets):
            segment = &segments[i]
            if segment.verdict == SEGMENT:
                lookup = &lookups[i]
                order_ends(segment, lookup)
                lookup.hash = hash_ends(hash_key, &lookup.ends)
                lookup.fingerprint = fingerprint_of(
                    segment, lookup.hash, lookup.from_high, &hash_key.words[0]
                )

    cdef void ingest_block(
        self,
        State state,
        const uint8_t* data,
        const packet_index_t* index,
        int n_packets,
        const segment_t* segments,
        lookup_t* lookups,
    ) noexcept nogil:
        cdef int i
        cdef bint is_unusual
        cdef int64_t clock_ns = 0
        cdef uint32_t place
        cdef const segment_t* segment
        cdef lookup_t* lookup
        cdef connection_t* connections = &state.table.connections[0]
        cdef const table_entry_t* entries = &state.table.entries[0]
        cdef const counter_row_t* rows = &state.destinations.rows[0]
        cdef uint64_t* verdicts = state.health[0].verdicts
        cdef uint32_t mask = state.table.mask
        for i in range(n_packets):
            if segments[i].verdict == SEGMENT:
                lookup = &lookups[i]
                __builtin_prefetch(&entries[lookup.hash & mask], 0)
        for i in range(n_packets):
            segment = &segments[i]
            lookup = &lookups[i]
            lookup.place = NONE
            if segment.verdict == SEGMENT:
                lookup.place = guess(entries, mask, lookup.hash)
                if lookup.place < NONE:
                    prefetch_lines(&connections[lookup.place], segment.payload_len > 0)
        for i in range(n_packets):
            lookup = &lookups[i]
            if lookup.place < NONE:
                __builtin_prefetch(&rows[connections[lookup.place].destination], 1)
        for i in range(n_packets):
            segment = &segments[i]
            if (
                state.is_usual
                and state.clock_ns - BEHIND_NS <= segment.ts_ns < state.next_tick_ns
            ):
                state.clock_ns = max(state.clock_ns, segment.ts_ns)
            else:
                TAKE_TIME(state, segment.ts_ns)
            verdicts[segment.verdict] += 1
            if segment.verdict == SEGMENT:
                # One call of the many functions within, so that the compiler puts them all here.
                is_unusual = not state.is_usual
                if is_unusual:
                    clock_ns = begin_unusual(state, segment)
                place = ingest(state, data, segment, &lookups[i], TAKE_ANY)
                if is_unusual:
                    end_unusual(state, segment, place, clock_ns)
            elif segment.verdict == LINK_TYPE:
                self.link_types[index[i].link_type & (N_LINK_TYPES - 1)] += 1


cdef void decide_all(State state) noexcept nogil:
    """Judge of every connection what is acknowledged, and decide whether it is one-sided."""
    cdef uint32_t number
    cdef connection_t* c
    cdef counter_row_t* row
    for number in range(state.table.n_used):
        if not state.table.is_known(number):
            continue
        if state.table.is_packed(number):
            # It has no holes.
            if state.table.state_of(number) & S_ONE_SIDED_DECIDED:
                continue
            if decide_packed(state, number):
                continue
        c = record_of(state, number)
        row = touch(state, c)
        judge_acked(state, c, row)
        decide_one_sided(state, c, row)


cdef bint decide_packed(State state, uint32_t number) noexcept nogil:
    """Decide whether a packed connection is one-sided; False, and nothing is done, if it cannot be
    marked where it is.
    """
    cdef const connection_t* c
    if not state.table.mark(number, S_ONE_SIDED_DECIDED):
        return False
    c = state.table.look(number)
    touch(state, c).one_sided += is_one_sided(c)
    return True
