# One connection's state: eight cache lines, of which an in-order packet touches four (without
# payload) to six.
# Positions are sequence numbers unwrapped to 64 bits, so that they compare as integers.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    MAX_SYNACKS = 2          # the first, and the latest that differs: the client chooses
    N_RECENT = 4             # segments that a duplicate is looked for among

cdef enum state_t:
    S_ALIVE = 1 << 0         # the record is in use
    S_CLIENT_IS_HIGH = 1 << 1
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
    S_SAW_HELLO = 1 << 22
    S_HELLO_OPEN = 1 << 23   # its latency is not sampled yet
    S_WINDOW_IS_ZERO = 1 << 24
    S_WINDOW_WAS_ZERO = 1 << 25
    S_ONE_SYN = 1 << 26

cdef enum turn_flag_t:
    T_OPEN = 1 << 0          # there is a turn
    T_HANDSHAKE = 1 << 1     # of TLS; else a request
    T_SENT_AGAIN = 1 << 2
    T_ANSWERED = 1 << 3
    T_WITHHELD = 1 << 4
    T_SAMPLED = 1 << 5
    T_STREAM = 1 << 6
    T_KNOWS_SERVER = 1 << 7  # server_from is set

cdef enum direction_flag_t:
    D_SEEN = 1 << 0
    D_HAS_ACKNOWLEDGED = 1 << 1  # this side acknowledged something of the other
    D_FIN = 1 << 2
    D_KNOWS_START = 1 << 3   # its SYN was seen
    D_REACHED = 1 << 4       # `reached` and `frontier` are set
    D_ACKED = 1 << 5         # `acked` is set
    D_HIGHEST_ACK = 1 << 6
    D_HAS_SENT = 1 << 7      # payload or FIN
    D_HAS_FIRST = 1 << 8     # `first_seq` is set
    D_EARLY_ACK = 1 << 9     # acknowledged before it was seen

# What one side has sent, and what the other acknowledged of it.
cdef packed struct direction_t:
    int64_t reached          # highest position of payload, SYN or FIN. Unseen: highest early ACK
    int64_t frontier         # all below is held, a hole, or given up. Unseen: first early ACK
    int64_t acked            # highest ACK; until the first: where a mid-stream direction began
    int64_t highest_ack      # as it stood in a segment
    int64_t lost_below       # positions never held lie below; nobody remembers which
    int64_t gap_end          # where the last counted capture gap ends
    uint32_t holes           # first node of its list plus one
    uint32_t first_seq
    uint16_t flags
    uint16_t n_nodes
    uint32_t isn             # of the SYN or SYN/ACK that it began with

# The segments of one end that a duplicate is looked for among: one cache line.
cdef packed struct recent_t:
    int64_t ts_ns[N_RECENT]
    uint32_t prints_low[N_RECENT]    # of fingerprints of 48 bits
    uint16_t prints_high[N_RECENT]
    uint8_t next                     # which is overwritten next
    uint8_t _pad[7]

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

    # Line 3: what data of the server reads and writes.
    int64_t asked_ns
    int64_t first_ns
    int64_t last_data_ns
    uint64_t n_bytes         # of the response
    int64_t stream_ns
    int64_t floor_ns         # the least round trip
    int64_t timed_ns
    uint32_t n_responses
    uint16_t turn
    uint16_t n_stalls

    # Line 4: what data of the client, and its first answer, read and write besides.
    int64_t client_from      # what either side had reached when the turn began
    int64_t server_from
    int64_t asked_from
    int64_t timed_start
    int64_t timed_end
    int64_t hello_ns
    int64_t handshake_ns
    uint8_t n_handshakes
    uint8_t n_synacks
    uint8_t _pad[6]

    # Lines 5 and 6, side by side: see `recent_of`.
    recent_t recent_of_low
    recent_t recent_of_high

    # Line 7: how it began, and its place in the timer wheel.
    int64_t syn_ns
    int64_t syn_clock_ns
    int64_t syn_rtt_ns
    uint32_t syn_end         # payload of the SYN
    uint32_t synack_isns[MAX_SYNACKS]
    uint32_t synack_acks[MAX_SYNACKS]
    uint32_t wheel_next
    uint32_t wheel_prev
    uint32_t _pad_wheel[3]

cdef inline direction_t* direction_of(connection_t* c, bint is_server) noexcept nogil:
    return &c.client + (1 if is_server else 0)

cdef inline recent_t* recent_of(connection_t* c, bint is_high) noexcept nogil:
    return &c.recent_of_low + (1 if is_high else 0)
