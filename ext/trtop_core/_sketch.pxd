cimport cython

from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t

from trtop_core._records cimport N_SKETCHES, sketch_stats_t
from trtop_core._window cimport N_LEVELS, WindowLog

cdef extern from *:
    void __builtin_prefetch(const void*, int) noexcept nogil

cdef enum:
    BINS_PER_PAGE = 8        # one cache line
    BUFFER_SIZE = 512
    PLACES_PER_STEP = 8      # by which spans grow: an octave
    N_SPAN_SIZES = 64        # in steps; one over all values has fewer

cdef packed struct page_t:
    uint64_t counts[BINS_PER_PAGE]

# Where the numbers of a sketch's pages stand: those from `first` on.
cdef packed struct span_t:
    uint32_t start           # its first place in `places`
    uint16_t first           # the page of that place
    uint16_t n_places        # 0: it has no pages yet

# What a sample is, and what the passes of `flush` find out about it.
cdef struct sample_t:
    int64_t value
    uint32_t sketch          # destination * N_SKETCHES + sketch
    uint32_t kind            # which distribution of its destination
    uint32_t bin
    uint32_t page            # its number plus one; 0: none

# Least and greatest of one slot, per window: what a difference of totals cannot tell.
cdef packed struct extremes_t:
    int64_t min[N_LEVELS]
    int64_t max[N_LEVELS]

@cython.final
cdef class SketchStore:
    cdef sketch_stats_t[::1] stats
    cdef page_t[::1] pages
    cdef uint32_t[::1] page_keys
    cdef span_t[::1] spans
    cdef uint32_t[::1] places        # numbers of pages plus one; 0: not made yet
    cdef extremes_t[::1] extremes
    cdef sample_t buffer[BUFFER_SIZE]
    cdef int n_buffered
    cdef uint32_t n_pages
    cdef uint32_t n_places
    cdef uint32_t[N_SPAN_SIZES] free_spans   # by steps, chained by their first place; 0: none
    cdef readonly WindowLog stats_log
    cdef readonly WindowLog pages_log
    cdef readonly uint64_t n_unbinned

    cdef tuple window_pages(self, int level, first_slot, first_epoch)
    cdef void flush(self) noexcept nogil
    cdef void widen(self, uint32_t sketch, uint32_t page) noexcept nogil
    cdef uint32_t take_places(self, int n_steps) noexcept nogil
    cdef uint32_t make_page(self, const sample_t* sample, uint32_t* place) noexcept nogil
    cdef uint32_t page_at(self, uint32_t sketch, uint32_t page) noexcept nogil
    cdef void widen_window(self, const sample_t* sample) noexcept nogil
    cdef void save_stats(self, uint32_t sketch) noexcept nogil

# Add a sample (ns; for `reuse`, responses) to one of a destination's sketches. All else waits for
# others, so that it costs the packet little.
cdef inline void add_to(
    SketchStore store, uint32_t destination, int sketch, int64_t value
) noexcept nogil:
    cdef sample_t* sample = &store.buffer[store.n_buffered]
    sample.value = value
    sample.sketch = destination * N_SKETCHES + sketch
    sample.kind = <uint32_t>sketch
    __builtin_prefetch(&store.spans[sample.sketch], 0)
    store.n_buffered += 1
    if store.n_buffered == BUFFER_SIZE:
        store.flush()
