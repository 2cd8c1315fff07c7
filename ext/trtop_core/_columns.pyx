# cython: freethreading_compatible=False
"""Pages of sketch bins -> compressed sparse rows, one block per sketch, for snapshots."""

from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t

from trtop_core._records cimport N_SKETCHES
from trtop_core._sketch cimport BINS_PER_PAGE

from trtop_core._sketch import PAGES_PER_SKETCH

cdef uint32_t N_PAGES_PER_SKETCH = PAGES_PER_SKETCH

cdef enum:
    PREFETCH_PAGES = 16      # how far ahead the pages are asked for, which lie in no order

cdef extern from *:
    void __builtin_prefetch(const void*, int) noexcept nogil
    int __builtin_ctz(unsigned int) noexcept nogil


def count_bins(
    const uint32_t[::1] page_keys,
    const uint64_t[:, ::1] pages,
    const int32_t[::1] ranks,
    int64_t[:, ::1] n_bins,
    int64_t[:, ::1] totals,
):
    """Count the bins in use per sketch and row, and add up each bin over all rows.

    Args:
        page_keys: IN shape (n_pages,).
        pages: IN shape (n_pages, BINS_PER_PAGE).
        ranks: IN shape (n_destinations,): the row of the result that each destination becomes;
            -1: it is in the totals only; -2: it is left out.
        n_bins: OUT shape (N_SKETCHES, n_rows), zeroed.
        totals: OUT shape (N_SKETCHES, PAGES_PER_SKETCH * BINS_PER_PAGE), zeroed.
    """
    cdef Py_ssize_t page
    cdef uint32_t sketch, first_bin, destination
    cdef int64_t n_used
    cdef int64_t* total
    cdef const uint64_t* counts
    cdef int i
    with nogil:
        for page in range(page_keys.shape[0]):
            sketch = page_keys[page] // N_PAGES_PER_SKETCH
            destination = sketch // N_SKETCHES
            if destination >= <uint32_t>ranks.shape[0] or ranks[destination] == -2:
                continue
            first_bin = page_keys[page] % N_PAGES_PER_SKETCH * BINS_PER_PAGE
            total = &totals[sketch % N_SKETCHES, first_bin]
            counts = &pages[page, 0]
            n_used = 0
            for i in range(BINS_PER_PAGE):
                total[i] += <int64_t>counts[i]
                n_used += counts[i] != 0
            if ranks[destination] >= 0:
                n_bins[sketch % N_SKETCHES, ranks[destination]] += n_used


def gather_bins(
    const uint32_t[::1] page_keys,
    const uint64_t[:, ::1] pages,
    const int64_t[::1] order,
    const int32_t[::1] ranks,
    int64_t[:, ::1] at,
    uint16_t[::1] bins,
    int64_t[::1] counts,
):
    """Write out the bins in use, ascending within each sketch and row.

    Args:
        page_keys: IN as for ``count_bins``.
        pages: IN as for ``count_bins``.
        order: IN shape (n_pages,): pages, those of one sketch and row by ascending key.
        ranks: IN as for ``count_bins``.
        at: IN and OUT shape (N_SKETCHES, n_rows): where each sketch and row begins; moved to its
            end.
        bins: OUT bin numbers.
        counts: OUT samples.
    """
    cdef Py_ssize_t k, page
    cdef uint32_t sketch, first_bin, destination
    cdef int64_t* cursor
    cdef const uint64_t* in_page
    cdef unsigned int used
    cdef int i
    with nogil:
        for k in range(order.shape[0]):
            page = order[k]
            if k + PREFETCH_PAGES < order.shape[0]:
                __builtin_prefetch(&pages[order[k + PREFETCH_PAGES], 0], 0)
            sketch = page_keys[page] // N_PAGES_PER_SKETCH
            destination = sketch // N_SKETCHES
            if destination >= <uint32_t>ranks.shape[0] or ranks[destination] < 0:
                continue
            first_bin = page_keys[page] % N_PAGES_PER_SKETCH * BINS_PER_PAGE
            cursor = &at[sketch % N_SKETCHES, ranks[destination]]
            in_page = &pages[page, 0]
            # Which bins are in use is as good as random: looked up at once, not guessed one by one.
            used = 0
            for i in range(BINS_PER_PAGE):
                used |= <unsigned int>(in_page[i] != 0) << i
            while used:
                i = __builtin_ctz(used)
                used &= used - 1
                bins[cursor[0]] = <uint16_t>(first_bin + i)
                counts[cursor[0]] = <int64_t>in_page[i]
                cursor[0] += 1


def count_samples(
    const uint64_t[:, ::1] pages, const int32_t[::1] owners, int64_t[::1] n_samples
):
    """Add up the samples of pages.

    Args:
        pages: IN shape (n_pages, BINS_PER_PAGE).
        owners: IN shape (n_pages,): whose each is, within 0 … n - 1.
        n_samples: IN and OUT shape (n,).
    """
    cdef Py_ssize_t page
    cdef int i
    with nogil:
        for page in range(owners.shape[0]):
            for i in range(BINS_PER_PAGE):
                n_samples[owners[page]] += <int64_t>pages[page, i]


def find_ranks(
    const uint64_t[:, ::1] pages,
    const uint16_t[::1] places,
    const int32_t[::1] owners,
    int64_t[::1] ranks,
    int64_t[::1] found,
):
    """The bin in which a sample lies, counted from the least.

    Args:
        pages: IN shape (n_pages, BINS_PER_PAGE); those of one owner ascend.
        places: IN shape (n_pages,): which page of a sketch each is.
        owners: IN as for ``count_samples``.
        ranks: IN shape (n,): of the sample, from 1 on. OUT changed.
        found: OUT shape (n,); not written where there are fewer samples.
    """
    cdef Py_ssize_t page
    cdef int32_t owner
    cdef int i
    with nogil:
        for page in range(owners.shape[0]):
            owner = owners[page]
            for i in range(BINS_PER_PAGE):
                if ranks[owner] <= 0:
                    break
                ranks[owner] -= <int64_t>pages[page, i]
                if ranks[owner] <= 0:
                    found[owner] = <int64_t>places[page] * BINS_PER_PAGE + i
