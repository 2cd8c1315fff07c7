"""A page without a browser: what is in it, what is safe, how large it is."""

import base64
import hashlib
import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from support.builders.snapshot import destination, incident, snapshot
from support.html_page import HOSTILE, data_of

from trtop.reporters.formats import Format, make_reporter
from trtop.reporters.html_page import encoding, meanings
from trtop.reporters.html_page.reporter import MAX_ROWS, SCRIPTS, STYLE, default_columns
from trtop.table.style import TableStyle
from trtop_core.metrics import COUNTERS, SKETCHES
from trtop_core.snapshot import Snapshot
from trtop_core.table import RowName
from trtop_core.verdicts.causes import Cause


class Texts(HTMLParser):
    """Tags, attributes and texts as a browser takes them."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags:
            self.texts.setdefault(self.tags[-1][0], []).append(data)


def page_of(picture: Snapshot, style: TableStyle | None = None) -> str:
    stream = io.StringIO()
    make_reporter(Format.HTML, stream, lambda: style or TableStyle()).report(picture)
    return stream.getvalue()


def parsed(page: str) -> Texts:
    texts = Texts()
    texts.feed(page)
    texts.close()
    return texts


def named(*names: str) -> Snapshot:
    plain = snapshot([destination(f"10.0.0.{i + 1}", syn=1) for i in range(len(names))])
    called = tuple(RowName(name, name) for name in names)
    return replace(plain, table=replace(plain.table, names=called))


def test_names_from_outside_make_no_markup() -> None:
    ordinary, hostile = parsed(page_of(named(*"abcdefghi"))), parsed(page_of(named(*HOSTILE)))
    assert [tag for tag, _ in hostile.tags] == [tag for tag, _ in ordinary.tags]
    for (_, attrs), (_, plain) in zip(hostile.tags, ordinary.tags, strict=True):
        assert attrs.keys() == plain.keys()


def test_names_from_outside_are_visible_as_escapes() -> None:
    page = page_of(named(*HOSTILE))
    names = data_of(page)["names"]
    assert names[0] == HOSTILE[0]
    assert names[4] == r"\u202egnp.exe\u2066"
    assert names[5] == r"a\x00b\x1b[31m\x0d\x0a\x85c"
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert not any(char in page.split("<body>")[1].split("<script>")[0] for char in "\x00\r")


def test_a_page_is_ascii_whatever_is_in_it() -> None:
    assert page_of(named(*HOSTILE)).isascii()


def test_nothing_within_the_data_ends_its_script() -> None:
    page = page_of(named(*HOSTILE))
    data = page.split('id="data">')[1].split("</script>")[0]
    assert not set(data) & set("<>&")


def test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else() -> None:
    page = page_of(incident())
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    script = page.split("<script>")[1].split("</script>")[0]
    style = page.split("<style>")[1].split("</style>")[0]
    allowed = []
    for text in (script, style):
        digest = hashlib.sha256(text.encode("utf-8")).digest()
        allowed.append(f"'sha256-{base64.b64encode(digest).decode()}'")
    assert policy[1] == (
        f"default-src 'none'; script-src {allowed[0]}; style-src {allowed[1]}; "
        "base-uri 'none'; form-action 'none'"
    )


def test_a_page_names_no_other_file() -> None:
    tags = parsed(page_of(incident())).tags
    for tag, attrs in tags:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form")
        assert not attrs.keys() & {"src", "srcset", "style", "action", "onclick", "onload"}
        assert (attrs.get("href") or "#").startswith("#")


@pytest.mark.parametrize("name", [*SCRIPTS, STYLE])
def test_files_of_the_page_are_ascii_and_ask_for_nothing_from_outside(name: str) -> None:
    folder = Path(encoding.__file__).parent
    text = (folder / name).read_text(encoding="utf-8")
    assert text.isascii()
    assert "</" not in text
    urls = re.findall(r"https?://[^\s\"']*|url\(|@import|fetch\(|innerHTML|eval\(", text)
    assert urls in ([], ["http://www.w3.org/2000/svg"])


def test_rows_have_the_numbers_of_the_snapshot() -> None:
    picture = incident()
    data = data_of(page_of(picture))
    rows = list(picture.rows())
    assert data["names"] == [row.name for row in rows]
    assert [word for _, word in data["verdicts"]] == [row.judged()[0] for row in rows]
    for i, column in enumerate(default_columns()):
        values = [listed[i] for listed in data["values"]]
        name = column.metric.name
        if name in COUNTERS:
            assert values == [row.count(name) for row in rows]
        elif name in SKETCHES:
            assert values == [row.quantile(name, 95) for row in rows]


def test_histograms_hold_every_sample() -> None:
    picture = incident()
    data = data_of(page_of(picture))
    n_checked = 0
    for row, detail in zip(picture.rows(), data["details"], strict=True):
        for number, stats, first, bars in detail["distributions"]:
            name = SKETCHES[number]
            counts = [n for n in bars if n > 0]
            assert sum(counts) == stats[0] == row.samples(name)
            bins = row.sketch_record(name, True)["bins"]
            per_bar = 64 // data["bars_per_octave"]
            assert first == bins[0][0] // per_bar
            assert first + sum(1 if n > 0 else -n for n in bars) - 1 == bins[-1][0] // per_bar
            n_checked += 1
    assert n_checked > 5


def test_fields_that_are_not_0_are_told_and_no_others() -> None:
    picture = incident()
    data = data_of(page_of(picture))
    for row, detail in zip(picture.rows(), data["details"], strict=True):
        told = {data["fields"][i][0]: text for i, text in detail["fields"]}
        for name in COUNTERS:
            assert (name in told) == (row.count(name) != 0)
        assert told["syn"].split()[0] == f"{row.count('syn'):,}" if row.count("syn") else True


@pytest.mark.parametrize(
    ("numbers", "packed"),
    [
        ([], []),
        ([0, 0], []),
        ([1, 0, 0, 2, 0], [1, -2, 2]),
        ([0, 0, 0, 5, 0, 7, 0, 0], [-3, 5, -1, 7]),
    ],
)
def test_runs_of_zeros_are_packed(numbers: list[int], packed: list[int]) -> None:
    assert encoding.packed(numbers) == packed


def test_every_verdict_has_a_meaning() -> None:
    assert list(meanings.MEANINGS) == list(Cause)


def test_chosen_columns_and_thresholds_are_those_of_the_page() -> None:
    columns = tuple(column for column in default_columns() if column.name in ("rst", "syn"))
    page = page_of(incident(), TableStyle(columns=columns))
    assert [column["names"] for column in data_of(page)["columns"]] == [["syn"], ["rst"]]


def busy(n_rows: int, n_samples: int) -> Snapshot:
    rng = np.random.default_rng(11)
    made = []
    for i in range(n_rows):
        counters = {name: int(rng.integers(0, 2**20)) for name in COUNTERS}
        scale = 10.0 ** rng.uniform(4, 9)
        samples = {
            name: np.maximum(1, rng.lognormal(0, 0.6, n_samples) * scale).astype(int).tolist()
            for name in SKETCHES
        }
        made.append(destination(f"2001:db8:1234:5678:9abc:{i:x}::1", samples=samples, **counters))
    return snapshot(made)


def test_a_page_of_500_destinations_with_all_fields_is_below_1_mb() -> None:
    page = page_of(busy(500, 60))
    assert 600_000 < len(page) < 1_000_000
    n_detailed = len(data_of(page)["details"])
    assert 100 < n_detailed < 500
    assert f"of a part of the time: of the first {n_detailed}." in page


def test_rows_beyond_the_bound_are_said_to_be_left_out() -> None:
    n_rows = MAX_ROWS + 7
    picture = snapshot(
        [destination(f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}", syn=1) for i in range(n_rows)]
    )
    page = page_of(picture)
    assert len(data_of(page)["names"]) == MAX_ROWS
    assert f"The first {MAX_ROWS:,} of {n_rows:,} destinations" in page


def test_an_empty_snapshot_is_a_page() -> None:
    page = page_of(snapshot([]))
    assert "Nothing that is looked for holds for any of 0 destinations" in page
