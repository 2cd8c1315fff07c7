# What only some connections need: the TLS handshake of one, HTTP/2 in clear of another.

cimport cython

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from trtop_core._connection cimport turn_t
from trtop_core._walk cimport walk_t

cdef enum:
    MAX_STREAMS = 128        # of HTTP/2, open at once; with one more a connection is not followed

cdef enum tls_flag_t:
    TLS_MAY_FINISH = 1 << 0      # a Finished may come next in this handshake turn
    TLS_OTHERS_STOOD = 1 << 1    # records other than alerts stood before it
    TLS_HAS_END = 1 << 2         # `finished_end` is set
    TLS_HELLO_OPEN = 1 << 3      # its latency is not sampled yet
    TLS_HELD_WITHHELD = 1 << 4
    TLS_HELD_SENT_AGAIN = 1 << 5
    TLS_HELD_FLOOR = 1 << 6
    TLS_PAST = 1 << 11           # its times lie on the other side of a step of the clock
    TLS_HELD_SHORT = 1 << 16     # what was held last
    SHAPE_PREFACE = 1 << 7       # the client's first application record may hold it
    SHAPE_SETTINGS = 1 << 8
    SHAPE_SERVER = 1 << 9        # `shape_server_len` is set
    SHAPE_TICKETS = 1 << 10      # `shape_ticket_len` is set
    SHAPE_MORE = 1 << 12         # more than SETTINGS stood in it
    SHAPE_EARLY = 1 << 13        # the server had sent its own before it got that
    SHAPE_CLIENT_ACK = 1 << 14   # the client may have acknowledged the server's SETTINGS
    SHAPE_SERVER_ACK = 1 << 15   # and the server the client's

cdef packed struct tls_t:
    walk_t client
    walk_t server
    int64_t finished_end     # where application data begins
    int64_t hello_ns
    int64_t last_ns          # of the handshake
    # Segments held, as they may be session tickets: what answers if the first is none.
    int64_t held_end
    int64_t held_ns
    int64_t held_floor_ns
    uint32_t held_len        # of the records
    uint32_t flags
    # The first application records, which may have the shape of HTTP/2.
    uint32_t shape_server_len
    uint32_t shape_ticket_len
    int32_t offer            # offer_t of the ClientHello
    uint32_t next_free

# What is remembered of the segment that a frame began in.
cdef packed struct began_t:
    int64_t ts_ns
    int64_t start            # of the segment (server)
    int64_t own_start        # of a turn that begins with it (client)
    int64_t peer_start
    int64_t floor_ns
    uint16_t knows_peer
    uint16_t is_peer_raw
    uint16_t has_floor
    uint16_t window_was_zero     # the client's, since then

# One direction of HTTP/2: where its frames are, and the one that is being sent.
cdef packed struct http2_side_t:
    int64_t frame_start
    int64_t frame_end
    walk_t walk
    uint32_t stream_id
    uint8_t kind
    uint8_t has_frame
    uint8_t ends_stream          # the frame's flag
    uint8_t ends_headers
    uint8_t ends_with_headers    # the stream ends with the CONTINUATION that ends its headers
    uint8_t has_cut
    uint8_t _pad[6]
    began_t began
    began_t cut                  # of a frame whose header is not complete

cdef packed struct http2_t:
    uint32_t streams         # the first, plus one
    uint32_t n_streams
    uint32_t last_id
    uint32_t has_server_start
    uint32_t is_overflowed
    uint32_t next_free
    http2_side_t client
    http2_side_t server

# One open stream: a request and what answers it.
cdef packed struct stream_t:
    turn_t turn
    int64_t asked_to         # end of the request's last byte
    uint32_t stream_id
    uint32_t next            # plus one

@cython.final
cdef class SidePools:
    cdef tls_t[::1] tls
    cdef http2_t[::1] http2
    cdef stream_t[::1] streams
    cdef uint32_t free_tls
    cdef uint32_t free_http2
    cdef uint32_t free_streams
    cdef uint32_t n_tls
    cdef uint32_t n_http2
    cdef uint32_t n_streams
    cdef uint32_t http2_in_use
    cdef uint32_t http2_limit    # of these
    cdef uint32_t streams_in_use
    cdef uint32_t streams_limit

    cdef uint32_t take_tls(self) noexcept nogil
    cdef void give_tls(self, uint32_t number) noexcept nogil
    cdef uint32_t take_http2(self) noexcept nogil
    cdef void give_http2(self, uint32_t number) noexcept nogil
    cdef uint32_t take_stream(self) noexcept nogil
    cdef void give_stream(self, uint32_t number) noexcept nogil
