# cython: freethreading_compatible=False
"""What rows, sketches and bins grew by in a slot of the history: leaves, arrays in and out.

The logs that windows are made of know which rows changed in a slot, and how they were before. All
that changed is added up; one by one only what belongs to rows that are kept is written out.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

import numpy as np

from trtop_core._window cimport AHEAD, HEADER_BYTES, WindowLog, header_of, ring_t

cdef enum:
    N_STATS = 5              # words of a sketch's stats: samples, sum (two), least, greatest
    N_BINS = 8               # of a page

ctypedef fused amount_t:
    uint8_t
    uint16_t
    uint32_t
    uint64_t

cdef extern from *:
    void __builtin_prefetch(const void*, int) noexcept nogil
    int __builtin_ctz(unsigned int) noexcept nogil

# A way through the records of a log since a slot began, on which each item comes once.
cdef struct walk_t:
    const ring_t* ring
    Py_ssize_t record_bytes
    uint64_t start           # the first record
    uint64_t at              # the next one
    uint64_t n_items         # items from here on are left out
    uint8_t* marks           # of items that have come; NULL: none comes twice
    uint32_t item            # the item at hand …
    const uint64_t* before   # … and its words as they were


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


cdef walk_t begin(
    WindowLog log, int level, int64_t first_slot, uint64_t n_items, uint8_t[::1] marks
):
    """A way through a log; ``marks`` are zeros, one for each item at least."""
    cdef walk_t walk
    cdef const ring_t* ring = &log.rings[level]
    walk.ring = ring
    walk.record_bytes = log.record_bytes
    walk.start = walk.at = start_of(ring, first_slot, log.record_bytes)
    walk.n_items = min(n_items, <uint64_t>marks.shape[0])
    walk.marks = NULL
    walk.item = 0
    walk.before = NULL
    # Of one slot an item has one record.
    if walk.start < ring.head and (
        header_of(ring, ring.head - 1, log.record_bytes)[2]
        != header_of(ring, walk.start, log.record_bytes)[2]
    ):
        walk.marks = &marks[0]
    return walk


cdef inline bint go_on(walk_t* walk) noexcept nogil:
    """Go to the next item; False at the end, with all marks taken away."""
    cdef const uint32_t* header
    while walk.at < walk.ring.head:
        header = header_of(walk.ring, walk.at, walk.record_bytes)
        walk.at += 1
        if header[0] >= walk.n_items:
            continue
        if walk.marks != NULL:
            if walk.marks[header[0]]:
                continue
            walk.marks[header[0]] = 1
        walk.item = header[0]
        walk.before = <const uint64_t*>(<const uint8_t*>header + HEADER_BYTES)
        return True
    if walk.marks != NULL:
        for walk.at in range(walk.start, walk.ring.head):
            header = header_of(walk.ring, walk.at, walk.record_bytes)
            if header[0] < walk.n_items:
                walk.marks[header[0]] = 0
        walk.at = walk.ring.head
    return False


cdef inline uint32_t ahead_of(const walk_t* walk) noexcept nogil:
    """An item that comes soon, to be fetched; the one at hand where there is none."""
    cdef uint32_t item
    if walk.at + AHEAD >= walk.ring.head:
        return walk.item
    item = header_of(walk.ring, walk.at + AHEAD, walk.record_bytes)[0]
    return item if item < walk.n_items else walk.item


def reaches(WindowLog log not None, int level, first_slot):
    """Whether a log still knows all that changed since a slot began."""
    return <int64_t>first_slot >= <int64_t>log.rings[level].incomplete_before


def row_scores(
    WindowLog log not None,
    int level,
    first_slot,
    const uint64_t[:, ::1] now,
    const uint32_t[::1] fields,
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
        fields: shape (n_weights,): words that count in the score.
        weights: shape (n_weights,): how much.
        marks: shape (n_items,), zeros; the same after the call.
        totals: OUT shape (n_words,): what all rows grew by is added.

    Returns:
        Row numbers, shape (n,), uint32, each once; scores, shape (n,), float32; where the log has
        the rows as they were, shape (n,), uint64.
    """
    cdef walk_t walk = begin(log, level, first_slot, now.shape[0], marks)
    cdef Py_ssize_t i
    cdef Py_ssize_t n = 0
    cdef Py_ssize_t n_words = now.shape[1]
    cdef const uint64_t* row
    cdef float score
    items = np.empty(walk.ring.head - walk.start, np.uint32)
    scores = np.empty(walk.ring.head - walk.start, np.float32)
    places = np.empty(walk.ring.head - walk.start, np.uint64)
    cdef uint32_t[::1] item_out = items
    cdef float[::1] score_out = scores
    cdef uint64_t[::1] place_out = places
    if n_words * 8 != log.row_bytes or totals.shape[0] != n_words:
        raise ValueError("rows of another width than the log's")
    if weights.shape[0] != fields.shape[0] or (len(fields) and max(fields) >= n_words):
        raise ValueError("a weight for each field, and no other fields")
    with nogil:
        while go_on(&walk):
            row = &now[ahead_of(&walk), 0]
            for i in range(0, n_words, 8):
                __builtin_prefetch(row + i, 0)
            row = &now[walk.item, 0]
            for i in range(n_words):
                totals[i] += row[i] - walk.before[i]
            score = 0
            for i in range(fields.shape[0]):
                score += weights[i] * <float><int64_t>(row[fields[i]] - walk.before[fields[i]])
            item_out[n], score_out[n], place_out[n] = walk.item, score, walk.at - 1
            n += 1
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
    cdef walk_t walk = begin(log, level, first_slot, now.shape[0], marks)
    cdef uint64_t count, low, high
    cdef uint32_t per_row = <uint32_t>totals.shape[1]
    cdef Py_ssize_t n = 0
    cdef Py_ssize_t n_changed = 0
    cdef const uint64_t* row
    items = np.empty(walk.ring.head - walk.start, np.uint32)
    parts = np.empty((3, walk.ring.head - walk.start), np.uint64)
    cdef uint32_t[::1] item_out = items
    cdef uint64_t[:, ::1] part_out = parts
    if now.shape[1] != N_STATS or log.row_bytes != N_STATS * 8 or totals.shape[0] != 3:
        raise ValueError("stats of another width than the log's")
    if is_kept.shape[0] * per_row < now.shape[0]:
        raise ValueError("more sketches than rows have")
    with nogil:
        while go_on(&walk):
            __builtin_prefetch(&now[ahead_of(&walk), 0], 0)
            n_changed += 1
            row = &now[walk.item, 0]
            count = row[0] - walk.before[0]
            low = row[1] - walk.before[1]
            high = row[2] - walk.before[2] - (row[1] < walk.before[1])
            high = (low >> 32) + (high << 32)
            low = <uint32_t>low
            totals[0, walk.item % per_row] += count
            totals[1, walk.item % per_row] += low
            totals[2, walk.item % per_row] += high
            if is_kept[walk.item // per_row]:
                item_out[n] = walk.item
                part_out[0, n], part_out[1, n], part_out[2, n] = count, low, high
                n += 1
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
    cdef walk_t walk = begin(log, level, first_slot, pages.shape[0], marks)
    cdef uint32_t row, key, ahead
    cdef uint32_t per_row = <uint32_t>totals.shape[0]
    cdef unsigned int used
    cdef int i
    cdef Py_ssize_t n = 0
    cdef Py_ssize_t n_changed = 0
    cdef uint64_t[N_BINS] grown
    cdef const uint64_t* page
    cdef uint64_t* total
    if pages.shape[1] != N_BINS or log.row_bytes != N_BINS * 8 or totals.shape[1] != N_BINS:
        raise ValueError("pages of another width than the log's")
    if page_keys.shape[0] != pages.shape[0]:
        raise ValueError("as many keys as pages")
    places = np.empty((walk.ring.head - walk.start) * N_BINS, np.uint32)
    amounts = np.empty((walk.ring.head - walk.start) * N_BINS, np.uint64)
    cdef uint32_t[::1] place_out = places
    cdef uint64_t[::1] amount_out = amounts
    with nogil:
        while go_on(&walk):
            ahead = ahead_of(&walk)
            __builtin_prefetch(&pages[ahead, 0], 0)
            __builtin_prefetch(&page_keys[ahead], 0)
            row = page_keys[walk.item] // per_row
            if row >= is_kept.shape[0]:
                continue
            n_changed += 1
            key = page_keys[walk.item] - row * per_row
            page = &pages[walk.item, 0]
            total = &totals[key, 0]
            for i in range(N_BINS):
                grown[i] = page[i] - walk.before[i]
                total[i] += grown[i]
            if not is_kept[row]:
                continue
            # Which bins grew is as good as random: looked up at once, not guessed one by one.
            used = 0
            for i in range(N_BINS):
                used |= <unsigned int>(grown[i] != 0) << i
            while used:
                i = __builtin_ctz(used)
                used &= used - 1
                place_out[n] = walk.item * N_BINS + <uint32_t>i
                amount_out[n] = grown[i]
                n += 1
    return places[:n], amounts[:n], n_changed


def mark_cells(const uint32_t[::1] at, uint32_t width, uint8_t[::1] marks):
    """Set the mark of each row of an array that a cell lies in.

    Args:
        at: shape (n,): places of cells.
        width: cells of a row.
        marks: OUT shape (n_rows,).

    Raises:
        ValueError: a cell lies outside.
    """
    cdef Py_ssize_t i
    cdef uint32_t row
    if width == 0:
        raise ValueError("rows have cells")
    for i in range(at.shape[0]):
        row = at[i] // width
        if row >= <uint64_t>marks.shape[0]:
            raise ValueError("a cell lies outside")
        marks[row] = 1


def add_cells(
    const uint32_t[::1] at,
    const amount_t[::1] amounts,
    const uint32_t[::1] rows,
    uint32_t width,
    uint64_t[::1] out,
):
    """Add amounts to the cells of an array that has some rows of another one.

    Args:
        at: shape (n,): which cells of the other array.
        amounts: shape (n,).
        rows: shape (n_rows,): where the other array's rows are in this one.
        width: cells of a row.
        out: OUT shape (n_cells,).

    Raises:
        ValueError: a cell lies outside.
    """
    cdef Py_ssize_t i
    cdef uint32_t row
    cdef uint64_t place
    cdef uint64_t n_cells = out.shape[0]
    if amounts.shape[0] != at.shape[0] or width == 0:
        raise ValueError("as many amounts as cells, and rows have some")
    for i in range(at.shape[0]):
        row = at[i] // width
        if row >= <uint64_t>rows.shape[0]:
            raise ValueError("a cell lies outside")
        place = <uint64_t>rows[row] * width + at[i] - row * width
        if place >= n_cells:
            raise ValueError("a cell lies outside")
        out[place] += amounts[i]


def outer_bins(
    const uint32_t[::1] page_keys,
    const uint64_t[:, ::1] pages,
    uint32_t pages_per_sketch,
    int64_t[::1] first,
    int64_t[::1] last,
):
    """The first and the last bin in use of each sketch.

    Args:
        page_keys: shape (n_pages,): which page of which sketch each is.
        pages: shape (n_pages, N_BINS).
        pages_per_sketch: as many keys each sketch has.
        first: IN and OUT shape (n_sketches,): made less where a bin is.
        last: IN and OUT shape (n_sketches,): made greater.
    """
    cdef Py_ssize_t page
    cdef uint32_t sketch
    cdef int64_t bin_
    cdef int i
    if page_keys.shape[0] != pages.shape[0] or pages.shape[1] != N_BINS:
        raise ValueError("pages of another shape")
    for page in range(page_keys.shape[0]):
        sketch = page_keys[page] // pages_per_sketch
        if sketch >= <uint64_t>first.shape[0] or sketch >= <uint64_t>last.shape[0]:
            raise ValueError("a page lies outside")
        for i in range(N_BINS):
            if pages[page, i]:
                bin_ = (page_keys[page] - sketch * pages_per_sketch) * N_BINS + i
                first[sketch] = min(first[sketch], bin_)
                last[sketch] = max(last[sketch], bin_)
