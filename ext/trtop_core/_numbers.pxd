# Numbers in as many bytes as they need, and differences that wrap around.

from libc.stdint cimport int64_t, uint8_t, uint64_t

cdef extern from *:
    """
    /* Numbers in as many bytes as they need: so many zero bits below a one, and as many bytes more;
       behind a byte of 0 eight whole ones. Both touch eight bytes, or nine. */
    static inline unsigned char *write_number(unsigned char *p, unsigned long long n)
    {
        unsigned highest = 63 ^ __builtin_clzll(n | 1);
        unsigned n_bytes = (highest * 37 + 259) >> 8;   /* highest / 7 + 1 */
        if (highest > 55) {
            p[0] = 0;
            __builtin_memcpy(p + 1, &n, 8);
            return p + 9;
        }
        n = (2 * n + 1) << (n_bytes - 1);
        __builtin_memcpy(p, &n, 8);
        return p + n_bytes;
    }

    static inline const unsigned char *read_number(
        const unsigned char *p, unsigned long long *number)
    {
        unsigned long long n;
        unsigned n_bytes;
        if (p[0] == 0) {
            __builtin_memcpy(number, p + 1, 8);
            return p + 9;
        }
        n_bytes = __builtin_ctz(p[0]) + 1;
        __builtin_memcpy(&n, p, 8);
        *number = (n >> n_bytes) & ((1ULL << 7 * n_bytes) - 1);
        return p + n_bytes;
    }

    /* Differences, as near to 0 as they are from below or above. */
    static inline unsigned char *write_signed(unsigned char *p, long long n)
    {
        return write_number(p, ((unsigned long long)n << 1) ^ (unsigned long long)(n >> 63));
    }

    static inline const unsigned char *read_signed(const unsigned char *p, long long *number)
    {
        unsigned long long n;
        p = read_number(p, &n);
        *number = (long long)((n >> 1) ^ (0 - (n & 1)));
        return p;
    }

    /* Differences wrap around: what is added to the prediction again is what was there. */
    static inline long long apart(long long a, long long b)
    {
        return (long long)((unsigned long long)a - (unsigned long long)b);
    }

    static inline long long along(long long a, long long b)
    {
        return (long long)((unsigned long long)a + (unsigned long long)b);
    }
    """
    uint8_t* write_number(uint8_t*, uint64_t) noexcept nogil
    const uint8_t* read_number(const uint8_t*, unsigned long long*) noexcept nogil
    uint8_t* write_signed(uint8_t*, int64_t) noexcept nogil
    const uint8_t* read_signed(const uint8_t*, long long*) noexcept nogil
    int64_t apart(int64_t, int64_t) noexcept nogil
    int64_t along(int64_t, int64_t) noexcept nogil
