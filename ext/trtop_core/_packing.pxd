# A connection at rest in some 70 bytes, and back, bit for bit.
#
# What most connections have in common is kept once: states, flags, and which fields are as other
# fields of theirs predict, make a shape, of which there are few. What is left are the ends and, in
# as many bytes as they need, the differences from what is predicted. A prediction that fails costs
# bytes, never a bit of what is kept. What no packet, timer or view reads any more is not kept: the
# times of a segment that is not timed, and of a SYN/ACK once the connection is established.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from trtop_core._clock cimport BEFORE_ALL_NS, SECOND_NS
from trtop_core._connection cimport (
    D_ACKED,
    D_FIN,
    D_HIGHEST_ACK,
    D_KNOWS_START,
    D_REACHED,
    P_SERVER_END,
    S_ATTEMPT,
    S_CLOSED,
    S_EST,
    S_IDLE,
    S_TIMED,
    S_WAITING,
    connection_t,
    direction_t,
    turn_t,
)
from trtop_core._numbers cimport along, apart, write_number, write_signed
from trtop_core._records cimport destination_key_t

cdef enum:
    PACKED_UNIT = 4              # bytes: packed connections begin and end at multiples of these
    MAX_PACKED_UNITS = 63        # a longer one is not worth it
    PACKING_BYTES = 512          # more than the longest takes while it is written
    # When timers usually look at a connection: what is wrong here costs bytes.
    USUAL_CLOSED_S = 60
    USUAL_WAITING_S = 20
    USUAL_OPEN_S = 300

# Which fields are not as predicted, and are written.
cdef enum field_t:
    F_WHEEL = 1 << 0
    F_DUE = 1 << 1
    F_LOW_IS_DESTINATION = 1 << 2    # not written: the address of the destination
    F_HIGH_IS_DESTINATION = 1 << 3
    F_LOW_IS_IPV6 = 1 << 4           # all of its bytes
    F_HIGH_IS_IPV6 = 1 << 5
    F_BEGAN_CLOCK = 1 << 6
    F_BEGAN = 1 << 7
    F_FLOOR = 1 << 8
    F_RESPONSES = 1 << 9
    F_SERVER_END = 1 << 10
    F_TURN = 1 << 11                 # any field of the turn
    F_ASKED_FROM = 1 << 12
    F_N_BYTES = 1 << 13
    F_TURN_FIRST = 1 << 14
    F_TURN_LAST = 1 << 15
    F_STREAM = 1 << 16
    F_WAITS_SINCE = 1 << 17
    F_STALLS = 1 << 18
    F_SYNACKS = 1 << 19
    F_SYN_END = 1 << 20
    F_OPENING = 1 << 21              # times of the SYN/ACK that are read yet

cdef enum side_field_t:
    F_FIRST_SEQ = 1 << 0
    F_ISN = 1 << 1
    F_REACHED = 1 << 2
    F_FRONTIER = 1 << 3
    F_ACKED = 1 << 4
    F_HIGHEST_ACK = 1 << 5
    F_LOST_BELOW = 1 << 6
    F_GAP_END = 1 << 7

# What many connections have in common.
cdef packed struct shape_t:
    uint32_t state
    uint32_t protocol
    uint32_t turn_flags
    uint32_t fields
    uint16_t client_flags
    uint16_t server_flags
    uint8_t client_fields
    uint8_t server_fields
    uint8_t n_synacks
    uint8_t _pad

# What a packed connection begins with.
cdef packed struct packed_t:
    uint16_t shape               # its number
    uint8_t n_units
    uint16_t n_counted[2]        # of the client, and of the server
    uint16_t low_port
    uint16_t high_port

# --- what is predicted ----------------------------------------------------------------------------

cdef inline int64_t usual_wheel_ns(
    uint32_t state, int64_t last_ns, int64_t began_clock_ns
) noexcept nogil:
    if state & (S_CLOSED | S_IDLE) == S_CLOSED:
        return along(last_ns, USUAL_CLOSED_S * <int64_t>SECOND_NS)
    if state & S_WAITING:
        return along(began_clock_ns, USUAL_WAITING_S * <int64_t>SECOND_NS)
    return along(last_ns, USUAL_OPEN_S * <int64_t>SECOND_NS)

cdef inline uint32_t usual_isn(uint32_t flags, uint32_t first_seq) noexcept nogil:
    return first_seq if flags & D_KNOWS_START else 0

cdef inline int64_t usual_reached(uint32_t flags, uint32_t first_seq) noexcept nogil:
    return <int64_t>first_seq + ((flags & D_KNOWS_START) != 0)

cdef inline int64_t usual_acked(uint32_t flags, uint32_t first_seq, int64_t reached) noexcept nogil:
    if flags & D_ACKED:
        return reached
    return first_seq if flags & D_REACHED else 0

cdef inline int64_t usual_lost_below(uint32_t flags, uint32_t first_seq) noexcept nogil:
    if flags & D_KNOWS_START or not flags & D_REACHED:
        return BEFORE_ALL_NS
    return first_seq

cdef inline int64_t data_end_of(const direction_t* d) noexcept nogil:
    """Where the data of a side end that has sent its FIN, or none."""
    return apart(d.reached, (d.flags & D_FIN) != 0)

cdef inline int64_t usual_server_end(const connection_t* c) noexcept nogil:
    return data_end_of(&c.server) if c.protocol & P_SERVER_END else 0

cdef inline bint is_opening(uint32_t state) noexcept nogil:
    """Whether the times of the SYN/ACK are read yet."""
    return state & (S_ATTEMPT | S_EST) == S_ATTEMPT

cdef inline bint is_ipv4(const uint8_t* address) noexcept nogil:
    cdef const uint64_t* words = <const uint64_t*>address
    return words[0] == 0 and <uint32_t>words[1] == <uint32_t>0xFFFF0000

# --- what is written ------------------------------------------------------------------------------

cdef inline uint8_t* pack_side(
    uint8_t* at, const direction_t* d, uint32_t first_seq, uint32_t isn, uint8_t* fields
) noexcept nogil:
    cdef uint32_t flags = d.flags
    cdef uint32_t written = 0
    cdef int64_t usual
    if first_seq:
        written |= F_FIRST_SEQ
        memcpy(at, &first_seq, sizeof(first_seq))
        at += sizeof(first_seq)
    if isn != usual_isn(flags, first_seq):
        written |= F_ISN
        memcpy(at, &isn, sizeof(isn))
        at += sizeof(isn)
    usual = usual_reached(flags, first_seq)
    if d.reached != usual:
        written |= F_REACHED
        at = write_signed(at, apart(d.reached, usual))
    if d.frontier != d.reached:
        written |= F_FRONTIER
        at = write_signed(at, apart(d.reached, d.frontier))
    usual = usual_acked(flags, first_seq, d.reached)
    if d.acked != usual:
        written |= F_ACKED
        at = write_signed(at, apart(usual, d.acked))
    usual = d.acked if flags & D_HIGHEST_ACK else 0
    if d.highest_ack != usual:
        written |= F_HIGHEST_ACK
        at = write_signed(at, apart(d.highest_ack, usual))
    usual = usual_lost_below(flags, first_seq)
    if d.lost_below != usual:
        written |= F_LOST_BELOW
        at = write_signed(at, apart(d.lost_below, usual))
    if d.gap_end != BEFORE_ALL_NS:
        written |= F_GAP_END
        at = write_signed(at, apart(d.reached, d.gap_end))
    fields[0] = <uint8_t>written
    return at

cdef inline bint has_turn(const turn_t* turn) noexcept nogil:
    return (
        turn.asked_ns | turn.first_ns | turn.last_ns | <int64_t>turn.n_bytes | turn.stream_ns
        | turn.n_stalls | turn.client_start | turn.server_start | turn.asked_from
        | turn.waits_since_ns
    ) != 0

cdef inline uint8_t* pack_turn(
    uint8_t* at, const connection_t* c, uint32_t* fields
) noexcept nogil:
    cdef const turn_t* turn = &c.turn
    cdef int64_t n_bytes = apart(c.server_end, turn.server_start)
    at = write_signed(at, apart(data_end_of(&c.client), turn.client_start))
    at = write_signed(at, n_bytes)
    at = write_signed(at, apart(c.last_ns, turn.asked_ns))
    if turn.asked_from != turn.client_start:
        fields[0] |= F_ASKED_FROM
        at = write_signed(at, apart(turn.asked_from, turn.client_start))
    if <int64_t>turn.n_bytes != n_bytes:
        fields[0] |= F_N_BYTES
        at = write_number(at, turn.n_bytes)
    if turn.first_ns != turn.asked_ns:
        fields[0] |= F_TURN_FIRST
        at = write_signed(at, apart(turn.first_ns, turn.asked_ns))
    if turn.last_ns != turn.first_ns:
        fields[0] |= F_TURN_LAST
        at = write_signed(at, apart(turn.last_ns, turn.first_ns))
    if turn.stream_ns != apart(turn.last_ns, turn.first_ns):
        fields[0] |= F_STREAM
        at = write_signed(at, turn.stream_ns)
    if turn.waits_since_ns != turn.asked_ns:
        fields[0] |= F_WAITS_SINCE
        at = write_signed(at, apart(turn.waits_since_ns, turn.asked_ns))
    if turn.n_stalls:
        fields[0] |= F_STALLS
        at = write_number(at, turn.n_stalls)
    return at

cdef inline uint8_t* pack_opening(
    uint8_t* at, const connection_t* c, uint32_t* fields
) noexcept nogil:
    """SYN and SYN/ACK, as far as the first sequence numbers do not tell."""
    cdef uint32_t isn = c.first_seqs[1] if c.n_synacks else 0
    cdef uint32_t ack = c.isns[0] + 1 if c.n_synacks else 0
    if c.syn_end:
        fields[0] |= F_SYN_END
        at = write_number(at, c.syn_end)
    if (c.synack_isns[0] ^ isn) | (c.synack_acks[0] ^ ack) | c.synack_isns[1] | c.synack_acks[1]:
        fields[0] |= F_SYNACKS
        memcpy(at, &c.synack_isns[0], sizeof(c.synack_isns) + sizeof(c.synack_acks))
        at += sizeof(c.synack_isns) + sizeof(c.synack_acks)
    if is_opening(c.state) and c.synack_ns | c.syn_rtt_ns:
        fields[0] |= F_OPENING
        at = write_signed(at, apart(c.last_ns, c.synack_ns))
        at = write_signed(at, c.syn_rtt_ns)
    return at

cdef inline uint8_t* pack_address(
    uint8_t* at,
    const uint8_t* address,
    const destination_key_t* key,
    uint32_t is_destination,
    uint32_t is_ipv6,
    uint32_t* fields,
) noexcept nogil:
    cdef const uint64_t* words = <const uint64_t*>address
    cdef const uint64_t* known = <const uint64_t*>&key.addr[0]
    if (words[0] ^ known[0]) | (words[1] ^ known[1]) == 0:
        fields[0] |= is_destination
        return at
    if is_ipv4(address):
        memcpy(at, address + 12, 4)
        return at + 4
    fields[0] |= is_ipv6
    memcpy(at, address, 16)
    return at + 16

cdef inline uint8_t* pack_connection(
    uint8_t* start,
    const connection_t* c,
    const destination_key_t* key,
    int64_t base_ns,
    shape_t* shape,
) noexcept nogil:
    """Write a connection without holes and side record; give where its bytes end.

    Args:
        start: OUT room for ``PACKING_BYTES``; the shape's number is left out.
        key: of its destination.
        base_ns: any time that stays the same; a near one saves bytes.
        shape: OUT its shape.
    """
    cdef packed_t* packed = <packed_t*>start
    cdef uint8_t* at = start + sizeof(packed_t)
    cdef uint32_t fields = 0
    cdef int64_t usual
    packed.n_counted[0] = c.client.n_counted
    packed.n_counted[1] = c.server.n_counted
    packed.low_port = c.low_port
    packed.high_port = c.high_port
    # First what is looked at without the rest.
    at = write_number(at, c.destination)
    at = write_signed(at, apart(c.last_ns, base_ns))
    if c.began_clock_ns != c.last_ns:
        fields |= F_BEGAN_CLOCK
        at = write_signed(at, apart(c.last_ns, c.began_clock_ns))
    usual = usual_wheel_ns(c.state, c.last_ns, c.began_clock_ns)
    if c.wheel_ns != usual:
        fields |= F_WHEEL
        at = write_signed(at, apart(usual, c.wheel_ns))
    if c.due_ns != c.wheel_ns:
        fields |= F_DUE
        at = write_signed(at, apart(c.wheel_ns, c.due_ns))
    at = pack_address(
        at, &c.low_addr[0], key, F_LOW_IS_DESTINATION, F_LOW_IS_IPV6, &fields
    )
    at = pack_address(
        at, &c.high_addr[0], key, F_HIGH_IS_DESTINATION, F_HIGH_IS_IPV6, &fields
    )
    at = pack_side(at, &c.client, c.first_seqs[0], c.isns[0], &shape.client_fields)
    at = pack_side(at, &c.server, c.first_seqs[1], c.isns[1], &shape.server_fields)
    if c.began_ns != c.began_clock_ns:
        fields |= F_BEGAN
        at = write_signed(at, apart(c.began_ns, c.began_clock_ns))
    if c.floor_ns:
        fields |= F_FLOOR
        at = write_signed(at, c.floor_ns)
    if c.n_responses:
        fields |= F_RESPONSES
        at = write_number(at, c.n_responses)
    usual = usual_server_end(c)
    if c.server_end != usual:
        fields |= F_SERVER_END
        at = write_signed(at, apart(usual, c.server_end))
    if has_turn(&c.turn):
        fields |= F_TURN
        at = pack_turn(at, c, &fields)
    at = pack_opening(at, c, &fields)
    if c.state & S_TIMED:
        at = write_signed(at, apart(c.client.reached, c.timed_start))
        at = write_signed(at, apart(c.timed_end, c.timed_start))
        at = write_signed(at, apart(c.last_ns, c.timed_ns))
    shape.state = c.state
    shape.protocol = c.protocol
    shape.turn_flags = c.turn.flags
    shape.fields = fields
    shape.client_flags = c.client.flags
    shape.server_flags = c.server.flags
    shape.n_synacks = c.n_synacks
    shape._pad = 0
    return at
