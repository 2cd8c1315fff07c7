# cython: freethreading_compatible=False
"""The state of one engine: its tables, its clock, and which row a connection counts in."""

cimport cython

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy

import numpy as np

from trtop_core._clock cimport BEFORE_ALL_NS, SECOND_NS
from trtop_core._connection cimport S_CLIENT_IS_HIGH, connection_t
from trtop_core._connection_log cimport ConnectionLog
from trtop_core._destinations cimport DestinationTable
from trtop_core._holes cimport HolePool
from trtop_core._records cimport TCP_ACK, TCP_RST, TCP_SYN, floor_div, segment_t
from trtop_core._sides cimport SidePools
from trtop_core._sketch cimport SketchStore
from trtop_core._table cimport ConnectionTable
from trtop_core._window cimport WindowLog, touch_row

from trtop_core._connection import TURN
from trtop_core.records import Direction, GroupBy

HEALTH = np.dtype(
    [("verdicts", "<u8", N_VERDICTS)]
    + [(name, "<u8") for name in (
        "duplicates", "evicted", "untimed", "received", "kernel_dropped", "interface_dropped",
        "read_lost", "interruptions", "interrupted_ns", "clock_steps", "stray_times",
    )]
)
NETWORK = np.dtype([("address", "<u8", 2), ("mask", "<u8", 2)])

HEALTH_LOG_BYTES = 1 << 20

MIN_HTTP2 = 1 << 10
HTTP2_SHARE = 16
"""One connection of so many, at most, may be followed by its frames."""

MIN_STREAMS = 1 << 14

SEEN_HEAD = np.dtype([("number", "<u4"), ("mark", "<u4")])
SEEN = np.dtype(
    [
        ("ts_ns", "<i8"),
        ("print_low", "<u4"),
        ("number", "<u2"),
        ("back", "<u2"),
    ]
)

cdef int64_t LAST_EPOCH = 0xFFFF_FFF0  # of 32 bits
cdef int64_t LONGEST_SLOT_NS = 30 * <int64_t>SECOND_NS
# The windows' clock begins here, far from both ends of an epoch's 32 bits.
cdef int64_t FIRST_WINDOW_NS = (1 << 26) * LONGEST_SLOT_NS

cdef int OUT = Direction.OUT
cdef int IN = Direction.IN

cdef enum:
    N_SYSTEM_PORTS = 1024    # below: for services (RFC 6335 §6)
    FIRST_EPHEMERAL_PORT = 32768  # from here on: for clients, as Linux hands them out


@cython.final
cdef class State:
    """Everything that packets change.

    Args:
        config: an ``EngineConfig``.
        hash_words: shape (2, N_HASH_KEYS), uint64, secret and random.
        local: shape (n_networks,), dtype ``NETWORK``.
        windows: lengths in s of the windows to keep.
        bounds: (sketch pages, holes) at most.
        history: its ``end_epoch`` is called when a second of the windows ends; None: nothing is.
        numbering: who numbers the rows of destinations, of several states; see there.
    """

    def __init__(
        self, config, hash_words, local, windows, bounds, history=None, numbering=None
    ):
        max_pages, max_holes = bounds
        max_rows = config.max_destinations
        # Two rows on top: for destinations beyond the bound, and for connections not asked for.
        self.hidden_row = max_rows + 1
        self.destinations = DestinationTable(max_rows, hash_words[1], windows, numbering)
        self.table = ConnectionTable(config.max_connections, hash_words[0], self.destinations)
        self.sketches = SketchStore(max_rows + 2, max_pages, windows)
        self.holes = HolePool(max_holes)
        # Every connection may have a TLS handshake; HTTP/2 in clear is rare.
        self.sides = SidePools(
            config.max_connections,
            max(MIN_HTTP2, config.max_connections // HTTP2_SHARE),
            max(MIN_STREAMS, config.max_connections),
            TURN,
        )
        self.has_log = config.keeps_connections
        self.log = ConnectionLog(config.max_connections) if self.has_log else None
        self.health = np.zeros(1, HEALTH)
        self.health_log = WindowLog(1, sizeof(health_t), HEALTH_LOG_BYTES, windows)
        self.has_windows = bool(windows)
        self.is_watched = self.has_log or self.has_windows
        self.history = history
        self.local = local
        self.direction = config.direction
        self.by_port = config.group_by is GroupBy.ADDR_PORT
        self.idle_timeout_ns = config.idle_timeout_ns
        self.has_clock = self.has_first = self.is_waiting = False
        self.is_usual = self.has_one_clock = False
        self.seen = np.zeros(N_SEEN, SEEN)
        self.seen_heads = np.zeros(N_SEEN_HEADS, SEEN_HEAD)
        self.clock_ns = self.first_ns = self.next_tick_ns = BEFORE_ALL_NS

    def __dealloc__(self):
        cdef int i
        free(self.deferred)
        for i in range(N_SLOT_TICKS):
            free(self.slots[i].numbers)

    def set_local(self, local):
        """Other local networks, shape (n_networks,), dtype ``NETWORK``, for what comes from now on.
        """
        self.local = local

    @property
    def shift_ns(self):
        """What added to the windows' own time gives capture time."""
        return self.window_shift_ns

    def start_epoch(self, epoch):
        """Tell everything that keeps windows which second of capture time it is."""
        # The timers of what was before a step of the clock run at times that lie behind it.
        if epoch + 1 <= self.health_log.now:
            return
        if self.history is not None:
            self.sketches.flush()
            self.history.end_epoch(
                self, self.health_log.now - 1, epoch, self.health.base[0]
            )
        self.destinations.set_epoch(epoch)
        self.sketches.set_epoch(epoch)
        self.health_log.set_epoch(epoch)
        touch_row(self.health_log, 0, &self.health[0])

    cdef void roll_epoch(self, int64_t now_ns) noexcept nogil:
        """Begin the windows' next second, if it is time."""
        cdef int64_t epoch
        if not self.has_windows:
            return
        epoch = floor_div(now_ns - self.window_shift_ns, SECOND_NS)
        epoch = min(max(<int64_t>0, epoch), LAST_EPOCH)
        with gil:
            self.start_epoch(epoch)

    cdef void start_windows(self, int64_t now_ns) noexcept nogil:
        """Start the windows' clock; slots are cut where capture time would cut them."""
        self.window_shift_ns = floor_div(now_ns, LONGEST_SLOT_NS) * LONGEST_SLOT_NS
        self.window_shift_ns -= FIRST_WINDOW_NS
        self.window_first_ns = now_ns - self.window_shift_ns
        self.roll_epoch(now_ns)

    cdef void jump_windows(self, int64_t to_ns, int64_t by_ns) noexcept nogil:
        """Let the windows' clock go on at a step, at most a second late, and so much further."""
        cdef int64_t shift_ns = to_ns - (self.clock_ns - self.window_shift_ns) - by_ns
        # Whole seconds, as timers count in the second in which they ran out.
        self.window_shift_ns = floor_div(shift_ns, SECOND_NS) * SECOND_NS

    cdef bint sender_is_client(self, const segment_t* segment) noexcept nogil:
        cdef bint sender_local, receiver_local
        cdef uint16_t low, high
        if segment.flags & TCP_SYN and not segment.flags & TCP_RST:
            return not segment.flags & TCP_ACK
        sender_local = self.is_local(segment.src)
        receiver_local = self.is_local(segment.dst)
        if sender_local != receiver_local:
            return sender_local
        low = min(segment.src_port, segment.dst_port)
        high = max(segment.src_port, segment.dst_port)
        if low != high and (low < N_SYSTEM_PORTS or high >= FIRST_EPHEMERAL_PORT):
            return segment.dst_port == low
        return True

    cdef bint is_local(self, const uint8_t* address) noexcept nogil:
        cdef Py_ssize_t i
        cdef uint64_t[2] words
        memcpy(words, address, 16)
        for i in range(self.local.shape[0]):
            if (
                words[0] & self.local[i].mask[0] == self.local[i].address[0]
                and words[1] & self.local[i].mask[1] == self.local[i].address[1]
            ):
                return True
        return False

    cdef uint32_t row_of(self, const connection_t* c) noexcept nogil:
        """The destination of a connection, or the hidden row if nobody asked for its direction."""
        cdef bint client_is_high = (c.state & S_CLIENT_IS_HIGH) != 0
        cdef const uint8_t* client = &c.low_addr[0]
        cdef const uint8_t* server = &c.high_addr[0]
        cdef int port = c.low_port if client_is_high else c.high_port
        cdef bint no_local = self.local.shape[0] == 0
        if client_is_high:
            client, server = server, client
        if not self.by_port:
            port = 0
        if self.direction != IN and (no_local or self.is_local(client)):
            return self.destinations.find(server, port, self.by_port)
        if self.direction != OUT and (no_local or self.is_local(server)):
            return self.destinations.find(client, port, self.by_port)
        return self.hidden_row
