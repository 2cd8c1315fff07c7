# cython: freethreading_compatible=False
"""Destinations: keys to rows of counters, bounded; what comes after the bound shares one row."""

cimport cython
from cpython.pythread cimport (
    WAIT_LOCK,
    PyThread_acquire_lock,
    PyThread_allocate_lock,
    PyThread_free_lock,
    PyThread_release_lock,
)
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp, memcpy

import numpy as np

from trtop_core._records cimport counter_row_t, destination_key_t
from trtop_core._window cimport WindowLog

from trtop_core.metrics import COUNTER_ROW, GAUGES
from trtop_core.records import DESTINATION_KEY, DestinationKind

FIRST_ENTRIES = 1 << 8

WINDOW_LOG_BYTES = 64 << 20
"""Bound on what each window remembers of rows."""

cdef int KIND_OTHER = DestinationKind.OTHER


@cython.final
cdef class DestinationTable:
    """Rows of counters.

    Args:
        max_rows: bound; on top come the row ``(other)`` and one for what nobody asked for.
        hash_words: shape (N_HASH_KEYS,), uint64, secret and random.
        windows: lengths in s of the windows to keep.
        numbering: another table, without counters of its own, that numbers the rows of this one and
            of others: a destination has the same row in all of them. None: this one does.

    Raises:
        MemoryError: there is no lock.
    """

    def __init__(self, max_rows, hash_words, windows, DestinationTable numbering=None):
        cdef int i
        self.lock = PyThread_allocate_lock()
        if self.lock == NULL:
            raise MemoryError("no lock")
        self.numbering = numbering
        self.keys = numbering.keys if numbering is not None else np.zeros(
            max_rows + 2, DESTINATION_KEY
        )
        self.rows = np.zeros(max_rows + 2, COUNTER_ROW)
        self.entries = np.zeros(FIRST_ENTRIES, np.uint32)
        for i in range(N_HASH_KEYS):
            self.hash_key.words[i] = hash_words[i]
        self.max_rows = max_rows
        self.n_rows = self.n_known = 0
        self.other = 0
        self.log = (
            WindowLog(max_rows + 2, sizeof(counter_row_t), WINDOW_LOG_BYTES, windows)
            if windows
            else None
        )

    def __dealloc__(self):
        if self.lock != NULL:
            PyThread_free_lock(self.lock)

    def set_epoch(self, epoch):
        """Go to an epoch of the windows."""
        if self.log is not None:
            self.log.set_epoch(epoch)

    def export(self):
        """Keys and counters of all rows, as views that change with the next packet."""
        # The arrays that the views are of: numpy takes 0.1 ms to read what a view's records are.
        return self.keys.base[: self.n_rows], self.rows.base[: self.n_rows]

    def export_window(self, int level, first_slot, first_epoch):
        """Keys, and counters since a slot began; gauges are as of now.

        Args:
            level: which window.
            first_slot: the slot, in slots of that window.
            first_epoch: the epoch at which it began.
        """
        keys, rows = self.export()
        now = np.zeros(len(rows), COUNTER_ROW)
        written = np.flatnonzero(self.log.epochs.base[: len(rows)] > first_epoch)
        # All fields are equally wide: a row is a row of words.
        words = now.view(np.uint64).reshape(len(now), len(COUNTER_ROW.names))
        words[written] = rows.view(np.uint64).reshape(words.shape)[written]
        self.log.subtract(level, first_slot, np.arange(len(now), dtype=np.uint32), words)
        for gauge in GAUGES:
            now[gauge] = rows[gauge]
        return keys, now

    def saved(self, int level, first_slot, rows):
        """Some rows as they were before their first change in each slot of a window.

        Returns:
            Row numbers and slots, shape (n,), uint32; counters, shape (n,).
        """
        items, slots, raw = self.log.records_of(level, first_slot, rows)
        return items, slots, raw.view(COUNTER_ROW).reshape(-1)

    def first_slot(self, int level):
        """The earliest slot that is wholly known."""
        return self.log.first_slot(level)

    cdef uint32_t find(self, const uint8_t* addr, int port, int kind) noexcept nogil:
        """The row of a destination, made where there is none."""
        cdef uint32_t[6] words
        cdef uint32_t mask = <uint32_t>(self.entries.shape[0] - 1)
        cdef uint32_t at, row
        cdef destination_key_t* key
        memcpy(words, addr, 16)
        words[4] = <uint32_t>port
        words[5] = <uint32_t>kind
        at = keyed_hash(&self.hash_key, words, 6) & mask
        while self.entries[at]:
            row = self.entries[at] - 1
            key = &self.keys[row]
            if key.port == port and key.kind == kind and memcmp(key.addr, addr, 16) == 0:
                return row
            at = (at + 1) & mask
        row = self.number(addr, port, kind)
        if row >= self.n_rows:
            self.n_rows = row + 1
        if row == self.max_rows:
            return row
        self.entries[at] = row + 1
        self.n_known += 1
        if self.n_known * 2 > mask:
            self.grow_entries()
        return row

    cdef uint32_t number(
        self, const uint8_t* addr, int port, int kind
    ) noexcept nogil:
        """The number of a row that this table does not know."""
        cdef uint32_t row
        if self.numbering is None:
            return self.number_alone(addr, port, kind)
        PyThread_acquire_lock(self.numbering.lock, WAIT_LOCK)
        row = self.numbering.find(addr, port, kind)
        PyThread_release_lock(self.numbering.lock)
        return row

    cdef uint32_t number_alone(
        self, const uint8_t* addr, int port, int kind
    ) noexcept nogil:
        """The number of a new row; beyond the bound that of the row they share."""
        cdef uint32_t row = self.n_rows
        cdef destination_key_t* key
        if row >= self.max_rows:
            if self.other == 0:
                self.other = self.max_rows
                self.keys[self.other].kind = <uint32_t>KIND_OTHER
            return self.other
        key = &self.keys[row]
        memcpy(key.addr, addr, 16)
        key.port = port
        key.kind = kind
        return row

    cdef void grow_entries(self) noexcept nogil:
        """Double the hash table."""
        cdef uint32_t[6] words
        cdef uint32_t[::1] old = self.entries
        cdef uint32_t row, at, mask
        cdef Py_ssize_t i
        with gil:
            self.entries = np.zeros(2 * len(old), np.uint32)
        mask = <uint32_t>(self.entries.shape[0] - 1)
        for i in range(old.shape[0]):
            if old[i] == 0:
                continue
            row = old[i] - 1
            memcpy(words, self.keys[row].addr, 16)
            words[4] = self.keys[row].port
            words[5] = self.keys[row].kind
            at = keyed_hash(&self.hash_key, words, 6) & mask
            while self.entries[at]:
                at = (at + 1) & mask
            self.entries[at] = row + 1
