# Which connection a full table forgets: the least rank first, and in a rank the longest idle; of
# several that were heard of last at the same time, the one that was opened first.
#
# A flood of SYNs or of single segments costs only what is as little known as itself. The order is
# kept up only once the table has been full. An entry tells how long a connection had been idle when
# it was made; it is looked at again before it is believed, so that a segment costs nothing here. A
# connection has an entry for its rank that is as old as itself or older: one is made whenever its
# rank changes.

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memmove

from trtop_core._connection cimport S_ATTEMPT, S_CLOSED, S_EST, S_IDLE, S_MANY_SEGMENTS

cdef enum rank_t:
    RANK_UNPROVEN = 0        # an attempt that is not established; of mid-stream, a single segment
    RANK_CLOSED = 1
    RANK_IDLE = 2
    RANK_REST = 3
    N_RANKS = 4

cdef enum:
    RANK_STATE = S_ATTEMPT | S_EST | S_CLOSED | S_IDLE | S_MANY_SEGMENTS
    FIRST_CAPACITY = 1 << 10
    GROWTH = 8               # more room by so many parts
    HEAP_WIDTH = 4           # children of a node: side by side, in one or two cache lines

cdef packed struct entry_t:
    int64_t key_ns           # when it was last heard of; when a timer runs out
    uint64_t opened          # as of its connection; of timers 0
    uint32_t number

cdef struct entries_t:
    entry_t* items
    size_t first
    size_t end
    size_t capacity

# Entries of one rank: those that came in order, which are most, and a heap of the others.
cdef struct rank_queue_t:
    entries_t run
    entries_t heap

cdef struct eviction_t:
    rank_queue_t queues[N_RANKS]
    size_t n_entries
    bint is_on               # every connection of the table has its entry
    entries_t due            # heap of the timers that run out in this tick
    int64_t due_tick         # of which that is true
    bint knows_due

cdef inline int rank_of(uint32_t state) noexcept nogil:
    if not state & (S_EST if state & S_ATTEMPT else S_MANY_SEGMENTS):
        return RANK_UNPROVEN
    if not state & S_CLOSED:
        return RANK_REST
    return RANK_IDLE if state & S_IDLE else RANK_CLOSED

cdef inline bint goes_before(const entry_t* a, const entry_t* b) noexcept nogil:
    return a.key_ns < b.key_ns or (a.key_ns == b.key_ns and a.opened < b.opened)

cdef inline bint enqueue(
    eviction_t* eviction, int rank, int64_t last_ns, uint64_t opened, uint32_t number
) noexcept nogil:
    """Make an entry; False, and the order is given up, if there is no memory for it."""
    cdef rank_queue_t* queue = &eviction.queues[rank]
    cdef entries_t* run = &queue.run
    cdef entry_t entry
    cdef bint is_kept
    entry.key_ns = last_ns
    entry.opened = opened
    entry.number = number
    if run.first < run.end and goes_before(&entry, &run.items[run.end - 1]):
        is_kept = push(&queue.heap, &entry)
    else:
        is_kept = append(run, &entry)
    if is_kept:
        eviction.n_entries += 1
    else:
        drop_all(eviction)
    return is_kept

cdef inline bint dequeue(eviction_t* eviction, int rank, entry_t* entry) noexcept nogil:
    """Take the first entry of a rank; False if there is none."""
    cdef entries_t* run = &eviction.queues[rank].run
    cdef entries_t* heap = &eviction.queues[rank].heap
    if heap.end and (run.first == run.end or goes_before(&heap.items[0], &run.items[run.first])):
        pop(heap, entry)
    elif run.first < run.end:
        entry[0] = run.items[run.first]
        run.first += 1
    else:
        return False
    eviction.n_entries -= 1
    return True

cdef inline void note_due(
    eviction_t* eviction, int64_t tick, int64_t due_ns, uint32_t number
) noexcept nogil:
    """Note a timer that runs out in the tick whose timers are known."""
    cdef entry_t entry
    entry.key_ns = due_ns
    entry.opened = 0
    entry.number = number
    if eviction.knows_due and eviction.due_tick == tick:
        eviction.knows_due = push(&eviction.due, &entry)

cdef inline void drop_all(eviction_t* eviction) noexcept nogil:
    """Give up the order, and its memory."""
    cdef int rank
    for rank in range(N_RANKS):
        drop_entries(&eviction.queues[rank].run)
        drop_entries(&eviction.queues[rank].heap)
    eviction.n_entries = 0
    eviction.is_on = False

cdef inline void drop_entries(entries_t* entries) noexcept nogil:
    free(entries.items)
    entries.items = NULL
    entries.first = entries.end = entries.capacity = 0

cdef inline bint append(entries_t* entries, const entry_t* entry) noexcept nogil:
    if not has_room(entries):
        return False
    entries.items[entries.end] = entry[0]
    entries.end += 1
    return True

cdef inline bint has_room(entries_t* entries) noexcept nogil:
    """Make room for one entry more: where entries were taken from the front, else in new memory.

    A table that is full at all times takes one for each that it makes.
    """
    cdef size_t n_entries = entries.end - entries.first
    cdef size_t capacity
    cdef entry_t* items
    if entries.end < entries.capacity:
        return True
    if entries.first > entries.capacity // GROWTH:
        memmove(entries.items, entries.items + entries.first, n_entries * sizeof(entry_t))
        entries.first = 0
        entries.end = n_entries
        return True
    capacity = entries.capacity + entries.capacity // GROWTH + FIRST_CAPACITY
    items = <entry_t*>realloc(entries.items, capacity * sizeof(entry_t))
    if items == NULL:
        return False
    entries.items = items
    entries.capacity = capacity
    return True

cdef inline bint push(entries_t* heap, const entry_t* entry) noexcept nogil:
    cdef size_t at = heap.end
    cdef size_t parent
    if not append(heap, entry):
        return False
    while at:
        parent = (at - 1) // HEAP_WIDTH
        if not goes_before(entry, &heap.items[parent]):
            break
        heap.items[at] = heap.items[parent]
        at = parent
    heap.items[at] = entry[0]
    return True

cdef inline void pop(entries_t* heap, entry_t* entry) noexcept nogil:
    """Take the first entry of a heap that has one, and fill its place with the last."""
    cdef const entry_t* last = &heap.items[heap.end - 1]
    cdef size_t at = 0
    cdef size_t child, least
    entry[0] = heap.items[0]
    heap.end -= 1
    while True:
        least = at * HEAP_WIDTH + 1
        if least >= heap.end:
            break
        for child in range(least + 1, min(least + HEAP_WIDTH, heap.end)):
            if goes_before(&heap.items[child], &heap.items[least]):
                least = child
        if not goes_before(&heap.items[least], last):
            break
        heap.items[at] = heap.items[least]
        at = least
    heap.items[at] = last[0]
