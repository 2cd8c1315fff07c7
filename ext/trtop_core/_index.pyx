"""Kernels that walk the records of a capture and fill an index of its packets.

Takes a piece of a pcap's or pcapng's bytes that starts at a record, fills the caller's index, and
says where it stopped and why. Copies no packet byte, keeps nothing between two calls, and leaves
every pcapng block that is rarer than packets to its caller. The machine is little-endian, as
``records.PACKET_INDEX`` is.
"""

cimport cython
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

from trtop_core._clock cimport SECOND_NS, TS_LIMIT_NS
from trtop_core._records cimport packet_index_t

cdef extern from *:
    """
    typedef __int128 trtop_int128_t;
    typedef unsigned __int128 trtop_uint128_t;
    """
    ctypedef long long int128_t "trtop_int128_t"
    ctypedef unsigned long long uint128_t "trtop_uint128_t"
    uint32_t swap_bytes "__builtin_bswap32"(uint32_t value) nogil


cdef packed struct interface_t:
    uint64_t tick_mul
    uint64_t tick_div
    int64_t offset_s
    uint32_t tick_shift
    uint32_t link_type


cdef enum:
    # Why a walk stopped; savefile.walk.Stop gives the same values their names.
    STOP_FULL = 0
    STOP_MORE = 1
    STOP_BLOCK = 2
    STOP_SKIP = 3
    STOP_LONG_PACKET = 4
    STOP_BLOCK_LENGTH = 5
    STOP_LONG_BLOCK = 6
    STOP_LENGTHS_DIFFER = 7
    STOP_PACKET_OVERRUNS = 8
    STOP_NO_INTERFACE = 9

cdef enum:
    # pcapng block types, and the least length of those that hold packets
    BLOCK_INTERFACE = 1
    BLOCK_OLD_PACKET = 2
    BLOCK_SIMPLE = 3
    BLOCK_STATISTICS = 5
    BLOCK_PACKET = 6
    BLOCK_SECTION = 0x0A0D0D0A
    LEN_BLOCK = 12
    LEN_SIMPLE = 16
    LEN_PACKET = 32
    LEN_PACKET_HEAD = 28  # of it, before the packet's bytes

cdef enum:
    LEN_RECORD = 16  # pcap: seconds, fraction, caplen, wire length


MAX_CAPLEN = 262_144
"""Bytes of the longest packet that is believed: libpcap's MAXIMUM_SNAPLEN, Wireshark's as well."""

MAX_BLOCK = 16 * 1024 * 1024
"""Bytes of the longest pcapng block that is read whole; libpcap's bound."""

cdef uint32_t max_caplen = MAX_CAPLEN
cdef uint32_t max_block = MAX_BLOCK


cdef struct walk_t:
    Py_ssize_t n_packets
    Py_ssize_t end
    Py_ssize_t need
    Py_ssize_t n_untimed
    int stop


@cython.final
cdef class PcapLayout:
    """How the records of one pcap file are written.

    Args:
        is_swapped: numbers are big-endian.
        ns_per_tick: unit of the fraction of a second, 1 or 1000.
        header_len: bytes before a packet: 16, or 24 in the modified format.
        link_type: LINKTYPE_ value of every packet.
    """

    cdef bint is_swapped
    cdef uint32_t ns_per_tick
    cdef uint32_t header_len
    cdef uint32_t link_type

    def __init__(self, bint is_swapped, uint32_t ns_per_tick, uint32_t header_len,
                 uint32_t link_type):
        if header_len < LEN_RECORD:
            raise ValueError("a pcap record's header has at least 16 bytes")
        self.is_swapped = is_swapped
        self.ns_per_tick = ns_per_tick
        self.header_len = header_len
        self.link_type = link_type


def walk_pcap(
    PcapLayout layout not None,
    const uint8_t[::1] data,  # IN: shape (n_bytes,)
    Py_ssize_t start,
    packet_index_t[::1] index,  # OUT: shape (capacity,)
):
    """Index the pcap records of ``data`` from ``start`` on.

    Returns:
        ``(n_packets, end, stop, need, 0)``: entries filled, where the first record that was not
        taken starts, why it was not, and how many bytes from there on it takes to go on.

    Raises:
        ValueError: ``start`` is outside the data, or the data is too long for 32-bit offsets.
    """
    cdef walk_t walk
    check_bounds(data.shape[0], start)
    with nogil:
        walk = _walk_pcap(layout, data, start, index)
    return walk.n_packets, walk.end, walk.stop, walk.need, walk.n_untimed


def walk_pcapng(
    bint is_swapped,
    const interface_t[::1] interfaces,  # IN: shape (n_interfaces,)
    const uint8_t[::1] data,  # IN: shape (n_bytes,)
    Py_ssize_t start,
    packet_index_t[::1] index,  # OUT: shape (capacity,)
):
    """Index the pcapng packets of ``data`` from ``start`` on, inside one section.

    Simple packets, which carry no time, are counted, and unknown blocks stepped over. Section
    headers, interface descriptions and statistics stop the walk with ``Stop.BLOCK``; an unknown
    block that goes on beyond the data stops it with ``Stop.SKIP`` and its length as ``need``.

    Returns:
        ``(n_packets, end, stop, need, n_untimed)``, see :func:`walk_pcap`.

    Raises:
        ValueError: ``start`` is outside the data, or the data is too long for 32-bit offsets.
    """
    cdef walk_t walk
    check_bounds(data.shape[0], start)
    with nogil:
        walk = _walk_pcapng(is_swapped, interfaces, data, start, index)
    return walk.n_packets, walk.end, walk.stop, walk.need, walk.n_untimed


cdef int check_bounds(Py_ssize_t n_bytes, Py_ssize_t start) except -1:
    if start < 0 or start > n_bytes:
        raise ValueError("start lies outside the data")
    if n_bytes > <Py_ssize_t>0xFFFF_FFFF:
        raise ValueError("a piece has at most 4 GiB")
    return 0


cdef inline uint32_t load(const uint8_t *at, bint is_swapped) noexcept nogil:
    cdef uint32_t value
    memcpy(&value, at, 4)
    return swap_bytes(value) if is_swapped else value


cdef walk_t _walk_pcap(
    PcapLayout layout,
    const uint8_t[::1] data,
    Py_ssize_t start,
    packet_index_t[::1] index,
) noexcept nogil:
    cdef:
        bint is_swapped = layout.is_swapped
        int64_t ns_per_tick = layout.ns_per_tick
        Py_ssize_t header_len = layout.header_len
        uint32_t link_type = layout.link_type
        Py_ssize_t n_bytes = data.shape[0]
        Py_ssize_t capacity = index.shape[0]
        Py_ssize_t n_packets = 0
        Py_ssize_t pos = start
        const uint8_t *record
        packet_index_t *packet
        uint32_t caplen
        walk_t walk

    walk.stop = STOP_FULL
    walk.need = 0
    walk.n_untimed = 0
    while n_packets < capacity:
        if n_bytes - pos < header_len:
            walk.stop = STOP_MORE
            walk.need = header_len
            break
        record = &data[pos]
        caplen = load(record + 8, is_swapped)
        if caplen > max_caplen:
            walk.stop = STOP_LONG_PACKET
            break
        if n_bytes - pos < header_len + caplen:
            walk.stop = STOP_MORE
            walk.need = header_len + caplen
            break
        packet = &index[n_packets]
        # 32 bits of seconds and of fraction stay below TS_LIMIT_NS.
        packet.ts_ns = (
            <int64_t>load(record, is_swapped) * SECOND_NS
            + <int64_t>load(record + 4, is_swapped) * ns_per_tick
        )
        packet.offset = <uint32_t>(pos + header_len)
        packet.caplen = caplen
        packet.wire_len = load(record + 12, is_swapped)
        packet.link_type = link_type
        n_packets += 1
        pos += header_len + caplen
    walk.n_packets = n_packets
    walk.end = pos
    return walk


cdef walk_t _walk_pcapng(
    bint is_swapped,
    const interface_t[::1] interfaces,
    const uint8_t[::1] data,
    Py_ssize_t start,
    packet_index_t[::1] index,
) noexcept nogil:
    cdef:
        Py_ssize_t n_bytes = data.shape[0]
        Py_ssize_t n_interfaces = interfaces.shape[0]
        Py_ssize_t capacity = index.shape[0]
        Py_ssize_t left
        const uint8_t *block
        uint32_t block_type, total_len
        walk_t walk

    walk.n_packets = 0
    walk.end = start
    walk.need = 0
    walk.n_untimed = 0
    walk.stop = STOP_FULL
    while walk.n_packets < capacity:
        left = n_bytes - walk.end
        if left < LEN_BLOCK:
            walk.stop = STOP_MORE
            walk.need = LEN_BLOCK
            break
        block = &data[walk.end]
        block_type = load(block, is_swapped)
        if block_type == BLOCK_SECTION:
            walk.stop = STOP_BLOCK  # the byte order of its length is not known yet
            break
        total_len = load(block + 4, is_swapped)
        walk.stop = check_length(block_type, total_len)
        if walk.stop != STOP_FULL:
            break
        if left < total_len:
            walk.stop = STOP_MORE if is_read_whole(block_type) else STOP_SKIP
            walk.need = total_len
            break
        if load(block + total_len - 4, is_swapped) != total_len:
            walk.stop = STOP_LENGTHS_DIFFER
            break
        if block_type == BLOCK_PACKET or block_type == BLOCK_OLD_PACKET:
            walk.stop = take_packet(
                block, is_swapped, interfaces, &index[walk.n_packets],
            )
            if walk.stop != STOP_FULL:
                break
            index[walk.n_packets].offset = <uint32_t>(walk.end + LEN_PACKET_HEAD)
            walk.n_packets += 1
        elif block_type == BLOCK_SIMPLE:
            if n_interfaces == 0:
                walk.stop = STOP_NO_INTERFACE
                break
            walk.n_untimed += 1
        elif is_read_whole(block_type):
            walk.stop = STOP_BLOCK
            walk.need = total_len
            break
        walk.end += total_len
    return walk


cdef inline bint is_read_whole(uint32_t block_type) noexcept nogil:
    return (
        block_type == BLOCK_PACKET
        or block_type == BLOCK_OLD_PACKET
        or block_type == BLOCK_SIMPLE
        or block_type == BLOCK_INTERFACE
        or block_type == BLOCK_STATISTICS
    )


cdef inline int check_length(uint32_t block_type, uint32_t total_len) noexcept nogil:
    """STOP_FULL, or what is wrong with a block's length."""
    if total_len < LEN_BLOCK or total_len & 3:
        return STOP_BLOCK_LENGTH
    if not is_read_whole(block_type):
        return STOP_FULL
    if total_len > max_block:
        return STOP_LONG_BLOCK
    if block_type == BLOCK_SIMPLE and total_len < LEN_SIMPLE:
        return STOP_BLOCK_LENGTH
    if block_type == BLOCK_PACKET or block_type == BLOCK_OLD_PACKET:
        if total_len < LEN_PACKET:
            return STOP_BLOCK_LENGTH
    return STOP_FULL


cdef inline int take_packet(
    const uint8_t *block,  # IN: whole, LEN_PACKET bytes at least
    bint is_swapped,
    const interface_t[::1] interfaces,
    packet_index_t *packet,  # OUT: all but the offset
) noexcept nogil:
    cdef:
        uint32_t total_len = load(block + 4, is_swapped)
        uint32_t interface_id = load(block + 8, is_swapped)
        uint32_t caplen = load(block + 20, is_swapped)
        uint64_t ticks
        const interface_t *interface

    if load(block, is_swapped) == BLOCK_OLD_PACKET:
        # 16 bits of interface, then 16 bits of drops, each in the section's byte order
        interface_id = interface_id >> 16 if is_swapped else interface_id & 0xFFFF
    if interface_id >= interfaces.shape[0]:
        return STOP_NO_INTERFACE
    if caplen > max_caplen:
        return STOP_LONG_PACKET
    if caplen > total_len - LEN_PACKET:
        return STOP_PACKET_OVERRUNS
    interface = &interfaces[interface_id]
    ticks = <uint64_t>load(block + 12, is_swapped) << 32 | load(block + 16, is_swapped)
    packet.ts_ns = ticks_to_ns(ticks, interface)
    packet.caplen = caplen
    packet.wire_len = load(block + 24, is_swapped)
    packet.link_type = interface.link_type
    return STOP_FULL


@cython.cdivision(True)
cdef inline int64_t ticks_to_ns(uint64_t ticks, const interface_t *interface) noexcept nogil:
    """Time of a packet, rounded down, clamped to ±TS_LIMIT_NS; tick_div is never 0."""
    cdef uint128_t magnitude_ns = <uint128_t>ticks * interface.tick_mul
    cdef int128_t ts_ns
    if interface.tick_div != 1:
        magnitude_ns = magnitude_ns / interface.tick_div
    magnitude_ns = magnitude_ns >> interface.tick_shift
    ts_ns = <int128_t>magnitude_ns + <int128_t>interface.offset_s * SECOND_NS
    if ts_ns > TS_LIMIT_NS:
        return TS_LIMIT_NS
    if ts_ns < -TS_LIMIT_NS:
        return -TS_LIMIT_NS
    return <int64_t>ts_ns
