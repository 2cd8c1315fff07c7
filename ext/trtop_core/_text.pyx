# cython: freethreading_compatible=False
"""Columns of numbers -> lines of text: what a report of 100,000 destinations consists of.

Writes each row as fixed fragments with the row's values between them. Knows no format: fragments
say whether that is JSON. Never looks at what the values mean.
"""

from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_Resize
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy

import numpy as np

UNKNOWN = -0x7FFF_FFFF_FFFF_FFFF - 1
"""The value of a column that is written as ``unknown``."""

cdef int64_t UNKNOWN_VALUE = UNKNOWN

cdef extern from "Python.h":
    # With a bare pointer, unlike what cpython.list declares.
    PyObject* PyList_GET_ITEM(list items, Py_ssize_t at) noexcept

cdef enum:
    MAX_DIGITS = 20          # of 64 bits, with a sign
    EIGHT_DIGITS = 100_000_000
    OVERSHOOT = 32           # bytes of a fragment that are copied at once

cdef const char* PAIRS = (
    b"00010203040506070809101112131415161718192021222324252627282930313233343536373839"
    b"40414243444546474849505152535455565758596061626364656667686970717273747576777879"
    b"8081828384858687888990919293949596979899"
)

cdef struct Column:
    const char* fragment     # before its values, with OVERSHOOT bytes behind it
    Py_ssize_t n_bytes
    const int64_t* numbers
    PyObject* texts          # a list instead; NULL: none


def format_rows(fragments, numbers, texts, bytes unknown, bytes separator, bytearray room):
    """The rows as text, with a separator between them.

    Args:
        fragments: n_columns + 1 pieces of bytes: before, between and behind a row's values.
        numbers: shape (n_columns, n_rows), int64, ``UNKNOWN`` among them.
        texts: for each column None, or a list of n_rows pieces of bytes that are written instead
            of its numbers.
        unknown: what is written for ``UNKNOWN``.
        separator: what stands between two rows.
        room: where they are written to; grows as far as it has to. Used again it spares memory
            that is new each time, which takes as long as a third of the writing.

    Returns:
        A memoryview of the room's beginning; while it lives, the room cannot be used again.

    Raises:
        ValueError: lengths differ.
        TypeError: a fragment or a text is not bytes.
        BufferError: the room is in use, and too small.
    """
    cdef const int64_t[:, ::1] values = np.ascontiguousarray(numbers, np.int64)
    cdef Py_ssize_t n_columns = values.shape[0]
    cdef Py_ssize_t n_rows = values.shape[1]
    cdef Py_ssize_t row, column
    cdef Py_ssize_t size = OVERSHOOT
    cdef char* start
    cdef char* at
    cdef list pieces = list(fragments)
    cdef list columns = list(texts)
    cdef Column* shape
    cdef Column* here
    cdef int64_t value
    if len(pieces) != n_columns + 1 or len(columns) != n_columns:
        raise ValueError("a row has one fragment more than columns, and a text or None for each")
    for column in range(n_columns):
        if columns[column] is None:
            size += n_rows * max(MAX_DIGITS, len(unknown))
            continue
        if type(columns[column]) is not list:
            columns[column] = list(columns[column])
        if len(columns[column]) != n_rows:
            raise ValueError("a column of texts has one for each row")
        for text in <list>columns[column]:
            if type(text) is not bytes:
                raise TypeError("a text is bytes")
            size += PyBytes_GET_SIZE(text)
    for piece in pieces:
        size += n_rows * len(<bytes?>piece)
    size += n_rows * len(separator)
    # Each fragment with room behind it, as much as is read at once.
    padded = b"".join([piece + bytes(OVERSHOOT) for piece in pieces])
    kept = bytearray((n_columns + 1) * sizeof(Column))
    shape = <Column*>PyByteArray_AS_STRING(kept)
    at = PyBytes_AS_STRING(padded)
    for column in range(n_columns + 1):
        shape[column].fragment = at
        shape[column].n_bytes = PyBytes_GET_SIZE(pieces[column])
        at += shape[column].n_bytes + OVERSHOOT
        shape[column].texts = NULL
        if column < n_columns:
            shape[column].numbers = &values[column, 0] if n_rows else NULL
            if columns[column] is not None:
                shape[column].texts = <PyObject*>columns[column]
    if len(room) < size:
        PyByteArray_Resize(room, size)
    start = at = PyByteArray_AS_STRING(room)
    for row in range(n_rows):
        if row:
            at = put(at, <PyObject*>separator)
        for column in range(n_columns):
            here = &shape[column]
            at = put_fragment(at, here)
            value = here.numbers[row]
            if here.texts != NULL:
                at = put(at, PyList_GET_ITEM(<list>here.texts, row))
            elif 0 <= value < 10:
                at[0] = <char>(c'0' + value)
                at += 1
            elif value == UNKNOWN_VALUE:
                at = put(at, <PyObject*>unknown)
            else:
                at = put_number(at, value)
        at = put_fragment(at, &shape[n_columns])
    return memoryview(room)[: at - start]


cdef inline char* put_fragment(char* at, const Column* column) noexcept nogil:
    """Write what stands before a value; what is written too much is written over."""
    memcpy(at, column.fragment, OVERSHOOT)  # of a size that is known: two instructions
    if column.n_bytes > OVERSHOOT:
        memcpy(at, column.fragment, column.n_bytes)
    return at + column.n_bytes


cdef inline char* put(char* at, PyObject* piece) noexcept:
    """Write bytes, whose type has been looked at."""
    cdef Py_ssize_t n = PyBytes_GET_SIZE(<object>piece)
    memcpy(at, PyBytes_AS_STRING(<object>piece), n)
    return at + n


cdef inline char* put_number(char* at, int64_t number) noexcept nogil:
    cdef char[MAX_DIGITS] digits
    cdef int n = MAX_DIGITS
    cdef uint64_t rest = <uint64_t>number
    cdef uint32_t part
    if number < 0:
        at[0] = c'-'
        at += 1
        rest = 0 - rest
    # From the last digit on; eight at a time while there are more, which 32 bits hold.
    while rest >= EIGHT_DIGITS:
        part = <uint32_t>(rest % EIGHT_DIGITS)
        rest //= EIGHT_DIGITS
        for _ in range(4):
            n -= 2
            put_pair(&digits[n], part % 100)
            part //= 100
    part = <uint32_t>rest
    while part >= 100:
        n -= 2
        put_pair(&digits[n], part % 100)
        part //= 100
    if part >= 10:
        n -= 2
        put_pair(&digits[n], part)
    else:
        n -= 1
        digits[n] = <char>(c'0' + part)
    memcpy(at, &digits[n], MAX_DIGITS - n)
    return at + MAX_DIGITS - n


cdef inline void put_pair(char* at, uint32_t number) noexcept nogil:
    """Two digits."""
    memcpy(at, &PAIRS[2 * number], 2)
