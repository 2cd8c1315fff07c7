# Cleartext HTTP/2, followed by the frames of each stream (RFC 9113).
#
# Takes the new data of both sides of a connection whose client began with the HTTP/2 preface;
# counts requests and responses per stream. Stops when a frame header was not captured, and for
# good: what belongs to which stream is not known any more. Never decodes a header block.

from libc.stdint cimport INT64_MAX, int64_t, uint8_t, uint32_t
from libc.string cimport memset

from trtop_core._connection cimport (
    P_CLIENT_DATA,
    P_HTTP2,
    P_MULTIPLEXED,
    P_SIDE,
    S_WINDOW_IS_ZERO,
    T_ANSWERED,
    T_COUNTED,
    T_KNOWS_SERVER,
    T_OPEN,
    T_RAW_SERVER,
    T_SENT_AGAIN,
    T_WINDOW_WAS_ZERO,
    connection_t,
    leave_past,
    turn_t,
)
from trtop_core._context cimport new_bytes, segment_context_t
from trtop_core._multiplex cimport PREFACE_BYTES
from trtop_core._records cimport counter_row_t
from trtop_core._responses cimport (
    answer_t,
    begin_response,
    end_of_response,
    grow_response,
    is_withheld,
)
from trtop_core._sides cimport MAX_STREAMS, began_t, http2_side_t, http2_t, stream_t
from trtop_core._state cimport State
from trtop_core._waiting cimport ask_again
from trtop_core._walk cimport (
    HTTP2_HEADER_BYTES,
    header_t,
    lose,
    next_header,
    piece_t,
    restart,
)

cdef enum frame_t:
    FRAME_DATA = 0
    FRAME_HEADERS = 1
    FRAME_RST_STREAM = 3
    FRAME_SETTINGS = 4
    FRAME_CONTINUATION = 9

cdef enum:
    FLAG_END_STREAM = 0x1
    FLAG_END_HEADERS = 0x4

cdef inline bint is_carrier(int kind) noexcept nogil:
    return kind == FRAME_DATA or kind == FRAME_HEADERS or kind == FRAME_CONTINUATION

cdef inline http2_t* http2_of(State state, const connection_t* c) noexcept nogil:
    return &state.sides.http2[c.side - 1]

cdef inline bint starts_settings(const piece_t* head) noexcept nogil:
    """Whether bytes start with a frame of SETTINGS, as a server's must (RFC 9113 §3.4)."""
    cdef const uint8_t* p = head.bytes
    return (
        head.caplen >= HTTP2_HEADER_BYTES
        and p[3] == FRAME_SETTINGS
        and not (p[5] & 0x7F or p[6] or p[7] or p[8])
    )

cdef inline bint begin_http2(State state, connection_t* c) noexcept nogil:
    """Make room to follow frames; False if there is none."""
    cdef uint32_t number = state.sides.take_http2()
    if number == 0:
        return False
    c.side = number
    c.protocol |= P_SIDE | P_HTTP2
    return True

cdef inline void stop_http2(State state, connection_t* c, counter_row_t* row) noexcept nogil:
    """Forget the frames and streams."""
    state.sides.give_http2(c.side)
    c.side = 0
    c.protocol &= ~<uint32_t>(P_SIDE | P_HTTP2)

cdef inline void stop_if_lost(State state, connection_t* c, counter_row_t* row) noexcept nogil:
    """Follow no longer unless every frame header of both sides was captured so far."""
    cdef const http2_t* http2 = http2_of(state, c)
    if http2.client.walk.at < INT64_MAX and http2.server.walk.at < INT64_MAX:
        if not http2.is_overflowed:
            return
    stop_http2(state, c, row)
    row.multiplexed_unfollowed += (c.protocol & P_MULTIPLEXED) != 0

cdef inline void start_server_frames(http2_t* http2, int64_t at) noexcept nogil:
    if not http2.has_server_start:
        http2.has_server_start = 1
        restart(&http2.server.walk, at)

cdef inline void start_client_frames(http2_t* http2, int64_t at) noexcept nogil:
    restart(&http2.client.walk, at + PREFACE_BYTES)

cdef inline void note_segment(const segment_context_t* at, began_t* began) noexcept nogil:
    began.ts_ns = at.segment.ts_ns
    began.start = at.taken.start
    began.own_start = at.own_start
    began.peer_start = at.peer_start
    began.floor_ns = at.floor_ns
    began.knows_peer = at.knows_peer
    began.is_peer_raw = at.is_peer_raw
    began.has_floor = at.has_floor
    began.window_was_zero = (at.c.state & S_WINDOW_IS_ZERO) != 0

cdef inline void read_frame(
    const segment_context_t* at, http2_side_t* side, const header_t* header, int64_t new_start
) noexcept nogil:
    """Take a header that is complete: its frame is the one that is being sent."""
    cdef const uint8_t* p = header.bytes
    side.frame_start = header.start
    side.frame_end = header.end
    side.kind = p[3]
    side.ends_stream = p[3] <= FRAME_HEADERS and p[4] & FLAG_END_STREAM
    side.ends_headers = (
        (p[3] == FRAME_HEADERS or p[3] == FRAME_CONTINUATION) and (p[4] & FLAG_END_HEADERS) != 0
    )
    side.stream_id = (
        (<uint32_t>(p[5] & 0x7F) << 24) | (<uint32_t>p[6] << 16) | (<uint32_t>p[7] << 8) | p[8]
    )
    side.has_frame = 1
    if header.start < new_start and side.has_cut:
        side.began = side.cut
    else:
        note_segment(at, &side.began)

cdef inline void follow_frames(State state, segment_context_t* at, http2_t* http2) noexcept nogil:
    """Take the frames, and parts of frames, that a segment holds."""
    cdef http2_side_t* side = &http2.client if at.from_client else &http2.server
    cdef piece_t piece = new_bytes(at)
    cdef header_t header
    if side.has_frame:
        if side.frame_end > piece.start:
            take_frame(state, at, http2, side, &piece)
        else:
            side.has_frame = 0
    while next_header(&side.walk, &piece, HTTP2_HEADER_BYTES, &header):
        read_frame(at, side, &header, piece.start)
        if not http2.is_overflowed:
            take_frame(state, at, http2, side, &piece)
    if piece.start <= side.walk.at < piece.end:
        side.has_cut = 1
        note_segment(at, &side.cut)

cdef inline void take_frame(
    State state,
    segment_context_t* at,
    http2_t* http2,
    http2_side_t* side,
    const piece_t* piece,
) noexcept nogil:
    cdef int64_t n_bytes = (
        min(side.frame_end, piece.end) - max(side.frame_start, piece.start)
    )
    cdef bint is_whole = side.frame_end <= piece.end
    if side.kind == FRAME_RST_STREAM:
        if is_whole:
            reset_stream(state, at, http2, side.stream_id)
    elif not is_carrier(side.kind):
        return
    elif at.from_client:
        ask_stream(state, at, http2, side, piece)
    else:
        answer_stream(state, at, http2, side, n_bytes, is_whole)

cdef inline uint32_t find_stream(
    State state, const http2_t* http2, uint32_t stream_id
) noexcept nogil:
    """The number plus one of an open stream, or 0."""
    cdef uint32_t number = http2.streams
    while number and state.sides.streams[number - 1].stream_id != stream_id:
        number = state.sides.streams[number - 1].next
    return number

cdef inline void ask_stream(
    State state,
    segment_context_t* at,
    http2_t* http2,
    const http2_side_t* side,
    const piece_t* piece,
) noexcept nogil:
    """The client's part of a stream."""
    cdef uint32_t number
    cdef stream_t* stream
    if side.kind == FRAME_HEADERS and side.stream_id & 1 and side.stream_id > http2.last_id:
        if not open_stream(state, at, http2, side):
            return
    number = find_stream(state, http2, side.stream_id)
    if number == 0:
        return
    stream = &state.sides.streams[number - 1]
    if stream.turn.flags & T_ANSWERED:
        return
    ask_again(&stream.turn, at.segment.ts_ns, at.now_ns)
    stream.asked_to = min(side.frame_end, piece.end)

cdef inline bint open_stream(
    State state, segment_context_t* at, http2_t* http2, const http2_side_t* side
) noexcept nogil:
    """Begin a request; False if there is no room for it."""
    cdef uint32_t number = 0
    cdef stream_t* stream
    cdef const began_t* began = &side.began
    if http2.n_streams < MAX_STREAMS:
        number = state.sides.take_stream()
    if number == 0:
        http2.is_overflowed = 1
        return False
    http2.last_id = side.stream_id
    at.row.requests += 1
    stream = &state.sides.streams[number - 1]
    stream.stream_id = side.stream_id
    stream.next = http2.streams
    http2.streams = number
    http2.n_streams += 1
    stream.turn.flags = T_OPEN | T_COUNTED
    if began.knows_peer:
        stream.turn.flags |= T_KNOWS_SERVER
    if began.is_peer_raw:
        stream.turn.flags |= T_RAW_SERVER
    stream.turn.client_start = began.own_start
    stream.turn.server_start = began.peer_start
    stream.turn.asked_from = side.frame_start
    return True

cdef inline void answer_stream(
    State state,
    segment_context_t* at,
    http2_t* http2,
    http2_side_t* side,
    int64_t n_bytes,
    bint is_whole,
) noexcept nogil:
    """The server's part of a stream."""
    cdef connection_t* c = at.c
    cdef uint32_t number = find_stream(state, http2, side.stream_id)
    cdef turn_t* turn
    cdef answer_t answer
    if number == 0:
        return
    turn = &state.sides.streams[number - 1].turn
    if not turn.flags & T_ANSWERED:
        if side.kind != FRAME_HEADERS:
            return
        leave_past(turn)
        answer.ts_ns = side.began.ts_ns
        answer.floor_ns = side.began.floor_ns
        answer.has_floor = side.began.has_floor
        answer.is_withheld = is_withheld(state, c, turn, side.began.start)
        answer.was_sent_again = (turn.flags & T_SENT_AGAIN) != 0
        begin_response(state, c, turn, &answer, at.row)
        turn.flags &= ~<uint32_t>T_WINDOW_WAS_ZERO
        if side.began.window_was_zero:
            turn.flags |= T_WINDOW_WAS_ZERO
    grow_response(state, c, turn, at.segment.ts_ns, n_bytes, at.row)
    if is_whole and ends_stream(side):
        end_of_response(state, c, turn)
        close_stream(state, c, http2, number, at.row)

cdef inline bint ends_stream(http2_side_t* side) noexcept nogil:
    """Whether the stream of a frame that is complete now ends with it (RFC 9113 §6.2)."""
    if side.kind == FRAME_DATA:
        return side.ends_stream
    side.ends_with_headers = side.ends_stream or (
        side.kind == FRAME_CONTINUATION and side.ends_with_headers
    )
    return side.ends_with_headers and side.ends_headers

cdef inline void close_stream(
    State state, connection_t* c, http2_t* http2, uint32_t number, counter_row_t* row
) noexcept nogil:
    cdef uint32_t before = http2.streams
    cdef uint32_t following = state.sides.streams[number - 1].next
    if before == number:
        http2.streams = following
    else:
        while state.sides.streams[before - 1].next != number:
            before = state.sides.streams[before - 1].next
        state.sides.streams[before - 1].next = following
    state.sides.give_stream(number)
    http2.n_streams -= 1

cdef inline void reset_stream(
    State state, segment_context_t* at, http2_t* http2, uint32_t stream_id
) noexcept nogil:
    """A stream that is reset without an answer will never have one."""
    cdef uint32_t number = find_stream(state, http2, stream_id)
    cdef turn_t* turn
    if number == 0:
        return
    turn = &state.sides.streams[number - 1].turn
    at.row.unanswered += not turn.flags & T_ANSWERED
    end_of_response(state, at.c, turn)
    close_stream(state, at.c, http2, number, at.row)

cdef inline void note_sent_again(
    State state, const connection_t* c, int64_t start, int64_t end
) noexcept nogil:
    """The client repeated data: of which streams?"""
    cdef uint32_t number = http2_of(state, c).streams
    cdef stream_t* stream
    while number:
        stream = &state.sides.streams[number - 1]
        if not stream.turn.flags & T_ANSWERED:
            if start < stream.asked_to and end > stream.turn.asked_from:
                stream.turn.flags |= T_SENT_AGAIN
        number = stream.next

cdef inline void end_streams(State state, connection_t* c) noexcept nogil:
    """Sample the time to the last byte of every response that has begun."""
    cdef uint32_t number = http2_of(state, c).streams
    while number:
        end_of_response(state, c, &state.sides.streams[number - 1].turn)
        number = state.sides.streams[number - 1].next

cdef inline void close_window(State state, connection_t* c) noexcept nogil:
    """The client's window is closed: until the next data, a pause is no stall."""
    cdef http2_t* http2 = http2_of(state, c)
    cdef uint32_t number = http2.streams
    http2.server.began.window_was_zero = http2.server.cut.window_was_zero = 1
    while number:
        state.sides.streams[number - 1].turn.flags |= T_WINDOW_WAS_ZERO
        number = state.sides.streams[number - 1].next
