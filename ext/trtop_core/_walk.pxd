# Where the length-prefixed units of a byte stream start: TLS records, HTTP/2 frames.
#
# Takes the new bytes of each segment, as far as they were captured; gives the headers found, one by
# one. A header's place follows from the length before it, across segments; a header cut in two by a
# segment boundary is put together. Never keeps more than one header, and never looks behind a
# header that was not captured.

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memcpy

from trtop_core._clock cimport FOREVER_NS

cdef enum:
    TLS_HEADER_BYTES = 5
    HTTP2_HEADER_BYTES = 9
    TLS_CHANGE_CIPHER_SPEC = 20
    TLS_ALERT = 21
    TLS_HANDSHAKE = 22
    TLS_APPLICATION_DATA = 23
    TLS_MAJOR_VERSION = 3

cdef packed struct walk_t:
    int64_t at               # where the next header starts; FOREVER_NS: nobody knows
    uint8_t partial[HTTP2_HEADER_BYTES]  # what is known of it already
    uint8_t n_partial
    uint8_t _pad[6]

# The new bytes of a segment, of which `caplen` were captured.
cdef struct piece_t:
    const uint8_t* bytes
    uint32_t caplen
    int64_t start
    int64_t end

# One header, and what was captured behind it in its own segment.
cdef struct header_t:
    int64_t start
    int64_t end              # of its unit
    uint8_t bytes[HTTP2_HEADER_BYTES]
    const uint8_t* body
    uint32_t body_caplen

cdef inline void restart(walk_t* walk, int64_t at) noexcept nogil:
    """Go on with a header at a place that is known otherwise."""
    walk.at = at
    walk.n_partial = 0

cdef inline void lose(walk_t* walk) noexcept nogil:
    restart(walk, FOREVER_NS)

cdef inline bint next_header(
    walk_t* walk, const piece_t* piece, uint32_t size, header_t* found
) noexcept nogil:
    """The next header that this segment completes; False if there is none."""
    cdef int64_t next_byte = walk.at + walk.n_partial
    cdef uint32_t at, n_captured, n_missing
    if walk.at >= piece.end:
        return False
    at = <uint32_t>(next_byte - piece.start)
    if next_byte < piece.start or at >= piece.caplen:
        # In a hole, or beyond the captured bytes.
        lose(walk)
        return False
    n_captured = piece.caplen - at
    n_missing = size - walk.n_partial
    if n_captured < n_missing:
        if next_byte + n_captured < piece.end:
            lose(walk)
            return False
        memcpy(&walk.partial[walk.n_partial], piece.bytes + at, n_captured)
        walk.n_partial += <uint8_t>n_captured
        return False
    memcpy(found.bytes, walk.partial, walk.n_partial)
    memcpy(&found.bytes[walk.n_partial], piece.bytes + at, n_missing)
    found.start = walk.at
    if size == TLS_HEADER_BYTES:
        if not is_tls_header(found.bytes):
            lose(walk)
            return False
        found.end = walk.at + size + ((found.bytes[3] << 8) | found.bytes[4])
    else:
        found.end = (
            walk.at + size
            + ((found.bytes[0] << 16) | (found.bytes[1] << 8) | found.bytes[2])
        )
    found.body = piece.bytes + at + n_missing
    found.body_caplen = n_captured - n_missing
    restart(walk, found.end)
    return True

cdef inline bint is_tls_header(const uint8_t* head) noexcept nogil:
    return (
        TLS_CHANGE_CIPHER_SPEC <= head[0] <= TLS_APPLICATION_DATA and head[1] == TLS_MAJOR_VERSION
    )
