cimport cython

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from trtop_core._connection cimport connection_t
from trtop_core._records cimport N_SKETCHES, counter_row_t

# The samples of one distribution that a connection gave.
cdef packed struct samples_t:
    uint64_t count
    int64_t sum
    int64_t max

# What one connection added to its destination.
cdef packed struct tally_t:
    counter_row_t counters   # gauges excepted: 0
    samples_t samples[N_SKETCHES]
    uint64_t packets_out
    uint64_t packets_in

cdef packed struct connection_record_t:
    uint8_t client_addr[16]
    uint8_t server_addr[16]
    uint16_t client_port
    uint16_t server_port
    uint32_t state           # bits of `_connection`
    uint32_t protocol
    uint32_t destination
    uint8_t is_evicted
    uint8_t is_remembered    # it was still in the table when the capture ended
    uint8_t _pad[6]
    int64_t began_ns
    int64_t last_ns
    int64_t floor_ns
    tally_t tally

# Where in an engine's course a connection was recorded, whatever packets were counted by whom.
cdef packed struct place_t:
    int64_t n_steps_back     # of the clock, before it
    int64_t tick             # of the wheel; one that ends counts as the next
    uint64_t n_segments      # before it, plus one; 0: the tick itself
    uint64_t opened          # as of its connection: no two have the same

@cython.final
cdef class ConnectionLog:
    cdef uint8_t[::1] raw_tallies    # of `tally_t`, by connection number
    cdef tally_t* tallies
    cdef counter_row_t before        # the row of `number`, as it was at its turn
    cdef counter_row_t* row          # NULL: it is nobody's turn
    cdef uint32_t number
    cdef connection_record_t* records
    cdef place_t* places             # of the records
    cdef size_t n_records
    cdef size_t n_whole              # of these, the first ones, to which nothing is added
    cdef bint is_held                # records are not whole yet
    cdef size_t capacity
    cdef readonly uint64_t n_lost

    cdef void attend(self, uint32_t number, counter_row_t* row) noexcept nogil
    cdef void settle(self) noexcept nogil
    cdef void sample(self, uint32_t number, int sketch, int64_t value) noexcept nogil
    cdef void write(
        self, const connection_t* c, const place_t* place, bint is_evicted, bint is_remembered
    ) noexcept nogil
    cdef void discard(self, uint32_t number) noexcept nogil
    cdef void hold(self) noexcept nogil
    cdef void let_go(self) noexcept nogil
    cdef void sample_late(self, uint64_t opened, int sketch, int64_t value) noexcept nogil
    cdef void count_packet(self, uint32_t number, bint from_client) noexcept nogil
    cdef bint has_room(self) noexcept nogil
