# SYN, SYN/ACK and the proof that a handshake completed (RFC 9293 §3.5), for one connection.

from libc.stdint cimport int64_t, uint32_t

from trtop_core._connection cimport (
    MAX_SYNACKS,
    S_ATTEMPT,
    S_EST,
    S_HAS_SYN_RTT,
    S_MANY_SYNS,
    S_ONE_SYN,
    S_UNANSWERED,
    S_WAITING,
    connection_t,
)
from trtop_core._direction cimport MAX_ACK_AHEAD, start_at, unwrap
from trtop_core._latency cimport sample_latency, sample_round_trip
from trtop_core._records cimport CONNECT_LATENCY, SYN_RTT, TCP_ACK, counter_row_t, segment_t
from trtop_core._state cimport State

cdef enum:
    # An ACK with payload so much later than two round trips after the SYN/ACK shows idleness.
    LATE_ACK_NS = 1_000_000

cdef inline bint take_syn(
    State state,
    connection_t* c,
    const segment_t* segment,
    bint from_client,
    counter_row_t* row,
) noexcept nogil:
    """Count a SYN or SYN/ACK; tell whether its payload and ACK are to be believed."""
    if not segment.flags & TCP_ACK:
        if c.state & S_ATTEMPT:
            if c.state & S_ONE_SYN:
                c.state |= S_MANY_SYNS
                row.syn_retrans += 1
            c.state |= S_ONE_SYN
            c.syn_end = max(c.syn_end, segment.payload_len)
        return True
    if not c.state & S_ATTEMPT:
        add_synack(c, segment)
        return True
    if from_client or segment.ack - c.isns[0] - 1 > c.syn_end:
        return False
    c.synack_ns = segment.ts_ns
    if c.n_synacks:
        row.synack_retrans += 1
        add_synack(c, segment)
        # Another ISN than the first: which is the server's will be told by the client's ACK.
        return segment.seq == c.synack_isns[0]
    row.synack += 1
    c.state &= ~<uint32_t>(S_WAITING | S_UNANSWERED)
    if not c.state & S_MANY_SYNS:
        # Karn: else nobody could tell which of several SYNs is answered.
        sample_round_trip(state, c, SYN_RTT, c.began_ns, segment.ts_ns)
    add_synack(c, segment)
    return True

cdef inline void add_synack(connection_t* c, const segment_t* segment) noexcept nogil:
    """Keep the first SYN/ACK and the latest that differs from it."""
    cdef int at = c.n_synacks
    if at and c.synack_isns[0] == segment.seq and c.synack_acks[0] == segment.ack:
        return
    if at == MAX_SYNACKS:
        at -= 1
    c.synack_isns[at] = segment.seq
    c.synack_acks[at] = segment.ack
    c.n_synacks = <unsigned char>(at + 1)

cdef inline int64_t prove(
    State state,
    connection_t* c,
    const segment_t* segment,
    bint from_client,
    counter_row_t* row,
) noexcept nogil:
    """Count ``est`` at its first proof; give the bytes acknowledged by that."""
    cdef int64_t ack
    cdef int64_t n_bytes = 0
    cdef int chosen
    if not from_client:
        ack = unwrap(&c.client, segment.ack)
        if ack <= unwrap(&c.client, c.isns[0] + 1 + c.syn_end):
            return 0
        if ack - c.client.reached > (MAX_ACK_AHEAD if c.n_synacks else 0):
            return 0
        establish(c, row)
        return 0
    if c.n_synacks == 0:
        establish(c, row)
        return 0
    chosen = chosen_synack(c, segment.ack)
    if chosen < 0:
        return 0
    establish(c, row)
    if c.synack_isns[chosen] != c.synack_isns[0]:
        c.isns[1] = c.synack_isns[chosen]
        n_bytes = start_at(
            &c.server, state.holes, c.isns[1] + 1, segment.ts_ns, state.clock_ns
        )
    if c.synack_isns[chosen] + 1 == segment.ack and c.synack_acks[chosen] == segment.seq:
        if not shows_idleness(c, segment):
            sample_latency(state, c, CONNECT_LATENCY, c.began_ns, segment.ts_ns, 0)
    return n_bytes

cdef inline bint shows_idleness(const connection_t* c, const segment_t* segment) noexcept nogil:
    """Whether the bare ACK was missed, so that the client's first data stands for it."""
    if segment.payload_len == 0 or not c.state & S_HAS_SYN_RTT:
        return False
    return segment.ts_ns - c.synack_ns > 2 * c.syn_rtt_ns + LATE_ACK_NS

cdef inline int chosen_synack(const connection_t* c, uint32_t ack) noexcept nogil:
    """Which SYN/ACK the client's ACK says is the server's: exactly, else within reach; or -1."""
    cdef int i
    for i in range(c.n_synacks):
        if ack == c.synack_isns[i] + 1:
            return i
    for i in range(c.n_synacks):
        if ack - c.synack_isns[i] - 1 <= MAX_ACK_AHEAD:
            return i
    return -1

cdef inline void establish(connection_t* c, counter_row_t* row) noexcept nogil:
    c.state |= S_EST
    row.est += 1
    c.state &= ~<uint32_t>(S_WAITING | S_UNANSWERED)
