"""docs/filter.md: every form in it is a filter, and every kind of node has one."""

import html
import re
import typing
from pathlib import Path

from trtop.filters.filter import nodes_of, parse_filter
from trtop.filters.parser import MAX_CHARS, MAX_DEPTH
from trtop.filters.terms import MAX_PATTERN_CHARS
from trtop.filters.tree import KEYWORDS, Node

PAGE = (Path(__file__).parents[2] / "docs" / "filter.md").read_text(encoding="utf-8")


def forms() -> list[str]:
    """What stands in the first column of the tables of forms."""
    found = []
    for line in PAGE.partition("## Names and addresses")[2].splitlines():
        if line.startswith("| ") and not line.startswith("| form"):
            cell = line.split(" | ")[0]
            found += re.findall(r"`([^`]+)`", cell)
            found += [html.unescape(code) for code in re.findall(r"<code>(.*?)</code>", cell)]
    return found


def test_every_form_is_a_filter_and_every_node_has_one() -> None:
    seen = set()
    for form in forms():
        chosen = parse_filter(form)
        assert chosen is not None, form
        seen |= {type(node) for node in nodes_of(chosen.tree)}
    assert len(forms()) > 40
    assert seen == set(typing.get_args(Node))


def test_the_page_knows_the_keywords_and_the_bounds() -> None:
    said = PAGE.partition("Operators and keywords (")[2].partition(")")[0]
    assert set(re.findall(r"`(\w+)`", said)) == KEYWORDS
    assert f"at most {MAX_CHARS} characters and {MAX_DEPTH} brackets" in PAGE
    assert f"most {MAX_PATTERN_CHARS} characters" in PAGE.replace("\n", " ")
