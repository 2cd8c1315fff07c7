# Where packed connections are: bytes of one block, in pieces of every length, and their shapes.
#
# A piece is named by where it begins, in units from 1 on. What is given back is used again by
# pieces of the same length. As lengths may become others, the block does not grow while a third of
# it lies free: then whoever knows all pieces moves them together. Shapes stay: there are some
# hundreds. Gives 0 where there is no room.

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset

from trtop_core._connection cimport connection_t
from trtop_core._packing cimport (
    MAX_PACKED_UNITS,
    PACKED_UNIT,
    PACKING_BYTES,
    pack_connection,
    packed_t,
    shape_t,
)
from trtop_core._records cimport destination_key_t
from trtop_core._unpacking cimport unpack_connection, unpack_times

cdef enum:
    FIRST_UNITS = 1 << 12
    BLOCK_GROWTH = 8             # more of it by so many parts
    READ_BEYOND = 16             # bytes behind the last piece that are read with it
    MAX_UNITS = 0x7FFFFFF0
    MAX_SHAPES = 1 << 14
    N_SHAPE_ENTRIES = 2 * MAX_SHAPES

cdef struct packed_pool_t:
    uint8_t* bytes
    uint32_t n_units             # in use or given back
    uint32_t capacity
    uint32_t free[MAX_PACKED_UNITS + 1]     # the first piece of each length
    shape_t* shapes
    uint16_t* shape_entries      # hash table of their numbers plus one
    uint32_t n_shapes
    uint64_t n_kept              # units of pieces in use
    uint64_t n_loose             # units that may lie free besides a third, as moving takes a while
    bint is_sparse               # it has not grown, as too much of it lies free
    int64_t base_ns

cdef inline uint8_t* bytes_at(const packed_pool_t* pool, uint32_t piece) noexcept nogil:
    return pool.bytes + <size_t>piece * PACKED_UNIT

cdef inline const shape_t* shape_of(const packed_pool_t* pool, uint32_t piece) noexcept nogil:
    return &pool.shapes[(<const packed_t*>bytes_at(pool, piece)).shape]

cdef inline void drop_pool(packed_pool_t* pool) noexcept nogil:
    free(pool.bytes)
    free(pool.shapes)
    free(pool.shape_entries)

cdef inline uint32_t keep_packed(
    packed_pool_t* pool, const connection_t* c, const destination_key_t* keys
) noexcept nogil:
    """Pack a connection without holes and side record; give its piece."""
    cdef uint8_t[PACKING_BYTES] packing
    cdef shape_t shape
    cdef size_t n_bytes
    cdef uint32_t n_units, piece, number
    if not pool.n_kept:
        pool.base_ns = c.last_ns
    n_bytes = pack_connection(
        packing, c, &keys[c.destination], pool.base_ns, &shape
    ) - packing
    n_units = <uint32_t>((n_bytes + PACKED_UNIT - 1) // PACKED_UNIT)
    if n_units > MAX_PACKED_UNITS:
        return 0
    number = number_shape(pool, &shape)
    if not number:
        return 0
    piece = take_piece(pool, n_units)
    if not piece:
        return 0
    (<packed_t*>packing).shape = <uint16_t>(number - 1)
    (<packed_t*>packing).n_units = <uint8_t>n_units
    memcpy(bytes_at(pool, piece), packing, n_bytes)
    pool.n_kept += n_units
    return piece

cdef inline void read_packed(
    const packed_pool_t* pool, uint32_t piece, const destination_key_t* keys, connection_t* c
) noexcept nogil:
    """Unpack a connection, but for its number and hash; its piece stays."""
    unpack_connection(
        bytes_at(pool, piece), keys, pool.base_ns, shape_of(pool, piece), c
    )

cdef inline void read_times(
    const packed_pool_t* pool, uint32_t piece, connection_t* c
) noexcept nogil:
    """Unpack a connection's state, destination and times; the rest is left as it is."""
    cdef const shape_t* shape = shape_of(pool, piece)
    c.state = shape.state
    unpack_times(bytes_at(pool, piece), pool.base_ns, shape, c)

cdef inline bint mark_packed(packed_pool_t* pool, uint32_t piece, uint32_t bits) noexcept nogil:
    """Set bits of the state of a packed connection, on which no bytes of it depend."""
    cdef packed_t* packed = <packed_t*>bytes_at(pool, piece)
    cdef shape_t shape = pool.shapes[packed.shape]
    cdef uint32_t number
    shape.state |= bits
    number = number_shape(pool, &shape)
    if not number:
        return False
    packed.shape = <uint16_t>(number - 1)
    return True

cdef inline void give_piece(packed_pool_t* pool, uint32_t piece) noexcept nogil:
    cdef uint8_t* bytes = bytes_at(pool, piece)
    cdef uint32_t n_units = (<packed_t*>bytes).n_units
    memcpy(bytes, &pool.free[n_units], sizeof(uint32_t))
    pool.free[n_units] = piece
    pool.n_kept -= n_units

cdef inline uint32_t take_piece(packed_pool_t* pool, uint32_t n_units) noexcept nogil:
    cdef uint32_t piece = pool.free[n_units]
    cdef uint64_t capacity
    cdef uint8_t* bytes
    if piece:
        memcpy(&pool.free[n_units], bytes_at(pool, piece), sizeof(uint32_t))
        return piece
    if pool.n_units + n_units > pool.capacity:
        pool.is_sparse = pool.n_units > pool.n_kept + pool.n_kept // 2 + pool.n_loose
        capacity = pool.capacity + pool.capacity // BLOCK_GROWTH + FIRST_UNITS
        if pool.is_sparse or capacity > MAX_UNITS:
            return 0
        bytes = <uint8_t*>realloc(pool.bytes, (capacity + 1) * PACKED_UNIT + READ_BEYOND)
        if bytes == NULL:
            return 0
        pool.bytes = bytes
        pool.capacity = <uint32_t>capacity
    piece = pool.n_units + 1
    pool.n_units += n_units
    return piece

cdef inline bint begin_move(const packed_pool_t* pool, packed_pool_t* to) noexcept nogil:
    """Make an empty block for all pieces; False if there is no memory for it."""
    cdef uint64_t capacity = pool.n_kept + pool.n_kept // BLOCK_GROWTH + FIRST_UNITS
    to[0] = pool[0]
    to.bytes = <uint8_t*>malloc((capacity + 1) * PACKED_UNIT + READ_BEYOND)
    to.capacity = <uint32_t>capacity
    to.n_units = 0
    to.is_sparse = False
    memset(to.free, 0, sizeof(to.free))
    return to.bytes != NULL

cdef inline uint32_t move_piece(
    const packed_pool_t* pool, uint32_t piece, packed_pool_t* to
) noexcept nogil:
    """Copy a piece behind those that were moved before."""
    cdef uint32_t n_units = (<const packed_t*>bytes_at(pool, piece)).n_units
    cdef uint32_t moved = to.n_units + 1
    memcpy(bytes_at(to, moved), bytes_at(pool, piece), <size_t>n_units * PACKED_UNIT)
    to.n_units += n_units
    return moved

cdef inline void end_move(packed_pool_t* pool, const packed_pool_t* to) noexcept nogil:
    free(pool.bytes)
    pool[0] = to[0]

cdef inline uint32_t number_shape(packed_pool_t* pool, const shape_t* shape) noexcept nogil:
    """The number of a shape plus one."""
    cdef const uint64_t* words = <const uint64_t*>shape
    cdef const uint64_t* known
    cdef uint64_t mixed = (words[0] * 3 + words[1]) * 5 + words[2]
    cdef uint32_t at = <uint32_t>((mixed * <uint64_t>0x9E3779B97F4A7C15) >> 49)
    cdef uint32_t number
    if pool.shapes == NULL:
        pool.shapes = <shape_t*>malloc(MAX_SHAPES * sizeof(shape_t))
        pool.shape_entries = <uint16_t*>calloc(N_SHAPE_ENTRIES, sizeof(uint16_t))
        if pool.shapes == NULL or pool.shape_entries == NULL:
            return 0
    while pool.shape_entries[at]:
        number = pool.shape_entries[at]
        known = <const uint64_t*>&pool.shapes[number - 1]
        if (known[0] ^ words[0]) | (known[1] ^ words[1]) | (known[2] ^ words[2]) == 0:
            return number
        at = (at + 1) & (N_SHAPE_ENTRIES - 1)
    if pool.n_shapes == MAX_SHAPES:
        return 0
    pool.shapes[pool.n_shapes] = shape[0]
    pool.n_shapes += 1
    pool.shape_entries[at] = <uint16_t>pool.n_shapes
    return pool.n_shapes
