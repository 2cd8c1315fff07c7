# Connections on which both sides talk at once, so that alternation measures nothing.
#
# Takes what client runs acknowledge, and the lengths of the first TLS records; tells whether the
# connection is multiplexed. Under TLS an HTTP/2 opening is known by its shape alone: preface and
# SETTINGS of the client, SETTINGS of the server (RFC 9113 §3.4, §6.5).

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcmp

from trtop_core._connection cimport (
    P_CROSSED,
    P_HTTP2,
    P_MULTIPLEXED,
    P_SERVER_END,
    P_SHAPE,
    P_SUSPENDED,
    P_TLS13,
    P_UNCONFIRMED,
    T_COUNTED,
    T_MAY_BE_CROSSED,
    T_OPEN,
    connection_t,
    turn_t,
)
from trtop_core._context cimport new_bytes, segment_context_t
from trtop_core._records cimport counter_row_t
from trtop_core._sides cimport (
    SHAPE_CLIENT_ACK,
    SHAPE_EARLY,
    SHAPE_MORE,
    SHAPE_PREFACE,
    SHAPE_SERVER,
    SHAPE_SERVER_ACK,
    SHAPE_SETTINGS,
    SHAPE_TICKETS,
    tls_t,
)
from trtop_core._tls cimport (
    MAX_TICKET_BYTES,
    MIN_TICKET_BYTES,
    OFFER_H2,
    length_at,
    record_t,
    record_type,
)
from trtop_core._tls_handshake cimport opening_records_t
from trtop_core._walk cimport TLS_APPLICATION_DATA, TLS_HEADER_BYTES, piece_t

cdef enum:
    # Every host takes segments of so many bytes (RFC 9293 §3.7.1): shorter ones are no part of a
    # burst.
    MIN_SEGMENT_BYTES = 536

cdef enum:
    PREFACE_BYTES = 24
    PREFACE_KNOWN_BYTES = 14     # PRI * HTTP/2.0
    FRAME_BYTES = 9              # of SETTINGS without any, or its acknowledgement
    SETTING_BYTES = 6
    MAX_SETTINGS = 10
    WINDOW_UPDATE_BYTES = 13
    # What a record adds to its content: tag and content type, or nonce and tag (AES-GCM).
    TLS13_OVERHEAD_BYTES = 17
    TLS12_OVERHEAD_BYTES = 24

cdef inline bint is_preface(const piece_t* head) noexcept nogil:
    return (
        head.caplen >= PREFACE_KNOWN_BYTES
        and memcmp(head.bytes, b"PRI * HTTP/2.0", PREFACE_KNOWN_BYTES) == 0
    )

cdef inline void multiplex(connection_t* c, counter_row_t* row) noexcept nogil:
    """From now on nothing of the connection counts, but for what frames tell."""
    if c.protocol & P_MULTIPLEXED:
        return
    c.protocol |= P_MULTIPLEXED
    row.multiplexed += 1
    row.multiplexed_unfollowed += not c.protocol & P_HTTP2
    c.turn.flags &= ~<uint32_t>T_COUNTED

cdef inline bint is_crossed(const segment_context_t* at) noexcept nogil:
    """Whether a run's first segment does not acknowledge all that the server had sent."""
    return at.c.protocol & P_SERVER_END and not (at.has_ack and at.acked >= at.c.server_end)

cdef inline uint32_t may_be_crossed_behind(const turn_t* turn) noexcept nogil:
    """T_MAY_BE_CROSSED for the turn behind this one, or 0.

    A longer response may have been under way yet when the next run was sent; a greeting answers
    nothing, and tickets neither.
    """
    cdef bint is_message = turn.n_bytes - 1 < MIN_SEGMENT_BYTES - 1     # unsigned: not 0
    return is_message * <uint32_t>T_MAY_BE_CROSSED

cdef inline bint crosses(const segment_context_t* at, bint is_withheld) noexcept nogil:
    """Whether data, a message of their own, were sent before the server had any of the run.

    What the client has acknowledged was captured late: it arrived before the run was sent.
    """
    # First what an answer fails.
    return (
        at.acked <= at.c.turn.asked_from
        and at.c.turn.flags & T_MAY_BE_CROSSED
        and at.segment.payload_len < MIN_SEGMENT_BYTES
        and at.taken.new_start >= at.c.server.acked
        and not is_withheld
    )

cdef inline void count_crossed(connection_t* c, counter_row_t* row) noexcept nogil:
    """A run crossed data of the server on their way: neither answers the other."""
    if c.protocol & P_CROSSED:
        multiplex(c, row)
    c.protocol |= P_CROSSED

cdef inline int64_t content_len(const connection_t* c, int64_t length) noexcept nogil:
    return length - (TLS13_OVERHEAD_BYTES if c.protocol & P_TLS13 else TLS12_OVERHEAD_BYTES)

cdef inline bint is_settings(int64_t length) noexcept nogil:
    """Whether so many bytes are SETTINGS, with a WINDOW_UPDATE or without."""
    return is_bare_settings(length) or is_bare_settings(length - WINDOW_UPDATE_BYTES)

cdef inline bint is_bare_settings(int64_t length) noexcept nogil:
    cdef int64_t n_bytes = length - FRAME_BYTES
    return 0 <= n_bytes <= MAX_SETTINGS * SETTING_BYTES and n_bytes % SETTING_BYTES == 0

cdef inline bint needs_client(const connection_t* c, const tls_t* tls) noexcept nogil:
    return c.protocol & P_SHAPE and not tls.flags & SHAPE_SETTINGS

cdef inline void judge_client_shape(
    connection_t* c, tls_t* tls, const opening_records_t* records, counter_row_t* row
) noexcept nogil:
    """Judge the client's first and, behind a bare preface, second application record."""
    cdef int at = 0
    cdef int64_t length
    if records.n == 0 and not tls.flags & SHAPE_PREFACE:
        settle_shape_as(c, False, row)
        return
    if records.n == 0:
        decide_shape(c, tls, row)
        return
    length = opening_len(c, records, 0)
    if not tls.flags & SHAPE_PREFACE:
        tls.flags |= SHAPE_PREFACE
        if length == PREFACE_BYTES:
            at = 1
        else:
            length -= PREFACE_BYTES
            # More frames behind the SETTINGS: the server must confirm them, or send its own early.
            if not is_settings(length) and length > FRAME_BYTES:
                tls.flags |= SHAPE_MORE
    if at < records.n:
        if at:
            length = opening_len(c, records, at)
        if not tls.flags & SHAPE_MORE and not is_settings(length):
            settle_shape_as(c, False, row)
            return
        tls.flags |= SHAPE_SETTINGS
    decide_shape(c, tls, row)

cdef inline int64_t opening_len(
    const connection_t* c, const opening_records_t* records, int at
) noexcept nogil:
    return -1 if records.lengths[at] < 0 else content_len(c, records.lengths[at])

cdef inline void note_server_shape(
    const segment_context_t* at, tls_t* tls, const record_t* record
) noexcept nogil:
    """Look for the server's first application record that is no ticket."""
    cdef const connection_t* c = at.c
    cdef bint may_be_ticket
    if tls.flags & SHAPE_SERVER or record.kind != TLS_APPLICATION_DATA:
        return
    may_be_ticket = (
        c.protocol & P_TLS13 and MIN_TICKET_BYTES <= record.length <= MAX_TICKET_BYTES
    )
    if not tls.flags & SHAPE_TICKETS and may_be_ticket:
        tls.flags |= SHAPE_TICKETS
        tls.shape_ticket_len = record.length
    elif not tls.flags & SHAPE_TICKETS or record.length != tls.shape_ticket_len:
        tls.flags |= SHAPE_SERVER
        tls.shape_server_len = record.length
        if not c.protocol & P_SUSPENDED or (at.has_ack and at.acked <= c.turn.asked_from):
            tls.flags |= SHAPE_EARLY

cdef inline bint has_http2_shape(const connection_t* c, const tls_t* tls) noexcept nogil:
    cdef int64_t length = content_len(c, tls.shape_server_len)
    if is_settings(length - FRAME_BYTES):
        return True
    if tls.flags & (SHAPE_MORE | SHAPE_EARLY) == SHAPE_MORE:
        return False
    return is_settings(length)

cdef inline void decide_shape(connection_t* c, tls_t* tls, counter_row_t* row) noexcept nogil:
    """Decide, if both sides have told enough."""
    cdef uint32_t told = SHAPE_SETTINGS | SHAPE_SERVER
    cdef bint is_http2
    if not c.protocol & P_SHAPE or tls.flags & told != told:
        return
    is_http2 = has_http2_shape(c, tls)
    if not is_http2 and tls.offer == OFFER_H2:
        if is_settings(content_len(c, tls.shape_server_len)):
            c.protocol |= P_UNCONFIRMED
    settle_shape_as(c, is_http2, row)

cdef inline bint is_settings_ack(const segment_context_t* at) noexcept nogil:
    """Whether a segment is one record as long as an acknowledgement of SETTINGS."""
    cdef piece_t piece = new_bytes(at)
    cdef uint32_t length
    if piece.caplen < TLS_HEADER_BYTES:
        return False
    if record_type(piece.bytes, piece.caplen) != TLS_APPLICATION_DATA:
        return False
    length = length_at(piece.bytes)
    return (
        content_len(at.c, length) == FRAME_BYTES
        and piece.end - piece.start == TLS_HEADER_BYTES + <int64_t>length
    )

cdef inline void confirm(segment_context_t* at, tls_t* tls, uint32_t by) noexcept nogil:
    """Look at the first segment of a side behind the server's SETTINGS.

    The acknowledgements of both sides are HTTP/2: HTTP/1.1 has no request as short as the client's.
    """
    cdef connection_t* c = at.c
    cdef uint32_t both = SHAPE_CLIENT_ACK | SHAPE_SERVER_ACK
    if tls.flags & by:
        return
    if not is_settings_ack(at):
        c.protocol &= ~<uint32_t>P_UNCONFIRMED
        return
    tls.flags |= by
    if tls.flags & both == both:
        c.protocol &= ~<uint32_t>P_UNCONFIRMED
        multiplex(c, at.row)

cdef inline void settle_shape(connection_t* c, tls_t* tls, counter_row_t* row) noexcept nogil:
    """Decide about a request that waits for it: nothing more will tell."""
    if c.protocol & (P_SUSPENDED | P_SHAPE) != P_SUSPENDED | P_SHAPE:
        return
    if not tls.flags & SHAPE_SERVER and tls.flags & SHAPE_TICKETS:
        # The server's leading records were no tickets.
        tls.flags |= SHAPE_SERVER
        tls.shape_server_len = tls.shape_ticket_len
    decide_shape(c, tls, row)
    if c.protocol & P_SHAPE:
        settle_shape_as(c, False, row)

cdef inline void settle_shape_as(connection_t* c, bint is_http2, counter_row_t* row) noexcept nogil:
    """Count the first request behind a handshake, or take the connection for HTTP/2."""
    cdef bint was_suspended = (c.protocol & P_SUSPENDED) != 0
    c.protocol &= ~<uint32_t>(P_SHAPE | P_SUSPENDED)
    if is_http2:
        multiplex(c, row)
    elif was_suspended and c.turn.flags & T_OPEN and not c.protocol & P_MULTIPLEXED:
        c.turn.flags |= T_COUNTED
        row.requests += 1
