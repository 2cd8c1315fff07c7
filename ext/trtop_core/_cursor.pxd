# Where the walk through one packet stands, and the reads that every layer needs.

from libc.stdint cimport uint8_t, uint16_t, uint32_t

cdef enum:
    ETHERTYPE_IPV4 = 0x0800
    ETHERTYPE_IPV6 = 0x86DD
    ETHERTYPE_VLAN = 0x8100       # IEEE 802.1Q
    ETHERTYPE_QINQ = 0x88A8       # IEEE 802.1ad
    ETHERTYPE_QINQ_OLD = 0x9100
    ETHERTYPE_MPLS = 0x8847       # RFC 3032
    ETHERTYPE_MPLS_MULTICAST = 0x8848
    ETHERTYPE_PPPOE = 0x8864      # RFC 2516, session stage
    ETHERTYPE_PPP = 0x880B        # inside PPTP's GRE (RFC 2637)
    ETHERTYPE_BRIDGED = 0x6558    # Ethernet inside GRE or Geneve

# What lies at the cursor.
cdef enum layer_t:
    AT_ETHERNET
    AT_ETHERTYPE                  # cursor behind it, value in `kind`
    AT_IPV4
    AT_IPV6
    AT_PPP

# Where the walk stands in one packet. `end` is where captured bytes end; lengths that the headers
# claim are kept apart, since a snapped packet has fewer bytes than its headers say.
cdef struct cursor_t:
    const uint8_t* bytes
    uint32_t pos
    uint32_t end
    uint32_t wire_len
    uint32_t base                 # of the packet in the batch's data
    uint32_t kind                 # ethertype, while AT_ETHERTYPE
    layer_t layer
    int n_ip_headers
    bint at_udp                   # the walk ended as NOT_TCP, with the cursor at a UDP header
    bint decap
    bint is_fragment

cdef inline uint16_t be16(const uint8_t* p) noexcept nogil:
    return <uint16_t>((p[0] << 8) | p[1])

cdef inline uint32_t be32(const uint8_t* p) noexcept nogil:
    return (<uint32_t>p[0] << 24) | (<uint32_t>p[1] << 16) | (<uint32_t>p[2] << 8) | p[3]

cdef inline bint has(const cursor_t* at, uint32_t n_bytes) noexcept nogil:
    return at.end - at.pos >= n_bytes
