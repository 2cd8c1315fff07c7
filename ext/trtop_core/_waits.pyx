# cython: freethreading_compatible=False
"""How long the oldest attempt and the oldest request of each row wait for an answer; read-only.

A look at every connection, but only at those of the rows that wait at all beyond their first line.

An attempt that timed out waits on while its SYN may be sent again: a system doubles the time
between SYNs, so that the next one is due once as much time has passed since the last one as had
passed until then, and some. It errs towards waiting: a program may have given up before.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t

from trtop_core._clock cimport FOREVER_NS, SECOND_NS
from trtop_core._connection cimport (
    P_HTTP2,
    S_CLOSED,
    S_UNANSWERED,
    S_WAITING,
    T_ANSWERED,
    T_OPEN,
    connection_t,
)
from trtop_core._state cimport State
from trtop_core._waiting cimport waiting_of

cdef enum:
    FIRST_GAPS_S = 2         # between the first SYNs, with what timers are late by


def longest_waits(State state, const uint8_t[::1] is_wanted, int64_t[:, ::1] waits_ns):
    """Find out how long the oldest attempt and the oldest request of each row wait until now.

    Args:
        state: the engine's tables, settled.
        is_wanted: IN shape (n_rows,), of the rows of destinations: whether it is looked for there.
        waits_ns: IN and OUT shape (n_rows, 2): raised to the age of the oldest attempt without an
            answer, and to that of the oldest request; at least 1 where there is one.

    Raises:
        ValueError: a shape is another one.
    """
    cdef uint32_t number
    cdef uint32_t n_rows = state.destinations.n_rows
    cdef const connection_t* c
    cdef int64_t oldest_ns
    if is_wanted.shape[0] != n_rows or waits_ns.shape[0] != n_rows or waits_ns.shape[1] != 2:
        raise ValueError("as many marks and waits as there are rows of destinations")
    with nogil:
        for number in range(state.table.n_used):
            if not (
                state.table.may_ask(number)
                or state.table.state_of(number) & (S_WAITING | S_UNANSWERED)
            ):
                continue
            c = state.table.look(number)
            if c.destination >= n_rows or not is_wanted[c.destination]:
                continue
            if c.state & S_WAITING or is_tried(c, state.clock_ns):
                raise_to(waits_ns, c.destination, 0, state.clock_ns - c.began_clock_ns)
            if not c.protocol & P_HTTP2 and c.turn.flags & (T_OPEN | T_ANSWERED) != T_OPEN:
                continue
            oldest_ns = waiting_of(state, c).oldest_ns
            if oldest_ns != FOREVER_NS:
                raise_to(waits_ns, c.destination, 1, state.clock_ns - oldest_ns)


cdef inline bint is_tried(const connection_t* c, int64_t now_ns) noexcept nogil:
    """Whether an attempt timed out and its SYN may still be sent again."""
    cdef int64_t sent_for_ns = c.last_ns - c.began_clock_ns
    return (
        c.state & (S_UNANSWERED | S_CLOSED) == S_UNANSWERED
        and now_ns - c.last_ns <= sent_for_ns + <int64_t>FIRST_GAPS_S * SECOND_NS
    )


cdef inline void raise_to(
    int64_t[:, ::1] waits_ns, uint32_t row, int which, int64_t age_ns
) noexcept nogil:
    waits_ns[row, which] = max(waits_ns[row, which], max(1, age_ns))
