# cython: freethreading_compatible=False
"""All sketches of an engine: exact stats per sketch, and bins in pages that each sketch lists.

A sketch lists the pages between its least and its greatest value, made or not, so that none has to
be searched for. Samples are gathered and worked off some hundred at a time, so that the cache
misses of their lists, pages and stats overlap. The order of samples does not matter to the result.
"""

cimport cython
from libc.stdint cimport INT64_MAX, INT64_MIN, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

import numpy as np

from trtop_core._records cimport N_SKETCHES, sketch_stats_t
from trtop_core._window cimport (
    HEADER_BYTES,
    N_LEVELS,
    WindowLog,
    header_of,
    is_due,
    ring_t,
    touch_row,
)

from trtop_core.memory import aligned_zeros
from trtop_core.records import SKETCH_STATS
from trtop_core.sketch import BINS_PER_OCTAVE, LEAST, MAX_VALUE, N_BINS, OCTAVE

PAGE = np.dtype([("counts", "<u8", BINS_PER_PAGE)])
SPAN = np.dtype([("start", "<u4"), ("first", "<u2"), ("n_places", "<u2")])
EXTREMES = np.dtype([("min", "<i8", N_LEVELS), ("max", "<i8", N_LEVELS)])

BINS_IN_PAGE = BINS_PER_PAGE

PAGES_PER_SKETCH = -(-N_BINS // BINS_PER_PAGE)

MAX_DESTINATIONS_LIMIT = 2**32 // (N_SKETCHES * PAGES_PER_SKETCH)
"""Keys of pages have 32 bits."""

PLACES_PER_PAGE = 8
"""Bound on places, by the bound on pages: samples between which whole octaves are empty take more
places than pages."""

MIN_PLACED_PAGES = 2 * PAGES_PER_SKETCH
"""Even the smallest bound on pages has places for a few sketches over all values."""

WINDOW_LOG_BYTES = 32 << 20
"""Bound on what each window remembers of pages, and again of stats."""

cdef enum:
    N_AHEAD = 16             # pages between the one at hand and the one whose sketch is fetched
    PART_BITS = 7            # an octave is cut into 128 parts, each narrower than a bin
    N_PARTS = 1 << PART_BITS
    OCTAVE_BINS = 64

cdef int64_t HIGHEST = MAX_VALUE
cdef uint32_t N_PAGES_PER_SKETCH = PAGES_PER_SKETCH

cdef extern from *:
    int __builtin_clzll(unsigned long long) noexcept nogil
    void __builtin_prefetch(const void*, int) noexcept nogil


# For each part of an octave, the bin of its least value; and where each bin of an octave ends.
cdef uint8_t[N_PARTS] first_bin
cdef uint64_t[OCTAVE_BINS + 1] octave
cdef int64_t[N_SKETCHES] least


def fill_tables():
    """Set the tables that bins are looked up in."""
    if BINS_PER_OCTAVE != OCTAVE_BINS or len(LEAST) != N_SKETCHES:
        raise ImportError("the kernel's bins are not those of trtop_core.sketch")
    parts = np.arange(N_PARTS, dtype=np.uint64) << np.uint64(63 - PART_BITS)
    for part, bin_ in enumerate(np.searchsorted(OCTAVE, parts + np.uint64(1 << 63))):
        first_bin[part] = bin_
    for bin_, bound in enumerate(OCTAVE):
        octave[bin_] = bound
    octave[OCTAVE_BINS] = 2**64 - 1
    for sketch, value in enumerate(LEAST.values()):
        least[sketch] = value


fill_tables()


@cython.final
cdef class SketchStore:
    """Sketches of ``n_destinations`` rows.

    Args:
        n_destinations: rows; at most ``MAX_DESTINATIONS_LIMIT``.
        max_pages: bound on pages; a sample that finds none counts in ``n_unbinned``.
        windows: lengths in s of the windows to keep.
    """

    def __init__(self, n_destinations, max_pages, windows):
        n_sketches = n_destinations * N_SKETCHES
        self.stats = np.zeros(n_sketches, SKETCH_STATS)
        self.pages = aligned_zeros(max_pages, PAGE)
        self.page_keys = np.zeros(max_pages, np.uint32)
        self.spans = np.zeros(n_sketches, SPAN)
        n_places = max(max_pages, MIN_PLACED_PAGES) * PLACES_PER_PAGE
        self.places = aligned_zeros(n_places, np.uint32)
        # Those of the first step are nobody's: 0 is no place.
        self.n_places = PLACES_PER_STEP
        self.n_pages = 0
        self.n_buffered = 0
        if windows:
            self.extremes = np.zeros(n_sketches, EXTREMES)
            self.stats_log = WindowLog(
                n_sketches, sizeof(sketch_stats_t), WINDOW_LOG_BYTES, windows
            )
            self.pages_log = WindowLog(max_pages, sizeof(page_t), WINDOW_LOG_BYTES, windows)
        else:
            self.extremes = np.zeros(1, EXTREMES)
            self.stats_log = self.pages_log = None

    def set_epoch(self, epoch):
        """Go to an epoch of the windows; every sample so far belongs to the one before."""
        self.flush()
        if self.stats_log is not None:
            self.stats_log.set_epoch(epoch)
            self.pages_log.set_epoch(epoch)

    def record(self, destination, sketch, value):
        """Add one sample; for tests and scripts.

        Raises:
            ValueError: no such destination or sketch.
        """
        if not (0 <= sketch < N_SKETCHES and 0 <= destination * N_SKETCHES < len(self.stats)):
            raise ValueError("no such destination or sketch")
        add_to(self, destination, sketch, value)

    def export(self, n_destinations):
        """The sketches of the first rows, as views that change with the next sample.

        Returns:
            stats, shape (n_destinations * N_SKETCHES,); page keys, shape (n_pages,); pages, shape
            (n_pages, BINS_PER_PAGE), uint64.
        """
        self.flush()
        # The arrays that the views are of: numpy takes 0.1 ms to read what a view's records are.
        stats = self.stats.base[: n_destinations * N_SKETCHES]
        keys = self.page_keys.base[: self.n_pages]
        return stats, keys, self.pages.base[: self.n_pages]["counts"]

    def clear(self, uint32_t n_destinations):
        """Forget all samples of the first rows; pages keep their numbers.

        Raises:
            ValueError: so many rows there are not.
        """
        self.flush()
        if n_destinations * <uint64_t>N_SKETCHES > <uint64_t>self.stats.shape[0]:
            raise ValueError("more rows than this store has")
        memset(&self.stats[0], 0, n_destinations * N_SKETCHES * sizeof(sketch_stats_t))
        memset(&self.pages[0], 0, self.n_pages * sizeof(page_t))
        self.n_unbinned = 0

    def absorb(self, SketchStore other not None, uint32_t n_destinations):
        """Add all samples of the first rows of another store, which keeps them.

        Raises:
            ValueError: one of them has fewer rows.
        """
        cdef uint64_t n_sketches = n_destinations * <uint64_t>N_SKETCHES
        if n_sketches > <uint64_t>min(other.stats.shape[0], self.stats.shape[0]):
            raise ValueError("more rows than the stores have")
        self.flush()
        other.flush()
        cdef uint32_t i, ahead, key, at
        cdef int bin_
        cdef const page_t* page
        cdef page_t* own
        with nogil:
            for i in range(other.n_pages):
                if i + N_AHEAD < other.n_pages:
                    ahead = other.page_keys[i + N_AHEAD] // N_PAGES_PER_SKETCH
                    __builtin_prefetch(&self.spans[ahead], 0)
                key = other.page_keys[i]
                page = &other.pages[i]
                at = self.page_at(key // N_PAGES_PER_SKETCH, key % N_PAGES_PER_SKETCH)
                if at == 0:
                    for bin_ in range(BINS_PER_PAGE):
                        self.n_unbinned += page.counts[bin_]
                    continue
                own = &self.pages[at - 1]
                for bin_ in range(BINS_PER_PAGE):
                    own.counts[bin_] += page.counts[bin_]
            for i in range(<uint32_t>n_sketches):
                add_stats(&self.stats[i], &other.stats[i])
        self.n_unbinned += other.n_unbinned

    def forget_extremes(self, n_destinations):
        """Look for the least and the greatest of the first rows' sketches anew from now on."""
        self.flush()
        stats = self.stats.base[: n_destinations * N_SKETCHES]
        stats["min"] = INT64_MAX
        stats["max"] = INT64_MIN

    def export_window(self, n_destinations, int level, first_slot, first_epoch):
        """What came since a slot began, in the form of ``export``, as copies.

        Args:
            n_destinations: rows.
            level: which window.
            first_slot: the slot, in slots of that window.
            first_epoch: the epoch at which it began.
        """
        cdef WindowLog log = self.stats_log
        stats, _, _ = self.export(n_destinations)
        now = np.zeros(len(stats), SKETCH_STATS)
        extremes = self.extremes.base[: len(stats)]
        written = np.flatnonzero(log.epochs.base[: len(stats)] > first_epoch)
        words = now.view(np.uint64).reshape(len(now), sizeof(sketch_stats_t) // 8)
        words[written] = stats.view(np.uint64).reshape(words.shape)[written]
        now["min"][written] = extremes["min"][:, level][written]
        now["max"][written] = extremes["max"][:, level][written]
        subtract_stats(log, level, first_slot, first_epoch, now)
        return now, *self.window_pages(level, first_slot, first_epoch)

    cdef tuple window_pages(self, int level, first_slot, first_epoch):
        """Keys of the pages that a window changed, and what it added to them."""
        cdef WindowLog log = self.pages_log
        cdef Py_ssize_t n_pages = self.n_pages
        written = np.flatnonzero(log.epochs.base[:n_pages] > first_epoch)
        keys = self.page_keys.base[written]
        changed = self.pages.base["counts"][written]
        places = np.zeros(n_pages, np.uint32)
        places[written] = np.arange(len(written), dtype=np.uint32)
        # What was saved since the window began was written since then.
        log.subtract(level, first_slot, places, changed)
        return keys, changed

    def saved_pages(self, int level, first_slot, pages):
        """Some pages as they were before their first change in each slot of a window.

        Returns:
            Page numbers and slots, shape (n,), uint32; bins, shape (n, BINS_PER_PAGE), uint64.
        """
        items, slots, raw = self.pages_log.records_of(level, first_slot, pages)
        return items, slots, raw.view(np.uint64).reshape(-1, BINS_PER_PAGE)

    def first_slot(self, int level):
        """The earliest slot that is wholly known."""
        return max(self.stats_log.first_slot(level), self.pages_log.first_slot(level))

    cdef void flush(self) noexcept nogil:
        """Work off what was gathered, in passes: each fetches what the next one touches."""
        cdef int i
        cdef int n = self.n_buffered
        cdef sample_t* sample
        cdef sketch_stats_t* stats = &self.stats[0]
        cdef page_t* pages = &self.pages[0]
        cdef const span_t* spans = &self.spans[0]
        cdef const span_t* span
        cdef uint32_t* places = &self.places[0]
        cdef uint32_t* place
        cdef uint32_t at, bin_
        cdef bint has_windows = self.stats_log is not None
        for i in range(n):
            sample = &self.buffer[i]
            bin_ = bin_of(min(max(sample.value, least[sample.kind]), HIGHEST))
            sample.bin = bin_
            span = &spans[sample.sketch]
            at = bin_ // BINS_PER_PAGE - span.first
            if at >= span.n_places:
                self.widen(sample.sketch, bin_ // BINS_PER_PAGE)
            __builtin_prefetch(&places[span.start + at], 1)
            __builtin_prefetch(&stats[sample.sketch], 1)
        for i in range(n):
            sample = &self.buffer[i]
            span = &spans[sample.sketch]
            # Anew: another sample may have moved the span meanwhile.
            at = sample.bin // BINS_PER_PAGE - span.first
            place = &places[span.start + at] if at < span.n_places else &places[0]
            at = place[0]
            if at == 0:
                at = self.make_page(sample, place)
            sample.page = at
            __builtin_prefetch(&pages[max(at, <uint32_t>1) - 1], 1)
        for i in range(n):
            sample = &self.buffer[i]
            if has_windows:
                self.widen_window(sample)
            add_exactly(&stats[sample.sketch], sample.value)
            if sample.page == 0:
                self.n_unbinned += 1
                continue
            if has_windows:
                touch_row(self.pages_log, sample.page - 1, &pages[sample.page - 1])
            pages[sample.page - 1].counts[sample.bin % BINS_PER_PAGE] += 1
        self.n_buffered = 0

    cdef void widen(self, uint32_t sketch, uint32_t page) noexcept nogil:
        """Have a sketch's span reach to a page, if there is room for it."""
        cdef span_t* span = &self.spans[sketch]
        cdef uint32_t first = page - page % PLACES_PER_STEP
        cdef uint32_t end = first + PLACES_PER_STEP
        cdef uint32_t start
        if span.n_places:
            first = min(first, span.first)
            end = max(end, <uint32_t>span.first + span.n_places)
        start = self.take_places(<int>((end - first) // PLACES_PER_STEP))
        if start == 0:
            return
        if span.n_places:
            memcpy(
                &self.places[start + span.first - first],
                &self.places[span.start],
                span.n_places * sizeof(uint32_t),
            )
            self.places[span.start] = self.free_spans[span.n_places // PLACES_PER_STEP]
            self.free_spans[span.n_places // PLACES_PER_STEP] = span.start
        span.start = start
        span.first = <uint16_t>first
        span.n_places = <uint16_t>(end - first)

    cdef uint32_t take_places(self, int n_steps) noexcept nogil:
        """The first of so many steps of zeroed places; 0 at the bound."""
        cdef uint32_t start = self.free_spans[n_steps]
        cdef uint32_t n_places = <uint32_t>n_steps * PLACES_PER_STEP
        if start:
            self.free_spans[n_steps] = self.places[start]
            memset(&self.places[start], 0, n_places * sizeof(uint32_t))
            return start
        if n_places > self.places.shape[0] - self.n_places:
            return 0
        start = self.n_places
        self.n_places += n_places
        return start

    cdef uint32_t make_page(self, const sample_t* sample, uint32_t* place) noexcept nogil:
        """The number plus one of a new page, put into its place; 0 at the bound."""
        if place == &self.places[0] or self.n_pages == self.pages.shape[0]:
            return 0
        self.page_keys[self.n_pages] = (
            sample.sketch * N_PAGES_PER_SKETCH + sample.bin // BINS_PER_PAGE
        )
        self.n_pages += 1
        place[0] = self.n_pages
        return self.n_pages

    cdef uint32_t page_at(self, uint32_t sketch, uint32_t page) noexcept nogil:
        """The number plus one of a page, which may be new; 0 at the bound."""
        cdef const span_t* span = &self.spans[sketch]
        cdef sample_t sample
        cdef uint32_t at = page - span.first
        if at >= span.n_places:
            self.widen(sketch, page)
            at = page - span.first
            if at >= span.n_places:
                return 0
        if self.places[span.start + at]:
            return self.places[span.start + at]
        sample.sketch = sketch
        sample.bin = page * BINS_PER_PAGE
        return self.make_page(&sample, &self.places[span.start + at])

    cdef void widen_window(self, const sample_t* sample) noexcept nogil:
        """Note a sample in its sketch's extremes of each window, before its stats change."""
        cdef extremes_t* extremes = &self.extremes[sample.sketch]
        cdef int level
        if is_due(self.stats_log, sample.sketch):
            self.save_stats(sample.sketch)
        # Slots lie within longer ones: what is no extreme of the shortest is none of any.
        level = self.stats_log.shortest
        if extremes.min[level] <= sample.value <= extremes.max[level]:
            return
        for level in range(N_LEVELS):
            extremes.min[level] = min(extremes.min[level], sample.value)
            extremes.max[level] = max(extremes.max[level], sample.value)

    cdef void save_stats(self, uint32_t sketch) noexcept nogil:
        """Log a sketch's stats before a slot's first sample, with the last slot's extremes."""
        cdef extremes_t* extremes = &self.extremes[sketch]
        cdef sketch_stats_t saved = self.stats[sketch]
        cdef int level
        for level in range(N_LEVELS):
            if self.stats_log.is_due_at(level, sketch):
                saved.min = extremes.min[level]
                saved.max = extremes.max[level]
                self.stats_log.append(level, sketch, &saved)
                extremes.min[level] = INT64_MAX
                extremes.max[level] = INT64_MIN
        self.stats_log.epochs[sketch] = self.stats_log.now


cdef inline void add_exactly(sketch_stats_t* stats, int64_t value) noexcept nogil:
    cdef uint64_t total = stats.sum_lo + <uint64_t>value
    # Beyond the extremes, which are 0 before the first sample: one branch, seldom taken.
    if <uint64_t>(value - stats.min) > <uint64_t>(stats.max - stats.min):
        stats.min = value if stats.count == 0 else min(stats.min, value)
        stats.max = max(stats.max, value)
    stats.count += 1
    stats.sum_hi += total < <uint64_t>value
    stats.sum_lo = total


cdef inline void add_stats(sketch_stats_t* stats, const sketch_stats_t* other) noexcept nogil:
    """Add the stats of a sketch to those of another one."""
    cdef uint64_t total = stats.sum_lo + other.sum_lo
    if other.count == 0:
        return
    stats.min = other.min if stats.count == 0 else min(stats.min, other.min)
    stats.max = other.max if stats.count == 0 else max(stats.max, other.max)
    stats.count += other.count
    stats.sum_hi += other.sum_hi + (total < other.sum_lo)
    stats.sum_lo = total


cdef inline uint32_t bin_of(int64_t value) noexcept nogil:
    """The bin of a value from 1 on: its number plus one.

    Bins repeat from octave to octave, so the value is scaled to 64 bits and compared with the end
    of one bin: no part of an octave has the ends of two.
    """
    cdef int n_zeros = __builtin_clzll(<uint64_t>value)
    cdef uint64_t scaled = <uint64_t>value << n_zeros
    cdef uint32_t bin_ = first_bin[(scaled >> (63 - PART_BITS)) & (N_PARTS - 1)]
    bin_ += scaled > octave[bin_]
    return <uint32_t>(63 - n_zeros) * OCTAVE_BINS + bin_


cdef subtract_stats(
    WindowLog log, int level, first_slot, first_epoch, sketch_stats_t[::1] now
):
    """Take from each sketch's count and sum what they were when a window began; widen its least and
    greatest by those of the window's earlier slots.

    Args:
        log: of the stats as they were.
        level: which window.
        first_slot: slots before this one do not count.
        first_epoch: the epoch at which it began.
        now: IN and OUT shape (n_sketches,).
    """
    cdef ring_t* ring = &log.rings[level]
    cdef int64_t first = first_slot
    cdef uint32_t begin = first_epoch
    cdef uint64_t at, low
    cdef const uint32_t* header
    cdef const sketch_stats_t* before
    cdef sketch_stats_t* stats
    cdef uint8_t[::1] is_done = np.zeros(len(now), np.uint8)
    with nogil:
        for at in range(ring.tail, ring.head):
            header = header_of(ring, at, log.record_bytes)
            if header[0] >= <uint64_t>now.shape[0] or <int64_t>header[2] < first:
                continue
            before = <const sketch_stats_t*>(<const uint8_t*>header + HEADER_BYTES)
            stats = &now[header[0]]
            if not is_done[header[0]]:
                is_done[header[0]] = 1
                low = stats.sum_lo
                stats.count -= before.count
                stats.sum_lo = low - before.sum_lo
                stats.sum_hi -= before.sum_hi + (low < before.sum_lo)
            if header[1] > begin:
                stats.min = min(stats.min, before.min)
                stats.max = max(stats.max, before.max)
