# cython: freethreading_compatible=False
"""Packet bytes -> TCP segments: one ``segment_t`` per packet, with a verdict.

Walks from the outermost header inwards; the first check that fails names the verdict. Tests the
remaining length before each read. Keeps nothing between packets.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy

from trtop_core._clock cimport TS_LIMIT_NS
from trtop_core._cursor cimport (
    AT_ETHERNET,
    AT_ETHERTYPE,
    AT_IPV4,
    AT_IPV6,
    be16,
    be32,
    cursor_t,
    has,
)
from trtop_core._links cimport (
    LINKTYPE_ETHERNET,
    enter_link,
    step_ethernet,
    step_ethertype,
    step_ppp,
)
from trtop_core._records cimport (
    BAD_HEADER,
    BAD_LENGTH,
    BAD_OFFSET,
    FRAGMENT,
    NOT_TCP,
    SEGMENT,
    TOO_DEEP,
    TRUNCATED,
    packet_index_t,
    segment_t,
)
from trtop_core._tunnels cimport enter_gre, enter_udp

import sys

cdef enum:
    PROTO_HOP_BY_HOP = 0
    PROTO_IPV4 = 4
    PROTO_TCP = 6
    PROTO_UDP = 17
    PROTO_IPV6 = 41
    PROTO_ROUTING = 43
    PROTO_FRAGMENT = 44
    PROTO_GRE = 47
    PROTO_AH = 51
    PROTO_DESTINATION = 60

cdef enum:
    MAX_IP_HEADERS = 8
    MAX_OFFLOAD_BYTES = 1 << 20   # what a length of 0 may stand for, as the largest GSO segments

cdef uint32_t MAPPED_PREFIX = int.from_bytes(b"\x00\x00\xff\xff", sys.byteorder)


def decode_into(
    const uint8_t[::1] data, const packet_index_t[::1] index, segment_t[::1] out, bint decap
):
    """Decode every packet of a batch.

    Args:
        data: IN packet bytes.
        index: IN shape (n,), ``records.PACKET_INDEX``.
        out: OUT shape (n,), ``records.SEGMENT``.
        decap: whether TCP inside tunnels counts.

    Raises:
        ValueError: ``out`` is too short, or a packet lies outside ``data``.
    """
    cdef Py_ssize_t n_packets = index.shape[0]
    if out.shape[0] < n_packets:
        raise ValueError("out is shorter than the index")
    check_bounds(data, index)
    if n_packets == 0:
        return
    cdef const uint8_t* base = &data[0] if data.shape[0] else NULL
    with nogil:
        decode_block(base, &index[0], n_packets, decap, &out[0])


def check_bounds(const uint8_t[::1] data, const packet_index_t[::1] index):
    """Whether all packets of an index lie within the data.

    Raises:
        ValueError: one does not.
    """
    cdef Py_ssize_t i
    cdef size_t n_data = <size_t>data.shape[0]
    cdef bint outside = False
    with nogil:
        for i in range(index.shape[0]):
            outside |= <size_t>index[i].offset + index[i].caplen > n_data
    if outside:
        raise ValueError("a packet of the index lies outside the batch's data")


cdef void decode_block(
    const uint8_t* data,
    const packet_index_t* index,
    Py_ssize_t n_packets,
    bint decap,
    segment_t* out,
) noexcept nogil:
    cdef Py_ssize_t i
    cdef cursor_t at
    for i in range(n_packets):
        out[i].ts_ns = index[i].ts_ns
        # One branch that is never taken, and computes nothing.
        if <uint64_t>index[i].ts_ns + <uint64_t>TS_LIMIT_NS > 2 * <uint64_t>TS_LIMIT_NS:
            out[i].ts_ns = min(max(index[i].ts_ns, -TS_LIMIT_NS), TS_LIMIT_NS)
        if not decode_plain(data, &index[i], &out[i]):
            out[i].verdict = <uint8_t>decode_packet(
                data, &index[i], decap, &out[i], &at
            )


cdef inline bint decode_plain(
    const uint8_t* data, const packet_index_t* entry, segment_t* out
) noexcept nogil:
    """Ethernet, IP without options, extensions or fragments, TCP: most packets, in one step.

    False, and nothing said, for everything else and for everything that is wrong.
    """
    cdef const uint8_t* p = data + entry.offset
    cdef uint32_t total_len, header_len, captured
    if entry.link_type != LINKTYPE_ETHERNET or entry.caplen < 54:
        return False
    # Ethertype IPv4, version 4 with 5 words; neither "more fragments" nor an offset; TCP.
    if be32(p + 12) >> 8 != 0x080045 or be16(p + 20) & 0x3FFF or p[23] != PROTO_TCP:
        return decode_plain_ipv6(p, entry, out)
    total_len = be16(p + 16)
    header_len = (p[46] >> 4) * 4
    if header_len < 20 or total_len < 20 + header_len:
        return False
    map_ipv4(p + 26, out.src)
    map_ipv4(p + 30, out.dst)
    out.ip_id = be16(p + 18)
    out.is_fragment = 0
    captured = entry.caplen - 34
    read_header(p + 34, header_len, total_len - 20 - header_len, captured, entry.offset + 34, out)
    out.verdict = SEGMENT
    return True


cdef inline bint decode_plain_ipv6(
    const uint8_t* p, const packet_index_t* entry, segment_t* out
) noexcept nogil:
    """As ``decode_plain``, of an Ethernet frame at ``p``."""
    cdef uint32_t payload_len, header_len
    if entry.caplen < 74 or be16(p + 12) != 0x86DD or p[14] >> 4 != 6 or p[20] != PROTO_TCP:
        return False
    payload_len = be16(p + 18)
    header_len = (p[66] >> 4) * 4
    if header_len < 20 or payload_len < header_len:
        return False
    memcpy(out.src, p + 22, 16)
    memcpy(out.dst, p + 38, 16)
    out.ip_id = 0
    out.is_fragment = 0
    read_header(
        p + 54, header_len, payload_len - header_len, entry.caplen - 54, entry.offset + 54, out
    )
    out.verdict = SEGMENT
    return True


cdef inline void read_header(
    const uint8_t* p,
    uint32_t header_len,
    uint32_t payload_len,
    uint32_t captured,
    uint32_t offset,
    segment_t* out,
) noexcept nogil:
    """The fields of a TCP header at ``p``, from where on ``captured`` bytes are there."""
    cdef uint32_t captured_header_len
    out.src_port = be16(p)
    out.dst_port = be16(p + 2)
    out.seq = be32(p + 4)
    out.ack = be32(p + 8)
    out.flags = p[13]
    out.window = be16(p + 14)
    out.checksum = be16(p + 16)
    out.payload_len = payload_len
    captured_header_len = min(captured, header_len)
    out.payload_offset = offset + captured_header_len
    out.payload_caplen = min(captured - captured_header_len, payload_len)


cdef int decode_packet(
    const uint8_t* data,
    const packet_index_t* entry,
    bint decap,
    segment_t* out,
    cursor_t* at,
) noexcept nogil:
    """Walk one packet from the outermost header inwards; ``at`` stays where the walk ended."""
    cdef int verdict
    at.bytes = data + entry.offset
    at.pos = 0
    at.end = entry.caplen
    at.wire_len = entry.wire_len
    at.base = entry.offset
    at.n_ip_headers = 0
    at.decap = decap
    at.is_fragment = False
    at.at_udp = False
    out.is_fragment = 0
    verdict = enter_link(at, entry.link_type)
    while verdict < 0:
        if at.layer == AT_IPV4:
            verdict = step_ipv4(at, out)
        elif at.layer == AT_IPV6:
            verdict = step_ipv6(at, out)
        elif at.layer == AT_ETHERTYPE:
            verdict = step_ethertype(at)
        elif at.layer == AT_ETHERNET:
            verdict = step_ethernet(at)
        else:
            verdict = step_ppp(at)
    return verdict


cdef int step_ipv4(cursor_t* at, segment_t* out) noexcept nogil:
    cdef const uint8_t* p = at.bytes + at.pos
    cdef uint32_t header_len, total_len, fragment
    at.n_ip_headers += 1
    if at.n_ip_headers > MAX_IP_HEADERS:
        return TOO_DEEP
    if not has(at, 20):
        return TRUNCATED
    header_len = (p[0] & 0x0F) * 4
    if p[0] >> 4 != 4 or header_len < 20:
        return BAD_HEADER
    if not has(at, header_len):
        return TRUNCATED
    total_len = be16(p + 2)
    if total_len == 0:
        total_len = offloaded_length(at)
    if total_len < header_len:
        return BAD_HEADER
    fragment = be16(p + 6)
    if fragment & 0x1FFF:
        return FRAGMENT if p[9] == PROTO_TCP else NOT_TCP
    at.is_fragment = (fragment & 0x2000) != 0
    out.ip_id = be16(p + 4)
    map_ipv4(p + 12, out.src)
    map_ipv4(p + 16, out.dst)
    at.pos += header_len
    return enter_transport(at, p[9], total_len - header_len, out)


cdef int step_ipv6(cursor_t* at, segment_t* out) noexcept nogil:
    cdef const uint8_t* p = at.bytes + at.pos
    cdef uint32_t payload_len, size
    cdef uint32_t fragment
    cdef int proto
    at.n_ip_headers += 1
    if at.n_ip_headers > MAX_IP_HEADERS:
        return TOO_DEEP
    if not has(at, 40):
        return TRUNCATED
    if p[0] >> 4 != 6:
        return BAD_HEADER
    payload_len = be16(p + 4)
    if payload_len == 0:
        payload_len = offloaded_length(at)
        payload_len = payload_len - 40 if payload_len > 40 else 0
    proto = p[6]
    out.ip_id = 0
    at.is_fragment = False  # a fragmented tunnel carries whole datagrams
    memcpy(out.src, p + 8, 16)
    memcpy(out.dst, p + 24, 16)
    at.pos += 40
    while True:
        if (
            proto == PROTO_HOP_BY_HOP
            or proto == PROTO_ROUTING
            or proto == PROTO_DESTINATION
            or proto == PROTO_FRAGMENT
            or proto == PROTO_AH
        ):
            if not has(at, 8):
                return TRUNCATED
            p = at.bytes + at.pos
            if proto == PROTO_FRAGMENT:
                size = 8
                fragment = be16(p + 2)
                if fragment & 0xFFF8:
                    return FRAGMENT if p[0] == PROTO_TCP else NOT_TCP
                if fragment & 1:
                    at.is_fragment = True
            elif proto == PROTO_AH:
                size = (p[1] + 2) * 4  # RFC 4302 §2.2
            else:
                size = (p[1] + 1) * 8
            if not has(at, size):
                return TRUNCATED
            if size > payload_len:
                return BAD_HEADER
            proto = p[0]
            at.pos += size
            payload_len -= size
        else:
            return enter_transport(at, proto, payload_len, out)


cdef inline uint32_t offloaded_length(const cursor_t* at) noexcept nogil:
    """What the wire length leaves for this IP datagram, or 0 if that is not believable."""
    if at.wire_len < at.pos or at.wire_len - at.pos > MAX_OFFLOAD_BYTES:
        return 0
    return at.wire_len - at.pos


cdef inline void map_ipv4(const uint8_t* address, uint8_t* mapped) noexcept nogil:
    # Whole words: what is written in pieces cannot be read back at once for some cycles.
    cdef uint32_t[4] words
    words[0] = words[1] = 0
    words[2] = MAPPED_PREFIX
    memcpy(&words[3], address, 4)
    memcpy(mapped, words, 16)


cdef int enter_transport(
    cursor_t* at, int proto, uint32_t ip_payload_len, segment_t* out
) noexcept nogil:
    cdef int verdict
    if proto == PROTO_TCP:
        return read_tcp(at, ip_payload_len, out)
    if not at.decap:
        at.at_udp = proto == PROTO_UDP
        return NOT_TCP
    if proto == PROTO_IPV4:
        at.layer = AT_IPV4
    elif proto == PROTO_IPV6:
        at.layer = AT_IPV6
    elif proto == PROTO_GRE:
        return enter_gre(at)
    elif proto == PROTO_UDP:
        verdict = enter_udp(at)
        at.at_udp = verdict == NOT_TCP
        return verdict
    else:
        return NOT_TCP
    return -1


cdef int read_tcp(cursor_t* at, uint32_t ip_payload_len, segment_t* out) noexcept nogil:
    # RFC 9293 §3.1
    cdef const uint8_t* p = at.bytes + at.pos
    cdef uint32_t header_len
    if not has(at, 20):
        return TRUNCATED
    if ip_payload_len < 20:
        return BAD_LENGTH
    header_len = (p[12] >> 4) * 4
    if header_len < 20:
        return BAD_OFFSET
    if header_len > ip_payload_len:
        return BAD_LENGTH
    out.is_fragment = at.is_fragment
    read_header(
        p, header_len, ip_payload_len - header_len, at.end - at.pos, at.base + at.pos, out
    )
    return SEGMENT
