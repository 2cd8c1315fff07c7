# cython: freethreading_compatible=False
"""What rows, sketches and bins grew by in a slot of the history: leaves, arrays in and out.

The logs that windows are made of know which rows changed in a slot, and how they were before. All
that changed is added up; one by one only what belongs to rows that are kept is written out.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

import numpy as np

from trtop_core._window cimport HEADER_BYTES, WindowLog, ring_t

cdef enum:
    N_STATS = 5              # words of a sketch's stats: samples, sum (two), least, greatest
    N_BINS = 8               # of a page
    AHEAD = 12               # records between the one at hand and the one whose row is fetched

ctypedef fused amount_t:
    uint8_t
    uint16_t
    uint32_t
    uint64_t

cdef extern from *:
    void __builtin_prefetch(const void*, int) noexcept nogil


cdef inline const uint32_t* header_of(
    const ring_t* ring, uint64_t at, Py_ssize_t record_bytes
) noexcept nogil:
    return <const uint32_t*>(ring.records + (at & (ring.capacity - 1)) * record_bytes)


cdef uint64_t start_of(
    const ring_t* ring, int64_t first_slot, Py_ssize_t record_bytes
) noexcept nogil:
    """The first record that was saved in a slot or later: slots never descend."""
    cdef uint64_t low = ring.tail
    cdef uint64_t high = ring.head
    cdef uint64_t middle
    while low < high:
        middle = low + (high - low) // 2
        if <int64_t>header_of(ring, middle, record_bytes)[2] < first_slot:
            low = middle + 1
        else:
            high = middle
    return low


cdef bint has_more_slots(
    const ring_t* ring, uint64_t start, Py_ssize_t record_bytes
) noexcept nogil:
    """Whether records from one on are of several slots: only then may an item be there twice."""
    if start == ring.head:
        return False
    return (
        header_of(ring, ring.head - 1, record_bytes)[2] != header_of(ring, start, record_bytes)[2]
    )


def reaches(WindowLog log not None, int level, first_slot):
    """Whether a log still knows all that changed since a slot began."""
    return <int64_t>first_slot >= <int64_t>log.rings[level].incomplete_before


def row_scores(
    WindowLog log not None,
    int level,
    first_slot,
    const uint64_t[:, ::1] now,
    const float[::1] weights,
    uint8_t[::1] marks,
    uint64_t[::1] totals,
):
    """How much rows grew since a slot began, weighted; and all together.

    Args:
        log: of the rows as they were.
        level: which window's records.
        first_slot: the slot, in slots of that window.
        now: shape (n_rows, n_words): the rows as they are; items from n_rows on are left out.
        weights: shape (n_words,).
        marks: shape (n_items,), zeros; the same after the call.
        totals: OUT shape (n_words,): what all rows grew by is added.

    Returns:
        Row numbers, shape (n,), uint32, each once; scores, shape (n,), float32; where the log has
        the rows as they were, shape (n,), uint64.
    """
    cdef ring_t* ring = &log.rings[level]
    cdef Py_ssize_t record_bytes = log.record_bytes
    cdef uint64_t start = start_of(ring, first_slot, record_bytes)
    cdef bint may_repeat = has_more_slots(ring, start, record_bytes)
    cdef uint64_t at
    cdef uint32_t item
    cdef Py_ssize_t i
    cdef Py_ssize_t n = 0
    cdef Py_ssize_t n_words = now.shape[1]
    cdef const uint64_t* before
    cdef const uint64_t* row
    cdef uint64_t grown
    cdef float score
    items = np.empty(ring.head - start, np.uint32)
    scores = np.empty(ring.head - start, np.float32)
    places = np.empty(ring.head - start, np.uint64)
    cdef uint32_t[::1] item_out = items
    cdef float[::1] score_out = scores
    cdef uint64_t[::1] place_out = places
    if n_words * 8 != log.row_bytes or weights.shape[0] != n_words or totals.shape[0] != n_words:
        raise ValueError("rows of another width than the log's")
    with nogil:
        for at in range(start, ring.head):
            if at + AHEAD < ring.head:
                item = header_of(ring, at + AHEAD, record_bytes)[0]
                if item < now.shape[0]:
                    for i in range(0, n_words, 8):
                        __builtin_prefetch(&now[item, i], 0)
            item = header_of(ring, at, record_bytes)[0]
            if item >= now.shape[0]:
                continue
            if may_repeat:
                if marks[item]:
                    continue
                marks[item] = 1
            before = <const uint64_t*>(
                <const uint8_t*>header_of(ring, at, record_bytes) + HEADER_BYTES
            )
            row = &now[item, 0]
            score = 0
            for i in range(n_words):
                grown = row[i] - before[i]
                totals[i] += grown
                score += weights[i] * <float>grown
            item_out[n], score_out[n], place_out[n] = item, score, at
            n += 1
        for i in range(n if may_repeat else 0):
            marks[item_out[i]] = 0
    return items[:n], scores[:n], places[:n]


def grown_rows(
    WindowLog log not None,
    int level,
    const uint32_t[::1] items,
    const uint64_t[::1] places,
    const uint64_t[:, ::1] now,
):
    """What some rows grew by since the log has them; shape (n, n_words), uint64.

    Args:
        log: as for ``row_scores``.
        level: likewise.
        items: shape (n,), of ``row_scores``.
        places: shape (n,), likewise.
        now: likewise.
    """
    cdef ring_t* ring = &log.rings[level]
    cdef Py_ssize_t i, j
    cdef const uint64_t* before
    grown = np.empty((len(items), now.shape[1]), np.uint64)
    cdef uint64_t[:, ::1] out = grown
    for i in range(len(items)):
        if not ring.tail <= places[i] < ring.head or items[i] >= now.shape[0]:
            raise ValueError("no such record")
        before = <const uint64_t*>(
            <const uint8_t*>header_of(ring, places[i], log.record_bytes) + HEADER_BYTES
        )
        for j in range(now.shape[1]):
            out[i, j] = now[items[i], j] - before[j]
    return grown


def grown_stats(
    WindowLog log not None,
    int level,
    first_slot,
    const uint64_t[:, ::1] now,
    const uint8_t[::1] is_kept,
    uint8_t[::1] marks,
    uint64_t[:, ::1] totals,
):
    """How many samples sketches got since a slot began, and what these add up to.

    Args:
        log: of the stats as they were.
        level: which window's records.
        first_slot: the slot, in slots of that window.
        now: shape (n_sketches, N_STATS): the stats as they are.
        is_kept: shape (n_rows,): rows whose sketches are written out.
        marks: shape (n_items,), zeros; the same after the call.
        totals: OUT shape (3, sketches per row): samples, the lower 32 bits of sums, the rest.

    Returns:
        Sketches of the rows that are kept, shape (n,), uint32; samples and the two parts of their
        sum, shape (3, n), uint64; how many sketches changed.
    """
    cdef ring_t* ring = &log.rings[level]
    cdef Py_ssize_t record_bytes = log.record_bytes
    cdef uint64_t start = start_of(ring, first_slot, record_bytes)
    cdef bint may_repeat = has_more_slots(ring, start, record_bytes)
    cdef uint64_t at, low, high
    cdef uint32_t item
    cdef uint32_t per_row = <uint32_t>totals.shape[1]
    cdef Py_ssize_t n = 0
    cdef Py_ssize_t n_changed = 0
    cdef const uint64_t* before
    cdef const uint64_t* row
    items = np.empty(ring.head - start, np.uint32)
    parts = np.empty((3, ring.head - start), np.uint64)
    cdef uint32_t[::1] item_out = items
    cdef uint64_t[:, ::1] part_out = parts
    if now.shape[1] != N_STATS or log.row_bytes != N_STATS * 8 or totals.shape[0] != 3:
        raise ValueError("stats of another width than the log's")
    if is_kept.shape[0] * per_row < now.shape[0]:
        raise ValueError("more sketches than rows have")
    with nogil:
        for at in range(start, ring.head):
            if at + AHEAD < ring.head:
                item = header_of(ring, at + AHEAD, record_bytes)[0]
                if item < now.shape[0]:
                    __builtin_prefetch(&now[item, 0], 0)
            item = header_of(ring, at, record_bytes)[0]
            if item >= now.shape[0]:
                continue
            if may_repeat:
                if marks[item]:
                    continue
                marks[item] = 1
            n_changed += 1
            before = <const uint64_t*>(
                <const uint8_t*>header_of(ring, at, record_bytes) + HEADER_BYTES
            )
            row = &now[item, 0]
            low = row[1] - before[1]
            high = row[2] - before[2] - (row[1] < before[1])
            high = (low >> 32) + (high << 32)
            low = <uint32_t>low
            totals[0, item % per_row] += row[0] - before[0]
            totals[1, item % per_row] += low
            totals[2, item % per_row] += high
            if is_kept[item // per_row]:
                item_out[n] = item
                part_out[0, n], part_out[1, n], part_out[2, n] = row[0] - before[0], low, high
                n += 1
        for at in range(start, ring.head if may_repeat else start):
            item = header_of(ring, at, record_bytes)[0]
            if item < now.shape[0]:
                marks[item] = 0
    return items[:n], parts[:, :n], n_changed


def grown_bins(
    WindowLog log not None,
    int level,
    first_slot,
    const uint64_t[:, ::1] pages,
    const uint32_t[::1] page_keys,
    const uint8_t[::1] is_kept,
    uint8_t[::1] marks,
    uint64_t[:, ::1] totals,
):
    """What bins grew by since a slot began.

    Args:
        log: of the pages of bins as they were.
        level: which window's records.
        first_slot: the slot, in slots of that window.
        pages: shape (n_pages, N_BINS): as they are.
        page_keys: shape (n_pages,): which page of which row each is.
        is_kept: shape (n_rows,): rows whose bins are written out; pages of other rows, and of rows
            from n_rows on, are not; the latter do not count either.
        marks: shape (n_items,), zeros; the same after the call.
        totals: OUT shape (pages per row, N_BINS): what the bins of all rows grew by is added.

    Returns:
        Places among all bins of the rows that are kept, shape (n,), uint32; what these grew by,
        shape (n,), uint64; how many pages changed.
    """
    cdef ring_t* ring = &log.rings[level]
    cdef Py_ssize_t record_bytes = log.record_bytes
    cdef uint64_t start = start_of(ring, first_slot, record_bytes)
    cdef bint may_repeat = has_more_slots(ring, start, record_bytes)
    cdef uint64_t at, grown
    cdef uint32_t item, row, key
    cdef uint32_t per_row = <uint32_t>totals.shape[0]
    cdef Py_ssize_t i
    cdef Py_ssize_t n = 0
    cdef Py_ssize_t n_changed = 0
    cdef Py_ssize_t n_pages = pages.shape[0]
    cdef const uint64_t* before
    if pages.shape[1] != N_BINS or log.row_bytes != N_BINS * 8 or totals.shape[1] != N_BINS:
        raise ValueError("pages of another width than the log's")
    if page_keys.shape[0] != n_pages:
        raise ValueError("as many keys as pages")
    places = np.empty((ring.head - start) * N_BINS, np.uint32)
    amounts = np.empty((ring.head - start) * N_BINS, np.uint64)
    cdef uint32_t[::1] place_out = places
    cdef uint64_t[::1] amount_out = amounts
    with nogil:
        for at in range(start, ring.head):
            if at + AHEAD < ring.head:
                item = header_of(ring, at + AHEAD, record_bytes)[0]
                if item < n_pages:
                    __builtin_prefetch(&pages[item, 0], 0)
            item = header_of(ring, at, record_bytes)[0]
            if item >= n_pages:
                continue
            if may_repeat:
                if marks[item]:
                    continue
                marks[item] = 1
            row = page_keys[item] // per_row
            if row >= is_kept.shape[0]:
                continue
            n_changed += 1
            key = page_keys[item] - row * per_row
            before = <const uint64_t*>(
                <const uint8_t*>header_of(ring, at, record_bytes) + HEADER_BYTES
            )
            for i in range(N_BINS):
                grown = pages[item, i] - before[i]
                totals[key, i] += grown
                if grown and is_kept[row]:
                    place_out[n] = item * N_BINS + <uint32_t>i
                    amount_out[n] = grown
                    n += 1
        for at in range(start, ring.head if may_repeat else start):
            item = header_of(ring, at, record_bytes)[0]
            if item < n_pages:
                marks[item] = 0
    return places[:n], amounts[:n], n_changed


def add_cells(const uint32_t[::1] at, const amount_t[::1] amounts, uint64_t[::1] out):
    """Add amounts to the cells of an array.

    Args:
        at: shape (n,): which cells.
        amounts: shape (n,).
        out: OUT shape (n_cells,).

    Raises:
        ValueError: a cell lies outside.
    """
    cdef Py_ssize_t i
    cdef Py_ssize_t n = at.shape[0]
    cdef bint is_inside = True
    cdef uint64_t n_cells = out.shape[0]
    if amounts.shape[0] != n:
        raise ValueError("as many amounts as cells")
    with nogil:
        for i in range(n):
            if at[i] >= n_cells:
                is_inside = False
                break
            out[at[i]] += amounts[i]
    if not is_inside:
        raise ValueError("a cell lies outside")
