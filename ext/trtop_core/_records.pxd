# The C side of trtop_core/records.py: one struct per dtype. Layouts are compared at import.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef packed struct packet_index_t:
    int64_t ts_ns
    uint32_t offset
    uint32_t caplen
    uint32_t wire_len
    uint32_t link_type

cdef packed struct segment_t:
    int64_t ts_ns
    uint8_t src[16]
    uint8_t dst[16]
    uint16_t src_port
    uint16_t dst_port
    uint32_t seq
    uint32_t ack
    uint32_t payload_len
    uint32_t payload_offset
    uint32_t payload_caplen
    uint16_t window
    uint16_t checksum
    uint16_t ip_id
    uint8_t flags
    uint8_t verdict
    uint8_t is_fragment
    uint8_t _pad[7]

cdef enum:
    TCP_FIN = 0x01
    TCP_SYN = 0x02
    TCP_RST = 0x04
    TCP_ACK = 0x10

cdef enum verdict_t:
    SEGMENT = 0
    NOT_TCP = 1
    TRUNCATED = 2
    FRAGMENT = 3
    BAD_HEADER = 4
    BAD_OFFSET = 5
    BAD_LENGTH = 6
    TOO_DEEP = 7
    LINK_TYPE = 8
    N_VERDICTS = 9

cdef packed struct counter_row_t:
    uint64_t bytes_out
    uint64_t bytes_in
    uint64_t acked_bytes
    uint64_t requests
    uint64_t responses
    uint64_t segments_out
    uint64_t segments_in
    uint64_t keepalives
    uint64_t retrans_out
    uint64_t retrans_in
    uint64_t syn
    uint64_t syn_retrans
    uint64_t synack
    uint64_t synack_retrans
    uint64_t est
    uint64_t rst
    uint64_t rst_out
    uint64_t rst_in
    uint64_t refused
    uint64_t rst_after_fin
    uint64_t fin_out
    uint64_t fin_in
    uint64_t midstream
    uint64_t timeouts
    uint64_t banners
    uint64_t tls_turns
    uint64_t slow_by_loss
    uint64_t unanswered
    uint64_t withheld
    uint64_t multiplexed
    uint64_t multiplexed_unfollowed
    uint64_t tls_hellos
    uint64_t tls_failed
    uint64_t tls_failed_in
    uint64_t fin_retrans
    uint64_t out_of_order
    uint64_t zero_window_out
    uint64_t zero_window_in
    uint64_t zero_window_connections_out
    uint64_t zero_window_connections_in
    uint64_t streams
    uint64_t stream_bytes
    uint64_t stream_ns
    uint64_t stalls
    uint64_t capture_gaps
    uint64_t gap_bytes
    uint64_t one_sided
    uint64_t pending
    uint64_t pending_retrans
    uint64_t active
    uint64_t waiting
    uint64_t waiting_long

cdef enum sketch_t:
    CONNECT_LATENCY = 0
    SYN_RTT = 1
    RESPONSE_TIME = 2
    RESPONSE_DURATION = 3
    TLS_LATENCY = 4
    NET_RTT = 5
    SERVER_TIME = 6
    PATH_RTT = 7
    RESET_AGE = 8
    REUSE = 9
    N_SKETCHES = 10

cdef packed struct sketch_stats_t:
    uint64_t count
    uint64_t sum_lo
    uint64_t sum_hi
    int64_t min
    int64_t max

cdef packed struct destination_key_t:
    uint8_t addr[16]
    uint16_t port
    uint16_t kind
    uint32_t _pad

# Serial-number arithmetic (RFC 9293 §3.4, RFC 1982): a comes before b on the circle of 2^32.
cdef inline bint seq_before(uint32_t a, uint32_t b) noexcept nogil:
    return <int>(a - b) < 0

cdef inline uint32_t seq_max(uint32_t a, uint32_t b) noexcept nogil:
    return b if seq_before(a, b) else a

cdef inline uint32_t seq_min(uint32_t a, uint32_t b) noexcept nogil:
    return a if seq_before(a, b) else b

# Rounds towards the past, also before 1970.
cdef inline int64_t floor_div(int64_t a, int64_t b) noexcept nogil:
    return a // b - (1 if a % b < 0 else 0)
