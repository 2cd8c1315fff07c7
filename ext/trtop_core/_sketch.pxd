cimport cython

from libc.stdint cimport int64_t, uint32_t, uint64_t

from trtop_core._records cimport sketch_stats_t
from trtop_core._window cimport N_LEVELS, WindowLog

cdef enum:
    BINS_PER_PAGE = 8        # one cache line
    BUFFER_SIZE = 512

cdef packed struct page_t:
    uint64_t counts[BINS_PER_PAGE]

cdef packed struct page_entry_t:
    uint32_t key             # which sketch and which page of it
    uint32_t page            # its number plus one; 0: empty

cdef struct sample_t:
    int64_t value
    uint32_t sketch          # destination * N_SKETCHES + sketch
    uint32_t key
    uint32_t slot
    uint32_t bin

# Least and greatest of one slot, per window: what a difference of totals cannot tell.
cdef packed struct extremes_t:
    int64_t min[N_LEVELS]
    int64_t max[N_LEVELS]

@cython.final
cdef class SketchStore:
    cdef sketch_stats_t[::1] stats
    cdef page_t[::1] pages
    cdef uint32_t[::1] page_keys
    cdef page_entry_t[::1] entries
    cdef extremes_t[::1] extremes
    cdef sample_t buffer[BUFFER_SIZE]
    cdef int n_buffered
    cdef uint32_t n_pages
    cdef uint64_t multiplier
    cdef int shift
    cdef readonly WindowLog stats_log
    cdef readonly WindowLog pages_log
    cdef readonly uint64_t n_unbinned

    cdef tuple window_pages(self, int level, first_slot, first_epoch)
    cdef void add(self, uint32_t destination, int sketch, int64_t value) noexcept nogil
    cdef void flush(self) noexcept nogil
    cdef uint32_t find_page(self, uint32_t key, uint32_t slot) noexcept nogil
    cdef void add_exactly(self, const sample_t* sample) noexcept nogil
    cdef void save_stats(self, uint32_t sketch) noexcept nogil
    cdef void grow_entries(self) noexcept nogil
