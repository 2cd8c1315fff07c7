# Link layers: from a packet's first byte to its IP header, over tags, labels and PPP.
#
# Each step moves the cursor behind one header and says what comes next by setting ``layer``. It
# gives a verdict, or -1 to go on.

from libc.stdint cimport uint8_t, uint32_t

from trtop_core._cursor cimport (
    AT_ETHERNET,
    AT_ETHERTYPE,
    AT_IPV4,
    AT_IPV6,
    AT_PPP,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_MPLS,
    ETHERTYPE_MPLS_MULTICAST,
    ETHERTYPE_PPPOE,
    ETHERTYPE_QINQ,
    ETHERTYPE_QINQ_OLD,
    ETHERTYPE_VLAN,
    be16,
    be32,
    cursor_t,
    has,
)
from trtop_core._records cimport LINK_TYPE, NOT_TCP, TRUNCATED

# As `LinkType` of trtop_core/records.py (https://www.tcpdump.org/linktypes.html).
cdef enum link_type_t:
    LINKTYPE_NULL = 0             # the address family in the order of the host that captured
    LINKTYPE_ETHERNET = 1
    LINKTYPE_RAW_BSD = 12
    LINKTYPE_RAW_OPENBSD = 14
    LINKTYPE_RAW = 101
    LINKTYPE_LOOP = 108           # the address family in network order
    LINKTYPE_LINUX_SLL = 113
    LINKTYPE_IPV4 = 228
    LINKTYPE_IPV6 = 229
    LINKTYPE_LINUX_SLL2 = 276

# Address families of LINKTYPE_NULL and LINKTYPE_LOOP: those of the system that captured.
cdef enum:
    AF_INET = 2
    AF_INET6_LINUX = 10
    AF_INET6_NETBSD = 24          # and OpenBSD
    AF_INET6_FREEBSD = 28
    AF_INET6_DARWIN = 30

cdef enum:
    PPP_IPV4 = 0x0021             # RFC 1332
    PPP_IPV6 = 0x0057             # RFC 5072

cdef extern from *:
    uint32_t __builtin_bswap32(uint32_t) noexcept nogil

cdef inline int enter_link(cursor_t* at, uint32_t link_type) noexcept nogil:
    cdef uint32_t family
    if link_type == LINKTYPE_ETHERNET:
        at.layer = AT_ETHERNET
    elif link_type == LINKTYPE_LINUX_SLL:
        if not has(at, 16):
            return TRUNCATED
        at.kind = be16(at.bytes + 14)
        at.pos = 16
        at.layer = AT_ETHERTYPE
    elif link_type == LINKTYPE_LINUX_SLL2:
        if not has(at, 20):
            return TRUNCATED
        at.kind = be16(at.bytes)
        at.pos = 20
        at.layer = AT_ETHERTYPE
    elif (
        link_type == LINKTYPE_RAW
        or link_type == LINKTYPE_RAW_BSD
        or link_type == LINKTYPE_RAW_OPENBSD
    ):
        return by_version_nibble(at)
    elif link_type == LINKTYPE_IPV4:
        at.layer = AT_IPV4
    elif link_type == LINKTYPE_IPV6:
        at.layer = AT_IPV6
    elif link_type == LINKTYPE_NULL or link_type == LINKTYPE_LOOP:
        if not has(at, 4):
            return TRUNCATED
        family = be32(at.bytes)
        if family > 0xFFFF:
            family = __builtin_bswap32(family)
        at.pos = 4
        if family == AF_INET:
            at.layer = AT_IPV4
        elif (
            family == AF_INET6_LINUX
            or family == AF_INET6_NETBSD
            or family == AF_INET6_FREEBSD
            or family == AF_INET6_DARWIN
        ):
            at.layer = AT_IPV6
        else:
            return NOT_TCP
    else:
        return LINK_TYPE
    return -1

cdef inline int by_version_nibble(cursor_t* at) noexcept nogil:
    if not has(at, 1):
        return TRUNCATED
    cdef int version = at.bytes[at.pos] >> 4
    if version == 4:
        at.layer = AT_IPV4
    elif version == 6:
        at.layer = AT_IPV6
    else:
        return NOT_TCP
    return -1

cdef inline int step_ethernet(cursor_t* at) noexcept nogil:
    if not has(at, 14):
        return TRUNCATED
    at.kind = be16(at.bytes + at.pos + 12)
    at.pos += 14
    at.layer = AT_ETHERTYPE
    return -1

cdef inline int step_ethertype(cursor_t* at) noexcept nogil:
    cdef const uint8_t* p
    if at.kind == ETHERTYPE_IPV4:
        at.layer = AT_IPV4
        return -1
    if at.kind == ETHERTYPE_IPV6:
        at.layer = AT_IPV6
        return -1
    p = at.bytes + at.pos
    if at.kind == ETHERTYPE_VLAN or at.kind == ETHERTYPE_QINQ or at.kind == ETHERTYPE_QINQ_OLD:
        if not has(at, 4):
            return TRUNCATED
        at.kind = be16(p + 2)
        at.pos += 4
        return -1
    if at.kind == ETHERTYPE_MPLS or at.kind == ETHERTYPE_MPLS_MULTICAST:
        while True:
            if not has(at, 4):
                return TRUNCATED
            at.pos += 4
            if at.bytes[at.pos - 2] & 1:  # bottom of the stack
                return by_version_nibble(at)
    if at.kind == ETHERTYPE_PPPOE:
        if not has(at, 6):
            return TRUNCATED
        if p[0] != 0x11 or p[1] != 0:
            return NOT_TCP
        at.pos += 6
        at.layer = AT_PPP
        return -1
    return NOT_TCP

cdef inline int step_ppp(cursor_t* at) noexcept nogil:
    cdef uint32_t protocol
    if has(at, 1) and at.bytes[at.pos] == 0xFF:  # address and control (RFC 1662 §3.1)
        if not has(at, 2):
            return TRUNCATED
        if at.bytes[at.pos + 1] == 0x03:
            at.pos += 2
    if not has(at, 1):
        return TRUNCATED
    protocol = at.bytes[at.pos]
    at.pos += 1
    if not protocol & 1:  # a compressed protocol field is one odd byte (RFC 1661 §6.5)
        if not has(at, 1):
            return TRUNCATED
        protocol = (protocol << 8) | at.bytes[at.pos]
        at.pos += 1
    if protocol == PPP_IPV4:
        at.layer = AT_IPV4
    elif protocol == PPP_IPV6:
        at.layer = AT_IPV6
    else:
        return NOT_TCP
    return -1
