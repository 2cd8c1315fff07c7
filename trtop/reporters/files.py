"""Reports as files: PREFIX.trtop (text) and PREFIX.json, each complete or absent."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TextIO

from trtop_core.errors import TrtopError

TABLE_SUFFIX = ".trtop"
JSON_SUFFIX = ".json"


def check_prefix(prefix: str) -> None:
    """Fail before the capture is read rather than after.

    Raises:
        TrtopError: files of that prefix cannot be written.
    """
    if not prefix or prefix.endswith("/") or os.path.isdir(prefix):
        raise TrtopError(f"--out {prefix or repr(prefix)}: is no beginning of a file name")
    folder = os.path.dirname(prefix) or "."
    if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise TrtopError(f"--out {prefix}: {folder} is no folder that can be written to")


def write_copies(prefix: str, writers: dict[str, Callable[[TextIO], None]]) -> None:
    """Write files; one that exists is replaced when the new one is complete.

    Args:
        prefix: what paths begin with.
        writers: by suffix, what writes the file.

    Raises:
        TrtopError: one of them cannot be written.
    """
    for suffix, write in writers.items():
        path = f"{prefix}{suffix}"
        part = f"{path}.part"
        try:
            with open(part, "w", encoding="utf-8") as stream:
                write(stream)
            os.replace(part, path)
        except OSError as error:
            raise TrtopError(f"{path}: cannot be written: {error.strerror}") from error
