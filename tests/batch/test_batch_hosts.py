"""Which captures patterns stand for, and which of them are one host's."""

from pathlib import Path

import pytest

from trtop.batch.hosts import find_hosts
from trtop_core.errors import TrtopError


@pytest.fixture
def captures(tmp_path: Path) -> Path:
    for name in ("a/x.pcap2", "a/x.pcap10", "a/x.pcap1.gz", "a/notes.txt", "b/deep/y.pcapng.zst",
                 "web-1-20.pcap", "web-1-3.pcap", "web-2-1.cap"):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def found(captures: Path, *patterns: str, host: str | None = None) -> dict[str, list[str]]:
    hosts = find_hosts([str(captures / pattern) for pattern in patterns], host)
    base = f"{captures}/"
    return {
        item.name.removeprefix(base): [path.removeprefix(base) for path in item.paths]
        for item in hosts
    }


def test_a_folder_is_a_host_and_its_captures_are_in_the_order_of_their_numbers(
    captures: Path,
) -> None:
    assert found(captures, "a") == {"a": ["a/x.pcap1.gz", "a/x.pcap2", "a/x.pcap10"]}


def test_folders_are_looked_through(captures: Path) -> None:
    hosts = found(captures, "b", "a")
    assert hosts["b/deep"] == ["b/deep/y.pcapng.zst"]
    assert len(hosts) == 2


def test_a_pattern_names_hosts(captures: Path) -> None:
    assert found(captures, "web-*", host=r"(web-\d+)-\d+\.") == {
        "web-1": ["web-1-3.pcap", "web-1-20.pcap"],
        "web-2": ["web-2-1.cap"],
    }


def test_what_the_pattern_does_not_match_is_a_host_of_its_own(captures: Path) -> None:
    assert len(found(captures, "a", "web-1-3.pcap", host="(web-1)")) == 4


def test_a_capture_counts_once_however_often_it_is_named(captures: Path) -> None:
    assert found(captures, "a", "a/x.pcap2", "a/*")["a"].count("a/x.pcap2") == 1


def test_stars_reach_into_folders(captures: Path) -> None:
    assert found(captures, "**/*.zst") == {"b/deep": ["b/deep/y.pcapng.zst"]}


def test_a_file_is_taken_whatever_it_is_called(captures: Path) -> None:
    assert found(captures, "a/notes.txt") == {"a": ["a/notes.txt"]}


@pytest.mark.parametrize("pattern", ["c*", "b/*.pcap"])
def test_a_pattern_without_captures_is_told(captures: Path, pattern: str) -> None:
    with pytest.raises(TrtopError, match="there is no capture"):
        found(captures, pattern)


def test_a_bad_expression_is_told(captures: Path) -> None:
    with pytest.raises(TrtopError, match=r"--host \(: "):
        found(captures, "a", host="(")
