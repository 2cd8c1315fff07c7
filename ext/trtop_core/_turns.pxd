# A turn of one connection: the client's run and the server's that answers it, as far as
# alternation tells.
#
# What begins and ends one, and what is kept of it beside the connection. The client's data count in
# `_client_turns`, the server's in `_server_turns`, session tickets are told apart in `_tickets`.

from libc.stdint cimport int64_t, uint32_t

from trtop_core._connection cimport (
    P_HELD,
    P_HELLO,
    P_HTTP2,
    P_MAY_HOLD,
    P_SERVER_END,
    P_SHAPE,
    P_SIDE,
    P_TICKETS,
    P_TLS_OVER,
    P_UNCONFIRMED,
    S_BANNER_POSSIBLE,
    S_WINDOW_IS_ZERO,
    T_ANSWERED,
    T_HANDSHAKE,
    T_KNOWS_SERVER,
    T_OPEN,
    T_RAW_SERVER,
    T_WINDOW_WAS_ZERO,
    connection_t,
    turn_t,
)
from trtop_core._context cimport segment_context_t
from trtop_core._http2 cimport close_window, end_streams, stop_http2
from trtop_core._multiplex cimport may_be_crossed_behind
from trtop_core._records cimport counter_row_t
from trtop_core._responses cimport end_of_response
from trtop_core._sides cimport tls_t
from trtop_core._state cimport State
from trtop_core._tls cimport is_lone_alert

cdef inline tls_t* tls_of(State state, const connection_t* c) noexcept nogil:
    """The record of a connection's TLS handshake, or NULL."""
    if c.protocol & (P_SIDE | P_HTTP2) != P_SIDE:
        return NULL
    return &state.sides.tls[c.side - 1]

cdef inline bint is_alert(const segment_context_t* at) noexcept nogil:
    return is_lone_alert(at.payload, at.segment.payload_caplen, at.segment.payload_len)

cdef inline void begin_turn(
    State state, segment_context_t* at, uint32_t kind, int64_t asked_from
) noexcept nogil:
    cdef connection_t* c = at.c
    cdef turn_t* turn = &c.turn
    c.protocol &= ~<uint32_t>P_HELD
    turn.flags = T_OPEN | kind | may_be_crossed_behind(turn)
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

cdef inline void note_sent(connection_t* c, int64_t end) noexcept nogil:
    """Note how far data of the server reach, tickets apart."""
    if end > c.server_end or not c.protocol & P_SERVER_END:
        c.server_end = end
        c.protocol |= P_SERVER_END

cdef inline void end_response(State state, connection_t* c) noexcept nogil:
    """Sample the time to the last byte: at the client's next data, the server's FIN, or closing."""
    end_of_response(state, c, &c.turn)
    if c.protocol & P_HTTP2:
        end_streams(state, c)

cdef inline void tend_side(State state, connection_t* c) noexcept nogil:
    """Give a TLS handshake's record back when nothing depends on it any more."""
    if c.protocol & (P_SIDE | P_HTTP2) != P_SIDE:
        return
    if c.protocol & (P_SHAPE | P_TICKETS | P_HELD | P_UNCONFIRMED):
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
    c.turn.n_bytes = 0
    c.protocol = 0
    c.n_responses = 0
    c.state &= ~<uint32_t>(S_BANNER_POSSIBLE | S_WINDOW_IS_ZERO)

cdef inline void note_closed_window(State state, connection_t* c) noexcept nogil:
    """The client advertises window 0: until the next data, a pause is no stall."""
    c.state |= S_WINDOW_IS_ZERO
    c.turn.flags |= T_WINDOW_WAS_ZERO
    if c.protocol & P_HTTP2:
        close_window(state, c)
