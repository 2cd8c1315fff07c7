# cython: freethreading_compatible=False
"""Columns of numbers -> lines of text: what a report of 100,000 destinations consists of.

Writes each row as fixed fragments with the row's values between them. Knows no format: fragments
say whether that is JSON. Never looks at what the values mean.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF
from libc.stdint cimport int64_t, uint64_t
from libc.string cimport memcpy

import numpy as np

UNKNOWN = -0x7FFF_FFFF_FFFF_FFFF - 1
"""The value of a column that is written as ``unknown``."""

cdef int64_t UNKNOWN_VALUE = UNKNOWN

cdef extern from "Python.h":
    # With bare pointers, unlike what cpython.list and cpython.bytes declare.
    PyObject* PyList_GET_ITEM(list items, Py_ssize_t at) noexcept
    PyObject* PyBytes_FromStringAndSize(const char* text, Py_ssize_t n) except NULL
    int _PyBytes_Resize(PyObject** text, Py_ssize_t n) except -1

cdef enum:
    MAX_DIGITS = 20          # of 64 bits, with a sign


def format_rows(fragments, numbers, texts, bytes unknown, bytes separator):
    """The rows as text, with a separator between them.

    Args:
        fragments: n_columns + 1 pieces of bytes: before, between and behind a row's values.
        numbers: shape (n_columns, n_rows), int64, ``UNKNOWN`` among them.
        texts: for each column None, or a list of n_rows pieces of bytes that are written instead
            of its numbers.
        unknown: what is written for ``UNKNOWN``.
        separator: what stands between two rows.

    Raises:
        ValueError: lengths differ.
        TypeError: a fragment or a text is not bytes.
    """
    cdef const int64_t[:, ::1] values = np.ascontiguousarray(numbers, np.int64)
    cdef Py_ssize_t n_columns = values.shape[0]
    cdef Py_ssize_t n_rows = values.shape[1]
    cdef Py_ssize_t row, column
    cdef Py_ssize_t size = 0
    cdef char* start
    cdef char* at
    cdef list pieces = list(fragments)
    cdef list columns = list(texts)
    cdef PyObject* own
    cdef PyObject* raw
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
    raw = PyBytes_FromStringAndSize(NULL, size)
    start = at = PyBytes_AS_STRING(<object>raw)
    for row in range(n_rows):
        if row:
            at = put(at, <PyObject*>separator)
        at = put(at, PyList_GET_ITEM(pieces, 0))
        for column in range(n_columns):
            own = PyList_GET_ITEM(columns, column)
            if own != <PyObject*>None:
                at = put(at, PyList_GET_ITEM(<list>own, row))
            elif 0 <= values[column, row] < 10:
                at[0] = <char>(c'0' + values[column, row])
                at += 1
            elif values[column, row] == UNKNOWN_VALUE:
                at = put(at, <PyObject*>unknown)
            else:
                at = put_number(at, values[column, row])
            at = put(at, PyList_GET_ITEM(pieces, column + 1))
    # In place: the bound is generous, and a copy of megabytes takes longer than writing them.
    _PyBytes_Resize(&raw, at - start)
    out = <object>raw
    Py_DECREF(out)
    return out


cdef inline char* put(char* at, PyObject* piece) noexcept:
    """Write bytes, whose type has been looked at."""
    cdef Py_ssize_t n = PyBytes_GET_SIZE(<object>piece)
    memcpy(at, PyBytes_AS_STRING(<object>piece), n)
    return at + n


cdef inline char* put_number(char* at, int64_t number) noexcept nogil:
    cdef char[MAX_DIGITS] digits
    cdef int n = 0
    cdef uint64_t rest = <uint64_t>number
    if number < 0:
        at[0] = c'-'
        at += 1
        rest = 0 - rest
    while True:
        digits[n] = <char>(c'0' + rest % 10)
        n += 1
        rest //= 10
        if rest == 0:
            break
    while n:
        n -= 1
        at[0] = digits[n]
        at += 1
    return at
