# Times between two packets, and which of them are samples.

from libc.stdint cimport int64_t

from trtop_core._connection cimport connection_t
from trtop_core._state cimport State

cdef inline int64_t time_between(int64_t start_ns, int64_t end_ns) noexcept nogil:
    """Time from one packet to another, or -1 if it measures nothing."""
    return end_ns - start_ns if end_ns >= start_ns else -1

cdef inline void sample_latency(
    State state, connection_t* c, int sketch, int64_t start_ns, int64_t end_ns, int64_t less_ns
) noexcept nogil:
    """Sample a latency, less so much but never below 0."""
    cdef int64_t latency_ns = time_between(start_ns, end_ns)
    if latency_ns >= 0:
        state.sketches.add(c.destination, sketch, max(<int64_t>0, latency_ns - less_ns))
