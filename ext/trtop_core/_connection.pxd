# One connection's state: seven cache lines, of which an in-order packet touches three (without
# payload) to five.
# Positions are sequence numbers unwrapped to 64 bits, so that they compare as integers.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from trtop_core._clock cimport NO_TIME_NS

cdef enum:
    MAX_SYNACKS = 2          # the first, and the latest that differs: the client chooses

cdef enum:
    CLIENT_IS_HIGH_BIT = 1

cdef enum state_t:
    S_ALIVE = 1 << 0         # the record is in use
    S_CLIENT_IS_HIGH = 1 << CLIENT_IS_HIGH_BIT
    S_ATTEMPT = 1 << 2       # its SYN was seen first
    S_EST = 1 << 3
    S_WAITING = 1 << 4       # no answer yet: pending
    S_UNANSWERED = 1 << 5    # timed out, and still no answer
    S_RST = 1 << 6
    S_FIN = 1 << 7           # of either side
    S_CLOSED = 1 << 8
    S_IDLE = 1 << 9          # closed by idling only
    S_ONE_SIDED_DECIDED = 1 << 10
    S_REUSE_SAMPLED = 1 << 11
    S_FRAGMENTED = 1 << 12
    S_HIDDEN = 1 << 13       # of a direction that nobody asked for
    S_MANY_SYNS = 1 << 14
    S_MANY_SEGMENTS = 1 << 15
    S_ANY_SEGMENT = 1 << 16
    S_HAS_SYN_RTT = 1 << 17
    S_HAS_FLOOR = 1 << 18
    S_TIMED = 1 << 19        # a segment's round trip is being timed
    S_IN_WHEEL = 1 << 20
    S_BANNER_POSSIBLE = 1 << 21
    S_ENDS_REQUESTS = 1 << 22    # the server's FIN: nothing answers behind it
    S_REQUESTS_ENDED = 1 << 23   # what was not answered by then has been counted
    S_WINDOW_IS_ZERO = 1 << 24
    S_SLOT_OPEN = 1 << 25    # its floor is to be sampled when the slot of its last segment ends
    S_ONE_SYN = 1 << 26
    S_WAS_CLOSED = 1 << 27
    S_IN_SLOTS = 1 << 28     # the end of its slot is listed

cdef enum protocol_t:
    P_CLIENT_DATA = 1 << 0   # the client has sent some
    P_SIDE = 1 << 1          # `side` is a record of the side pools
    P_HTTP2 = 1 << 2         # that of HTTP/2; else that of TLS
    P_MULTIPLEXED = 1 << 3
    P_CROSSED = 1 << 4       # one run was
    P_SERVER_END = 1 << 5    # `server_end` is set
    P_HELLO = 1 << 6         # a ClientHello was seen
    P_FINISHED = 1 << 7      # and the client's Finished
    P_TLS13 = 1 << 8
    P_TLS_OVER = 1 << 9      # application data followed the ClientHello
    P_TLS_FAILED = 1 << 10
    P_TICKETS = 1 << 11      # the next request turn may begin with session tickets
    P_MAY_HOLD = 1 << 12     # this one may
    P_HELD = 1 << 13         # segments that may be tickets wait for what follows
    P_SHAPE = 1 << 14        # whether it is HTTP/2 is told by records to come
    P_SUSPENDED = 1 << 15    # the request counts only once it is no HTTP/2
    P_UNCONFIRMED = 1 << 16  # it did; acknowledgements of SETTINGS may tell yet that it was

cdef enum turn_flag_t:
    T_OPEN = 1 << 0          # there is a turn
    T_HANDSHAKE = 1 << 1     # of TLS; else a request
    T_SENT_AGAIN = 1 << 2
    T_ANSWERED = 1 << 3
    T_WITHHELD = 1 << 4
    T_SAMPLED = 1 << 5
    T_STREAM = 1 << 6
    T_KNOWS_SERVER = 1 << 7  # `server_start` is set
    T_RAW_SERVER = 1 << 8    # to a sequence number, as nothing of the server was seen
    T_COUNTED = 1 << 9       # not of a multiplexed connection, nor of one that may be
    T_WINDOW_WAS_ZERO = 1 << 10  # since its last data
    T_PAST = 1 << 11         # its times lie on the other side of a step of the clock
    T_MAY_BE_CROSSED = 1 << 12   # data that acknowledge nothing of its run have crossed it

cdef enum direction_flag_t:
    D_SEEN = 1 << 0
    D_HAS_ACKNOWLEDGED = 1 << 1  # this side acknowledged something of the other
    D_FIN = 1 << 2
    D_KNOWS_START = 1 << 3   # its SYN was seen
    D_REACHED = 1 << 4       # `reached` and `frontier` are set
    D_ACKED = 1 << 5         # `acked` is set
    D_HIGHEST_ACK = 1 << 6
    D_HAS_SENT = 1 << 7      # payload or FIN
    D_HAS_FIRST = 1 << 8     # its number in `first_seqs` is set
    D_EARLY_ACK = 1 << 9     # acknowledged before it was seen
    D_ZERO_WINDOW = 1 << 10  # this side advertised window 0

# What one side has sent, and what the other acknowledged of it.
cdef packed struct direction_t:
    int64_t reached          # highest position of payload, SYN or FIN. Unseen: highest early ACK
    int64_t frontier         # all below is held, a hole, or given up. Unseen: first early ACK
    int64_t acked            # highest ACK; until the first: where a mid-stream direction began
    int64_t highest_ack      # as it stood in a segment
    # Positions never held lie below; nobody remembers which. Mid-stream at first: where it began.
    int64_t lost_below
    int64_t gap_end          # where the last counted capture gap ends
    uint32_t holes           # first node of its list plus one
    uint16_t flags
    uint16_t n_nodes
    uint16_t n_counted       # its segments, modulo 2^16, not from 0
    uint16_t _pad[3]

# One run of client data and the run of server data that answers it.
cdef packed struct turn_t:
    int64_t asked_ns         # the last segment of the request
    int64_t first_ns
    int64_t last_ns
    uint64_t n_bytes         # of the response
    int64_t stream_ns
    uint32_t flags
    uint32_t n_stalls
    int64_t client_start     # where it starts on either side
    int64_t server_start
    int64_t asked_from       # its first byte
    int64_t waits_since_ns   # clock

cdef packed struct connection_t:
    # Line 0: whose it is, and when a timer has to look at it.
    uint8_t low_addr[16]
    uint8_t high_addr[16]
    uint16_t low_port
    uint16_t high_port
    uint32_t hash
    uint32_t state
    uint32_t destination
    int64_t last_ns          # clock at its last segment
    int64_t due_ns           # no timer runs out before this clock

    # Lines 1 and 2, side by side: see `direction_of`.
    direction_t client
    direction_t server

    # Line 3: what data of the server reads and writes, up to the flags of the turn.
    int64_t server_end       # of its data, tickets apart
    uint32_t protocol
    uint32_t n_responses
    turn_t turn

    # Line 4, from the starts of the turn on: what data of the client, and its first answer, read
    # and write besides.
    int64_t timed_start
    int64_t timed_end
    int64_t timed_ns
    int64_t floor_ns         # the least round trip

    # Lines 5 and 6: how it began, and its place in the timer wheel.
    int64_t began_ns         # its first segment
    int64_t began_clock_ns
    int64_t wheel_ns         # when the wheel looks at it
    int64_t synack_ns        # the latest SYN/ACK
    int64_t syn_rtt_ns
    uint32_t syn_end         # payload of the SYN
    uint32_t synack_isns[MAX_SYNACKS]
    uint32_t synack_acks[MAX_SYNACKS]
    uint32_t wheel_next
    uint32_t wheel_prev
    uint32_t side            # its record in a side pool, plus one
    uint32_t first_seqs[2]   # of the client's segments, and of the server's
    uint32_t isns[2]         # of the SYN and the SYN/ACK that they began with
    uint64_t opened          # how many segments the capture held before its first one
    uint8_t n_synacks
    uint8_t _pad[31]

cdef inline void leave_past(turn_t* turn) noexcept nogil:
    """A turn goes on behind a step of the clock: nothing is measured across it."""
    if turn.flags & T_PAST:
        turn.flags &= ~<uint32_t>T_PAST
        turn.asked_ns = turn.first_ns = turn.last_ns = NO_TIME_NS

# One of its sides; `is_server` is 0 or 1.
cdef inline direction_t* direction_of(connection_t* c, bint is_server) noexcept nogil:
    return &c.client + is_server

# Whether the client sent what came from the high end; 0 or 1, and no branch: nobody can predict it.
cdef inline bint is_from_client(const connection_t* c, bint from_high) noexcept nogil:
    return ((c.state >> CLIENT_IS_HIGH_BIT) ^ ~<uint32_t>from_high) & 1
