# Which connection a packet belongs to, as far as that can be told before its turn comes.

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memcpy

from trtop_core._connection cimport S_ALIVE, connection_t
from trtop_core._endpoints cimport endpoints_t
from trtop_core._records cimport segment_t
from trtop_core._table cimport NONE, table_entry_t

# The two ends of a segment, found or about to be found in the table.
cdef struct lookup_t:
    endpoints_t ends
    uint64_t fingerprint
    uint32_t hash
    uint32_t place           # a guess, before its turn comes; see `guess`
    bint from_high           # the sender is the high end
    uint32_t n_before        # segments of its batch that lie before it, where that is asked for

cdef extern from *:
    """
    #if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
    #error "records are laid out for a little-endian machine"
    #endif

    /* Whether (a1, a0, a_port) is above (b1, b0, b_port), without branches. */
    static inline int is_above(
        unsigned long long a1, unsigned long long a0, unsigned a_port,
        unsigned long long b1, unsigned long long b0, unsigned b_port)
    {
        unsigned above = (a0 == b0) & (a_port > b_port);
        above |= a0 > b0;
        above &= a1 == b1;
        return above | (a1 > b1);
    }

    /* An entry is its hash, and above it where its connection is: see `table_entry_t`. */
    static inline unsigned guess_of(const void *table, unsigned mask, unsigned hash)
    {
        const unsigned long long *entries = (const unsigned long long *)table;
        unsigned long long entry = entries[(hash + 3) & mask];
        unsigned guess = (unsigned)entry == hash ? (unsigned)(entry >> 32) : 0;
        entry = entries[(hash + 2) & mask];
        guess = (unsigned)entry == hash ? (unsigned)(entry >> 32) : guess;
        entry = entries[(hash + 1) & mask];
        guess = (unsigned)entry == hash ? (unsigned)(entry >> 32) : guess;
        entry = entries[hash & mask];
        return (unsigned)entry == hash ? (unsigned)(entry >> 32) : guess;
    }
    """
    bint is_above(uint64_t, uint64_t, uint32_t, uint64_t, uint64_t, uint32_t) noexcept nogil
    uint32_t guess_of(const void*, uint32_t, uint32_t) noexcept nogil
    void __builtin_prefetch(const void*, int) noexcept nogil

# Where the connection is that a hash most likely stands for: below `NONE` its place, above it a
# packed one; `NONE` where the first entries of its run, which is seldom longer, have none. Where in
# a run an entry lies cannot be predicted: no branch depends on it.
cdef inline uint32_t guess(
    const table_entry_t* entries, uint32_t mask, uint32_t hash_
) noexcept nogil:
    cdef uint32_t connection = guess_of(entries, mask, hash_)
    return connection - 1 if connection else NONE

# The lines of a connection that a segment is going to touch; a SYN's are few and wait.
cdef inline void prefetch_lines(const connection_t* c, bint has_payload) noexcept nogil:
    cdef const char* start = <const char*>c
    __builtin_prefetch(c, 1)
    __builtin_prefetch(&c.client, 1)
    __builtin_prefetch(&c.server, 1)
    # Without payload the first line once more, as a branch would cost more.
    __builtin_prefetch(start + has_payload * (<const char*>&c.server_end - start), 1)
    __builtin_prefetch(start + has_payload * (<const char*>&c.turn.client_start - start), 1)

# Put the two ends into an order that both directions share; any order does. Nobody can predict
# which end is the high one: no branch depends on it.
cdef inline void order_ends(const segment_t* segment, lookup_t* lookup) noexcept nogil:
    cdef const uint64_t* src = <const uint64_t*>&segment.src[0]
    cdef const uint64_t* dst = <const uint64_t*>&segment.dst[0]
    cdef uint64_t* low = <uint64_t*>&lookup.ends.low_addr[0]
    cdef bint from_high = is_above(
        src[1], src[0], segment.src_port, dst[1], dst[0], segment.dst_port
    )
    cdef uint64_t swapped = 0 - <uint64_t>from_high
    cdef uint64_t first = (src[0] ^ dst[0]) & swapped
    cdef uint64_t second = (src[1] ^ dst[1]) & swapped
    cdef uint32_t differ = (segment.src_port ^ segment.dst_port) & <uint32_t>swapped
    cdef uint32_t ports
    lookup.from_high = from_high
    low[0] = src[0] ^ first
    low[1] = src[1] ^ second
    low[2] = dst[0] ^ first
    low[3] = dst[1] ^ second
    # At once, as they are read by the hash: low_port, high_port (the structs are little-endian).
    ports = ((segment.dst_port ^ differ) << 16) | (segment.src_port ^ differ)
    memcpy(&lookup.ends.low_port, &ports, sizeof(ports))

cdef inline bint is_same(const connection_t* c, const endpoints_t* ends) noexcept nogil:
    cdef const uint64_t* a = <const uint64_t*>c
    cdef const uint64_t* b = <const uint64_t*>ends
    return (
        c.state & S_ALIVE
        and a[0] == b[0]
        and a[1] == b[1]
        and a[2] == b[2]
        and a[3] == b[3]
        and c.low_port == ends.low_port
        and c.high_port == ends.high_port
    )
