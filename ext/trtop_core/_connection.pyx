# cython: freethreading_compatible=False
"""What is known of one connection, for Python: the record's dtype, its bits, what packing keeps."""

from libc.stdint cimport int64_t, uint8_t

import numpy as np

from trtop_core._connection cimport (
    P_HELLO,
    P_HTTP2,
    P_MULTIPLEXED,
    S_ATTEMPT,
    S_CLIENT_IS_HIGH,
    S_CLOSED,
    S_EST,
    S_FIN,
    S_IDLE,
    S_RST,
    S_TIMED,
    S_UNANSWERED,
    S_WAITING,
    T_ANSWERED,
    T_COUNTED,
    T_HANDSHAKE,
    T_OPEN,
    connection_t,
)
from trtop_core._packing cimport PACKING_BYTES, pack_connection, shape_t
from trtop_core._records cimport destination_key_t
from trtop_core._unpacking cimport unpack_connection

DIRECTION = np.dtype(
    [(name, "<i8") for name in (
        "reached", "frontier", "acked", "highest_ack", "lost_below", "gap_end"
    )]
    + [("holes", "<u4"), ("flags", "<u2"), ("n_nodes", "<u2"), ("n_counted", "<u2")]
    + [("_pad", "<u2", 3)]
)
TURN = np.dtype(
    [(name, "<i8") for name in ("asked_ns", "first_ns", "last_ns")]
    + [("n_bytes", "<u8"), ("stream_ns", "<i8"), ("flags", "<u4"), ("n_stalls", "<u4")]
    + [(name, "<i8") for name in ("client_start", "server_start", "asked_from", "waits_since_ns")]
)
CONNECTION = np.dtype(
    [
        ("low_addr", "u1", 16),
        ("high_addr", "u1", 16),
        ("low_port", "<u2"),
        ("high_port", "<u2"),
        ("hash", "<u4"),
        ("state", "<u4"),
        ("destination", "<u4"),
        ("last_ns", "<i8"),
        ("due_ns", "<i8"),
        ("client", DIRECTION),
        ("server", DIRECTION),
        ("server_end", "<i8"),
        ("protocol", "<u4"),
        ("n_responses", "<u4"),
        ("turn", TURN),
        ("timed_start", "<i8"),
        ("timed_end", "<i8"),
        ("timed_ns", "<i8"),
        ("floor_ns", "<i8"),
        ("began_ns", "<i8"),
        ("began_clock_ns", "<i8"),
        ("wheel_ns", "<i8"),
        ("synack_ns", "<i8"),
        ("syn_rtt_ns", "<i8"),
        ("syn_end", "<u4"),
        ("synack_isns", "<u4", 2),
        ("synack_acks", "<u4", 2),
        ("number", "<u4"),
        ("side", "<u4"),
        ("first_seqs", "<u4", 2),
        ("isns", "<u4", 2),
        ("n_synacks", "u1"),
        ("_pad", "u1", 43),
    ]
)
STATE_BITS = {
    "client_is_high": S_CLIENT_IS_HIGH,
    "attempt": S_ATTEMPT,
    "est": S_EST,
    "waiting": S_WAITING,
    "unanswered": S_UNANSWERED,
    "rst": S_RST,
    "fin": S_FIN,
    "closed": S_CLOSED,
    "idle": S_IDLE,
}
"""Bits of ``state``, for those who read copies of connections."""

TURN_BITS = {
    "open": T_OPEN,
    "handshake": T_HANDSHAKE,
    "answered": T_ANSWERED,
    "counted": T_COUNTED,
}
"""Bits of a turn's ``flags``, for those who read copies of connections."""

PROTOCOL_BITS = {
    "tls": P_HELLO,
    "http2": P_HTTP2,
    "multiplexed": P_MULTIPLEXED,
}
"""Bits of ``protocol``, for those who read copies of connections."""

IS_TIMED = <int>S_TIMED
"""The bit of ``state`` without which nobody reads the fields of a timed segment."""


def packed_and_back(const connection_t[::1] connections, keys, int64_t base_ns):
    """What packing keeps of connections: all that anybody reads, but number and hash.

    Args:
        connections: dtype ``CONNECTION``; what is kept in other pools is not looked at.
        keys: of destinations, by row, dtype ``DESTINATION_KEY``.
        base_ns: a time near theirs.

    Returns:
        The connections unpacked, and how many bytes each took.
    """
    cdef const destination_key_t[::1] known = keys
    cdef uint8_t[PACKING_BYTES] packing
    cdef shape_t shape
    cdef const destination_key_t* key
    cdef Py_ssize_t i
    cdef connection_t[::1] unpacked
    lengths = np.zeros(connections.shape[0], np.int64)
    given = np.zeros(connections.shape[0], CONNECTION)
    unpacked = given
    for i in range(connections.shape[0]):
        key = &known[connections[i].destination]
        lengths[i] = pack_connection(packing, &connections[i], key, base_ns, &shape) - packing
        unpack_connection(packing, &known[0], base_ns, &shape, &unpacked[i])
    return given, lengths
