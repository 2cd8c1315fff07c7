"""Rows of numbers written by the kernel are what Python's own formatting gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trtop_core._text import UNKNOWN, format_rows

INT64 = st.integers(-(2**63), 2**63 - 1)

EDGES = sorted({0, 2**63 - 1, *(10**n for n in range(19)), *(10**n - 1 for n in range(1, 19))})

ROOM = bytearray()
"""One for all tests: what was written before does not matter."""


def twin(
    fragments: list[bytes],
    numbers: list[list[int]],
    texts: list[list[bytes] | None],
    separator: bytes,
) -> bytes:
    rows = []
    for row in range(len(numbers[0])):
        out = fragments[0]
        for column, fragment in enumerate(fragments[1:]):
            own = texts[column]
            value = numbers[column][row]
            plain = b"?" if value == UNKNOWN else b"%d" % value
            out += (plain if own is None else own[row]) + fragment
        rows.append(out)
    return separator.join(rows)


@given(st.data())
def test_any_numbers_and_texts(data: st.DataObject) -> None:
    n_columns, n_rows = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    fragments = [data.draw(st.binary(max_size=70)) for _ in range(n_columns + 1)]
    numbers = [[data.draw(INT64) for _ in range(n_rows)] for _ in range(n_columns)]
    texts = [
        data.draw(st.none() | st.lists(st.binary(max_size=9), min_size=n_rows, max_size=n_rows))
        for _ in range(n_columns)
    ]
    separator = data.draw(st.binary(max_size=3))
    written = format_rows(fragments, np.array(numbers, np.int64), texts, b"?", separator, ROOM)
    assert written == twin(fragments, numbers, texts, separator)


@pytest.mark.parametrize("number", [sign * edge for edge in EDGES for sign in (1, -1)])
def test_numbers_at_the_edges(number: int) -> None:
    numbers = np.array([[number, UNKNOWN]], np.int64)
    written = format_rows([b"<", b">"], numbers, [None], b"null", b"\n", ROOM)
    assert written == b"<%d>\n<null>" % number


def test_no_rows_are_no_text() -> None:
    numbers = np.zeros((1, 0), np.int64)
    assert format_rows([b"<", b">"], numbers, [None], b"", b"\n", ROOM) == b""


@pytest.mark.parametrize(
    ("fragments", "texts"), [([b""], [None]), ([b"", b""], []), ([b"", b""], [[b"a", b"b"]])]
)
def test_lengths_that_differ_are_refused(fragments: list[bytes], texts: list) -> None:
    with pytest.raises(ValueError):
        format_rows(fragments, np.zeros((1, 1), np.int64), texts, b"", b"", ROOM)


def test_text_that_is_not_bytes_is_refused() -> None:
    with pytest.raises(TypeError):
        format_rows([b"", b""], np.zeros((1, 1), np.int64), [["text"]], b"", b"", ROOM)


def test_a_room_that_is_in_use_is_not_taken_away() -> None:
    room = bytearray()
    numbers = np.array([[7]], np.int64)
    first = format_rows([b"<", b">"], numbers, [None], b"", b"", room)
    with pytest.raises(BufferError):
        format_rows([bytes(1_000), b">"], numbers, [None], b"", b"", room)
    assert first == b"<7>"
