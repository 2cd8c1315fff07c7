# Requests: the client's runs of new data, in the order of arrival.
#
# Never sees retransmitted, reordered or keep-alive bytes but through `client_sent_again`. What only
# some connections need (TLS handshakes, HTTP/2 in clear) has a record in a side pool; without one,
# `client_run` takes the short way.

from libc.stdint cimport int64_t, uint32_t

from trtop_core._clock cimport FOREVER_NS
from trtop_core._connection cimport (
    P_CLIENT_DATA,
    P_FINISHED,
    P_HELD,
    P_HELLO,
    P_HTTP2,
    P_MAY_HOLD,
    P_MULTIPLEXED,
    P_SERVER_END,
    P_SHAPE,
    P_SIDE,
    P_SUSPENDED,
    P_TICKETS,
    P_TLS13,
    P_UNCONFIRMED,
    S_BANNER_POSSIBLE,
    T_ANSWERED,
    T_COUNTED,
    T_HANDSHAKE,
    T_OPEN,
    T_SENT_AGAIN,
    connection_t,
)
from trtop_core._context cimport new_bytes, segment_context_t
from trtop_core._http2 cimport (
    begin_http2,
    follow_frames,
    http2_of,
    note_sent_again,
    start_client_frames,
    start_server_frames,
    stop_http2,
    stop_if_lost,
)
from trtop_core._multiplex cimport (
    MIN_SEGMENT_BYTES,
    confirm,
    count_crossed,
    is_crossed,
    is_preface,
    judge_client_shape,
    multiplex,
    needs_client,
)
from trtop_core._sides cimport SHAPE_CLIENT_ACK, TLS_HELD_SHORT, tls_t
from trtop_core._state cimport State
from trtop_core._tickets cimport decide
from trtop_core._tls cimport OFFER_NOT_H2
from trtop_core._tls_handshake cimport (
    begin_application_data,
    begin_handshake_turn,
    follow_client_handshake,
    opening_records_t,
    read_openings,
    starts_handshake,
    take_client_alert,
)
from trtop_core._turns cimport begin_turn, end_response, is_alert, tls_of
from trtop_core._waiting cimport ask_again
from trtop_core._walk cimport lose, piece_t

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
        if tls.flags & TLS_HELD_SHORT:
            # What was held before it may be tickets: no part of the response.
            c.turn.n_bytes = 1
    if tls != NULL and c.protocol & P_UNCONFIRMED:
        confirm(at, tls, SHAPE_CLIENT_ACK)
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
        c.turn.n_bytes = 0
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
    if is_crossed(at):
        count_crossed(c, at.row)
        # What crosses it the other way tells nothing more.
        c.turn.n_bytes = MIN_SEGMENT_BYTES
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
