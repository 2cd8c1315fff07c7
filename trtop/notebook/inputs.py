"""What ``analyze`` and ``stream`` are given, as paths: names of files, and files that are open.

Takes paths and binary file objects, gives paths that can be opened. What has no descriptor, or was
read in part, is copied to a file without a name, which ends with the context.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import BinaryIO

Input = str | os.PathLike[str] | BinaryIO
Inputs = Input | Sequence[Input]


def listed(inputs: Inputs) -> list[Input]:
    """One or several, as a list.

    Raises:
        ValueError: one of them is no path and no open binary file.
    """
    is_one = isinstance(inputs, (str, os.PathLike)) or hasattr(inputs, "read")
    found: list[Input] = [inputs] if is_one else list(inputs)  # type: ignore[list-item, arg-type]
    for item in found:
        is_text = isinstance(item, io.TextIOBase)
        if is_text or not (isinstance(item, (str, os.PathLike)) or hasattr(item, "read")):
            raise ValueError(f"{item!r} is no path and no file opened with mode 'rb'")
    return found


@contextlib.contextmanager
def as_paths(inputs: Sequence[Input]) -> Iterator[list[str]]:
    """Paths that stand for the inputs until the context ends."""
    with ExitStack() as stack:
        yield [_path(item, stack) for item in inputs]


def _path(item: Input, stack: ExitStack) -> str:
    if isinstance(item, (str, os.PathLike)):
        return os.fspath(item)
    try:
        fd = item.fileno()
        mode = os.fstat(fd).st_mode
    except (AttributeError, OSError):
        fd, mode = -1, 0
    if fd >= 0 and not stat.S_ISREG(mode):
        return f"/dev/fd/{fd}"
    name = getattr(item, "name", None)
    if fd >= 0 and item.tell() == 0 and isinstance(item, io.BufferedReader):
        return name if isinstance(name, str) and _is_same(name, fd) else f"/dev/fd/{fd}"
    copy = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the context
    stack.enter_context(copy)
    shutil.copyfileobj(item, copy)
    copy.flush()
    return f"/dev/fd/{copy.fileno()}"


def _is_same(name: str, fd: int) -> bool:
    """Whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.stat(name), os.fstat(fd))
    except OSError:
        return False
