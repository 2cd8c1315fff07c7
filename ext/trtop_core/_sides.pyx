# cython: freethreading_compatible=False
"""Pools of what only some connections need: TLS handshakes, HTTP/2 in clear and its streams.

Gives zeroed records by number plus one, 0 when there is none left. Never looks at packets. Memory
is mapped when it is first touched: a bound costs nothing until then.
"""

cimport cython
from libc.stdint cimport uint32_t
from libc.string cimport memset

import numpy as np

from trtop_core._clock cimport FOREVER_NS

from trtop_core.memory import aligned_zeros

WALK = np.dtype([("at", "<i8"), ("partial", "u1", 9), ("n_partial", "u1"), ("_pad", "u1", 6)])
TLS = np.dtype(
    [("client", WALK), ("server", WALK)]
    + [(name, "<i8") for name in (
        "finished_end", "hello_ns", "last_ns", "held_end", "held_ns", "held_floor_ns"
    )]
    + [(name, "<u4") for name in ("held_len", "flags", "shape_server_len", "shape_ticket_len")]
    + [("offer", "<i4"), ("next_free", "<u4")]
)
BEGAN = np.dtype(
    [(name, "<i8") for name in ("ts_ns", "start", "own_start", "peer_start", "floor_ns")]
    + [(name, "<u2") for name in ("knows_peer", "is_peer_raw", "has_floor", "window_was_zero")]
)
HTTP2_SIDE = np.dtype(
    [("frame_start", "<i8"), ("frame_end", "<i8"), ("walk", WALK), ("stream_id", "<u4")]
    + [(name, "u1") for name in (
        "kind", "has_frame", "ends_stream", "ends_headers", "ends_with_headers", "has_cut"
    )]
    + [("_pad", "u1", 6), ("began", BEGAN), ("cut", BEGAN)]
)
HTTP2 = np.dtype(
    [(name, "<u4") for name in (
        "streams", "n_streams", "last_id", "has_server_start", "is_overflowed", "next_free"
    )]
    + [("client", HTTP2_SIDE), ("server", HTTP2_SIDE)]
)


@cython.final
cdef class SidePools:
    """Records of three kinds.

    Args:
        max_tls: bound on connections whose TLS handshake is followed at a time.
        max_http2: bound on connections of HTTP/2 in clear; beyond it they are not followed.
        max_streams: bound on open streams of all of these.
        turn: dtype of a turn.
    """

    def __init__(self, max_tls, max_http2, max_streams, turn):
        stream = np.dtype(
            [("turn", turn), ("asked_to", "<i8"), ("stream_id", "<u4"), ("next", "<u4")]
        )
        self.tls = aligned_zeros(max_tls, TLS)
        self.http2 = np.zeros(max_http2, HTTP2)
        self.streams = np.zeros(max_streams, stream)
        self.free_tls = self.free_http2 = self.free_streams = 0
        self.n_tls = self.n_http2 = self.n_streams = 0
        self.http2_in_use = self.streams_in_use = 0
        self.http2_limit = max_http2
        self.streams_limit = max_streams

    cdef uint32_t take_tls(self) noexcept nogil:
        cdef uint32_t number = self.free_tls
        cdef tls_t* tls
        if number:
            self.free_tls = self.tls[number - 1].next_free
        elif self.n_tls == self.tls.shape[0]:
            return 0
        else:
            self.n_tls += 1
            number = self.n_tls
        tls = &self.tls[number - 1]
        memset(tls, 0, sizeof(tls_t))
        tls.client.at = tls.server.at = FOREVER_NS
        return number

    cdef void give_tls(self, uint32_t number) noexcept nogil:
        self.tls[number - 1].next_free = self.free_tls
        self.free_tls = number

    cdef uint32_t take_http2(self) noexcept nogil:
        cdef uint32_t number = self.free_http2
        cdef http2_t* http2
        if self.http2_in_use >= self.http2_limit:
            return 0
        self.http2_in_use += 1
        if number:
            self.free_http2 = self.http2[number - 1].next_free
        else:
            self.n_http2 += 1
            number = self.n_http2
        http2 = &self.http2[number - 1]
        memset(http2, 0, sizeof(http2_t))
        http2.client.walk.at = http2.server.walk.at = FOREVER_NS
        return number

    cdef void give_http2(self, uint32_t number) noexcept nogil:
        """Take back a record and its streams."""
        cdef uint32_t stream = self.http2[number - 1].streams
        cdef uint32_t following
        while stream:
            following = self.streams[stream - 1].next
            self.give_stream(stream)
            stream = following
        self.http2[number - 1].next_free = self.free_http2
        self.free_http2 = number
        self.http2_in_use -= 1

    cdef uint32_t take_stream(self) noexcept nogil:
        cdef uint32_t number = self.free_streams
        if self.streams_in_use >= self.streams_limit:
            return 0
        self.streams_in_use += 1
        if number:
            self.free_streams = self.streams[number - 1].next
        else:
            self.n_streams += 1
            number = self.n_streams
        memset(&self.streams[number - 1], 0, sizeof(stream_t))
        return number

    cdef void give_stream(self, uint32_t number) noexcept nogil:
        self.streams[number - 1].next = self.free_streams
        self.free_streams = number
        self.streams_in_use -= 1
