# TLS records: their headers, alerts, what looks like a session ticket, what a ClientHello offers.
#
# Takes the bytes of segments as far as they were captured. Never decrypts: of an encrypted record
# type and length are all that is known (RFC 8446 §5.2).

from libc.stdint cimport uint8_t, uint32_t

from trtop_core._clock cimport FOREVER_NS
from trtop_core._walk cimport (
    TLS_ALERT,
    TLS_APPLICATION_DATA,
    TLS_HANDSHAKE,
    TLS_HEADER_BYTES,
    TLS_MAJOR_VERSION,
    header_t,
    is_tls_header,
    piece_t,
    restart,
    walk_t,
)

cdef enum:
    TLS_CLIENT_HELLO = 1
    TLS13_ALERT_BYTES = 19           # 2 bytes, content type and tag (RFC 8446 §5.2, §6)
    TLS13_END_OF_EARLY_DATA_BYTES = 21   # a 4-byte header, content type and tag
    TLS13_FINISHED_SHA256_BYTES = 53     # with the hash
    TLS13_FINISHED_SHA384_BYTES = 69
    # Java's JSSE pads what its handshake encrypts by 16 bytes; with SHA-256 that makes 69.
    TLS13_FINISHED_PADDED_BYTES = 85
    PLAIN_ALERT_BYTES = 2
    ALERT_WARNING = 1
    ALERT_CLOSE_NOTIFY = 0
    EXTENSION_ALPN = 16              # RFC 7301
    HELLO_FIXED_BYTES = 38           # header, version, random

cdef enum:
    MIN_TICKET_BYTES = 60
    MAX_TICKET_BYTES = 1_400

# What is known of HTTP/2 in a ClientHello.
cdef enum offer_t:
    OFFER_UNKNOWN = 0                # it was not captured whole
    OFFER_NOT_H2 = 1
    OFFER_H2 = 2

cdef struct record_t:
    int kind
    uint32_t length
    const uint8_t* body
    uint32_t body_caplen

# The type of the TLS record that bytes start with, or 0; two of them tell.
cdef inline int record_type(const uint8_t* head, uint32_t caplen) noexcept nogil:
    return head[0] if caplen >= 2 and is_tls_header(head) else 0

cdef inline uint32_t length_at(const uint8_t* header) noexcept nogil:
    return (<uint32_t>header[3] << 8) | header[4]

# Exactly one record that is an alert, plain or (TLS 1.3) encrypted.
cdef inline bint is_lone_alert(
    const uint8_t* payload, uint32_t caplen, uint32_t payload_len
) noexcept nogil:
    cdef uint32_t length
    if caplen < TLS_HEADER_BYTES or payload[1] != TLS_MAJOR_VERSION:
        return False
    if payload[0] != TLS_ALERT and payload[0] != TLS_APPLICATION_DATA:
        return False
    length = length_at(payload)
    if payload_len != TLS_HEADER_BYTES + length:
        return False
    return payload[0] == TLS_ALERT or length == TLS13_ALERT_BYTES

cdef inline bint is_finished_length(uint32_t length) noexcept nogil:
    return (
        length == TLS13_FINISHED_SHA256_BYTES
        or length == TLS13_FINISHED_SHA384_BYTES
        or length == TLS13_FINISHED_PADDED_BYTES
    )

# The length of the records of a segment that looks like session tickets; 0 if it does not.
cdef inline uint32_t ticket_len(
    const uint8_t* payload, uint32_t caplen, uint32_t payload_len
) noexcept nogil:
    cdef uint32_t length, record_len, at, i
    if caplen < TLS_HEADER_BYTES or payload[0] != TLS_APPLICATION_DATA:
        return 0
    length = length_at(payload)
    record_len = TLS_HEADER_BYTES + length
    if payload[1] != TLS_MAJOR_VERSION or payload_len % record_len:
        return 0
    if not MIN_TICKET_BYTES <= length <= MAX_TICKET_BYTES:
        return 0
    at = record_len
    while at < caplen:
        for i in range(min(caplen - at, <uint32_t>TLS_HEADER_BYTES)):
            if payload[at + i] != payload[i]:
                return 0
        at += record_len
    return length

cdef inline void begin_records(walk_t* walk, const piece_t* piece) noexcept nogil:
    """Where no header's place is known, a segment may start one."""
    if walk.at == FOREVER_NS or walk.at + walk.n_partial < piece.start:
        restart(walk, piece.start)

cdef inline void read_record(const header_t* header, record_t* record) noexcept nogil:
    record.kind = header.bytes[0]
    record.length = length_at(header.bytes)
    record.body = header.body
    record.body_caplen = min(header.body_caplen, record.length)

cdef inline bint starts_client_hello(const record_t* record) noexcept nogil:
    return (
        record.kind == TLS_HANDSHAKE and record.body_caplen and record.body[0] == TLS_CLIENT_HELLO
    )

# A plain ClientHello: the first bytes of an encrypted message hardly add up to one.
cdef inline bint is_client_hello(const record_t* record) noexcept nogil:
    cdef const uint8_t* body = record.body
    if not starts_client_hello(record):
        return False
    return record.body_caplen < 4 or record.length == 4 + (
        (<uint32_t>body[1] << 16) | (<uint32_t>body[2] << 8) | body[3]
    )

# An alert that is fatal, closes, or cannot be read: a plain warning ends nothing.
cdef inline bint ends_connection(const record_t* record) noexcept nogil:
    if record.length == PLAIN_ALERT_BYTES and record.body_caplen >= PLAIN_ALERT_BYTES:
        if record.body[0] == ALERT_WARNING:
            return record.body[1] == ALERT_CLOSE_NOTIFY
    return True

cdef inline int offered(const record_t* hello) noexcept nogil:
    """Whether a ClientHello offers HTTP/2 by ALPN."""
    cdef const uint8_t* body = hello.body
    cdef uint32_t n = hello.length
    cdef uint32_t at = HELLO_FIXED_BYTES
    cdef uint32_t end, kind, length, i
    cdef uint32_t[3] sizes
    if hello.body_caplen < n:
        return OFFER_UNKNOWN
    # Session id, cipher suites, compression methods, each behind its length.
    sizes[0], sizes[1], sizes[2] = 1, 2, 1
    for i in range(3):
        if at + sizes[i] > n:
            return OFFER_NOT_H2
        length = body[at]
        if sizes[i] == 2:
            length = (length << 8) | body[at + 1]
        at += sizes[i] + length
    if at + 2 > n:
        return OFFER_NOT_H2
    end = min(n, at + 2 + ((<uint32_t>body[at] << 8) | body[at + 1]))
    at += 2
    while at + 4 <= end:
        kind = (<uint32_t>body[at] << 8) | body[at + 1]
        length = (<uint32_t>body[at + 2] << 8) | body[at + 3]
        if kind == EXTENSION_ALPN:
            return names_h2(body, min(at + 6, n), min(at + 4 + length, n))
        at += 4 + length
    return OFFER_NOT_H2

cdef inline int names_h2(const uint8_t* body, uint32_t at, uint32_t end) noexcept nogil:
    cdef uint32_t size
    while at < end:
        size = body[at]
        if min(size, end - at - 1) == 2 and body[at + 1] == 104 and body[at + 2] == 50:
            return OFFER_H2
        at += 1 + size
    return OFFER_NOT_H2
