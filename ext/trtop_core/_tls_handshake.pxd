# The TLS handshake of one connection: where it ends, how long it takes, whether it fails.
#
# Takes the new data of both sides in the order of arrival; counts `tls_hellos`, `tls_failed` and
# samples `tls_latency`. Knows types and lengths only: a Finished of TLS 1.3 is an application
# record of a length that hardly anything else has (RFC 8446 §4.4.4, §5.2).

from libc.stdint cimport int64_t, uint8_t, uint32_t

from trtop_core._clock cimport FOREVER_NS, NO_TIME_NS
from trtop_core._connection cimport (
    D_SEEN,
    P_FINISHED,
    P_HELLO,
    P_TLS13,
    P_TLS_FAILED,
    P_TLS_OVER,
    connection_t,
)
from trtop_core._context cimport new_bytes, segment_context_t
from trtop_core._latency cimport sample_latency
from trtop_core._records cimport TLS_LATENCY, counter_row_t
from trtop_core._sides cimport (
    TLS_HAS_END,
    TLS_HELLO_OPEN,
    TLS_MAY_FINISH,
    TLS_OTHERS_STOOD,
    TLS_PAST,
    tls_t,
)
from trtop_core._state cimport State
from trtop_core._tls cimport (
    PLAIN_ALERT_BYTES,
    TLS13_ALERT_BYTES,
    TLS13_END_OF_EARLY_DATA_BYTES,
    begin_records,
    ends_connection,
    is_client_hello,
    is_finished_length,
    length_at,
    offered,
    read_record,
    record_t,
    record_type,
    starts_client_hello,
)
from trtop_core._walk cimport (
    TLS_ALERT,
    TLS_APPLICATION_DATA,
    TLS_CHANGE_CIPHER_SPEC,
    TLS_HANDSHAKE,
    TLS_HEADER_BYTES,
    header_t,
    lose,
    next_header,
    piece_t,
    walk_t,
)

# The first two application records of a client's segment: lengths, or -1 of other records.
cdef struct opening_records_t:
    int n
    int64_t lengths[2]

cdef inline bint starts_handshake(const connection_t* c, const piece_t* head) noexcept nogil:
    """Whether a client run that begins so is a turn of the handshake."""
    cdef int kind = record_type(head.bytes, head.caplen)
    if kind == 0:
        return False
    return kind != TLS_APPLICATION_DATA or starts_finished(c, head)

cdef inline bint starts_finished(const connection_t* c, const piece_t* head) noexcept nogil:
    """Whether bytes start with a Finished of TLS 1.3, maybe behind EndOfEarlyData."""
    cdef uint32_t length, at
    if c.protocol & (P_HELLO | P_FINISHED | P_TLS_OVER) != P_HELLO:
        return False
    if head.caplen < TLS_HEADER_BYTES:
        return False
    length = length_at(head.bytes)
    if length == TLS13_END_OF_EARLY_DATA_BYTES:
        at = TLS_HEADER_BYTES + length
        if at + TLS_HEADER_BYTES > head.caplen:
            return True
        length = length_at(head.bytes + at)
    return is_finished_length(length)

cdef inline void begin_handshake_turn(tls_t* tls, const piece_t* head) noexcept nogil:
    lose(&tls.client)
    tls.flags &= ~<uint32_t>(TLS_HAS_END | TLS_MAY_FINISH | TLS_OTHERS_STOOD)
    if record_type(head.bytes, head.caplen) == TLS_APPLICATION_DATA:
        tls.flags |= TLS_MAY_FINISH

cdef inline void note_handshake(tls_t* tls, int64_t ts_ns) noexcept nogil:
    """A segment is of the handshake, the last one so far."""
    if tls.flags & TLS_PAST:
        tls.flags &= ~<uint32_t>TLS_PAST
        tls.hello_ns = NO_TIME_NS
    tls.last_ns = ts_ns

cdef inline int64_t follow_client_handshake(
    segment_context_t* at, tls_t* tls, opening_records_t* behind
) noexcept nogil:
    """Follow a handshake turn; give where application data begins, or FOREVER_NS.

    Args:
        behind: OUT records of this segment behind the Finished, if it ends in this segment.
    """
    cdef piece_t piece = new_bytes(at)
    cdef header_t header
    cdef record_t record
    if not tls.flags & TLS_HAS_END or piece.start < tls.finished_end:
        note_handshake(tls, at.segment.ts_ns)
    behind.n = -1
    if not tls.flags & TLS_HAS_END:
        behind.n = 0
        begin_records(&tls.client, &piece)
        while next_header(&tls.client, &piece, TLS_HEADER_BYTES, &header):
            read_record(&header, &record)
            if tls.flags & TLS_HAS_END:
                note_opening(behind, &record)
            else:
                take_client_record(at, tls, &record, header.end)
    if not tls.flags & TLS_HAS_END or piece.end <= tls.finished_end:
        return FOREVER_NS
    return max(piece.start, tls.finished_end)

cdef inline void note_opening(opening_records_t* records, const record_t* record) noexcept nogil:
    if records.n < 2:
        records.lengths[records.n] = (
            <int64_t>record.length if record.kind == TLS_APPLICATION_DATA else -1
        )
        records.n += 1

cdef inline void read_openings(
    const segment_context_t* at, tls_t* tls, opening_records_t* records
) noexcept nogil:
    """The client's records in a segment of application data."""
    cdef piece_t piece = new_bytes(at)
    cdef header_t header
    cdef record_t record
    records.n = 0
    begin_records(&tls.client, &piece)
    while next_header(&tls.client, &piece, TLS_HEADER_BYTES, &header):
        read_record(&header, &record)
        note_opening(records, &record)

cdef inline void take_client_record(
    segment_context_t* at, tls_t* tls, const record_t* record, int64_t end
) noexcept nogil:
    cdef connection_t* c = at.c
    cdef bint may_finish = (tls.flags & TLS_MAY_FINISH) != 0
    if record.kind == TLS_CHANGE_CIPHER_SPEC:
        tls.flags |= TLS_MAY_FINISH
    elif record.kind == TLS_ALERT:
        if ends_connection(record):
            fail_unfinished(c, True, at.row)
    elif record.kind == TLS_HANDSHAKE:
        if starts_client_hello(record) and not c.protocol & P_HELLO:
            c.protocol |= P_HELLO
            at.row.tls_hellos += 1
            tls.flags |= TLS_HELLO_OPEN
            tls.hello_ns = at.segment.ts_ns
            tls.offer = offered(record)
        elif may_finish and not is_client_hello(record):
            finish_handshake(c, tls, end, False)
        else:
            tls.flags |= TLS_OTHERS_STOOD
    elif may_finish and is_finished_length(record.length):
        finish_handshake(c, tls, end, True)
    elif may_finish and record.length == TLS13_ALERT_BYTES:
        fail_unfinished(c, True, at.row)
    elif record.length != TLS13_END_OF_EARLY_DATA_BYTES:
        tls.flags |= TLS_OTHERS_STOOD

cdef inline void finish_handshake(
    connection_t* c, tls_t* tls, int64_t end, bint is_13
) noexcept nogil:
    c.protocol |= P_FINISHED
    if is_13:
        c.protocol |= P_TLS13
    else:
        c.protocol &= ~<uint32_t>P_TLS13
    tls.flags |= TLS_HAS_END
    tls.finished_end = end

cdef inline void take_client_alert(segment_context_t* at) noexcept nogil:
    """A lone alert that starts no turn."""
    cdef piece_t piece = new_bytes(at)
    cdef walk_t walk
    cdef header_t header
    cdef record_t record
    lose(&walk)
    begin_records(&walk, &piece)
    while next_header(&walk, &piece, TLS_HEADER_BYTES, &header):
        read_record(&header, &record)
        if record.kind == TLS_APPLICATION_DATA or ends_connection(&record):
            fail_unfinished(at.c, True, at.row)

cdef inline void begin_application_data(
    State state, segment_context_t* at, tls_t* tls
) noexcept nogil:
    """The first application data behind a ClientHello: how long the handshake took."""
    cdef connection_t* c = at.c
    if c.protocol & P_HELLO:
        c.protocol |= P_TLS_OVER
    if tls.flags & TLS_HELLO_OPEN:
        tls.flags &= ~<uint32_t>TLS_HELLO_OPEN
        if c.server.flags & D_SEEN:
            sample_latency(state, c, TLS_LATENCY, tls.hello_ns, tls.last_ns, 0)

cdef inline void take_server_record(
    segment_context_t* at, tls_t* tls, const record_t* record
) noexcept nogil:
    cdef connection_t* c = at.c
    if record.kind == TLS_APPLICATION_DATA:
        if c.protocol & P_TLS13 and record.length == TLS13_ALERT_BYTES:
            refuse_client(c, tls, at.row)
        return
    if record.kind != TLS_ALERT or not ends_connection(record):
        return
    fail_unfinished(c, False, at.row)
    # In TLS 1.2 the server refuses before its own ChangeCipherSpec, in clear.
    if record.length == PLAIN_ALERT_BYTES:
        refuse_client(c, tls, at.row)

cdef inline void refuse_client(
    connection_t* c, const tls_t* tls, counter_row_t* row
) noexcept nogil:
    """The server does not like the client's certificate."""
    if c.protocol & (P_FINISHED | P_TLS_OVER) == P_FINISHED and tls.flags & TLS_OTHERS_STOOD:
        fail_tls(c, False, row)

cdef inline void fail_unfinished(
    connection_t* c, bint by_client, counter_row_t* row
) noexcept nogil:
    """The connection ends: that fails a handshake without a Finished."""
    if c.protocol & (P_HELLO | P_FINISHED | P_TLS_OVER) == P_HELLO:
        fail_tls(c, by_client, row)

cdef inline void fail_tls(connection_t* c, bint by_client, counter_row_t* row) noexcept nogil:
    if c.protocol & P_TLS_FAILED:
        return
    c.protocol |= P_TLS_FAILED
    row.tls_failed += 1
    row.tls_failed_in += not by_client
