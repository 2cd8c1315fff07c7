# The two ends of a connection, and a hash of them that nobody can foresee.

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from trtop_core._destinations cimport hash_key_t

# The two ends of a segment in a fixed order, so that both directions find the same connection.
cdef packed struct endpoints_t:
    uint8_t low_addr[16]
    uint8_t high_addr[16]
    uint16_t low_port
    uint16_t high_port

cdef extern from *:
    """
    static inline unsigned long long fold(unsigned long long a, unsigned long long b) {
        unsigned __int128 product = (unsigned __int128)a * b;
        return (unsigned long long)product ^ (unsigned long long)(product >> 64);
    }
    """
    uint64_t fold(uint64_t, uint64_t) noexcept nogil

# A hash that nobody can foresee who does not know the key: multiplied and folded, as wyhash does.
cdef inline uint32_t hash_ends(const hash_key_t* key, const endpoints_t* ends) noexcept nogil:
    # Read as it was written, 64 bits at a time: what is written in other pieces is not there yet.
    cdef const uint64_t* words = <const uint64_t*>ends
    cdef uint32_t ports
    memcpy(&ports, &ends.low_port, sizeof(ports))
    return <uint32_t>fold(
        fold(words[0] ^ key.words[1], words[1] ^ key.words[2]) ^ key.words[3],
        fold(words[2] ^ key.words[4], words[3] ^ key.words[5]) ^ key.words[6] ^ ports,
    )
