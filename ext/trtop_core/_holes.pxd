cimport cython

from libc.stdint cimport int64_t, uint32_t, uint64_t

from trtop_core._connection cimport direction_t

cdef enum:
    MAX_RUNS = 16            # open holes per direction, counted as maximal runs
    MAX_NODES = 64           # parts of them, and spans given up, that a direction may remember

cdef enum node_kind_t:
    N_FREE = 0
    N_OPEN = 1
    N_ACKED = 2              # open, and acknowledged by the peer at `acked_ns`
    N_JUDGED = 3             # no hole any more, still never held
    N_DROPPED = 4            # below a mid-stream direction's first ACK: not to be judged

cdef packed struct node_t:
    uint32_t next            # plus one
    uint32_t kind
    int64_t start
    int64_t end
    int64_t opened_ns        # timestamp of the packet that opened it
    int64_t acked_ns         # clock

cdef struct gaps_t:
    uint64_t n_gaps
    uint64_t n_bytes

cdef struct filled_t:
    int64_t n_open_bytes
    int64_t youngest_ns
    bint any

@cython.final
cdef class HolePool:
    cdef node_t[::1] nodes
    cdef uint32_t free
    cdef uint32_t n_used
    cdef uint32_t in_use
    cdef uint32_t limit          # of these
    cdef readonly uint64_t n_unkept

    cdef void add(
        self, direction_t* d, int64_t start, int64_t end, int64_t opened_ns, int kind
    ) noexcept nogil
    cdef filled_t fill(self, direction_t* d, int64_t start, int64_t end) noexcept nogil
    cdef int64_t count_open(
        self, const direction_t* d, int64_t start, int64_t end, int64_t* last_end
    ) noexcept nogil
    cdef bint misses(self, const direction_t* d, int64_t start, int64_t end) noexcept nogil
    cdef bint is_open_below(self, const direction_t* d, int64_t position) noexcept nogil
    cdef void acknowledge(self, direction_t* d, int64_t position, int64_t now_ns) noexcept nogil
    cdef void drop_below(self, direction_t* d, int64_t position) noexcept nogil
    cdef int64_t first_acked_ns(self, const direction_t* d) noexcept nogil
    cdef void clamp(self, direction_t* d, int64_t now_ns) noexcept nogil
    cdef gaps_t judge(self, direction_t* d, int64_t acked_until_ns) noexcept nogil
    cdef gaps_t judge_surplus(self, direction_t* d) noexcept nogil
    cdef void prune(self, direction_t* d, int64_t keep_from) noexcept nogil
    cdef void clear(self, direction_t* d) noexcept nogil
    cdef void judge_node(self, direction_t* d, node_t* node, gaps_t* gaps) noexcept nogil
    cdef uint32_t take(self) noexcept nogil
    cdef void give_back(self, direction_t* d, uint32_t number) noexcept nogil
