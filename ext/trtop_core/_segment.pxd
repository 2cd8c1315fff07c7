# What one segment of a known connection counts.

from libc.stdint cimport INT64_MAX, int32_t, int64_t, uint8_t, uint32_t, uint64_t

from trtop_core._clock cimport FOREVER_NS
from trtop_core._client_turns cimport client_data, client_sent_again
from trtop_core._connection cimport (
    D_ACKED,
    D_EARLY_ACK,
    D_HAS_ACKNOWLEDGED,
    D_HAS_FIRST,
    D_HAS_SENT,
    D_HIGHEST_ACK,
    D_KNOWS_START,
    D_REACHED,
    D_SEEN,
    D_ZERO_WINDOW,
    P_HTTP2,
    P_SIDE,
    S_ANY_SEGMENT,
    S_ATTEMPT,
    S_CLOSED,
    S_EST,
    S_FRAGMENTED,
    S_HAS_FLOOR,
    S_IDLE,
    S_MANY_SEGMENTS,
    S_RST,
    S_SLOT_OPEN,
    S_TIMED,
    S_WINDOW_IS_ZERO,
    T_ANSWERED,
    T_KNOWS_SERVER,
    T_OPEN,
    connection_t,
    direction_of,
    direction_t,
    turn_t,
)
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
from trtop_core._context cimport segment_context_t
from trtop_core._ends cimport end_requests_if_due, fin, reset
from trtop_core._handshake cimport prove, take_syn
from trtop_core._latency cimport sample_round_trip
from trtop_core._records cimport (
    NET_RTT,
    TCP_ACK,
    TCP_FIN,
    TCP_RST,
    TCP_SYN,
    counter_row_t,
    segment_t,
)
from trtop_core._responses cimport server_start_of
from trtop_core._server_turns cimport grow_steady, grows_response, server_data, server_filled
from trtop_core._slots cimport lower_due
from trtop_core._state cimport State, count_gaps, touch
from trtop_core._timers cimport JUDGE_AFTER_NS
from trtop_core._turns cimport note_closed_window, tend_side

cdef enum:
    # What fills a hole sooner was reordered: a retransmission takes a round trip. The floor less so
    # large a part of it; at least, and without a floor (Wireshark's default), in ns.
    REORDER_MARGIN = 10
    MIN_REORDER_NS = 1_000_000
    UNKNOWN_REORDER_NS = 3_000_000

# A connection in its steady state, as seen from one side: established, nothing missing, both sides
# known. Most segments of most captures meet it; they take a shorter way through the same counters.
cdef enum:
    STEADY_STATE = S_EST | S_ANY_SEGMENT | S_MANY_SEGMENTS
    UNSTEADY_STATE = S_RST | S_IDLE | S_FRAGMENTED
    STEADY_SIDE = D_SEEN | D_HAS_ACKNOWLEDGED | D_HAS_FIRST | D_REACHED | D_ACKED | D_HIGHEST_ACK

cdef inline bint take_steady(
    State state,
    const uint8_t* data,
    const segment_t* segment,
    connection_t* c,
    direction_t* own,
    bint from_client,
) noexcept nogil:
    """Count an in-order segment of a steady connection; False, with nothing done, if it is not one.

    Header prediction (Jacobson, 4BSD TCP): whatever is unusual goes to ``take_any``.
    """
    # What depends on the direction is computed, not branched on: nobody can predict it.
    cdef direction_t* peer = direction_of(c, from_client)
    cdef counter_row_t* row
    cdef int64_t position = peer.reached + <int32_t>(segment.ack - <uint32_t>peer.reached)
    cdef int64_t start = own.reached
    cdef int64_t n_acked
    cdef segment_context_t at
    if (
        c.state & (STEADY_STATE | UNSTEADY_STATE) != STEADY_STATE
        or own.flags & peer.flags & STEADY_SIDE != STEADY_SIDE
        or segment.flags & (TCP_SYN | TCP_FIN | TCP_RST | TCP_ACK) != TCP_ACK
        or segment.window == 0
        or segment.is_fragment
        or segment.seq != <uint32_t>own.reached
        or position > peer.reached
        or own.holes | peer.holes
        or own.frontier != own.reached
    ):
        return False
    row = touch(state, c)
    c.last_ns = state.clock_ns
    c.state = (c.state | S_SLOT_OPEN) & ~(from_client * <uint32_t>S_WINDOW_IS_ZERO)
    n_acked = max(<int64_t>0, position - peer.acked)
    row.acked_bytes += <uint64_t>n_acked
    peer.acked += n_acked
    peer.highest_ack = max(peer.highest_ack, position)
    at.has_floor = (c.state & S_HAS_FLOOR) != 0
    if segment.payload_len:
        at.floor_ns = c.floor_ns
    if c.state & S_TIMED and not from_client:
        answer_timed(state, c, segment)
    if segment.payload_len == 0:
        return True
    own.reached = own.frontier = start + segment.payload_len
    own.flags |= D_HAS_SENT
    row_bytes(row, from_client)[0] += segment.payload_len
    row_segments(row, from_client)[0] += 1
    at.payload = data + segment.payload_offset
    if not from_client and grows_response(c, segment, at.payload):
        grow_steady(state, c, segment, row)
        return True
    at.segment = segment
    at.c = c
    at.row = row
    at.taken.start = at.taken.new_start = at.taken.reached_before = at.own_start = start
    at.taken.data_end = at.taken.end = own.reached
    at.taken.n_bytes = segment.payload_len
    at.now_ns = state.clock_ns
    at.acked = position
    at.peer_start = peer.frontier
    at.has_ack = at.knows_peer = True
    at.is_peer_raw = False
    at.from_client = from_client
    taken_new_data(state, &at)
    if c.protocol & P_SIDE:
        tend_side(state, c)
    return True

cdef inline void take_any(
    State state, const uint8_t* data, const segment_t* segment, connection_t* c, bint from_client
) noexcept nogil:
    """Count any segment of a connection."""
    cdef direction_t* own = &c.client if from_client else &c.server
    cdef direction_t* peer = &c.server if from_client else &c.client
    cdef counter_row_t* row = touch(state, c)
    cdef bint is_syn = (segment.flags & TCP_SYN) != 0
    cdef bint is_fin = (segment.flags & TCP_FIN) != 0 and not is_syn
    cdef uint32_t seq = segment.seq + is_syn
    cdef bint is_keepalive
    cdef int64_t n_acked
    cdef segment_context_t at
    cdef taken_t* taken = &at.taken
    if c.state & S_ANY_SEGMENT:
        c.state |= S_MANY_SEGMENTS
    c.state |= S_ANY_SEGMENT | S_SLOT_OPEN
    c.last_ns = state.clock_ns
    if c.state & S_IDLE:
        c.state &= ~<uint32_t>(S_IDLE | S_CLOSED)
    own.flags |= D_SEEN
    if segment.is_fragment:
        c.state |= S_FRAGMENTED
    if segment.flags & TCP_RST:
        reset(state, c, segment.ts_ns, from_client, row)
        return
    if segment.flags & TCP_ACK:
        own.flags |= D_HAS_ACKNOWLEDGED
    start_turn(own, &at.own_start, &at.knows_peer, &at.is_peer_raw)
    if not own.flags & D_HAS_FIRST:
        own.flags |= D_HAS_FIRST
        c.first_seqs[0 if from_client else 1] = segment.seq
    if is_syn:
        if not take_syn(state, c, segment, from_client, row):
            return
        if not own.flags & D_KNOWS_START:
            c.isns[0 if from_client else 1] = segment.seq
            row.acked_bytes += start_at(own, state.holes, seq, segment.ts_ns, state.clock_ns)
    elif not is_fin:
        note_window(state, c, segment, from_client, row)
    if not own.flags & D_REACHED:
        row.acked_bytes += begin(own, state.holes, seq, segment.ts_ns, state.clock_ns)
    if not is_syn and segment.flags & TCP_ACK and c.state & (S_ATTEMPT | S_EST) == S_ATTEMPT:
        row.acked_bytes += prove(state, c, segment, from_client, row)
    if not at.knows_peer:
        at.own_start = own.frontier
    elif at.is_peer_raw:
        at.own_start = unwrap(own, <uint32_t>at.own_start)
    is_keepalive = not is_syn and not is_fin and is_keepalive_of(own, segment)
    if is_fin or not take_in_order(own, seq, segment.payload_len, taken):
        take_segment(own, state.holes, seq, segment.payload_len, is_fin, segment.ts_ns, taken)
    row_bytes(row, from_client)[0] += <uint64_t>taken.n_bytes
    row_segments(row, from_client)[0] += segment.payload_len > 0
    if is_keepalive:
        row.keepalives += 1
    elif not (is_syn or taken.has_new_data or taken.is_first_fin) and taken.end > taken.start:
        name_repeat(state, c, segment, from_client, taken, row)
    at.floor_ns = c.floor_ns
    at.has_floor = (c.state & S_HAS_FLOOR) != 0
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
        at.segment = segment
        at.payload = data + segment.payload_offset
        at.c = c
        at.row = row
        at.now_ns = state.clock_ns
        at.from_client = from_client
        at.has_ack = (segment.flags & TCP_ACK) != 0
        at.acked = unwrap(peer, segment.ack) if at.has_ack else INT64_MAX
        start_turn(peer, &at.peer_start, &at.knows_peer, &at.is_peer_raw)
        take_turn(state, &at)
    if is_fin:
        fin(state, c, from_client, row)
    end_requests_if_due(state, c, row)
    tend_side(state, c)
    if own.holes or peer.holes:
        tend_holes(state, c)

cdef inline void start_turn(
    const direction_t* d, int64_t* start, bint* is_known, bint* is_raw
) noexcept nogil:
    """Where a turn that begins now starts on one side: a sequence number if it was never seen."""
    is_known[0] = (d.flags & (D_REACHED | D_EARLY_ACK)) != 0
    is_raw[0] = is_known[0] and not d.flags & D_REACHED
    start[0] = d.reached if is_raw[0] else d.frontier

cdef inline void name_repeat(
    State state,
    connection_t* c,
    const segment_t* segment,
    bint from_client,
    const taken_t* taken,
    counter_row_t* row,
) noexcept nogil:
    """A segment that brings nothing new: reordered on its way, or sent again."""
    if segment.payload_len == 0:
        row.fin_retrans += taken.end <= taken.reached_before
        return
    if taken.filled_hole and is_young(c, segment.ts_ns - taken.youngest_ns):
        row.out_of_order += 1
        return
    if taken.end > taken.reached_before:
        return
    if not from_client:
        row.retrans_in += 1
        return
    row.retrans_out += 1
    client_sent_again(state, c, taken.start, taken.end)

cdef inline bint is_young(const connection_t* c, int64_t age_ns) noexcept nogil:
    """Whether a hole of this age was filled too soon for a retransmission."""
    if not c.state & S_HAS_FLOOR:
        return age_ns < UNKNOWN_REORDER_NS
    return age_ns < MIN_REORDER_NS or age_ns < c.floor_ns - c.floor_ns // REORDER_MARGIN

cdef inline void answer_timed(
    State state, connection_t* c, const segment_t* segment
) noexcept nogil:
    """Sample the round trip of the timed segment when an ACK covers it."""
    cdef int64_t ack = unwrap(&c.client, segment.ack)
    if c.state & S_RST or ack < c.timed_end or ack > c.client.reached + MAX_ACK_AHEAD:
        return
    c.state &= ~<uint32_t>S_TIMED
    sample_round_trip(state, c, NET_RTT, c.timed_ns, segment.ts_ns)

cdef inline void take_turn(State state, segment_context_t* at) noexcept nogil:
    """Tell the alternation of requests and responses what a segment brought."""
    cdef connection_t* c = at.c
    if at.from_client and c.state & S_TIMED and at.segment.payload_len:
        if at.taken.start < c.timed_end and at.taken.data_end > c.timed_start:
            # Karn: nobody can tell which of the two an ACK answers.
            c.state &= ~<uint32_t>S_TIMED
    if at.taken.has_new_data:
        taken_new_data(state, at)
    elif not at.from_client and at.taken.filled_to > at.taken.start:
        server_filled(state, at)

cdef inline void taken_new_data(State state, segment_context_t* at) noexcept nogil:
    """Hand new data to the alternation of requests and responses, and time it if none is timed."""
    cdef connection_t* c = at.c
    if not at.from_client:
        server_data(state, at)
        return
    client_data(state, at)
    if c.state & S_TIMED or at.segment.flags & TCP_SYN:
        return
    if c.client.holes and state.holes.is_open_below(&c.client, at.taken.start):
        return
    c.state |= S_TIMED
    c.timed_start = at.taken.start
    c.timed_end = at.taken.data_end
    c.timed_ns = at.segment.ts_ns

cdef inline void tend_holes(State state, connection_t* c) noexcept nogil:
    """Forget the spans that no turn depends on any more, and set the timer of the others."""
    cdef int64_t due_ns
    cdef int64_t client_from = c.client.reached
    cdef int64_t server_from = c.server.reached
    keep_starts(c, &c.turn, &client_from, &server_from)
    if c.protocol & P_HTTP2:
        keep_stream_starts(state, c, &client_from, &server_from)
    if c.client.holes:
        state.holes.prune(&c.client, client_from)
    if c.server.holes:
        state.holes.prune(&c.server, server_from)
    due_ns = min(
        state.holes.first_acked_ns(&c.client), state.holes.first_acked_ns(&c.server)
    )
    if due_ns < FOREVER_NS and due_ns + JUDGE_AFTER_NS < c.wheel_ns:
        state.table.watch(c, due_ns + JUDGE_AFTER_NS)
        lower_due(c)

cdef inline void keep_starts(
    const connection_t* c, const turn_t* turn, int64_t* client_from, int64_t* server_from
) noexcept nogil:
    """Lower the positions from which spans are kept to those that an unanswered turn needs."""
    if turn.flags & (T_OPEN | T_ANSWERED) != T_OPEN:
        return
    client_from[0] = min(client_from[0], turn.client_start)
    if turn.flags & T_KNOWS_SERVER:
        server_from[0] = min(server_from[0], server_start_of(c, turn))

cdef inline void keep_stream_starts(
    State state, const connection_t* c, int64_t* client_from, int64_t* server_from
) noexcept nogil:
    cdef uint32_t number = state.sides.http2[c.side - 1].streams
    while number:
        keep_starts(c, &state.sides.streams[number - 1].turn, client_from, server_from)
        number = state.sides.streams[number - 1].next

cdef inline uint64_t* row_segments(counter_row_t* row, bint from_client) noexcept nogil:
    return &row.segments_out + (from_client ^ 1)    # `segments_in` follows it

cdef inline uint64_t* row_bytes(counter_row_t* row, bint from_client) noexcept nogil:
    return &row.bytes_out + (from_client ^ 1)       # `bytes_in` follows it

cdef inline void note_window(
    State state, connection_t* c, const segment_t* segment, bint from_client, counter_row_t* row
) noexcept nogil:
    """Note the window that a side advertises; a pause behind a closed one is no stall."""
    cdef direction_t* own = &c.client if from_client else &c.server
    cdef bint is_first = not own.flags & D_ZERO_WINDOW
    if segment.window == 0:
        own.flags |= D_ZERO_WINDOW
        if from_client:
            row.zero_window_out += 1
            row.zero_window_connections_out += is_first
            note_closed_window(state, c)
        else:
            row.zero_window_in += 1
            row.zero_window_connections_in += is_first
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
