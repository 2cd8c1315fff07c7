# cython: freethreading_compatible=False
"""Connections dealt out to several states, so that each can be counted in a thread of its own.

A connection belongs to the shard that the hash of its ends falls into. Every shard follows the
capture's clock by all packets, and counts those of its own connections; what the capture as a
whole counts is the first shard's. What one state would have at a bound that they share is exact
where packets are counted in turn, by one thread: who calls decides when that is necessary.
"""

cimport cython

from cpython.pythread cimport WAIT_LOCK, PyThread_acquire_lock, PyThread_release_lock
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memset

import numpy as np

from trtop_core._clock cimport BEFORE_ALL_NS
from trtop_core._connection cimport connection_t
from trtop_core._destinations cimport DestinationTable
from trtop_core._ends cimport evict
from trtop_core._eviction cimport enqueue, rank_of
from trtop_core._flows cimport BLOCK_SIZE, Flows
from trtop_core._ingest cimport begin_unusual, end_unusual, ingest, take_any_t
from trtop_core._lookup cimport guess, lookup_t, prefetch_lines
from trtop_core._records cimport (
    LINK_TYPE,
    N_VERDICTS,
    SEGMENT,
    counter_row_t,
    packet_index_t,
    segment_t,
)
from trtop_core._segment cimport take_any
from trtop_core._sketch cimport SketchStore
from trtop_core._state cimport State, clock_of_others, record_of
from trtop_core._table cimport NONE, table_entry_t
from trtop_core._timeline cimport MAX_AHEAD_NS, MAX_BEHIND_NS, take_time
from trtop_core._timers cimport run_ticks, run_timers

from trtop_core._decode import check_bounds
from trtop_core.records import SEGMENT as SEGMENT_DTYPE

SHARDS_LIMIT = MAX_SHARDS

OWN = np.dtype([("packet", "<u4"), ("hash", "<u4"), ("has_payload", "<u4")])

cdef extern from *:
    void __builtin_prefetch(const void*, int) noexcept nogil

# What most packets do not need is called by pointers, as in `_flows`.
ctypedef void (*take_time_t)(State, int64_t) noexcept nogil
ctypedef void (*count_run_t)(
    State, const uint8_t*, const segment_t*, lookup_t*, const int64_t*, const own_t*, uint32_t
) noexcept nogil

cdef take_time_t TAKE_TIME = take_time
cdef take_time_t RUN_TICKS = run_ticks
cdef take_any_t TAKE_ANY = take_any
cdef count_run_t COUNT_RUN = count_run

cdef int64_t BEHIND_NS = MAX_BEHIND_NS
cdef int64_t AHEAD_NS = MAX_AHEAD_NS


@cython.final
cdef class ShardedBatch:
    """A batch whose packets are decoded and dealt out, for the ``Shards`` that made it.

    Attributes:
        n_packets: how many there are.
    """

    @property
    def n_packets(self):
        return self.index.shape[0]

    def let_go(self):
        """Refer to no packet any more; the batch is spare."""
        self.data = self.index = None


@cython.final
cdef class Shards:
    """Some states with one set of hash keys.

    Args:
        flows: the loops around them, at most ``SHARDS_LIMIT``; the first one's counts what the
            capture as a whole counts. Bounds of each state are those of all together.
    """

    def __init__(self, list flows not None):
        cdef Flows one
        if not 1 <= len(flows) <= MAX_SHARDS:
            raise ValueError(f"1 … {MAX_SHARDS} shards")
        self.flows = flows
        self.states = []
        for one in flows:
            self.states.append(one.state)
        self.first = flows[0]
        self.n_shards = <uint32_t>len(flows)
        self.max_connections = self.first.state.table.connections.shape[0]
        self.max_holes = self.first.state.holes.nodes.shape[0]
        self.max_http2 = self.first.state.sides.http2.shape[0]
        self.max_streams = self.first.state.sides.streams.shape[0]

    def prepare(
        self,
        const uint8_t[::1] data,
        const packet_index_t[::1] index,
        ShardedBatch spare=None,
    ):
        """Decode the packets of a batch, and find out whose each is; touches no state.

        Args:
            data: as of a batch.
            index: likewise.
            spare: a batch that is not needed any more: its memory is used again if there is enough.

        Raises:
            ValueError: a packet lies outside the data.
        """
        cdef Py_ssize_t at = 0
        cdef Py_ssize_t n_packets = index.shape[0]
        cdef ShardedBatch batch = spare
        cdef lookup_t* lookups
        cdef const uint8_t* base
        check_bounds(data, index)
        if batch is None or batch.owner is not self or batch.tops.shape[0] < n_packets:
            batch = self.new_batch(n_packets)
        batch.data = data
        batch.index = index
        if n_packets == 0:
            return batch
        base = &data[0] if data.shape[0] else NULL
        lookups = <lookup_t*>&batch.lookups[0]
        with nogil:
            while at < n_packets:
                self.first.prepare_block(
                    base,
                    &index[at],
                    <int>min(n_packets - at, BLOCK_SIZE),
                    &batch.segments[at],
                    &lookups[at],
                )
                at += BLOCK_SIZE
            self.deal(batch, lookups)
        return batch

    cdef ShardedBatch new_batch(self, Py_ssize_t n_packets):
        """A batch with room for so many packets, and some more."""
        cdef ShardedBatch batch = ShardedBatch.__new__(ShardedBatch)
        n_packets += n_packets // 4
        batch.owner = self
        batch.segments = np.empty(n_packets, SEGMENT_DTYPE)
        batch.lookups = np.empty(n_packets * sizeof(lookup_t), np.uint8)
        batch.tops = np.empty(n_packets, np.int64)
        batch.own = np.empty((self.n_shards, n_packets), OWN)
        return batch

    cdef void deal(self, ShardedBatch batch, lookup_t* lookups) noexcept nogil:
        """List the packets of each shard, and how the clock goes."""
        cdef Py_ssize_t i
        cdef Py_ssize_t n_packets = batch.index.shape[0]
        cdef Py_ssize_t capacity = batch.own.shape[1]
        cdef const segment_t* segments = &batch.segments[0]
        cdef own_t* own = &batch.own[0, 0]
        cdef own_t* entry
        cdef int64_t* tops = &batch.tops[0]
        cdef int64_t top_ns = segments[0].ts_ns
        cdef int64_t least_ns = top_ns
        cdef int64_t ts_ns
        cdef bint is_even = True
        cdef uint32_t shard
        cdef uint32_t n_segments = 0
        memset(batch.n_own, 0, sizeof(batch.n_own))
        memset(batch.verdicts, 0, sizeof(batch.verdicts))
        for i in range(n_packets):
            ts_ns = segments[i].ts_ns
            is_even &= top_ns - BEHIND_NS <= ts_ns <= top_ns + AHEAD_NS
            top_ns = max(top_ns, ts_ns)
            least_ns = min(least_ns, ts_ns)
            tops[i] = top_ns
            batch.verdicts[segments[i].verdict] += 1
            if segments[i].verdict != SEGMENT:
                continue
            lookups[i].n_before = n_segments
            n_segments += 1
            shard = shard_of(lookups[i].hash, self.n_shards)
            entry = &own[shard * capacity + batch.n_own[shard]]
            entry.packet = <uint32_t>i
            entry.hash = lookups[i].hash
            entry.has_payload = segments[i].payload_len > 0
            batch.n_own[shard] += 1
        batch.n_segments = n_segments
        batch.least_ns = least_ns
        batch.is_even = is_even

    def count(self, ShardedBatch batch not None, uint32_t shard):
        """Count the packets of one shard; another thread may count those of another one.

        Raises:
            ValueError: another one prepared the batch, or there is no such shard.
        """
        cdef State state
        cdef Flows flows
        if batch.owner is not self:
            raise ValueError("the batch was prepared by other shards")
        if shard >= self.n_shards:
            raise ValueError("no such shard")
        if batch.index.shape[0] == 0:
            return
        flows = self.flows[shard]
        state = flows.state
        with nogil:
            count_own(state, batch, shard)
        if shard == 0:
            count_whole(flows, batch)

    def count_in_turn(self, ShardedBatch batch not None):
        """Count the packets of all shards as one state would, also where a bound is reached.

        Raises:
            ValueError: another one prepared the batch.
        """
        cdef Py_ssize_t i
        cdef uint32_t shard, at
        cdef State state
        cdef State other
        cdef bint is_unusual
        cdef int64_t clock_ns
        cdef const uint8_t* base
        cdef const segment_t* segment
        cdef lookup_t* lookup
        cdef uint64_t before = self.first.state.n_seen
        cdef uint64_t n_segments = 0
        if batch.owner is not self:
            raise ValueError("the batch was prepared by other shards")
        if batch.index.shape[0] == 0:
            return
        base = &batch.data[0] if batch.data.shape[0] else NULL
        for i in range(batch.index.shape[0]):
            segment = &batch.segments[i]
            for state in self.states:
                state.n_seen = before + n_segments
                take_moment(state, segment.ts_ns)
            if segment.verdict != SEGMENT:
                continue
            n_segments += 1
            lookup = <lookup_t*>&batch.lookups[0] + i
            shard = shard_of(lookup.hash, self.n_shards)
            is_unusual = not self.first.state.is_usual
            clock_ns = self.first.state.clock_ns
            for at in range(self.n_shards):
                other = self.states[at]
                if is_unusual:
                    begin_unusual(other, segment)
            state = self.states[shard]
            self.make_room(state, lookup)
            self.share_out(state)
            count_segment(state, base, segment, lookup)
            if is_unusual:
                for at in range(self.n_shards):
                    other = self.states[at]
                    end_unusual(other, segment, lookup.place if at == shard else NONE, clock_ns)
        for state in self.states:
            state.n_seen = before + batch.n_segments
            state.holes.limit = <uint32_t>self.max_holes
            state.sides.http2_limit = <uint32_t>self.max_http2
            state.sides.streams_limit = <uint32_t>self.max_streams
        count_whole(self.first, batch)

    cdef void make_room(self, State state, const lookup_t* lookup):
        """Before a segment: forget a connection where it opens one and there is no room for it."""
        cdef uint64_t n_connections = 0
        cdef uint32_t number, place
        cdef int64_t now_ns
        cdef State other
        for other in self.states:
            n_connections += other.table.n_connections
        if n_connections < self.max_connections:
            return
        place = state.table.find(&lookup.ends, lookup.hash, state.clock_ns)
        if place != NONE and state.table.connections[place].due_ns <= state.clock_ns:
            run_timers(state, &state.table.connections[place], state.clock_ns)
            place = state.table.find(&lookup.ends, lookup.hash, state.clock_ns)
        if place != NONE:
            return
        n_connections = 0
        for other in self.states:
            now_ns = clock_of_others(other)
            number = other.table.next_due(now_ns)
            while number != NONE:
                run_timers(other, record_of(other, number), now_ns)
                number = other.table.next_due(now_ns)
            n_connections += other.table.n_connections
        if n_connections == self.max_connections:
            self.evict_one()

    cdef void evict_one(self):
        """Forget the connection of the least rank that has been idle longest, whose ever it is."""
        cdef State other
        cdef State chosen = None
        cdef uint32_t number
        cdef uint32_t chosen_number = NONE
        for other in self.states:
            if other.table.n_connections == 0:
                continue
            number = other.table.next_to_evict()
            if not other.table.is_known(number):
                continue  # there is no memory for the order
            if chosen is not None and not goes_first(other, number, chosen, chosen_number):
                put_back(other, number)
                continue
            if chosen is not None:
                put_back(chosen, chosen_number)
            chosen, chosen_number = other, number
        if chosen is not None:
            evict(chosen, record_of(chosen, chosen_number))

    cdef void share_out(self, State state):
        """Let the state of the next segment have what others leave of the pools of all."""
        cdef uint64_t n_holes = 0
        cdef uint64_t n_http2 = 0
        cdef uint64_t n_streams = 0
        cdef State other
        for other in self.states:
            if other is not state:
                n_holes += other.holes.in_use
                n_http2 += other.sides.http2_in_use
                n_streams += other.sides.streams_in_use
        state.holes.limit = <uint32_t>(self.max_holes - n_holes)
        state.sides.http2_limit = <uint32_t>(self.max_http2 - n_http2)
        state.sides.streams_limit = <uint32_t>(self.max_streams - n_streams)

    def usage(self, uint32_t shard):
        """What is taken of all that is bounded for all shards together, by one of them.

        Asked for while nobody counts its packets.

        Returns:
            Connections, holes, connections of HTTP/2, streams of these, pages of bins (with one for
            each sample that waits), places for such pages.

        Raises:
            ValueError: there is no such shard.
        """
        cdef State state
        if shard >= self.n_shards:
            raise ValueError("no such shard")
        state = self.states[shard]
        return (
            state.table.n_connections,
            state.holes.in_use,
            state.sides.http2_in_use,
            state.sides.streams_in_use,
            state.sketches.n_pages + <uint32_t>state.sketches.n_buffered,
            state.sketches.n_places,
        )

    @property
    def bounds(self):
        """The bounds on the sums of what ``usage`` tells of the shards."""
        return (
            self.max_connections,
            self.max_holes,
            self.max_http2,
            self.max_streams,
            self.first.state.sketches.pages.shape[0],
            self.first.state.sketches.places.shape[0],
        )

    @property
    def n_rows(self):
        """Rows of destinations of all shards, while they may become more."""
        cdef DestinationTable numbering = self.first.state.destinations.numbering
        cdef uint32_t n_rows
        if numbering is None:
            return self.first.state.destinations.n_rows
        # Who holds the lock may wait for the GIL.
        with nogil:
            PyThread_acquire_lock(numbering.lock, WAIT_LOCK)
            n_rows = numbering.n_rows
            PyThread_release_lock(numbering.lock)
        return n_rows

    def share_sketches(self, SketchStore store not None):
        """Have all shards count in one store of sketches, which holds what theirs held.

        From then on packets are counted in turn only.
        """
        cdef State state
        for state in self.states:
            state.sketches = store

    def join_rows(self):
        """Have every shard know that all rows of destinations are there."""
        cdef State state
        cdef uint32_t n_rows = self.n_rows
        for state in self.states:
            state.destinations.n_rows = n_rows


cdef inline uint32_t shard_of(uint32_t hash_, uint32_t n_shards) noexcept nogil:
    """Whose a connection is, by the upper bits of its hash: tables find it by the lower ones."""
    return <uint32_t>((<uint64_t>(hash_ >> 16) * n_shards) >> 16)


cdef bint goes_first(State a, uint32_t number_a, State b, uint32_t number_b) noexcept nogil:
    """Whether a connection of one state is evicted before one of another."""
    cdef const connection_t* of_a = a.table.look_at_times(number_a)
    cdef const connection_t* of_b = b.table.look_at_times(number_b)
    cdef int rank_a = rank_of(of_a.state)
    cdef int rank_b = rank_of(of_b.state)
    if rank_a != rank_b:
        return rank_a < rank_b
    if of_a.last_ns != of_b.last_ns:
        return of_a.last_ns < of_b.last_ns
    return a.table.opened[number_a] < b.table.opened[number_b]


cdef void put_back(State state, uint32_t number):
    """A connection that is not evicted has its place in the order again."""
    cdef const connection_t* c = state.table.look_at_times(number)
    enqueue(
        &state.table.eviction, rank_of(c.state), c.last_ns, state.table.opened[number], number
    )


cdef inline void take_moment(State state, int64_t ts_ns) noexcept nogil:
    """Take the time of the next packet, whosever it is."""
    if state.is_usual and state.clock_ns - BEHIND_NS <= ts_ns < state.next_tick_ns:
        state.clock_ns = max(state.clock_ns, ts_ns)
    else:
        TAKE_TIME(state, ts_ns)


cdef inline void move_to(State state, int64_t top_ns) noexcept nogil:
    """Go to a time that no packet in between doubts."""
    if top_ns >= state.next_tick_ns:
        RUN_TICKS(state, top_ns)
    else:
        state.clock_ns = max(state.clock_ns, top_ns)


cdef void count_run(
    State state,
    const uint8_t* data,
    const segment_t* segments,
    lookup_t* lookups,
    const int64_t* tops,
    const own_t* own,
    uint32_t n_own,
) noexcept nogil:
    """Count some segments of one shard; the connection of each is in its lookup afterwards.

    Args:
        state: of the shard; ``n_seen`` is that of the first packet.
        data: that their payload lies in.
        segments: of all packets.
        lookups: likewise.
        tops: of each packet, where the clock is at least.
        own: which of the packets are counted.
        n_own: how many.
    """
    cdef uint64_t before = state.n_seen
    cdef uint32_t at = 0
    cdef uint32_t i, n, mask
    cdef uint32_t[BLOCK_SIZE] places
    cdef lookup_t* lookup
    cdef const segment_t* segment
    cdef connection_t* connections = &state.table.connections[0]
    cdef const counter_row_t* rows = &state.destinations.rows[0]
    cdef const table_entry_t* entries
    while at < n_own:
        n = min(n_own - at, <uint32_t>BLOCK_SIZE)
        entries = &state.table.entries[0]
        mask = state.table.mask
        for i in range(at, at + n):
            __builtin_prefetch(&entries[own[i].hash & mask], 0)
            # What another core has written, as like as not, and packets that were decoded long ago.
            segment = &segments[own[i].packet]
            __builtin_prefetch(&lookups[own[i].packet], 1)
            __builtin_prefetch(segment, 0)
            __builtin_prefetch(<const char*>segment + sizeof(segment_t) - 1, 0)
        for i in range(n):
            places[i] = guess(entries, mask, own[at + i].hash)
            if places[i] < NONE:
                prefetch_lines(&connections[places[i]], own[at + i].has_payload)
        for i in range(n):
            if places[i] < NONE:
                __builtin_prefetch(&rows[connections[places[i]].destination], 1)
            if own[at + i].has_payload:
                __builtin_prefetch(data + segments[own[at + i].packet].payload_offset, 0)
        for i in range(n):
            move_to(state, tops[own[at + i].packet])
            lookup = &lookups[own[at + i].packet]
            lookup.place = places[i]
            state.n_seen = before + lookup.n_before
            lookup.place = ingest(
                state, data, &segments[own[at + i].packet], lookup, TAKE_ANY
            )
        at += n


cdef void count_segment(
    State state, const uint8_t* data, const segment_t* segment, lookup_t* lookup
) noexcept nogil:
    """Count one segment; its connection is in its lookup afterwards."""
    cdef own_t own
    cdef int64_t top_ns = BEFORE_ALL_NS
    own.packet = 0
    own.hash = lookup.hash
    own.has_payload = segment.payload_len > 0
    # It is the first and only one.
    lookup.n_before = 0
    COUNT_RUN(state, data, segment, lookup, &top_ns, &own, 1)


cdef void count_whole(Flows flows, ShardedBatch batch):
    """Count what the capture as a whole counts."""
    cdef Py_ssize_t i
    for i in range(N_VERDICTS):
        flows.state.health[0].verdicts[i] += batch.verdicts[i]
    if batch.verdicts[<int>LINK_TYPE]:
        for i in range(batch.index.shape[0]):
            if batch.segments[i].verdict == LINK_TYPE:
                flows.link_types[batch.index[i].link_type & (flows.link_types.shape[0] - 1)] += 1


cdef void count_own(State state, ShardedBatch batch, uint32_t shard) noexcept nogil:
    """Count the packets of one shard, and follow the clock by all."""
    cdef uint64_t before = state.n_seen
    cdef Py_ssize_t n_packets = batch.index.shape[0]
    cdef const uint8_t* data = &batch.data[0] if batch.data.shape[0] else NULL
    if not state.has_clock:
        TAKE_TIME(state, batch.segments[0].ts_ns)
    if (
        batch.is_even
        and state.is_usual
        and batch.segments[0].ts_ns <= state.clock_ns + AHEAD_NS
        and batch.least_ns >= state.clock_ns - BEHIND_NS
    ):
        # The clock does nothing but go on: packets of other shards are not looked at.
        COUNT_RUN(
            state,
            data,
            &batch.segments[0],
            <lookup_t*>&batch.lookups[0],
            &batch.tops[0],
            &batch.own[shard, 0],
            batch.n_own[shard],
        )
        move_to(state, batch.tops[n_packets - 1])
    else:
        count_unevenly(state, data, batch, shard)
    state.n_seen = before + batch.n_segments


cdef void count_unevenly(
    State state, const uint8_t* data, ShardedBatch batch, uint32_t shard
) noexcept nogil:
    """Count where the clock has doubts: every packet's time is taken by itself."""
    cdef Py_ssize_t i
    cdef uint32_t at = 0
    cdef const own_t* own = &batch.own[shard, 0]
    cdef const segment_t* segment
    cdef lookup_t* lookup
    cdef bint is_unusual
    cdef int64_t clock_ns = 0
    cdef uint64_t n_segments = state.n_seen
    for i in range(batch.index.shape[0]):
        segment = &batch.segments[i]
        state.n_seen = n_segments
        n_segments += segment.verdict == SEGMENT
        take_moment(state, segment.ts_ns)
        if at == batch.n_own[shard] or own[at].packet != <uint32_t>i:
            continue
        at += 1
        lookup = <lookup_t*>&batch.lookups[0] + i
        is_unusual = not state.is_usual
        if is_unusual:
            clock_ns = begin_unusual(state, segment)
        count_segment(state, data, segment, lookup)
        if is_unusual:
            end_unusual(state, segment, lookup.place, clock_ns)
