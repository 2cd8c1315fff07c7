# cython: freethreading_compatible=False
"""A record of each connection that is forgotten: what it was, and what it added to its destination.

Counters are counted once, in the row of the destination. Whoever changes a row says before for
which connection: what the row gained until the next one says so is that connection's. Thus the
records of a destination's connections add up to its row, whatever is counted. Never decides when
a connection is over.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy, memmove, memset

import numpy as np

from trtop_core._connection cimport S_CLIENT_IS_HIGH, S_HAS_FLOOR, connection_t
from trtop_core._records cimport counter_row_t

from trtop_core.metrics import COUNTERS

cdef enum:
    FIRST_RECORDS = 1 << 10
    N_LINE = 8               # words that are compared at once: a cache line
    PLACE_WORDS = sizeof(place_t) // 8
    TICK_WORD = 1            # of these


@cython.final
cdef class ConnectionLog:
    """Records of connections, until somebody takes them.

    Takes room for as many as are forgotten between two calls of ``take``: at most those in the
    table and one for each packet.

    Args:
        max_connections: bound on connections at once.

    Attributes:
        n_lost: records for which there was no memory.
    """

    def __init__(self, max_connections):
        check_layout()
        # Zeroed memory is mapped when it is first touched.
        self.raw_tallies = np.zeros(max_connections * sizeof(tally_t), np.uint8)
        self.tallies = <tally_t*>&self.raw_tallies[0]

    def __dealloc__(self):
        free(self.records)
        free(self.places)

    def take(self):
        """The records so far, those that are held left out; they are forgotten here.

        Returns:
            Records, shape (n,), dtype ``CONNECTION_RECORD``, in the order of their places; where in
            the engine's course each was made, shape (n, 4), uint64: rows compare as these places
            do, from the first word on.
        """
        from trtop_core.connection_records import CONNECTION_RECORD, order_of

        cdef size_t n_taken = self.n_whole if self.is_held else self.n_records
        cdef size_t n_left = self.n_records - n_taken
        cdef size_t i
        taken = np.empty(n_taken, CONNECTION_RECORD)
        places = np.empty((n_taken, PLACE_WORDS), np.uint64)
        cdef connection_record_t* out
        cdef uint8_t[::1] raw
        cdef uint64_t[:, ::1] place_out = places
        cdef const int64_t[::1] order
        if n_taken:
            memcpy(&place_out[0, 0], self.places, n_taken * sizeof(place_t))
            # Ticks before 1970 come before all others.
            places[:, TICK_WORD] += np.uint64(1 << 63)
            ordered = order_of(places)
            order = ordered
            raw = taken.view(np.uint8)
            out = <connection_record_t*>&raw[0]
            with nogil:
                for i in range(n_taken):
                    out[i] = self.records[order[i]]
            places = places[ordered]
            memmove(self.records, self.records + n_taken, n_left * sizeof(connection_record_t))
            memmove(self.places, self.places + n_taken, n_left * sizeof(place_t))
        self.n_records = n_left
        self.n_whole = 0
        return taken, places

    cdef void attend(self, uint32_t number, counter_row_t* row) noexcept nogil:
        """What the row gains from now on is a connection's."""
        if self.row == row and self.number == number:
            return
        self.settle()
        self.row = row
        self.number = number
        memcpy(&self.before, row, sizeof(counter_row_t))

    cdef void settle(self) noexcept nogil:
        """Credit what the row has gained; it is nobody's turn then."""
        cdef const uint64_t* now = <const uint64_t*>self.row
        cdef const uint64_t* before = <const uint64_t*>&self.before
        cdef uint64_t* own
        cdef uint64_t changed
        cdef int at = 0
        cdef int end, i
        if self.row == NULL:
            return
        own = <uint64_t*>&self.tallies[self.number].counters
        while at < N_COUNTERS:
            end = min(at + N_LINE, N_COUNTERS)
            changed = 0
            for i in range(at, end):
                changed |= now[i] ^ before[i]
            if changed:
                for i in range(at, end):
                    own[i] += now[i] - before[i]
            at = end
        self.row = NULL

    cdef void sample(self, uint32_t number, int sketch, int64_t value) noexcept nogil:
        """A connection gave a sample."""
        add_sample_to(&self.tallies[number].samples[sketch], value)

    cdef void hold(self) noexcept nogil:
        """Something may be added to the records that are written from now on."""
        if not self.is_held:
            self.is_held = True
            self.n_whole = self.n_records

    cdef void let_go(self) noexcept nogil:
        """Nothing is added to any record any more."""
        self.is_held = False

    cdef void sample_late(self, uint64_t opened, int sketch, int64_t value) noexcept nogil:
        """A connection gave a sample of which that is known only now, behind its record."""
        cdef size_t at
        for at in range(self.n_whole, self.n_records):
            if self.places[at].opened == opened:
                add_sample_to(&self.records[at].tally.samples[sketch], value)

    cdef void count_packet(self, uint32_t number, bint from_client) noexcept nogil:
        if from_client:
            self.tallies[number].packets_out += 1
        else:
            self.tallies[number].packets_in += 1

    cdef void write(
        self, const connection_t* c, const place_t* place, bint is_evicted, bint is_remembered
    ) noexcept nogil:
        """Record a connection; its number's next one begins with nothing."""
        cdef connection_record_t* record
        self.settle()
        if self.has_room():
            record = &self.records[self.n_records]
            self.places[self.n_records] = place[0]
            self.n_records += 1
            describe(c, record)
            record.is_evicted = is_evicted
            record.is_remembered = is_remembered
            record.tally = self.tallies[c.number]
        else:
            self.n_lost += 1
        self.discard(c.number)

    cdef void discard(self, uint32_t number) noexcept nogil:
        """Begin the number's next connection with nothing."""
        self.settle()
        memset(&self.tallies[number], 0, sizeof(tally_t))

    cdef bint has_room(self) noexcept nogil:
        cdef size_t capacity = max(2 * self.capacity, <size_t>FIRST_RECORDS)
        cdef void* records
        cdef void* places
        if self.n_records < self.capacity:
            return True
        records = realloc(self.records, capacity * sizeof(connection_record_t))
        if records == NULL:
            return False
        self.records = <connection_record_t*>records
        places = realloc(self.places, capacity * sizeof(place_t))
        if places == NULL:
            return False
        self.places = <place_t*>places
        self.capacity = capacity
        return True


cdef inline void add_sample_to(samples_t* samples, int64_t value) noexcept nogil:
    samples.max = value if not samples.count else max(samples.max, value)
    samples.count += 1
    samples.sum += value


cdef void describe(const connection_t* c, connection_record_t* record) noexcept nogil:
    """What a connection is, in a record."""
    cdef const uint8_t* client = &c.low_addr[0]
    cdef const uint8_t* server = &c.high_addr[0]
    memset(record, 0, sizeof(connection_record_t))
    record.client_port, record.server_port = c.low_port, c.high_port
    if c.state & S_CLIENT_IS_HIGH:
        client, server = server, client
        record.client_port, record.server_port = c.high_port, c.low_port
    memcpy(&record.client_addr[0], client, 16)
    memcpy(&record.server_addr[0], server, 16)
    record.state = c.state
    record.protocol = c.protocol
    record.destination = c.destination
    record.began_ns = c.began_ns
    record.last_ns = c.last_ns
    record.floor_ns = c.floor_ns if c.state & S_HAS_FLOOR else -1


cdef int N_COUNTERS = len(COUNTERS)


def check_layout():
    """Compare structs and dtypes.

    Raises:
        ValueError: they differ.
    """
    # Here, as the module is loaded by every engine, and seldom used.
    from trtop_core.connection_records import CONNECTION_RECORD, TALLY

    cdef connection_record_t record
    cdef const char* start = <const char*>&record
    offsets = {
        "client_port": <const char*>&record.client_port - start,
        "state": <const char*>&record.state - start,
        "is_evicted": <const char*>&record.is_evicted - start,
        "began_ns": <const char*>&record.began_ns - start,
        "tally": <const char*>&record.tally - start,
    }
    sizes = (TALLY.itemsize, CONNECTION_RECORD.itemsize)
    if sizes != (sizeof(tally_t), sizeof(connection_record_t)) or any(
        CONNECTION_RECORD.fields[name][1] != offset for name, offset in offsets.items()
    ):
        raise ValueError("connection_records and its C struct differ")
