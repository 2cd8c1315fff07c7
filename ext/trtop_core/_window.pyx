# cython: freethreading_compatible=False
"""Sliding windows over counters that only grow: a log of rows as they were before a slot's change.

Capture time is cut into epochs of 1 s, and these into the slots of each window. The first write
to a row in a slot saves the row as it was; what a window holds is then the row now minus the
earliest copy within the window, and nothing at all for a row without a copy. Costs one comparison
per write, and memory per row and slot that were written, in rings of bounded size: when one is
full, the oldest slot goes and the window says that it covers less.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

import numpy as np

EPOCH_NS = 1_000_000_000

LEVELS = ((10, 1, 10), (60, 5, 12), (300, 30, 10))
"""The length of each window in s, that of its slots in epochs, and the number of slots."""

cdef uint32_t[N_LEVELS] SLOT_EPOCHS = [1, 5, 30]
cdef uint32_t[N_LEVELS] N_SLOTS = [10, 12, 10]

cdef enum:
    FIRST_CAPACITY = 64

cdef extern from *:
    void __builtin_prefetch(const void*, int) noexcept nogil


@cython.final
cdef class WindowLog:
    """Copies of rows of one array.

    Args:
        n_items: rows of the array.
        row_bytes: bytes of one row.
        max_bytes: bound on each window's ring.
        levels: the windows to keep, as lengths in s.
    """

    def __cinit__(self, Py_ssize_t n_items, Py_ssize_t row_bytes, uint64_t max_bytes, levels):
        cdef int level
        cdef uint64_t capacity = FIRST_CAPACITY
        self.row_bytes = row_bytes
        self.record_bytes = (HEADER_BYTES + row_bytes + 7) // 8 * 8
        while capacity * 2 * self.record_bytes <= max_bytes:
            capacity *= 2
        memset(self.rings, 0, sizeof(self.rings))
        for level in range(N_LEVELS - 1, -1, -1):
            self.enabled[level] = LEVELS[level][0] in levels
            self.rings[level].max_capacity = capacity
            if self.enabled[level]:
                self.shortest = level
        # Epoch 0 is before every write: epochs are stored plus one.
        self.epochs = np.zeros(n_items, np.uint32)
        self.now = 1

    def __dealloc__(self):
        cdef int level
        for level in range(N_LEVELS):
            free(self.rings[level].records)

    def set_epoch(self, uint32_t epoch):
        """Go to an epoch (never back)."""
        self.now = epoch + 1

    def first_slot(self, int level):
        """The earliest slot that the window covers wholly, counted in slots of its own length."""
        cdef int64_t first = <int64_t>((self.now - 1) // SLOT_EPOCHS[level]) - N_SLOTS[level] + 1
        return max(first, <int64_t>self.rings[level].incomplete_before, 0)

    def earliest(self, int level, first_slot):
        """Rows as they were before their first change since the start of a slot.

        Returns:
            Item numbers, each once, shape (n,), uint32; the epoch of the write before each copy
            plus one (0: there was none), shape (n,), uint32; rows, shape (n, row_bytes), uint8.
        """
        items, epochs, _, rows = self.records(
            level, first_slot, np.ones(len(self.epochs), np.uint8), True
        )
        return items, epochs, rows

    def records_of(self, int level, first_slot, wanted):
        """Every copy of some items since the start of a slot, the oldest first.

        Args:
            level: which window.
            first_slot: slots before this one do not count.
            wanted: item numbers.

        Returns:
            Item numbers and the slots they were saved in, shape (n,), uint32; rows as they were
            before their first change in that slot, shape (n, row_bytes), uint8.
        """
        is_wanted = np.zeros(len(self.epochs), np.uint8)
        is_wanted[wanted] = 1
        items, _, slots, rows = self.records(level, first_slot, is_wanted, False)
        return items, slots, rows

    cdef void subtract(
        self, int level, first_slot, const uint32_t[::1] places, uint64_t[:, ::1] now
    ):
        """Take from rows of words what they were before their first change since a slot began.

        Args:
            level: which window.
            first_slot: slots before this one do not count.
            places: IN shape (n,): where item i is in ``now``; items from n on are left out.
            now: IN and OUT shape (n_rows, row_bytes / 8).
        """
        cdef ring_t* ring = &self.rings[level]
        cdef int64_t first = first_slot
        cdef uint64_t at
        cdef uint32_t item
        cdef Py_ssize_t i
        cdef Py_ssize_t n_words = self.row_bytes // 8
        cdef const uint32_t* header
        cdef const uint64_t* before
        cdef uint64_t* row
        cdef uint8_t[::1] is_done = np.zeros(len(places), np.uint8)
        if now.shape[0] == 0:  # nothing has changed since
            return
        with nogil:
            for at in range(ring.tail, ring.head):
                if at + AHEAD < ring.head:
                    item = header_of(ring, at + AHEAD, self.record_bytes)[0]
                    if item < is_done.shape[0]:
                        __builtin_prefetch(&now[places[item], 0], 1)
                header = header_of(ring, at, self.record_bytes)
                item = header[0]
                if item >= is_done.shape[0] or <int64_t>header[2] < first or is_done[item]:
                    continue
                is_done[item] = 1
                before = <const uint64_t*>(<const uint8_t*>header + HEADER_BYTES)
                row = &now[places[item], 0]
                for i in range(n_words):
                    row[i] -= before[i]

    cdef tuple records(self, int level, first_slot, uint8_t[::1] is_wanted, bint once):
        """Copies since the start of a slot: items, epochs before, slots, rows.

        Args:
            level: which window.
            first_slot: slots before this one do not count.
            is_wanted: IN shape (n_items,): 1 for items that are. OUT changed.
            once: only the first copy of each item.
        """
        cdef ring_t* ring = &self.rings[level]
        cdef Py_ssize_t n = 0
        cdef Py_ssize_t n_records = <Py_ssize_t>(ring.head - ring.tail)
        cdef Py_ssize_t row_bytes = self.row_bytes
        cdef int64_t first = first_slot
        cdef uint64_t at
        cdef const uint32_t* header
        items = np.empty(n_records, np.uint32)
        epochs = np.empty(n_records, np.uint32)
        slots = np.empty(n_records, np.uint32)
        rows = np.empty((n_records, row_bytes), np.uint8)
        cdef uint32_t[::1] item_out = items
        cdef uint32_t[::1] epoch_out = epochs
        cdef uint32_t[::1] slot_out = slots
        cdef uint8_t[:, ::1] row_out = rows
        with nogil:
            for at in range(ring.tail, ring.head):
                header = header_of(ring, at, self.record_bytes)
                if not is_wanted[header[0]] or <int64_t>header[2] < first:
                    continue
                if once:
                    is_wanted[header[0]] = 0
                item_out[n] = header[0]
                epoch_out[n] = header[1]
                slot_out[n] = header[2]
                memcpy(&row_out[n, 0], <const uint8_t*>header + HEADER_BYTES, row_bytes)
                n += 1
        return items[:n], epochs[:n], slots[:n], rows[:n]

    cdef bint is_due_at(self, int level, uint32_t item) noexcept nogil:
        """Whether this is the item's first write in this slot of a window that is kept."""
        cdef uint32_t last = self.epochs[item]
        if not self.enabled[level]:
            return False
        return last == 0 or (last - 1) // SLOT_EPOCHS[level] != (self.now - 1) // SLOT_EPOCHS[level]

    cdef void save(self, uint32_t item, const void* row) noexcept nogil:
        """Save a row before its first change in this epoch, where its slot asks for it."""
        cdef int level
        for level in range(N_LEVELS):
            if self.is_due_at(level, item):
                self.append(level, item, row)
        self.epochs[item] = self.now

    cdef void append(self, int level, uint32_t item, const void* row) noexcept nogil:
        cdef ring_t* ring = &self.rings[level]
        cdef uint8_t* record
        cdef uint32_t[4] header
        cdef uint32_t slot = (self.now - 1) // SLOT_EPOCHS[level]
        self.expire(level)
        if ring.head - ring.tail == ring.capacity and not grow(ring, self.record_bytes):
            drop_oldest_slot(ring, self.record_bytes)
            if ring.capacity == 0:
                ring.incomplete_before = slot + 1
                return
        header[0] = item
        header[1] = self.epochs[item]
        header[2] = slot
        header[3] = 0
        record = ring.records + (ring.head & (ring.capacity - 1)) * self.record_bytes
        memcpy(record, header, HEADER_BYTES)
        memcpy(record + HEADER_BYTES, row, self.row_bytes)
        ring.head += 1

    cdef void expire(self, int level) noexcept nogil:
        """Forget the slots that have left the window."""
        cdef ring_t* ring = &self.rings[level]
        cdef uint32_t slot = (self.now - 1) // SLOT_EPOCHS[level]
        while ring.tail < ring.head and (
            header_of(ring, ring.tail, self.record_bytes)[2] + N_SLOTS[level] <= slot
        ):
            ring.tail += 1


cdef void drop_oldest_slot(ring_t* ring, Py_ssize_t record_bytes) noexcept nogil:
    """Make room at the price of a shorter window."""
    cdef uint32_t slot
    if ring.tail == ring.head:
        return
    slot = header_of(ring, ring.tail, record_bytes)[2]
    while ring.tail < ring.head and header_of(ring, ring.tail, record_bytes)[2] == slot:
        ring.tail += 1
    ring.incomplete_before = slot + 1


cdef bint grow(ring_t* ring, Py_ssize_t record_bytes) noexcept nogil:
    """Double a ring; False at its bound, or without memory."""
    cdef uint64_t capacity = ring.capacity * 2 if ring.capacity else FIRST_CAPACITY
    cdef uint64_t at
    cdef uint8_t* records
    if capacity > ring.max_capacity:
        return False
    records = <uint8_t*>malloc(capacity * record_bytes)
    if records == NULL:
        return False
    for at in range(ring.tail, ring.head):
        memcpy(
            records + (at & (capacity - 1)) * record_bytes,
            ring.records + (at & (ring.capacity - 1)) * record_bytes,
            record_bytes,
        )
    free(ring.records)
    ring.records = records
    ring.capacity = capacity
    return True
