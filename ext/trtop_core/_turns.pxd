# Requests, responses and TLS handshake turns of one connection.
#
# Takes the new data of both sides in the order of arrival; counts turns and samples their
# latencies. Never sees retransmitted, reordered or keep-alive bytes. A protocol that multiplexes
# (HTTP/2, WebSocket) is read as if both sides took turns, which overestimates what one exchange
# takes.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from trtop_core._clock cimport SECOND_NS
from trtop_core._connection cimport (
    S_BANNER_POSSIBLE,
    S_HELLO_OPEN,
    S_SAW_HELLO,
    S_WINDOW_IS_ZERO,
    S_WINDOW_WAS_ZERO,
    T_ANSWERED,
    T_HANDSHAKE,
    T_KNOWS_SERVER,
    T_OPEN,
    T_SAMPLED,
    T_SENT_AGAIN,
    T_STREAM,
    T_WITHHELD,
    connection_t,
)
from trtop_core._records cimport (
    RESPONSE_DURATION,
    RESPONSE_TIME,
    SERVER_TIME,
    TLS_LATENCY,
    counter_row_t,
)
from trtop_core._sketch cimport SketchStore

# A segment with new data, as the alternation of requests and responses sees it.
cdef struct new_data_t:
    int64_t ts_ns
    const uint8_t* payload   # what was captured of it
    uint32_t payload_caplen
    uint32_t payload_len
    uint32_t head            # offset of the first new byte in the payload
    int64_t n_bytes
    int64_t new_start
    int64_t own_reached
    int64_t peer_reached
    bint knows_peer

cdef enum:
    STREAM_BYTES = 1 << 20
    STALL_NS = SECOND_NS

cdef enum:
    TLS_CHANGE_CIPHER_SPEC = 20
    TLS_ALERT = 21
    TLS_HANDSHAKE = 22
    TLS_APPLICATION_DATA = 23
    TLS_CLIENT_HELLO = 1
    TLS_RECORD_HEADER_BYTES = 5
    TLS13_ALERT_BYTES = 19   # 2 bytes, content type and tag (RFC 8446 §5.2, §6)

cdef enum:
    MAX_STALLS = 0xFFFF      # of 16 bits

# The type of the TLS record that the new bytes start with, or 0.
cdef inline int record_type(const new_data_t* data) noexcept nogil:
    cdef const uint8_t* head = data.payload + data.head
    if data.head + 2 > data.payload_caplen or head[1] != 3:
        return 0
    return head[0] if TLS_CHANGE_CIPHER_SPEC <= head[0] <= TLS_APPLICATION_DATA else 0

cdef inline bint is_client_hello(const new_data_t* data) noexcept nogil:
    return (
        data.head + TLS_RECORD_HEADER_BYTES + 1 <= data.payload_caplen
        and data.payload[data.head + TLS_RECORD_HEADER_BYTES] == TLS_CLIENT_HELLO
    )

# Exactly one record that is an alert, plain or (TLS 1.3) encrypted.
cdef inline bint is_alert(const new_data_t* data) noexcept nogil:
    cdef const uint8_t* p = data.payload
    cdef uint32_t record_len
    if data.payload_caplen < TLS_RECORD_HEADER_BYTES or p[1] != 3:
        return False
    if p[0] != TLS_ALERT and p[0] != TLS_APPLICATION_DATA:
        return False
    record_len = (p[3] << 8) | p[4]
    if data.payload_len != TLS_RECORD_HEADER_BYTES + record_len:
        return False
    return p[0] == TLS_ALERT or record_len == TLS13_ALERT_BYTES

cdef inline void client_data(
    connection_t* c, const new_data_t* data, counter_row_t* row, SketchStore sketches
) noexcept nogil:
    """The client sent something new."""
    cdef int kind = record_type(data)
    c.state &= ~<uint32_t>S_BANNER_POSSIBLE
    if c.turn & T_OPEN and not c.turn & T_ANSWERED:
        if (
            c.turn & T_HANDSHAKE
            and c.n_handshakes > 1
            and kind == TLS_APPLICATION_DATA
            and not is_alert(data)
        ):
            begin_turn(c, data, 0, row, sketches)
            return
        c.asked_ns = data.ts_ns
        if c.turn & T_HANDSHAKE:
            c.handshake_ns = data.ts_ns
        return
    end_response(c, sketches)
    c.turn = 0
    if is_alert(data):
        return
    if kind and kind != TLS_APPLICATION_DATA:
        begin_turn(c, data, T_HANDSHAKE, row, sketches)
        if kind == TLS_HANDSHAKE and is_client_hello(data) and not c.state & S_SAW_HELLO:
            c.state |= S_SAW_HELLO | S_HELLO_OPEN
            c.hello_ns = data.ts_ns
    else:
        begin_turn(c, data, 0, row, sketches)

cdef inline void begin_turn(
    connection_t* c, const new_data_t* data, int kind, counter_row_t* row, SketchStore sketches
) noexcept nogil:
    c.turn = <uint16_t>(T_OPEN | kind | (T_KNOWS_SERVER if data.knows_peer else 0))
    c.client_from = data.own_reached
    c.server_from = data.peer_reached
    c.asked_from = data.new_start
    c.asked_ns = data.ts_ns
    c.n_bytes = 0
    c.n_stalls = 0
    c.stream_ns = 0
    if kind == T_HANDSHAKE:
        row.tls_turns += 1
        if c.n_handshakes < 2:
            c.n_handshakes += 1
        c.handshake_ns = data.ts_ns
        return
    row.requests += 1
    if c.state & S_HELLO_OPEN:
        c.state &= ~<uint32_t>S_HELLO_OPEN
        if c.handshake_ns >= c.hello_ns:
            sketches.add(c.destination, TLS_LATENCY, c.handshake_ns - c.hello_ns)

cdef inline void server_data(
    connection_t* c,
    const new_data_t* data,
    counter_row_t* row,
    SketchStore sketches,
    bint is_withheld,
    bint has_floor,
    int64_t floor_ns,
) noexcept nogil:
    """The server sent something new."""
    cdef int kind = record_type(data)
    if is_alert(data):
        return
    if kind == TLS_CHANGE_CIPHER_SPEC or kind == TLS_HANDSHAKE:
        c.handshake_ns = data.ts_ns
    if not c.turn & T_OPEN:
        if c.state & S_BANNER_POSSIBLE:
            row.banners += 1
            c.state &= ~<uint32_t>S_BANNER_POSSIBLE
        return
    if not c.turn & T_ANSWERED:
        c.turn |= T_ANSWERED
        if is_withheld:
            c.turn |= T_WITHHELD
        c.first_ns = c.last_data_ns = data.ts_ns
        if not c.turn & T_HANDSHAKE:
            first_response(c, row, sketches, has_floor, floor_ns)
    if not c.turn & T_HANDSHAKE:
        add_to_stream(c, data, row)
    c.last_data_ns = data.ts_ns
    if c.state & S_WINDOW_IS_ZERO:
        c.state |= S_WINDOW_WAS_ZERO
    else:
        c.state &= ~<uint32_t>S_WINDOW_WAS_ZERO

cdef inline void first_response(
    connection_t* c, counter_row_t* row, SketchStore sketches, bint has_floor, int64_t floor_ns
) noexcept nogil:
    cdef int64_t response_time_ns = c.first_ns - c.asked_ns
    row.responses += 1
    c.n_responses += 1
    if c.turn & T_SENT_AGAIN:
        row.slow_by_loss += 1
    if c.turn & T_WITHHELD or response_time_ns < 0:
        return
    sketches.add(c.destination, RESPONSE_TIME, response_time_ns)
    if has_floor:
        sketches.add(c.destination, SERVER_TIME, max(<int64_t>0, response_time_ns - floor_ns))

cdef inline void add_to_stream(
    connection_t* c, const new_data_t* data, counter_row_t* row
) noexcept nogil:
    cdef bint is_stall = (
        data.ts_ns - c.last_data_ns > STALL_NS and not c.state & S_WINDOW_WAS_ZERO
    )
    cdef int64_t span_ns = max(c.stream_ns, data.ts_ns - c.first_ns)
    c.n_bytes += <uint64_t>data.n_bytes
    if c.turn & T_STREAM:
        row.stream_bytes += <uint64_t>data.n_bytes
        row.stream_ns += <uint64_t>(span_ns - c.stream_ns)
        row.stalls += is_stall
    elif is_stall and c.n_stalls < MAX_STALLS:
        c.n_stalls += 1
    c.stream_ns = span_ns
    if not c.turn & T_STREAM:
        become_stream(c, row)

cdef inline void become_stream(connection_t* c, counter_row_t* row) noexcept nogil:
    """Count a response that has grown long enough, with all that it had so far."""
    if c.n_bytes >= STREAM_BYTES:
        c.turn |= T_STREAM
        row.streams += 1
        row.stream_bytes += c.n_bytes
        row.stream_ns += <uint64_t>c.stream_ns
        row.stalls += c.n_stalls

cdef inline void server_filled(connection_t* c, int64_t n_bytes, counter_row_t* row) noexcept nogil:
    """Bytes of the server filled a hole: they belong to the response that is running."""
    if not c.turn & T_ANSWERED or c.turn & T_HANDSHAKE:
        return
    c.n_bytes += <uint64_t>n_bytes
    if c.turn & T_STREAM:
        row.stream_bytes += <uint64_t>n_bytes
    else:
        become_stream(c, row)

cdef inline void end_response(connection_t* c, SketchStore sketches) noexcept nogil:
    """Sample the time to the last byte, once."""
    cdef int64_t duration_ns
    if not c.turn & T_ANSWERED or c.turn & T_SAMPLED:
        return
    c.turn |= T_SAMPLED
    duration_ns = c.last_data_ns - c.asked_ns
    if not c.turn & (T_HANDSHAKE | T_WITHHELD) and duration_ns >= 0:
        sketches.add(c.destination, RESPONSE_DURATION, duration_ns)

cdef inline void forget_turns(connection_t* c) noexcept nogil:
    """Start over, as when client and server turn out to be the other way round."""
    c.turn = 0
    c.n_responses = 0
    c.n_handshakes = 0
    c.state &= ~<uint32_t>(
        S_BANNER_POSSIBLE | S_SAW_HELLO | S_HELLO_OPEN | S_WINDOW_IS_ZERO | S_WINDOW_WAS_ZERO
    )
