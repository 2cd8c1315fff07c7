# What packing made of a connection, read again; see `_packing`.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from trtop_core._clock cimport BEFORE_ALL_NS
from trtop_core._connection cimport D_HIGHEST_ACK, S_TIMED, connection_t, direction_t, turn_t
from trtop_core._numbers cimport along, apart, read_number, read_signed
from trtop_core._packing cimport (
    F_ACKED,
    F_ASKED_FROM,
    F_BEGAN,
    F_BEGAN_CLOCK,
    F_DUE,
    F_FIRST_SEQ,
    F_FLOOR,
    F_FRONTIER,
    F_GAP_END,
    F_HIGHEST_ACK,
    F_HIGH_IS_DESTINATION,
    F_HIGH_IS_IPV6,
    F_ISN,
    F_LOST_BELOW,
    F_LOW_IS_DESTINATION,
    F_LOW_IS_IPV6,
    F_N_BYTES,
    F_OPENING,
    F_REACHED,
    F_RESPONSES,
    F_SERVER_END,
    F_STALLS,
    F_STREAM,
    F_SYNACKS,
    F_SYN_END,
    F_TURN,
    F_TURN_FIRST,
    F_TURN_LAST,
    F_WAITS_SINCE,
    F_WHEEL,
    data_end_of,
    packed_t,
    shape_t,
    usual_acked,
    usual_isn,
    usual_lost_below,
    usual_reached,
    usual_server_end,
    usual_wheel_ns,
)
from trtop_core._records cimport destination_key_t

cdef inline const uint8_t* read_apart(
    const uint8_t* at, bint is_written, int64_t usual, int64_t sign, int64_t* value
) noexcept nogil:
    """A field that lies so far above (sign 1) or below (-1) what is predicted, if it is written."""
    cdef long long difference = 0
    if is_written:
        at = read_signed(at, &difference)
    value[0] = along(usual, difference) if sign > 0 else apart(usual, difference)
    return at

cdef inline const uint8_t* unpack_side(
    const uint8_t* at,
    uint32_t flags,
    uint32_t written,
    direction_t* d,
    uint32_t* first_seq,
    uint32_t* isn,
) noexcept nogil:
    cdef uint32_t first = 0
    if written & F_FIRST_SEQ:
        memcpy(&first, at, sizeof(first))
        at += sizeof(first)
    first_seq[0] = first
    isn[0] = usual_isn(flags, first)
    if written & F_ISN:
        memcpy(isn, at, sizeof(uint32_t))
        at += sizeof(uint32_t)
    at = read_apart(at, written & F_REACHED, usual_reached(flags, first), 1, &d.reached)
    at = read_apart(at, written & F_FRONTIER, d.reached, -1, &d.frontier)
    at = read_apart(at, written & F_ACKED, usual_acked(flags, first, d.reached), -1, &d.acked)
    at = read_apart(
        at, written & F_HIGHEST_ACK, d.acked if flags & D_HIGHEST_ACK else 0, 1, &d.highest_ack
    )
    at = read_apart(
        at, written & F_LOST_BELOW, usual_lost_below(flags, first), 1, &d.lost_below
    )
    if written & F_GAP_END:
        at = read_apart(at, True, d.reached, -1, &d.gap_end)
    else:
        d.gap_end = BEFORE_ALL_NS
    d.flags = <uint16_t>flags
    d.holes = 0
    d.n_nodes = 0
    return at

cdef inline const uint8_t* unpack_turn(
    const uint8_t* at, uint32_t fields, connection_t* c
) noexcept nogil:
    cdef turn_t* turn = &c.turn
    cdef int64_t n_bytes
    cdef unsigned long long number
    turn.n_stalls = 0
    if not fields & F_TURN:
        turn.asked_ns = turn.first_ns = turn.last_ns = turn.stream_ns = turn.waits_since_ns = 0
        turn.client_start = turn.server_start = turn.asked_from = 0
        turn.n_bytes = 0
        return at
    at = read_apart(at, True, data_end_of(&c.client), -1, &turn.client_start)
    at = read_apart(at, True, c.server_end, -1, &turn.server_start)
    at = read_apart(at, True, c.last_ns, -1, &turn.asked_ns)
    n_bytes = apart(c.server_end, turn.server_start)
    turn.n_bytes = <uint64_t>n_bytes
    at = read_apart(at, fields & F_ASKED_FROM, turn.client_start, 1, &turn.asked_from)
    if fields & F_N_BYTES:
        at = read_number(at, &number)
        turn.n_bytes = number
    at = read_apart(at, fields & F_TURN_FIRST, turn.asked_ns, 1, &turn.first_ns)
    at = read_apart(at, fields & F_TURN_LAST, turn.first_ns, 1, &turn.last_ns)
    turn.stream_ns = apart(turn.last_ns, turn.first_ns)
    if fields & F_STREAM:
        at = read_apart(at, True, 0, 1, &turn.stream_ns)
    at = read_apart(at, fields & F_WAITS_SINCE, turn.asked_ns, 1, &turn.waits_since_ns)
    if fields & F_STALLS:
        at = read_number(at, &number)
        turn.n_stalls = <uint32_t>number
    return at

cdef inline const uint8_t* unpack_opening(
    const uint8_t* at, uint32_t fields, connection_t* c
) noexcept nogil:
    cdef unsigned long long number
    c.syn_end = 0
    if fields & F_SYN_END:
        at = read_number(at, &number)
        c.syn_end = <uint32_t>number
    if fields & F_SYNACKS:
        memcpy(&c.synack_isns[0], at, sizeof(c.synack_isns) + sizeof(c.synack_acks))
        at += sizeof(c.synack_isns) + sizeof(c.synack_acks)
    else:
        c.synack_isns[0] = c.first_seqs[1] if c.n_synacks else 0
        c.synack_acks[0] = c.isns[0] + 1 if c.n_synacks else 0
        c.synack_isns[1] = c.synack_acks[1] = 0
    c.synack_ns = c.syn_rtt_ns = 0
    if fields & F_OPENING:
        at = read_apart(at, True, c.last_ns, -1, &c.synack_ns)
        at = read_apart(at, True, 0, 1, &c.syn_rtt_ns)
    return at

cdef inline const uint8_t* unpack_address(
    const uint8_t* at,
    const destination_key_t* key,
    bint is_destination,
    bint is_ipv6,
    uint8_t* address,
) noexcept nogil:
    cdef uint64_t* words = <uint64_t*>address
    cdef uint32_t ipv4
    if is_destination:
        memcpy(address, key.addr, 16)
        return at
    if is_ipv6:
        memcpy(address, at, 16)
        return at + 16
    memcpy(&ipv4, at, 4)
    words[0] = 0
    words[1] = (<uint64_t>ipv4 << 32) | <uint32_t>0xFFFF0000
    return at + 4

cdef inline const uint8_t* unpack_times(
    const uint8_t* start, int64_t base_ns, const shape_t* shape, connection_t* c
) noexcept nogil:
    """What is looked at without the rest: destination and times, but for its first segment's."""
    cdef const uint8_t* at = start + sizeof(packed_t)
    cdef unsigned long long number
    at = read_number(at, &number)
    c.destination = <uint32_t>number
    at = read_apart(at, True, base_ns, 1, &c.last_ns)
    at = read_apart(at, shape.fields & F_BEGAN_CLOCK, c.last_ns, -1, &c.began_clock_ns)
    at = read_apart(
        at,
        shape.fields & F_WHEEL,
        usual_wheel_ns(shape.state, c.last_ns, c.began_clock_ns),
        -1,
        &c.wheel_ns,
    )
    return read_apart(at, shape.fields & F_DUE, c.wheel_ns, -1, &c.due_ns)

cdef inline void unpack_connection(
    const uint8_t* start,
    const destination_key_t* keys,
    int64_t base_ns,
    const shape_t* shape,
    connection_t* c,
) noexcept nogil:
    """Make a connection of its bytes: all of it but its number and its hash.

    Args:
        keys: of destinations, by row.
        base_ns: as it was packed with.
        shape: its shape.
        c: OUT the connection.
    """
    cdef const packed_t* packed = <const packed_t*>start
    cdef uint32_t fields = shape.fields
    cdef const uint8_t* at = unpack_times(start, base_ns, shape, c)
    cdef const destination_key_t* key = &keys[c.destination]
    cdef unsigned long long number
    c.state = shape.state
    c.protocol = shape.protocol
    c.turn.flags = shape.turn_flags
    c.n_synacks = shape.n_synacks
    c.side = 0
    c.low_port = packed.low_port
    c.high_port = packed.high_port
    at = unpack_address(
        at, key, fields & F_LOW_IS_DESTINATION, fields & F_LOW_IS_IPV6, &c.low_addr[0]
    )
    at = unpack_address(
        at, key, fields & F_HIGH_IS_DESTINATION, fields & F_HIGH_IS_IPV6, &c.high_addr[0]
    )
    at = unpack_side(
        at, shape.client_flags, shape.client_fields, &c.client, &c.first_seqs[0], &c.isns[0]
    )
    at = unpack_side(
        at, shape.server_flags, shape.server_fields, &c.server, &c.first_seqs[1], &c.isns[1]
    )
    c.client.n_counted = packed.n_counted[0]
    c.server.n_counted = packed.n_counted[1]
    at = read_apart(at, fields & F_BEGAN, c.began_clock_ns, 1, &c.began_ns)
    at = read_apart(at, fields & F_FLOOR, 0, 1, &c.floor_ns)
    c.n_responses = 0
    if fields & F_RESPONSES:
        at = read_number(at, &number)
        c.n_responses = <uint32_t>number
    at = read_apart(at, fields & F_SERVER_END, usual_server_end(c), -1, &c.server_end)
    at = unpack_turn(at, fields, c)
    at = unpack_opening(at, fields, c)
    c.timed_start = c.timed_end = c.timed_ns = 0
    if c.state & S_TIMED:
        at = read_apart(at, True, c.client.reached, -1, &c.timed_start)
        at = read_apart(at, True, c.timed_start, 1, &c.timed_end)
        at = read_apart(at, True, c.last_ns, -1, &c.timed_ns)
