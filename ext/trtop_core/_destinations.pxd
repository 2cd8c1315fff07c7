cimport cython

from cpython.pythread cimport PyThread_type_lock
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from trtop_core._records cimport counter_row_t, destination_key_t
from trtop_core._window cimport WindowLog

cdef enum:
    N_HASH_KEYS = 10

cdef packed struct hash_key_t:
    uint64_t words[N_HASH_KEYS]

# Multilinear hashing (Lemire, Kaser: Strongly universal string hashing is fast, 2014): with
# secret random keys two different inputs collide with probability 2^-32, whoever chose them.
cdef inline uint32_t keyed_hash(const hash_key_t* key, const uint32_t* words, int n) noexcept nogil:
    cdef uint64_t total = key.words[0]
    cdef int i
    for i in range(n):
        total += key.words[i + 1] * words[i]
    return <uint32_t>(total >> 32)

@cython.final
cdef class DestinationTable:
    cdef destination_key_t[::1] keys
    cdef counter_row_t[::1] rows
    cdef uint32_t[::1] entries
    cdef hash_key_t hash_key
    cdef readonly uint32_t n_rows
    cdef uint32_t max_rows
    cdef uint32_t other
    # Of several tables, whose rows have the same numbers: who numbers them; None: this one.
    cdef readonly DestinationTable numbering
    cdef uint32_t n_known        # rows that `entries` holds
    cdef PyThread_type_lock lock
    cdef readonly WindowLog log

    cdef uint32_t find(self, const uint8_t* addr, int port, int kind) noexcept nogil
    cdef uint32_t number(
        self, const uint8_t* addr, int port, int kind
    ) noexcept nogil
    cdef uint32_t number_alone(
        self, const uint8_t* addr, int port, int kind
    ) noexcept nogil
    cdef void grow_entries(self) noexcept nogil
