"""Which captures there are, and which of them are one host's, in their order.

Takes patterns: files, folders, globs, URLs that fsspec knows; gives ``Host`` after ``Host``. Names
are all that is looked at: nothing is opened but folders.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from trtop_core.errors import TrtopError

CAPTURE_NAME = re.compile(r"\.(pcap|pcapng|cap|dmp)[^/.]*(\.\w+)?(\.(gz|zst|lz4|xz))?$", re.I)
"""What a capture is called in a folder, rotated and compressed ones included: ``eth0.pcap3.gz``."""

WILD = re.compile(r"[*?\[]")

_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*(::|://)", re.I)

_DIGITS = re.compile(r"(\d+)")


@dataclass(frozen=True, slots=True)
class Host:
    """Captures of one host, which are read one after the other.

    Attributes:
        name: what groups them.
        paths: files and URLs, in their order.
    """

    name: str
    paths: tuple[str, ...]


def find_hosts(patterns: Iterable[str], pattern: str | None = None) -> list[Host]:
    """The captures that patterns stand for, by host, each capture once.

    Args:
        patterns: files, folders (all captures in and below them), globs (``**`` too), URLs.
        pattern: a regular expression; what its first group, else all of it, matches in a path
            names the host. Paths without a match are hosts of their own. None: the folder.

    Raises:
        TrtopError: a pattern stands for nothing, or makes no sense.
    """
    try:
        expression = None if pattern is None else re.compile(pattern)
    except re.error as error:
        raise TrtopError(f"--host {pattern}: {error}") from None
    paths = dict.fromkeys(path for text in patterns for path in _found(text))
    groups: dict[str, list[str]] = {}
    for path in paths:
        groups.setdefault(_host_of(path, expression), []).append(path)
    return [
        Host(name, tuple(sorted(groups[name], key=_natural)))
        for name in sorted(groups, key=_natural)
    ]


def is_remote(path: str) -> bool:
    """Whether a path is a URL for fsspec."""
    return _SCHEME.match(path) is not None


def filesystem_of(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it.

    Raises:
        TrtopError: fsspec, or what it needs for the scheme, is not installed.
    """
    try:
        import fsspec  # noqa: PLC0415 - an extra

        return fsspec.core.url_to_fs(url)  # type: ignore[no-any-return]
    except (ImportError, ValueError) as error:
        raise TrtopError(f"{url}: {error}; install it: pip install 'trtop[remote]'") from None


def _found(text: str) -> Iterator[str]:
    if is_remote(text):
        found: Sequence[str] = _remote(text)
    elif os.path.isdir(text):
        found = [
            os.path.join(folder, name)
            for folder, _, names in os.walk(text)
            for name in names
            if CAPTURE_NAME.search(name)
        ]
    elif WILD.search(text) and not os.path.lexists(text):
        found = [path for path in glob.glob(text, recursive=True) if not os.path.isdir(path)]
    else:
        found = [text]
    if not found:
        raise TrtopError(f"{text}: there is no capture")
    yield from sorted(found, key=_natural)


def _remote(url: str) -> list[str]:
    system, path = filesystem_of(url)
    try:
        if WILD.search(path):
            names = [name for name in system.glob(path) if not name.endswith("/")]
        elif system.isdir(path):
            names = [name for name in system.find(path) if CAPTURE_NAME.search(name)]
        else:
            return [url]
    except Exception as error:  # a file system of somebody else's
        raise TrtopError(f"{url}: {reason(error)}") from None
    return [system.unstrip_protocol(name) for name in names]


def reason(error: BaseException) -> str:
    """What went wrong, in one line of bounded length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text[:300]


def _host_of(path: str, expression: re.Pattern[str] | None) -> str:
    if expression is None:
        return os.path.dirname(path) or "."
    match = expression.search(path)
    if match is None:
        return path
    return (match[1] if match.re.groups else match[0]) or path


def _natural(text: str) -> list[tuple[int, int, str]]:
    """An order in which ``eth0.pcap10`` comes after ``eth0.pcap9``."""
    parts = _DIGITS.split(text)
    return [(1, int(part), part) if i % 2 else (0, 0, part) for i, part in enumerate(parts)]
