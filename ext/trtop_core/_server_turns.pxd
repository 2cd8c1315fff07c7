# Responses: the server's new data and what of its data fills a hole, in the order of arrival.
#
# Never sees retransmitted or keep-alive bytes. What only some connections need (TLS handshakes,
# HTTP/2 in clear) has a record in a side pool; without one, `answer` takes the short way.

from libc.stdint cimport uint8_t, uint32_t

from trtop_core._connection cimport (
    P_CLIENT_DATA,
    P_FINISHED,
    P_HELD,
    P_HELLO,
    P_HTTP2,
    P_MAY_HOLD,
    P_SERVER_END,
    P_SHAPE,
    P_SIDE,
    P_SUSPENDED,
    P_TICKETS,
    P_TLS_OVER,
    P_UNCONFIRMED,
    S_BANNER_POSSIBLE,
    T_ANSWERED,
    T_HANDSHAKE,
    T_KNOWS_SERVER,
    T_MAY_BE_CROSSED,
    T_OPEN,
    connection_t,
    leave_past,
    turn_t,
)
from trtop_core._context cimport new_bytes, segment_context_t
from trtop_core._http2 cimport (
    begin_http2,
    follow_frames,
    http2_of,
    start_server_frames,
    starts_settings,
    stop_if_lost,
)
from trtop_core._multiplex cimport (
    confirm,
    count_crossed,
    crosses,
    decide_shape,
    note_server_shape,
    settle_shape,
)
from trtop_core._records cimport counter_row_t, segment_t
from trtop_core._responses cimport (
    answer_t,
    begin_response,
    fill_response,
    grow_by_first,
    grow_response,
    server_start_of,
)
from trtop_core._sides cimport SHAPE_SERVER_ACK, tls_t
from trtop_core._state cimport State
from trtop_core._tickets cimport answer_now, forget_held, hold
from trtop_core._tls cimport (
    begin_records,
    is_lone_alert,
    read_record,
    record_t,
    record_type,
    ticket_len,
)
from trtop_core._tls_handshake cimport note_handshake, take_server_record
from trtop_core._turns cimport is_alert, note_sent, tls_of
from trtop_core._walk cimport (
    TLS_CHANGE_CIPHER_SPEC,
    TLS_HANDSHAKE,
    TLS_HEADER_BYTES,
    header_t,
    lose,
    next_header,
    piece_t,
)

cdef inline void server_data(State state, segment_context_t* at) noexcept nogil:
    """The server sent something new."""
    cdef connection_t* c = at.c
    if c.protocol & (P_CLIENT_DATA | P_SIDE) != P_CLIENT_DATA:
        special_server_data(state, at)
        return
    note_sent(c, at.taken.data_end)
    if not is_alert(at):
        take_response(state, at)

# Whether data of the server can only make a response longer: most data of most captures do.
cdef inline bint grows_response(
    const connection_t* c, const segment_t* segment, const uint8_t* payload
) noexcept nogil:
    return (
        c.protocol & (P_CLIENT_DATA | P_SIDE) == P_CLIENT_DATA
        and c.turn.flags & (T_OPEN | T_ANSWERED | T_HANDSHAKE) == T_OPEN | T_ANSWERED
        and not is_lone_alert(payload, segment.payload_caplen, segment.payload_len)
    )

# What `server_data` does then.
cdef inline void grow_steady(
    State state, connection_t* c, const segment_t* segment, counter_row_t* row
) noexcept nogil:
    note_sent(c, c.server.reached)
    grow_response(state, c, &c.turn, segment.ts_ns, segment.payload_len, row)

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
        if c.protocol & P_UNCONFIRMED:
            confirm(at, tls, SHAPE_SERVER_ACK)
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
            note_server_shape(at, tls, &record)
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
            # Late data tell nothing by what they acknowledge.
            turn.flags &= ~<uint32_t>T_MAY_BE_CROSSED
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
    if crosses(at, first.is_withheld):
        count_crossed(c, at.row)
    begin_response(state, c, turn, &first, at.row)
    grow_by_first(c, turn, at.taken.n_bytes, at.row)
    note_sent(c, at.taken.data_end)
