# cython: freethreading_compatible=False
"""Community ID v1 of TCP connections (https://github.com/corelight/community-id-spec).

Takes addresses and ports as arrays, gives texts as an array: one SHA-1 block and one base64 text
each, as a call into a library takes longer than all else that is done for a connection.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memcmp, memcpy, memset

import numpy as np

cdef enum:
    BLOCK_BYTES = 64
    DIGEST_BYTES = 20
    TEXT_BYTES = 30          # "1:" and 28 of base64
    TCP = 6                  # its protocol number

cdef const char* DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

cdef uint8_t[12] MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]


def community_ids(
    const uint8_t[:, ::1] addrs, const uint8_t[:, ::1] peers, ports, peer_ports, uint16_t seed=0
):
    """The Community ID of each connection, shape (n,), dtype ``S30``; direction does not matter.

    Args:
        addrs: shape (n, 16), of one end; IPv4 is mapped.
        peers: shape (n, 16), of the other end.
        ports: shape (n,).
        peer_ports: shape (n,).
        seed: tells sites apart that use the same addresses.

    Raises:
        ValueError: shapes differ.
    """
    cdef const uint16_t[::1] own = np.ascontiguousarray(ports, np.uint16)
    cdef const uint16_t[::1] other = np.ascontiguousarray(peer_ports, np.uint16)
    cdef Py_ssize_t n = addrs.shape[0]
    cdef Py_ssize_t i
    ids = np.empty(n, f"S{TEXT_BYTES}")
    cdef uint8_t[:, ::1] texts = ids.view(np.uint8).reshape(n, TEXT_BYTES)
    if addrs.shape[1] != 16 or peers.shape[1] != 16:
        raise ValueError("an address has 16 bytes")
    if peers.shape[0] != n or own.shape[0] != n or other.shape[0] != n:
        raise ValueError("one address and port of either end for each connection")
    with nogil:
        for i in range(n):
            write_id(seed, &addrs[i, 0], &peers[i, 0], own[i], other[i], &texts[i, 0])
    return ids


cdef void write_id(
    uint16_t seed,
    const uint8_t* addr,
    const uint8_t* peer,
    uint16_t port,
    uint16_t peer_port,
    uint8_t* text,
) noexcept nogil:
    """The text of one connection."""
    cdef uint8_t[BLOCK_BYTES] block
    cdef uint8_t[DIGEST_BYTES + 1] digest
    cdef bint is_v4 = memcmp(addr, MAPPED, 12) == 0 and memcmp(peer, MAPPED, 12) == 0
    cdef int skip = 12 if is_v4 else 0
    cdef int n = 16 - skip
    cdef int order = memcmp(addr + skip, peer + skip, n)
    cdef int at = 2
    if order > 0 or (order == 0 and port > peer_port):
        addr, peer = peer, addr
        port, peer_port = peer_port, port
    memset(block, 0, BLOCK_BYTES)
    put_16(block, seed)
    memcpy(&block[at], addr + skip, n)
    memcpy(&block[at + n], peer + skip, n)
    at += 2 * n
    block[at] = TCP
    put_16(&block[at + 2], port)
    put_16(&block[at + 4], peer_port)
    at += 6
    # The padding of SHA-1: one bit, zeros, and the length in bits.
    block[at] = 0x80
    put_16(&block[BLOCK_BYTES - 2], <uint16_t>(8 * at))
    sha1_block(block, digest)
    digest[DIGEST_BYTES] = 0
    text[0], text[1] = c"1", c":"
    put_base64(digest, &text[2])


cdef inline void put_16(uint8_t* to, uint16_t value) noexcept nogil:
    """Big-endian."""
    to[0] = <uint8_t>(value >> 8)
    to[1] = <uint8_t>(value & 0xFF)


cdef void put_base64(const uint8_t* digest, uint8_t* text) noexcept nogil:
    """28 characters of 20 bytes, which a zero follows."""
    cdef int i
    cdef uint32_t group
    for i in range(7):
        group = (
            (<uint32_t>digest[3 * i] << 16)
            | (<uint32_t>digest[3 * i + 1] << 8)
            | digest[3 * i + 2]
        )
        text[4 * i] = DIGITS[group >> 18]
        text[4 * i + 1] = DIGITS[(group >> 12) & 63]
        text[4 * i + 2] = DIGITS[(group >> 6) & 63]
        text[4 * i + 3] = DIGITS[group & 63]
    text[27] = c"="


cdef inline uint32_t rotated(uint32_t word, int by) noexcept nogil:
    return (word << by) | (word >> (32 - by))


cdef void sha1_block(const uint8_t* block, uint8_t* digest) noexcept nogil:
    """SHA-1 of a message that is one block, its padding included (FIPS 180-4 §6.1.2)."""
    cdef uint32_t[80] words
    cdef uint32_t[5] begin
    cdef uint32_t a, b, c, d, e, f, k, fresh
    cdef int i
    begin[0], begin[1], begin[2] = 0x67452301, 0xEFCDAB89, 0x98BADCFE
    begin[3], begin[4] = 0x10325476, 0xC3D2E1F0
    a, b, c, d, e = begin[0], begin[1], begin[2], begin[3], begin[4]
    for i in range(16):
        words[i] = (
            (<uint32_t>block[4 * i] << 24)
            | (<uint32_t>block[4 * i + 1] << 16)
            | (<uint32_t>block[4 * i + 2] << 8)
            | block[4 * i + 3]
        )
    for i in range(16, 80):
        words[i] = rotated(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1)
    for i in range(80):
        if i < 20:
            f, k = (b & c) | (~b & d), 0x5A827999
        elif i < 40:
            f, k = b ^ c ^ d, 0x6ED9EBA1
        elif i < 60:
            f, k = (b & c) | (b & d) | (c & d), 0x8F1BBCDC
        else:
            f, k = b ^ c ^ d, 0xCA62C1D6
        fresh = rotated(a, 5) + f + e + k + words[i]
        e, d, c, b, a = d, c, rotated(b, 30), a, fresh
    words[0], words[1], words[2], words[3], words[4] = a, b, c, d, e
    for i in range(5):
        fresh = begin[i] + words[i]
        digest[4 * i] = <uint8_t>(fresh >> 24)
        digest[4 * i + 1] = <uint8_t>((fresh >> 16) & 0xFF)
        digest[4 * i + 2] = <uint8_t>((fresh >> 8) & 0xFF)
        digest[4 * i + 3] = <uint8_t>(fresh & 0xFF)
