# Requests and responses of one connection, as far as alternation tells.
#
# Takes the new data of both sides in the order of arrival, and what of the server's fills a hole;
# counts turns. Never sees retransmitted, reordered or keep-alive bytes otherwise. What only some
# connections need (TLS handshakes, HTTP/2 in clear) has a record in a side pool; without one,
# `client_run` and `answer` take the short way.

from libc.stdint cimport int64_t, uint32_t, uint64_t

from trtop_core._clock cimport FOREVER_NS
from trtop_core._connection cimport *
from trtop_core._context cimport new_bytes, segment_context_t
from trtop_core._http2 cimport (
    begin_http2,
    close_window,
    end_streams,
    follow_frames,
    http2_of,
    note_sent_again,
    start_client_frames,
    start_server_frames,
    starts_settings,
    stop_http2,
    stop_if_lost,
)
from trtop_core._multiplex cimport (
    count_crossed,
    decide_shape,
    is_preface,
    judge_client_shape,
    multiplex,
    needs_client,
    note_server_shape,
    settle_shape,
)
from trtop_core._records cimport counter_row_t
from trtop_core._responses cimport (
    add_bytes,
    add_time,
    answer_t,
    begin_response,
    end_of_response,
    fill_response,
    grow_response,
    is_withheld,
    note_window_of,
    server_start_of,
)
from trtop_core._sides cimport (
    TLS_HELD_FLOOR,
    TLS_HELD_SENT_AGAIN,
    TLS_HELD_WITHHELD,
    tls_t,
)
from trtop_core._state cimport State
from trtop_core._tls cimport (
    OFFER_NOT_H2,
    begin_records,
    is_lone_alert,
    read_record,
    record_t,
    record_type,
    ticket_len,
)
from trtop_core._tls_handshake cimport (
    begin_application_data,
    begin_handshake_turn,
    follow_client_handshake,
    note_handshake,
    opening_records_t,
    read_openings,
    starts_handshake,
    take_client_alert,
    take_server_record,
)
from trtop_core._waiting cimport ask_again
from trtop_core._walk cimport (
    TLS_CHANGE_CIPHER_SPEC,
    TLS_HANDSHAKE,
    TLS_HEADER_BYTES,
    header_t,
    lose,
    next_header,
    piece_t,
)

cdef enum:
    # How long after the first held segment another length may still be another ticket: so many
    # round trips and ns. Without a known round trip: TICKETS_UNKNOWN_NS.
    TICKETS_ROUND_TRIPS = 2
    TICKETS_EXTRA_NS = 5_000_000
    TICKETS_UNKNOWN_NS = 10_000_000

cdef inline tls_t* tls_of(State state, const connection_t* c) noexcept nogil:
    """The record of a connection's TLS handshake, or NULL."""
    if c.protocol & (P_SIDE | P_HTTP2) != P_SIDE:
        return NULL
    return &state.sides.tls[c.side - 1]

cdef inline bint is_alert(const segment_context_t* at) noexcept nogil:
    return is_lone_alert(at.payload, at.segment.payload_caplen, at.segment.payload_len)

# --- the client -----------------------------------------------------------------------------------

cdef inline void client_data(State state, segment_context_t* at) noexcept nogil:
    """The client sent something new."""
    cdef connection_t* c = at.c
    cdef uint32_t usual = c.protocol & (P_CLIENT_DATA | P_SIDE)
    if usual != P_CLIENT_DATA:
        special_client_data(state, at)
    elif c.turn.flags & (T_OPEN | T_ANSWERED) == T_OPEN:
        ask_again(&c.turn, at.segment.ts_ns, at.now_ns)
    else:
        client_run(state, at)

cdef inline void special_client_data(State state, segment_context_t* at) noexcept nogil:
    """New data of a client that sends for the first time, or of which more is followed."""
    cdef connection_t* c = at.c
    cdef tls_t* tls
    c.state &= ~<uint32_t>S_BANNER_POSSIBLE
    if not c.protocol & P_CLIENT_DATA:
        c.protocol |= P_CLIENT_DATA
        if recognise_preface(state, at) and not c.protocol & P_HTTP2:
            return
    if c.protocol & P_HTTP2:
        follow_frames(state, at, http2_of(state, c))
        stop_if_lost(state, c, at.row)
        return
    tls = tls_of(state, c)
    if tls != NULL and c.protocol & P_HELD and at.has_ack and at.acked >= tls.held_end:
        decide(state, c, at.row)
    if c.turn.flags & (T_OPEN | T_ANSWERED) != T_OPEN:
        client_run(state, at)
        return
    ask_again(&c.turn, at.segment.ts_ns, at.now_ns)
    if c.turn.flags & T_HANDSHAKE:
        follow_handshake(state, at)
    elif tls != NULL and needs_client(c, tls):
        judge_client(at, tls, NULL)

cdef inline void client_run(State state, segment_context_t* at) noexcept nogil:
    """A run of the client's begins."""
    cdef connection_t* c = at.c
    cdef piece_t head = new_bytes(at)
    cdef tls_t* tls
    if is_alert(at):
        end_response(state, c)
        c.turn.flags = 0
        if c.protocol & P_HELLO:
            take_client_alert(at)
        return
    if starts_handshake(c, &head):
        end_response(state, c)
        begin_turn(state, at, T_HANDSHAKE, at.taken.new_start)
        at.row.tls_turns += 1
        if not c.protocol & P_SIDE:
            c.side = state.sides.take_tls()
            if c.side:
                c.protocol |= P_SIDE
        tls = tls_of(state, c)
        if tls != NULL:
            begin_handshake_turn(tls, &head)
            follow_handshake(state, at)
        return
    count_crossed(at)
    end_response(state, c)
    tls = tls_of(state, c)
    if tls != NULL:
        lose(&tls.client)
    begin_request(state, at, at.taken.new_start, NULL)

cdef inline void follow_handshake(State state, segment_context_t* at) noexcept nogil:
    cdef connection_t* c = at.c
    cdef tls_t* tls = tls_of(state, c)
    cdef bint had_finished = (c.protocol & P_FINISHED) != 0
    cdef opening_records_t behind
    cdef int64_t app_start
    if tls == NULL:
        return
    app_start = follow_client_handshake(at, tls, &behind)
    if c.protocol & P_FINISHED and not had_finished:
        c.protocol |= P_SHAPE
        if c.protocol & P_TLS13:
            c.protocol |= P_TICKETS
    if app_start != FOREVER_NS and not is_alert(at):
        begin_request(state, at, app_start, &behind if behind.n >= 0 else NULL)

cdef inline void begin_request(
    State state, segment_context_t* at, int64_t asked_from, const opening_records_t* behind
) noexcept nogil:
    cdef connection_t* c = at.c
    cdef tls_t* tls = tls_of(state, c)
    if tls == NULL:
        c.protocol &= ~<uint32_t>P_MAY_HOLD
        begin_turn(state, at, 0, asked_from)
        if not c.protocol & P_MULTIPLEXED:
            c.turn.flags |= T_COUNTED
            at.row.requests += 1
        return
    begin_application_data(state, at, tls)
    begin_turn(state, at, 0, asked_from)
    c.protocol &= ~<uint32_t>P_MAY_HOLD
    if c.protocol & P_TICKETS:
        c.protocol = (c.protocol | P_MAY_HOLD) & ~<uint32_t>P_TICKETS
    if needs_client(c, tls):
        c.protocol |= P_SUSPENDED
        judge_client(at, tls, behind)
    elif not c.protocol & P_MULTIPLEXED:
        c.turn.flags |= T_COUNTED
        at.row.requests += 1

cdef inline void begin_turn(
    State state, segment_context_t* at, uint32_t kind, int64_t asked_from
) noexcept nogil:
    cdef connection_t* c = at.c
    cdef turn_t* turn = &c.turn
    c.protocol &= ~<uint32_t>P_HELD
    turn.flags = T_OPEN | kind
    if at.knows_peer:
        turn.flags |= T_KNOWS_SERVER
    if at.is_peer_raw:
        turn.flags |= T_RAW_SERVER
    turn.client_start = at.own_start
    turn.server_start = at.peer_start
    turn.asked_from = asked_from
    turn.asked_ns = at.segment.ts_ns
    turn.waits_since_ns = at.now_ns
    turn.n_bytes = 0
    turn.n_stalls = 0
    turn.stream_ns = 0

cdef inline void judge_client(
    segment_context_t* at, tls_t* tls, const opening_records_t* behind
) noexcept nogil:
    """Look at the first application records of the client."""
    cdef opening_records_t records
    records.n = 0
    if tls.offer != OFFER_NOT_H2:
        if behind != NULL:
            records = behind[0]
        else:
            read_openings(at, tls, &records)
    judge_client_shape(at.c, tls, &records, at.row)

cdef inline bint recognise_preface(State state, segment_context_t* at) noexcept nogil:
    """Whether the client speaks HTTP/2; then its frames are followed, if there is room."""
    cdef connection_t* c = at.c
    cdef piece_t head = new_bytes(at)
    if not is_preface(&head):
        if c.protocol & P_HTTP2:
            stop_http2(state, c, at.row)
        return False
    if not c.protocol & P_HTTP2 and not c.protocol & P_SERVER_END:
        begin_http2(state, c)
    multiplex(c, at.row)
    if c.protocol & P_HTTP2:
        start_client_frames(http2_of(state, c), at.taken.new_start)
        if at.has_ack:
            start_server_frames(http2_of(state, c), at.acked)
    return True

cdef inline void client_sent_again(
    State state, connection_t* c, int64_t start, int64_t end
) noexcept nogil:
    """The client repeated data."""
    if c.protocol & P_HTTP2:
        note_sent_again(state, c, start, end)
    if c.turn.flags & (T_OPEN | T_ANSWERED) == T_OPEN and end > c.turn.asked_from:
        c.turn.flags |= T_SENT_AGAIN

# --- the server -----------------------------------------------------------------------------------

cdef inline void server_data(State state, segment_context_t* at) noexcept nogil:
    """The server sent something new."""
    cdef connection_t* c = at.c
    if c.protocol & (P_CLIENT_DATA | P_SIDE) != P_CLIENT_DATA:
        special_server_data(state, at)
        return
    note_sent(c, at.taken.data_end)
    if not is_alert(at):
        take_response(state, at)

cdef inline void note_sent(connection_t* c, int64_t end) noexcept nogil:
    """Note how far data of the server reach, tickets apart."""
    if end > c.server_end or not c.protocol & P_SERVER_END:
        c.server_end = end
        c.protocol |= P_SERVER_END

cdef inline void special_server_data(State state, segment_context_t* at) noexcept nogil:
    """New data of a server before any of the client's, or of which more is followed."""
    cdef connection_t* c = at.c
    cdef piece_t head
    cdef tls_t* tls
    if not c.protocol & P_CLIENT_DATA and not c.protocol & P_SERVER_END:
        # It may turn out to be HTTP/2 when the client sends.
        head = new_bytes(at)
        if starts_settings(&head) and begin_http2(state, c):
            start_server_frames(http2_of(state, c), head.start)
    if c.protocol & P_HTTP2:
        follow_frames(state, at, http2_of(state, c))
        if c.protocol & P_CLIENT_DATA:
            stop_if_lost(state, c, at.row)
            return
    tls = tls_of(state, c)
    if tls != NULL:
        follow_server_records(at, tls)
        if is_ticket_before_request(at):
            take_response(state, at)
            return
    note_sent(c, at.taken.data_end)
    if not is_alert(at):
        take_response(state, at)

cdef inline void follow_server_records(segment_context_t* at, tls_t* tls) noexcept nogil:
    cdef connection_t* c = at.c
    cdef piece_t piece = new_bytes(at)
    cdef bint shows_shape = (
        c.protocol & (P_FINISHED | P_SHAPE) == P_FINISHED | P_SHAPE and not is_alert(at)
    )
    cdef int kind = record_type(piece.bytes, piece.caplen)
    cdef header_t header
    cdef record_t record
    if kind == TLS_CHANGE_CIPHER_SPEC or kind == TLS_HANDSHAKE:
        note_handshake(tls, at.segment.ts_ns)
    if not c.protocol & P_HELLO or c.protocol & (P_TLS_OVER | P_SHAPE) == P_TLS_OVER:
        lose(&tls.server)
        return
    begin_records(&tls.server, &piece)
    while next_header(&tls.server, &piece, TLS_HEADER_BYTES, &header):
        read_record(&header, &record)
        take_server_record(at, tls, &record)
        if shows_shape:
            note_server_shape(c, tls, &record)
    if shows_shape:
        decide_shape(c, tls, at.row)

cdef inline bint is_ticket_before_request(const segment_context_t* at) noexcept nogil:
    """Whether a segment may be a ticket that no run of the client's needs to acknowledge."""
    cdef connection_t* c = at.c
    if not c.protocol & P_TICKETS:
        if not c.protocol & P_MAY_HOLD or c.turn.flags & (T_OPEN | T_ANSWERED) != T_OPEN:
            return False
    return ticket_len(at.payload, at.segment.payload_caplen, at.segment.payload_len) != 0

cdef inline void take_response(State state, segment_context_t* at) noexcept nogil:
    """Data of the server that may belong to a turn."""
    cdef connection_t* c = at.c
    if not c.turn.flags & T_OPEN:
        if c.state & S_BANNER_POSSIBLE:
            at.row.banners += 1
            c.state &= ~<uint32_t>S_BANNER_POSSIBLE
    elif not c.turn.flags & T_ANSWERED:
        answer(state, at)
    elif not c.turn.flags & T_HANDSHAKE:
        grow_response(state, c, &c.turn, at.segment.ts_ns, at.taken.n_bytes, at.row)

cdef inline void server_filled(State state, segment_context_t* at) noexcept nogil:
    """Data of the server that fills a hole and holds nothing new."""
    cdef connection_t* c = at.c
    cdef turn_t* turn = &c.turn
    cdef bint is_of_turn
    if not turn.flags & T_OPEN or c.protocol & P_HTTP2:
        return
    is_of_turn = (
        not turn.flags & T_KNOWS_SERVER or at.taken.filled_to > server_start_of(c, turn)
    )
    if not turn.flags & T_ANSWERED:
        if is_of_turn and not is_alert(at):
            answer(state, at)
    elif not turn.flags & T_HANDSHAKE:
        fill_response(c, turn, at.segment.ts_ns, at.taken.n_bytes, is_of_turn, at.row)

cdef inline void answer(State state, segment_context_t* at) noexcept nogil:
    """The first data of the server since the client's run, tickets apart."""
    cdef connection_t* c = at.c
    cdef turn_t* turn = &c.turn
    cdef piece_t head
    cdef int kind
    cdef answer_t first
    if turn.flags & T_HANDSHAKE:
        turn.flags |= T_ANSWERED
        return
    if c.protocol & P_FINISHED:
        head = new_bytes(at)
        kind = record_type(head.bytes, head.caplen)
        if kind == TLS_CHANGE_CIPHER_SPEC or kind == TLS_HANDSHAKE:
            return
    if c.protocol & P_MAY_HOLD and hold(state, at):
        return
    if c.protocol & P_HELD:
        forget_held(c)
    if c.protocol & P_SUSPENDED:
        settle_shape(c, tls_of(state, c), at.row)
    leave_past(turn)
    answer_now(state, at, &first)
    begin_response(state, c, turn, &first, at.row)
    grow_response(state, c, turn, at.segment.ts_ns, at.taken.n_bytes, at.row)
    note_sent(c, at.taken.data_end)

cdef inline void answer_now(
    State state, const segment_context_t* at, answer_t* first
) noexcept nogil:
    """What is known when a segment may be the first of a response."""
    cdef const turn_t* turn = &at.c.turn
    first.ts_ns = at.segment.ts_ns
    first.floor_ns = at.floor_ns
    first.has_floor = at.has_floor
    first.is_withheld = is_withheld(state, at.c, turn, at.taken.start)
    first.was_sent_again = (turn.flags & T_SENT_AGAIN) != 0

# --- session tickets ------------------------------------------------------------------------------

cdef inline bint hold(State state, segment_context_t* at) noexcept nogil:
    """Hold a segment that may be a ticket; tell whether it is held.

    It errs to the late side for a server that sends no tickets and whose small first record travels
    alone.
    """
    cdef connection_t* c = at.c
    cdef turn_t* turn = &c.turn
    cdef tls_t* tls = tls_of(state, c)
    cdef uint32_t length = ticket_len(
        at.payload, at.segment.payload_caplen, at.segment.payload_len
    )
    cdef answer_t first
    cdef int64_t limit_ns = TICKETS_UNKNOWN_NS
    if length == 0 or tls == NULL:
        return False
    if not c.protocol & P_HELD:
        answer_now(state, at, &first)
        c.protocol |= P_HELD
        tls.held_len = length
        tls.held_ns = turn.first_ns = turn.last_ns = first.ts_ns
        tls.held_floor_ns = first.floor_ns
        tls.held_end = at.taken.data_end
        tls.flags &= ~<uint32_t>(TLS_HELD_WITHHELD | TLS_HELD_SENT_AGAIN | TLS_HELD_FLOOR)
        if first.is_withheld:
            tls.flags |= TLS_HELD_WITHHELD
        if first.was_sent_again:
            tls.flags |= TLS_HELD_SENT_AGAIN
        if first.has_floor:
            tls.flags |= TLS_HELD_FLOOR
    else:
        if at.has_floor:
            limit_ns = TICKETS_ROUND_TRIPS * at.floor_ns + TICKETS_EXTRA_NS
        if length != tls.held_len and at.segment.ts_ns - tls.held_ns > limit_ns:
            return False
        tls.held_end = max(tls.held_end, at.taken.data_end)
    # As if the response had begun; nothing is counted yet.
    leave_past(turn)
    turn.n_bytes += <uint64_t>at.taken.n_bytes
    add_time(state, c, turn, at.segment.ts_ns, at.row)
    turn.last_ns = at.segment.ts_ns
    note_window_of(c, turn)
    return True

cdef inline void forget_held(connection_t* c) noexcept nogil:
    """What was held were tickets."""
    c.protocol &= ~<uint32_t>P_HELD
    c.turn.n_bytes = 0
    c.turn.n_stalls = 0
    c.turn.stream_ns = 0

cdef inline void decide(State state, connection_t* c, counter_row_t* row) noexcept nogil:
    """Nothing more will tell tickets from a response, or HTTP/2 from one request."""
    cdef turn_t* turn = &c.turn
    cdef tls_t* tls = tls_of(state, c)
    cdef int64_t last_ns = turn.last_ns
    cdef answer_t first
    if tls == NULL:
        return
    settle_shape(c, tls, row)
    if not c.protocol & P_HELD:
        return
    c.protocol &= ~<uint32_t>P_HELD
    if turn.flags & (T_OPEN | T_ANSWERED) != T_OPEN:
        return
    # The held one's, unless that measures nothing.
    first.ts_ns = turn.first_ns
    first.floor_ns = tls.held_floor_ns
    first.has_floor = (tls.flags & TLS_HELD_FLOOR) != 0
    first.is_withheld = (tls.flags & TLS_HELD_WITHHELD) != 0
    first.was_sent_again = (tls.flags & TLS_HELD_SENT_AGAIN) != 0
    begin_response(state, c, turn, &first, row)
    turn.last_ns = last_ns
    if turn.flags & T_COUNTED:
        add_bytes(turn, 0, row)
    note_sent(c, tls.held_end)

# --- ending ---------------------------------------------------------------------------------------

cdef inline void end_response(State state, connection_t* c) noexcept nogil:
    """Sample the time to the last byte: at the client's next data, the server's FIN, or closing."""
    end_of_response(state, c, &c.turn)
    if c.protocol & P_HTTP2:
        end_streams(state, c)

cdef inline void tend_side(State state, connection_t* c) noexcept nogil:
    """Give a TLS handshake's record back when nothing depends on it any more."""
    if c.protocol & (P_SIDE | P_HTTP2) != P_SIDE:
        return
    if c.protocol & (P_SHAPE | P_TICKETS | P_HELD):
        return
    if c.protocol & (P_HELLO | P_TLS_OVER) == P_HELLO or c.turn.flags & T_HANDSHAKE:
        return
    if c.protocol & P_MAY_HOLD and c.turn.flags & (T_OPEN | T_ANSWERED) == T_OPEN:
        return
    state.sides.give_tls(c.side)
    c.side = 0
    c.protocol &= ~<uint32_t>P_SIDE

cdef inline void drop_side(State state, connection_t* c, counter_row_t* row) noexcept nogil:
    """Forget what is kept of a connection in the side pools."""
    if c.protocol & P_HTTP2:
        stop_http2(state, c, row)
    elif c.protocol & P_SIDE:
        state.sides.give_tls(c.side)
        c.side = 0
        c.protocol &= ~<uint32_t>P_SIDE

cdef inline void forget_turns(State state, connection_t* c, counter_row_t* row) noexcept nogil:
    """Start over, as when client and server turn out to be the other way round."""
    drop_side(state, c, row)
    c.turn.flags = 0
    c.protocol = 0
    c.n_responses = 0
    c.state &= ~<uint32_t>(S_BANNER_POSSIBLE | S_WINDOW_IS_ZERO)

cdef inline void note_closed_window(State state, connection_t* c) noexcept nogil:
    """The client advertises window 0: until the next data, a pause is no stall."""
    c.state |= S_WINDOW_IS_ZERO
    c.turn.flags |= T_WINDOW_WAS_ZERO
    if c.protocol & P_HTTP2:
        close_window(state, c)
