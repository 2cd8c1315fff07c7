import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trtop.filters.linear_regex import LinearRegex
from trtop.filters.pattern_reader import MAX_REPEAT

ATOMS = st.sampled_from(
    ["a", "b", "B", ".", "[ab]", "[^a]", "[a-c1-3]", "[^\\d]", "[\\w.]", "\\d", "\\D", "\\w", "\\W",
     "\\s", "\\S", "-", "1", "\\.", "\\b", "\\B", "^", "$", "[]]", "[a-]"]
)  # fmt: skip
REPEATS = st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "{,2}", "{0,1}", "*?", "+?"])
PATTERNS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}|{two[1]})"),
        st.tuples(inner, REPEATS).map(lambda two: f"(?:{two[0]}){two[1]}"),
    ),
    max_leaves=6,
)
TEXTS = st.text("abcABC123-._ ]", max_size=12)


@given(PATTERNS, TEXTS.filter(bool))  # of \\B in nothing Python thinks otherwise before 3.14
def test_it_finds_what_python_finds(pattern: str, text: str) -> None:
    expected = re.search(pattern, text, re.IGNORECASE | re.ASCII) is not None
    assert LinearRegex(pattern).search(text) is expected


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("", "empty"),
        ("(", "ends too early|without"),
        ("(a", "without a"),
        ("a)", "without a"),
        ("[a", "ends too early"),
        ("*a", "nothing in front"),
        ("{2,3}a", "nothing in front"),
        ("a++", "repeats a repeat"),
        ("a{2}*", "repeats a repeat"),
        ("a|^*", "repeats a place"),
        ("a\\", "ends too early"),
        ("(?=a)", "not known"),
        ("(?P<x>a)", "not known"),
        (r"(a)\1", "not known"),
        (r"[\p]", "not known"),
        (r"[a-\b]", "not known"),
        ("[b-a]", "from more to less"),
        ("a{3,2}", "from more to less"),
        (f"a{{{MAX_REPEAT + 1}}}", "repeats more"),
        ("(a{200}){200}", "too large"),
        ("(((){255}){255}){255}", "too large"),
        ("(((a{9}){9}){9}){9}", "too large"),
    ],
)
def test_what_it_does_not_know_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        LinearRegex(pattern)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("(a+)+$", "a" * 254 + "!"),
        ("(a|a)*b", "a" * 255),
        (".*.*.*.*.*.*.*.*x", "a" * 255),
        ("(a|aa)+$", "a" * 254 + "b"),
        ("((a?){50}){5}b", "a" * 255),
    ],
)
def test_no_pattern_takes_long(pattern: str, text: str) -> None:
    started_s = time.process_time()
    assert not LinearRegex(pattern).search(text)
    assert time.process_time() - started_s < 20  # Python's own takes hours
