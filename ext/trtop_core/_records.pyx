# cython: freethreading_compatible=False
"""Checks at import that each C struct has the layout of its numpy dtype."""

from libc.stdint cimport int64_t

from trtop_core._clock cimport TS_LIMIT_NS
from trtop_core._records cimport (
    counter_row_t,
    destination_key_t,
    packet_index_t,
    segment_t,
    sketch_stats_t,
)


def check_layouts(int64_t ts_limit_ns, index, segments, counters, stats, keys):
    """Assign an array of each dtype to a view of its struct, which compares them field by field.

    Raises:
        ValueError: a dtype and its struct differ, or the limit of times.
    """
    cdef packet_index_t[::1] index_view = index
    cdef segment_t[::1] segment_view = segments
    cdef counter_row_t[::1] counter_view = counters
    cdef sketch_stats_t[::1] stats_view = stats
    cdef destination_key_t[::1] key_view = keys
    sizes = (
        (index_view.itemsize, sizeof(packet_index_t)),
        (segment_view.itemsize, sizeof(segment_t)),
        (counter_view.itemsize, sizeof(counter_row_t)),
        (stats_view.itemsize, sizeof(sketch_stats_t)),
        (key_view.itemsize, sizeof(destination_key_t)),
    )
    for dtype_size, struct_size in sizes:
        if dtype_size != struct_size:
            raise ValueError(f"a dtype of {dtype_size} bytes meets a struct of {struct_size}")
    if ts_limit_ns != TS_LIMIT_NS:
        raise ValueError("TS_LIMIT_NS differs between records and kernels")
