# What one segment of a known connection counts.

from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t

from trtop_core._clock cimport FOREVER_NS
from trtop_core._connection cimport *
from trtop_core._direction cimport (
    MAX_ACK_AHEAD,
    acknowledge,
    acknowledge_in_order,
    begin,
    start_at,
    take_in_order,
    take_segment,
    taken_t,
    unwrap,
)
from trtop_core._ends cimport fin, reset
from trtop_core._handshake cimport prove, take_syn
from trtop_core._records cimport (
    NET_RTT,
    TCP_ACK,
    TCP_FIN,
    TCP_RST,
    TCP_SYN,
    counter_row_t,
    segment_t,
)
from trtop_core._state cimport State, count_gaps, touch
from trtop_core._timers cimport JUDGE_AFTER_NS
from trtop_core._turns cimport client_data, new_data_t, server_data, server_filled

cdef enum:
    REORDER_NS = 3_000_000

cdef inline void take(
    State state, const uint8_t* data, const segment_t* segment, connection_t* c, bint from_client
) noexcept nogil:
    """Count one segment of a connection."""
    if not take_steady(state, data, segment, c, from_client):
        take_any(state, data, segment, c, from_client)

# A connection in its steady state, as seen from one side: established, nothing missing, both sides
# known. Most segments of most captures meet it; they take a shorter way through the same counters.
cdef enum:
    STEADY_STATE = S_EST | S_ANY_SEGMENT | S_MANY_SEGMENTS
    UNSTEADY_STATE = S_RST | S_IDLE | S_FRAGMENTED
    STEADY_SIDE = D_SEEN | D_HAS_ACKNOWLEDGED | D_HAS_FIRST | D_REACHED | D_ACKED | D_HIGHEST_ACK

cdef inline bint take_steady(
    State state, const uint8_t* data, const segment_t* segment, connection_t* c, bint from_client
) noexcept nogil:
    """Count an in-order segment of a steady connection; False, with nothing done, if it is not one.

    Header prediction (Jacobson, 4BSD TCP): whatever is unusual goes to ``take_any``.
    """
    cdef direction_t* own = &c.client if from_client else &c.server
    cdef direction_t* peer = &c.server if from_client else &c.client
    cdef counter_row_t* row
    cdef int64_t position = peer.reached + <int32_t>(segment.ack - <uint32_t>peer.reached)
    cdef int64_t peer_reached = peer.reached
    cdef int64_t start = own.reached
    cdef int64_t floor_ns = 0
    cdef bint has_floor
    cdef taken_t taken
    if (
        c.state & (STEADY_STATE | UNSTEADY_STATE) != STEADY_STATE
        or own.flags & STEADY_SIDE != STEADY_SIDE
        or peer.flags & STEADY_SIDE != STEADY_SIDE
        or segment.flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK) != TCP_ACK
        or segment.window == 0
        or segment.is_fragment
        or segment.seq != <uint32_t>own.reached
        or position > peer.reached
        or own.holes
        or peer.holes
        or own.frontier != own.reached
    ):
        return False
    row = touch(state, c.destination)
    c.last_ns = state.clock_ns
    if from_client:
        c.state &= ~<uint32_t>S_WINDOW_IS_ZERO
    if position > peer.acked:
        row.acked_bytes += <uint64_t>(position - peer.acked)
        peer.acked = position
    if position > peer.highest_ack:
        peer.highest_ack = position
    has_floor = (c.state & S_HAS_FLOOR) != 0
    if segment.payload_len:
        floor_ns = c.floor_ns
    if c.state & S_TIMED and not from_client:
        answer_timed(state, c, segment)
    if segment.payload_len == 0:
        return True
    own.reached = own.frontier = start + segment.payload_len
    own.flags |= D_HAS_SENT
    row_bytes(row, from_client)[0] += segment.payload_len
    taken.start = taken.new_start = taken.reached_before = start
    taken.data_end = taken.end = own.reached
    taken.n_bytes = segment.payload_len
    taken_new_data(
        state, data, segment, c, from_client, &taken, peer_reached, True, floor_ns, has_floor, row
    )
    return True

cdef inline void take_any(
    State state, const uint8_t* data, const segment_t* segment, connection_t* c, bint from_client
) noexcept nogil:
    """Count any segment of a connection."""
    cdef direction_t* own = &c.client if from_client else &c.server
    cdef direction_t* peer = &c.server if from_client else &c.client
    cdef counter_row_t* row = touch(state, c.destination)
    cdef bint is_syn = (segment.flags & TCP_SYN) != 0
    cdef bint is_fin = (segment.flags & TCP_FIN) != 0 and not is_syn
    cdef uint32_t seq = segment.seq + is_syn
    cdef bint is_keepalive, knows_peer, has_floor
    cdef int64_t peer_reached, floor_ns, n_acked
    cdef taken_t taken
    if c.state & S_ANY_SEGMENT:
        c.state |= S_MANY_SEGMENTS
    c.state |= S_ANY_SEGMENT
    c.last_ns = state.clock_ns
    if c.state & S_IDLE:
        c.state &= ~<uint32_t>(S_IDLE | S_CLOSED)
    own.flags |= D_SEEN
    if segment.is_fragment:
        c.state |= S_FRAGMENTED
    if segment.flags & TCP_RST:
        reset(state, c, from_client, row)
        return
    if segment.flags & TCP_ACK:
        own.flags |= D_HAS_ACKNOWLEDGED
    if not own.flags & D_HAS_FIRST:
        own.flags |= D_HAS_FIRST
        own.first_seq = segment.seq
    if is_syn:
        if not take_syn(c, segment, from_client, row, state.sketches):
            return
        if not own.flags & D_KNOWS_START:
            own.isn = segment.seq
            row.acked_bytes += start_at(own, state.holes, seq, segment.ts_ns, state.clock_ns)
    elif not is_fin:
        note_window(c, segment, from_client, row)
    if not own.flags & D_REACHED:
        row.acked_bytes += begin(own, state.holes, seq, segment.ts_ns, state.clock_ns)
    if not is_syn and segment.flags & TCP_ACK and c.state & (S_ATTEMPT | S_EST) == S_ATTEMPT:
        row.acked_bytes += prove(
            c, segment, from_client, state.clock_ns, row, state.sketches, state.holes
        )
    knows_peer = (peer.flags & D_REACHED) != 0
    peer_reached = peer.reached
    is_keepalive = not is_syn and not is_fin and is_keepalive_of(own, segment)
    if is_fin or not take_in_order(own, seq, segment.payload_len, &taken):
        take_segment(own, state.holes, seq, segment.payload_len, is_fin, segment.ts_ns, &taken)
    row_bytes(row, from_client)[0] += <uint64_t>taken.n_bytes
    if is_keepalive:
        row.keepalives += 1
    elif not (is_syn or taken.has_new_data or taken.is_first_fin) and taken.end > taken.start:
        name_repeat(state, c, segment, from_client, &taken, row)
    floor_ns = c.floor_ns
    has_floor = (c.state & S_HAS_FLOOR) != 0
    if segment.flags & TCP_ACK and may_acknowledge(c, peer, from_client, segment.ack):
        n_acked = acknowledge_in_order(peer, segment.ack)
        if n_acked < 0:
            n_acked = acknowledge(
                peer, state.holes, segment.ack, segment.ts_ns, state.clock_ns
            )
        row.acked_bytes += n_acked
        if not from_client and c.state & S_TIMED:
            answer_timed(state, c, segment)
    if own.holes:
        count_gaps(c, row, state.holes.judge_surplus(own))
    if peer.holes:
        count_gaps(c, row, state.holes.judge_surplus(peer))
    if not c.state & S_RST:
        take_turn(
            state, data, segment, c, from_client, &taken, peer_reached, knows_peer, floor_ns,
            has_floor, row
        )
    if is_fin:
        fin(state, c, from_client, row)
    if own.holes or peer.holes:
        tend_holes(state, c)

cdef inline void name_repeat(
    State state,
    connection_t* c,
    const segment_t* segment,
    bint from_client,
    const taken_t* taken,
    counter_row_t* row,
) noexcept nogil:
    """A segment that brings nothing new: reordered on its way, or sent again."""
    cdef int64_t young_ns = REORDER_NS
    if taken.filled_hole:
        if c.state & S_HAS_SYN_RTT:
            young_ns = max(young_ns, c.syn_rtt_ns)
        if segment.ts_ns - taken.youngest_ns <= young_ns:
            row.out_of_order += 1
            return
    if taken.end > taken.reached_before:
        return
    if not from_client:
        row.retrans_in += 1
        return
    row.retrans_out += 1
    if c.turn & T_OPEN and not c.turn & T_ANSWERED and taken.end > c.asked_from:
        c.turn |= T_SENT_AGAIN

cdef inline void answer_timed(
    State state, connection_t* c, const segment_t* segment
) noexcept nogil:
    """Sample the round trip of the timed segment when an ACK covers it."""
    cdef int64_t ack = unwrap(&c.client, segment.ack)
    cdef int64_t rtt_ns
    if c.state & S_RST or ack < c.timed_end or ack > c.client.reached + MAX_ACK_AHEAD:
        return
    c.state &= ~<uint32_t>S_TIMED
    rtt_ns = segment.ts_ns - c.timed_ns
    if rtt_ns < 0:
        return
    state.sketches.add(c.destination, NET_RTT, rtt_ns)
    if not c.state & S_HAS_FLOOR or rtt_ns < c.floor_ns:
        c.state |= S_HAS_FLOOR
        c.floor_ns = rtt_ns

cdef inline void take_turn(
    State state,
    const uint8_t* data,
    const segment_t* segment,
    connection_t* c,
    bint from_client,
    const taken_t* taken,
    int64_t peer_reached,
    bint knows_peer,
    int64_t floor_ns,
    bint has_floor,
    counter_row_t* row,
) noexcept nogil:
    """Tell the alternation of requests and responses what a segment brought."""
    if from_client and c.state & S_TIMED and segment.payload_len:
        if taken.start < c.timed_end and taken.data_end > c.timed_start:
            # Karn: nobody can tell which of the two an ACK answers.
            c.state &= ~<uint32_t>S_TIMED
    if taken.has_new_data:
        taken_new_data(
            state, data, segment, c, from_client, taken, peer_reached, knows_peer, floor_ns,
            has_floor, row
        )
    elif not from_client:
        server_filled(c, taken.n_bytes, row)

cdef inline void taken_new_data(
    State state,
    const uint8_t* data,
    const segment_t* segment,
    connection_t* c,
    bint from_client,
    const taken_t* taken,
    int64_t peer_reached,
    bint knows_peer,
    int64_t floor_ns,
    bint has_floor,
    counter_row_t* row,
) noexcept nogil:
    """Hand new data to the alternation of requests and responses, and time it if none is timed."""
    cdef new_data_t new
    new.ts_ns = segment.ts_ns
    new.payload = data + segment.payload_offset
    new.payload_caplen = segment.payload_caplen
    new.payload_len = segment.payload_len
    new.head = <uint32_t>(taken.new_start - taken.start)
    new.n_bytes = taken.n_bytes
    new.new_start = taken.new_start
    new.own_reached = taken.reached_before
    new.peer_reached = peer_reached
    new.knows_peer = knows_peer
    if not from_client:
        server_data(
            c, &new, row, state.sketches, is_withheld(state, c, taken), has_floor, floor_ns
        )
        return
    client_data(c, &new, row, state.sketches)
    if c.state & S_TIMED or segment.flags & TCP_SYN:
        return
    if c.client.holes and state.holes.is_open_below(&c.client, taken.start):
        return
    c.state |= S_TIMED
    c.timed_start = taken.start
    c.timed_end = taken.data_end
    c.timed_ns = segment.ts_ns

cdef inline bint is_withheld(State state, connection_t* c, const taken_t* taken) noexcept nogil:
    """Whether the capture missed something that this response's time depends on."""
    if c.turn & (T_OPEN | T_ANSWERED) != T_OPEN:
        return False
    return state.holes.misses(&c.client, c.client_from, FOREVER_NS) or (
        c.turn & T_KNOWS_SERVER and state.holes.misses(&c.server, c.server_from, taken.start)
    )

cdef inline void tend_holes(State state, connection_t* c) noexcept nogil:
    """Forget the spans that no turn depends on any more, and set the timer of the others."""
    cdef bint is_asking = c.turn & (T_OPEN | T_ANSWERED) == T_OPEN
    cdef int64_t due_ns
    if c.client.holes:
        state.holes.prune(&c.client, c.client_from if is_asking else c.client.reached)
    if c.server.holes:
        state.holes.prune(
            &c.server,
            c.server_from if is_asking and c.turn & T_KNOWS_SERVER else c.server.reached,
        )
    due_ns = min(
        state.holes.first_acked_ns(&c.client), state.holes.first_acked_ns(&c.server)
    )
    if due_ns < FOREVER_NS and due_ns + JUDGE_AFTER_NS < c.due_ns:
        state.table.watch(
            <uint32_t>(c - &state.table.connections[0]), due_ns + JUDGE_AFTER_NS
        )

cdef inline uint64_t* row_bytes(counter_row_t* row, bint from_client) noexcept nogil:
    return &row.bytes_out if from_client else &row.bytes_in

cdef inline void note_window(
    connection_t* c, const segment_t* segment, bint from_client, counter_row_t* row
) noexcept nogil:
    """Note the window that a side advertises; a pause behind a closed one is no stall."""
    if segment.window == 0:
        if from_client:
            row.zero_window_out += 1
            c.state |= S_WINDOW_IS_ZERO | S_WINDOW_WAS_ZERO
        else:
            row.zero_window_in += 1
    elif from_client:
        c.state &= ~<uint32_t>S_WINDOW_IS_ZERO

cdef inline bint is_keepalive_of(const direction_t* own, const segment_t* segment) noexcept nogil:
    """Whether a segment repeats the last position when everything was acknowledged."""
    if segment.payload_len > 1 or not own.flags & D_HIGHEST_ACK:
        return False
    return own.highest_ack >= own.reached and unwrap(own, segment.seq) == own.reached - 1

cdef inline bint may_acknowledge(
    const connection_t* c, const direction_t* peer, bint from_client, uint32_t ack
) noexcept nogil:
    """Before a SYN/ACK, a server's ACK beyond what the client sent is a stale end's."""
    if from_client or not c.state & S_ATTEMPT or c.n_synacks or not peer.flags & D_REACHED:
        return True
    return unwrap(peer, ack) <= peer.reached
