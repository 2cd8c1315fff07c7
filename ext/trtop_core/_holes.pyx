# cython: freethreading_compatible=False
"""Sequence numbers that the capture never held, per direction: lists of spans in one bounded pool.

Decides when a hole is judged to be a capture gap, and tells what filled one. Never looks at
packets or connections. Lists are ascending and hold at most ``MAX_NODES`` spans.
"""

cimport cython
from libc.stdint cimport INT64_MIN, int64_t, uint32_t, uint64_t

import numpy as np

from trtop_core._clock cimport FOREVER_NS
from trtop_core._connection cimport direction_t

NODE = np.dtype(
    [
        ("next", "<u4"),
        ("kind", "<u4"),
        ("start", "<i8"),
        ("end", "<i8"),
        ("opened_ns", "<i8"),
        ("acked_ns", "<i8"),
    ]
)


@cython.final
cdef class HolePool:
    """Spans of all directions.

    Args:
        max_nodes: bound; a span that finds no room is given up and counts in ``n_unkept``.
    """

    def __init__(self, max_nodes):
        self.nodes = np.zeros(max_nodes, NODE)
        self.free = 0
        self.n_used = self.in_use = 0
        self.limit = max_nodes
        self.n_unkept = 0

    cdef void add(
        self, direction_t* d, int64_t start, int64_t end, int64_t opened_ns, int kind
    ) noexcept nogil:
        """Append a span above all others."""
        cdef uint32_t number = self.take()
        cdef uint32_t last
        cdef node_t* node
        if number == 0:
            self.n_unkept += 1
            d.lost_below = max(d.lost_below, end)
            return
        node = &self.nodes[number - 1]
        node.kind = kind
        node.start = start
        node.end = end
        node.opened_ns = opened_ns
        node.acked_ns = 0
        node.next = 0
        d.n_nodes += 1
        if d.holes == 0:
            d.holes = number
            return
        last = d.holes
        while self.nodes[last - 1].next:
            last = self.nodes[last - 1].next
        self.nodes[last - 1].next = number

    cdef filled_t fill(self, direction_t* d, int64_t start, int64_t end) noexcept nogil:
        """Take positions start … end - 1 out of every span; tell what they did to open holes."""
        cdef filled_t filled
        cdef uint32_t number = d.holes
        cdef uint32_t before = 0
        cdef uint32_t rest
        cdef int64_t low, high
        cdef node_t* node
        filled.n_open_bytes = 0
        filled.youngest_ns = INT64_MIN
        filled.any = False
        while number:
            node = &self.nodes[number - 1]
            low, high = max(node.start, start), min(node.end, end)
            if low >= high:
                if node.start >= end:
                    break
                before, number = number, node.next
                continue
            if node.kind <= N_ACKED:
                filled.any = True
                filled.n_open_bytes += high - low
                filled.youngest_ns = max(filled.youngest_ns, node.opened_ns)
            if node.start < low and high < node.end:
                rest = self.take()
                if rest:
                    node = &self.nodes[number - 1]
                    self.nodes[rest - 1] = node[0]
                    self.nodes[rest - 1].start = high
                    node.next = rest
                    d.n_nodes += 1
                else:
                    self.n_unkept += 1
                    d.lost_below = max(d.lost_below, node.end)
                node.end = low
                break
            if node.start < low:
                node.end = low
            elif high < node.end:
                node.start = high
            else:
                rest = node.next
                if before:
                    self.nodes[before - 1].next = rest
                else:
                    d.holes = rest
                self.give_back(d, number)
                number = rest
                continue
            before, number = number, node.next
        return filled

    cdef int64_t count_open(
        self, const direction_t* d, int64_t start, int64_t end, int64_t* last_end
    ) noexcept nogil:
        """Positions of start … end - 1 in open holes.

        Args:
            last_end: OUT where the last of them ends; left alone if there are none.
        """
        cdef uint32_t number = d.holes
        cdef int64_t total = 0
        cdef int64_t low, high
        cdef const node_t* node
        while number:
            node = &self.nodes[number - 1]
            low, high = max(node.start, start), min(node.end, end)
            if node.kind <= N_ACKED and low < high:
                total += high - low
                last_end[0] = high
            number = node.next
        return total

    cdef bint misses(self, const direction_t* d, int64_t start, int64_t end) noexcept nogil:
        """Whether any position of start … end - 1 was never held."""
        cdef uint32_t number = d.holes
        cdef const node_t* node
        if start < d.lost_below and start < end:
            return True
        while number:
            node = &self.nodes[number - 1]
            if node.end > start and node.start < end:
                return True
            number = node.next
        return False

    cdef bint is_open_below(self, const direction_t* d, int64_t position) noexcept nogil:
        """Whether an open hole begins below a position."""
        cdef uint32_t number = d.holes
        cdef const node_t* node
        while number:
            node = &self.nodes[number - 1]
            if node.kind <= N_ACKED and node.start < position:
                return True
            number = node.next
        return False

    cdef void acknowledge(self, direction_t* d, int64_t position, int64_t now_ns) noexcept nogil:
        """Note when positions below the ACK were first acknowledged."""
        cdef uint32_t number = d.holes
        cdef uint32_t rest
        cdef node_t* node
        while number:
            node = &self.nodes[number - 1]
            if node.start >= position:
                break
            if node.kind == N_OPEN:
                if position < node.end:
                    rest = self.take()
                    if rest:
                        node = &self.nodes[number - 1]
                        self.nodes[rest - 1] = node[0]
                        self.nodes[rest - 1].start = position
                        node.next = rest
                        node.end = position
                        d.n_nodes += 1
                    else:
                        self.n_unkept += 1
                node.kind = N_ACKED
                node.acked_ns = now_ns
            number = node.next

    cdef void drop_below(self, direction_t* d, int64_t position) noexcept nogil:
        """Give up, unjudged, what lies below a mid-stream direction's first ACK."""
        cdef uint32_t number = d.holes
        cdef node_t* node
        # Splits at the position; what it marks as acknowledged it then marks as dropped.
        self.acknowledge(d, position, 0)
        while number:
            node = &self.nodes[number - 1]
            if node.kind == N_ACKED and node.start < position:
                node.kind = N_DROPPED
            number = node.next

    cdef int64_t first_acked_ns(self, const direction_t* d) noexcept nogil:
        """The earliest clock at which an open hole was acknowledged, or the end of time."""
        cdef uint32_t number = d.holes
        cdef int64_t first = FOREVER_NS
        cdef const node_t* node
        while number:
            node = &self.nodes[number - 1]
            if node.kind == N_ACKED:
                first = min(first, node.acked_ns)
            number = node.next
        return first

    cdef void clamp(self, direction_t* d, int64_t now_ns) noexcept nogil:
        """What was acknowledged in the future was acknowledged now."""
        cdef uint32_t number = d.holes
        cdef node_t* node
        while number:
            node = &self.nodes[number - 1]
            node.acked_ns = min(node.acked_ns, now_ns)
            number = node.next

    cdef gaps_t judge(self, direction_t* d, int64_t acked_until_ns) noexcept nogil:
        """Judge the holes that were acknowledged by a clock."""
        cdef uint32_t number = d.holes
        cdef gaps_t gaps
        cdef node_t* node
        gaps.n_gaps = gaps.n_bytes = 0
        while number:
            node = &self.nodes[number - 1]
            if node.kind == N_ACKED and node.acked_ns <= acked_until_ns:
                self.judge_node(d, node, &gaps)
            number = node.next
        return gaps

    cdef gaps_t judge_surplus(self, direction_t* d) noexcept nogil:
        """Judge the lowest holes until at most ``MAX_RUNS`` are left; forget the lowest spans."""
        cdef uint32_t number = d.holes
        cdef gaps_t gaps
        cdef int n_runs = 0
        cdef int64_t run_end = INT64_MIN
        cdef int surplus
        cdef node_t* node
        gaps.n_gaps = gaps.n_bytes = 0
        if d.n_nodes <= MAX_RUNS:
            return gaps
        while number:
            node = &self.nodes[number - 1]
            if node.kind <= N_ACKED:
                n_runs += node.start != run_end
                run_end = node.end
            number = node.next
        surplus = n_runs - MAX_RUNS
        number = d.holes
        run_end = INT64_MIN
        while number and surplus >= 0:
            node = &self.nodes[number - 1]
            if node.kind <= N_ACKED:
                surplus -= node.start != run_end
                run_end = node.end
                if surplus >= 0:
                    self.judge_node(d, node, &gaps)
            number = node.next
        while d.n_nodes > MAX_NODES:
            number = d.holes
            node = &self.nodes[number - 1]
            if node.kind <= N_ACKED:
                self.judge_node(d, node, &gaps)
            d.lost_below = max(d.lost_below, node.end)
            d.holes = node.next
            self.give_back(d, number)
        return gaps

    cdef void judge_node(self, direction_t* d, node_t* node, gaps_t* gaps) noexcept nogil:
        """A span is no hole any more; its acknowledged bytes were missed by the capture."""
        if node.kind == N_ACKED:
            # Spans are judged from the lowest up, so only the last gap can adjoin.
            gaps.n_gaps += node.start != d.gap_end
            gaps.n_bytes += <uint64_t>(node.end - node.start)
            d.gap_end = node.end
        node.kind = N_JUDGED
        # Even where nothing later was seen: what fills it from now on is old.
        d.reached = max(d.reached, node.end)

    cdef void prune(self, direction_t* d, int64_t keep_from) noexcept nogil:
        """Forget spans given up that lie wholly below a position."""
        cdef uint32_t number = d.holes
        cdef uint32_t before = 0
        cdef uint32_t rest
        cdef node_t* node
        while number:
            node = &self.nodes[number - 1]
            rest = node.next
            if node.end <= keep_from and node.kind >= N_JUDGED:
                if before:
                    self.nodes[before - 1].next = rest
                else:
                    d.holes = rest
                self.give_back(d, number)
            else:
                before = number
            number = rest

    cdef void clear(self, direction_t* d) noexcept nogil:
        """Forget all spans."""
        cdef uint32_t rest
        while d.holes:
            rest = self.nodes[d.holes - 1].next
            self.give_back(d, d.holes)
            d.holes = rest

    cdef uint32_t take(self) noexcept nogil:
        """A free node plus one; 0 when there is none."""
        cdef uint32_t number = self.free
        if self.in_use >= self.limit:
            return 0
        self.in_use += 1
        if number:
            self.free = self.nodes[number - 1].next
            return number
        self.n_used += 1
        return self.n_used

    cdef void give_back(self, direction_t* d, uint32_t number) noexcept nogil:
        self.nodes[number - 1].kind = N_FREE
        self.nodes[number - 1].next = self.free
        self.free = number
        self.in_use -= 1
        d.n_nodes -= 1
