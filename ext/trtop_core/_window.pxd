cimport cython

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    N_LEVELS = 3
    HEADER_BYTES = 16        # of a record: item, epoch of its last write before, slot, padding
    AHEAD = 16               # records between the one at hand and the one whose row is fetched

# A ring of equal records {item, epoch it was last written in, slot it was saved in, row before}.
cdef struct ring_t:
    uint8_t* records
    uint64_t head            # records ever appended
    uint64_t tail            # records ever dropped
    uint64_t capacity        # records, a power of two or 0
    uint64_t max_capacity
    uint64_t incomplete_before  # the earliest slot that the ring still tells wholly

cdef inline const uint32_t* header_of(
    const ring_t* ring, uint64_t at, Py_ssize_t record_bytes
) noexcept nogil:
    return <const uint32_t*>(ring.records + (at & (ring.capacity - 1)) * record_bytes)

@cython.final
cdef class WindowLog:
    cdef ring_t rings[N_LEVELS]
    cdef bint enabled[N_LEVELS]
    cdef int shortest        # the level of the shortest slots that are kept
    cdef uint32_t[::1] epochs
    cdef uint32_t now
    cdef Py_ssize_t row_bytes
    cdef Py_ssize_t record_bytes

    cdef void subtract(
        self, int level, first_slot, const uint32_t[::1] places, uint64_t[:, ::1] now
    )
    cdef tuple records(self, int level, first_slot, uint8_t[::1] is_wanted, bint once)
    cdef bint is_due_at(self, int level, uint32_t item) noexcept nogil
    cdef void save(self, uint32_t item, const void* row) noexcept nogil
    cdef void append(self, int level, uint32_t item, const void* row) noexcept nogil
    cdef void expire(self, int level) noexcept nogil

# Whether this is an item's first write in this epoch.
cdef inline bint is_due(WindowLog log, uint32_t item) noexcept nogil:
    return log.epochs[item] != log.now

# A row is about to change; nearly always it has changed in this epoch before.
cdef inline void touch_row(WindowLog log, uint32_t item, const void* row) noexcept nogil:
    if is_due(log, item):
        log.save(item, row)
