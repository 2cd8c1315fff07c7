# Tunnels that are stepped into: GRE, VXLAN, Geneve. Each step gives a verdict, or -1 to go on.

from libc.stdint cimport uint8_t, uint32_t

from trtop_core._cursor cimport (
    AT_ETHERNET,
    AT_ETHERTYPE,
    AT_PPP,
    ETHERTYPE_BRIDGED,
    ETHERTYPE_IPV4,
    ETHERTYPE_IPV6,
    ETHERTYPE_MPLS,
    ETHERTYPE_MPLS_MULTICAST,
    ETHERTYPE_PPP,
    ETHERTYPE_PPPOE,
    ETHERTYPE_QINQ,
    ETHERTYPE_QINQ_OLD,
    ETHERTYPE_VLAN,
    be16,
    cursor_t,
    has,
)
from trtop_core._records cimport NOT_TCP, TRUNCATED

cdef enum:
    PORT_VXLAN = 4789             # RFC 7348
    PORT_GENEVE = 6081            # RFC 8926

cdef inline int enter_gre(cursor_t* at) noexcept nogil:
    # RFC 2784, RFC 2890 (version 0); RFC 2637 §4.1 (version 1).
    cdef const uint8_t* p = at.bytes + at.pos
    cdef uint32_t flags, size
    if not has(at, 4):
        return TRUNCATED
    flags = be16(p)
    at.kind = be16(p + 2)
    if flags & 0x4000:  # source routes, RFC 1701 only
        return NOT_TCP
    size = 4
    size += 4 if flags & 0x8000 else 0
    size += 4 if flags & 0x2000 else 0
    size += 4 if flags & 0x1000 else 0
    if flags & 7 == 1:
        size += 4 if flags & 0x0080 else 0
        if at.kind != ETHERTYPE_PPP:
            return NOT_TCP
        if not flags & 0x1000:  # no sequence number: an acknowledgement without payload
            return NOT_TCP
        at.layer = AT_PPP
    elif flags & 7 == 0:
        if at.kind == ETHERTYPE_BRIDGED:
            at.layer = AT_ETHERNET
        elif is_tunnelled_ethertype(at.kind):
            at.layer = AT_ETHERTYPE
        else:
            return NOT_TCP
    else:
        return NOT_TCP
    if not has(at, size):
        return TRUNCATED
    at.pos += size
    return -1

cdef inline bint is_tunnelled_ethertype(uint32_t kind) noexcept nogil:
    return (
        kind == ETHERTYPE_IPV4
        or kind == ETHERTYPE_IPV6
        or kind == ETHERTYPE_MPLS
        or kind == ETHERTYPE_MPLS_MULTICAST
        or kind == ETHERTYPE_VLAN
        or kind == ETHERTYPE_QINQ
        or kind == ETHERTYPE_QINQ_OLD
        or kind == ETHERTYPE_PPPOE
    )

cdef inline int enter_udp(cursor_t* at) noexcept nogil:
    cdef const uint8_t* p = at.bytes + at.pos
    cdef uint32_t port, size
    if not has(at, 4):
        return NOT_TCP
    port = be16(p + 2)
    if port == PORT_VXLAN:
        if not has(at, 16):
            return TRUNCATED
        if not p[8] & 0x08:  # no valid VNI: not VXLAN
            return NOT_TCP
        at.pos += 16
        at.layer = AT_ETHERNET
        return -1
    if port == PORT_GENEVE:
        if not has(at, 16):
            return TRUNCATED
        if p[8] >> 6:  # version
            return NOT_TCP
        size = 16 + (p[8] & 0x3F) * 4
        at.kind = be16(p + 10)
        if at.kind == ETHERTYPE_BRIDGED:
            at.layer = AT_ETHERNET
        elif is_tunnelled_ethertype(at.kind):
            at.layer = AT_ETHERTYPE
        else:
            return NOT_TCP
        if not has(at, size):
            return TRUNCATED
        at.pos += size
        return -1
    return NOT_TCP
