# Capture time in ns since 1970: its unit, and times that no packet has.

from libc.stdint cimport int64_t

cdef enum:
    SECOND_NS = 1_000_000_000

cdef extern from *:
    """
    #define TRTOP_TS_LIMIT_NS ((INT64_C(1) << 62) - 1)
    #define TRTOP_BEFORE_ALL_NS (-TRTOP_TS_LIMIT_NS - 1)
    #define TRTOP_FOREVER_NS INT64_MAX
    #define TRTOP_NO_TIME_NS TRTOP_BEFORE_ALL_NS
    """
    const int64_t TS_LIMIT_NS "TRTOP_TS_LIMIT_NS"      # as records.TS_LIMIT_NS
    const int64_t BEFORE_ALL_NS "TRTOP_BEFORE_ALL_NS"  # earlier than any packet
    const int64_t FOREVER_NS "TRTOP_FOREVER_NS"        # later than any packet
    const int64_t NO_TIME_NS "TRTOP_NO_TIME_NS"        # of a packet whose time measures nothing
