from libc.stdint cimport int64_t

from trtop_core._connection cimport connection_t
from trtop_core._holes cimport HolePool
from trtop_core._records cimport counter_row_t, segment_t
from trtop_core._sketch cimport SketchStore

cdef bint take_syn(
    connection_t* c, const segment_t* segment, bint from_client, counter_row_t* row,
    SketchStore sketches
) noexcept nogil
cdef int64_t prove(
    connection_t* c, const segment_t* segment, bint from_client, int64_t now_ns,
    counter_row_t* row, SketchStore sketches, HolePool holes
) noexcept nogil
