# cython: freethreading_compatible=False
"""Batch -> the few packets that may hold a name: DNS answers, TLS ClientHellos, HTTP requests.

Looks at a payload's first bytes only and reads no name itself. Which servers are known already is
passed in, so that a busy one costs a table look-up. Keeps nothing between batches.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from trtop_core._cursor cimport be16, be32, cursor_t, has
from trtop_core._decode cimport decode_block, decode_packet
from trtop_core._records cimport NOT_TCP, SEGMENT, packet_index_t, segment_t

from trtop_core._decode import check_bounds

cdef enum:
    BLOCK = 64                    # segments that stay in L1, as in the engine
    PORT_DNS = 53                 # RFC 1035 §4.2
    UDP_HEADER = 8
    MIN_TLS = 6                   # record header and the handshake's type
    MIN_HTTP = 16                 # "GET / HTTP/1.1\r\n"

# The values of records.HintKind.
cdef enum:
    DNS_UDP = 1
    DNS_TCP = 2
    TLS = 3
    HTTP = 4

# Odd constants of splitmix64 (Steele, Lea, Flood 2014).
cdef uint64_t MIX_1 = 0x9E3779B97F4A7C15
cdef uint64_t MIX_2 = 0xBF58476D1CE4E5B9
cdef uint64_t MIX_3 = 0x94D049BB133111EB

cdef packed struct name_hint_t:
    uint64_t tag
    uint8_t addr[16]
    uint16_t port
    uint16_t kind
    uint32_t offset
    uint32_t caplen
    uint32_t _pad


def hint_size() -> int:
    """Bytes of one hint: what ``records.NAME_HINT`` must have."""
    return sizeof(name_hint_t)


def spot(
    const uint8_t[::1] data,
    const packet_index_t[::1] index,
    bint decap,
    const uint64_t[::1] known,
    const uint64_t[::1] seed,
    name_hint_t[::1] dns,
    name_hint_t[::1] hellos,
):
    """Find packets that may hold a name.

    Args:
        data: IN packet bytes.
        index: IN shape (n,), ``records.PACKET_INDEX``.
        decap: whether to look inside tunnels.
        known: IN a power of two of tags; servers whose tag is at its place are passed over.
        seed: IN three secret words.
        dns: OUT DNS messages of servers.
        hellos: OUT first bytes of a client: ``addr`` and ``port`` are the server's.

    Returns:
        How many of each were found; what lies beyond the arrays' ends is counted, not written.

    Raises:
        ValueError: a packet lies outside ``data``.
    """
    check_bounds(data, index)
    cdef Py_ssize_t n_packets = index.shape[0], start, n, i
    cdef Py_ssize_t n_dns = 0, n_hellos = 0
    cdef segment_t[BLOCK] segments
    cdef cursor_t at
    cdef name_hint_t hint
    cdef const uint8_t* base
    cdef uint64_t mask = <uint64_t>known.shape[0] - 1
    cdef uint64_t[3] words
    if n_packets == 0 or data.shape[0] == 0:
        return 0, 0
    words[0], words[1], words[2] = seed[0], seed[1], seed[2]
    base = &data[0]
    with nogil:
        start = 0
        while start < n_packets:
            n = min(BLOCK, n_packets - start)
            decode_block(base, &index[start], n, decap, segments)
            for i in range(n):
                if segments[i].verdict == SEGMENT:
                    if segments[i].payload_caplen == 0:
                        continue
                    hint.kind = kind_of_payload(base, &segments[i])
                    if hint.kind == 0:
                        continue
                    hint.offset = segments[i].payload_offset
                    hint.caplen = segments[i].payload_caplen
                    if hint.kind == DNS_TCP:
                        put(dns, n_dns, &hint)
                        n_dns += 1
                        continue
                    memcpy(hint.addr, segments[i].dst, 16)
                    hint.port = segments[i].dst_port
                    hint.tag = tag_of(&hint, words)
                    if known[<Py_ssize_t>(hint.tag & mask)] != hint.tag:
                        put(hellos, n_hellos, &hint)
                        n_hellos += 1
                elif segments[i].verdict == NOT_TCP:
                    if is_dns_answer(base, &index[start + i], decap, &segments[i], &at):
                        hint.kind = DNS_UDP
                        hint.offset = at.base + at.pos + UDP_HEADER
                        hint.caplen = at.end - at.pos - UDP_HEADER
                        put(dns, n_dns, &hint)
                        n_dns += 1
            start += n
    return n_dns, n_hellos


cdef inline void put(name_hint_t[::1] out, Py_ssize_t at, const name_hint_t* hint) noexcept nogil:
    if at < out.shape[0]:
        out[at] = hint[0]


cdef inline uint16_t kind_of_payload(const uint8_t* data, const segment_t* segment) noexcept nogil:
    """What a segment's first bytes look like; 0: nothing of interest."""
    cdef const uint8_t* p = data + segment.payload_offset
    cdef uint32_t word
    if segment.src_port == PORT_DNS:
        return DNS_TCP
    if segment.payload_caplen < MIN_TLS:
        return 0
    if p[0] == 22:  # RFC 8446 §5.1, §4: a handshake record that begins with a ClientHello
        return TLS if p[1] == 3 and p[5] == 1 else 0
    if segment.payload_caplen < MIN_HTTP:
        return 0
    word = be32(p)
    if (
        word == 0x47455420     # "GET "
        or word == 0x504F5354  # POST
        or word == 0x48454144  # HEAD
        or word == 0x50555420  # "PUT "
        or word == 0x44454C45  # DELETE
        or word == 0x50415443  # PATCH
        or word == 0x4F505449  # OPTIONS
    ):
        return HTTP
    return 0


cdef inline bint is_dns_answer(
    const uint8_t* data,
    const packet_index_t* entry,
    bint decap,
    segment_t* segment,
    cursor_t* at,
) noexcept nogil:
    """Whether a packet is UDP from port 53 with a payload; ``at`` is then at the UDP header."""
    if decode_packet(data, entry, decap, segment, at) != NOT_TCP or not at.at_udp:
        return False
    return has(at, UDP_HEADER + 1) and be16(at.bytes + at.pos) == PORT_DNS


cdef inline uint64_t tag_of(const name_hint_t* hint, const uint64_t* seed) noexcept nogil:
    """A keyed number for a server and a kind, never 0. Two that collide cost one of them a name."""
    cdef uint64_t[2] words
    cdef uint64_t mixed
    memcpy(words, hint.addr, 16)
    mixed = (words[0] ^ seed[0]) * MIX_1
    mixed = (mixed ^ (mixed >> 29) ^ words[1] ^ seed[1]) * MIX_2
    mixed ^= (<uint64_t>hint.port << 16 | hint.kind) ^ seed[2]
    mixed = (mixed ^ (mixed >> 32)) * MIX_3
    return (mixed ^ (mixed >> 31)) | 1
