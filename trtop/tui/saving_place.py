"""Where ``s`` can write, and as whom: what is proposed before, and said where it is refused.

Takes the name of the user that the process became, looks at folders; gives text. Never writes.
"""

from __future__ import annotations

import os
from typing import NamedTuple

FILE_NAME = "trtop-saved"
"""What files are called in a folder that the user did not choose."""

TEMPORARY = "/tmp"
"""Where anybody may write, unless ``TMPDIR`` says otherwise."""


class Proposal(NamedTuple):
    """What stands in the line that asks for a prefix.

    Attributes:
        text: as if it had been typed.
        note: who writes, and where that is possible; empty where there is nothing to say.
    """

    text: str = ""
    note: str = ""


def proposal(writes_as: str) -> Proposal:
    """A prefix that can be written.

    Args:
        writes_as: the user that the process became; empty: whoever started it.
    """
    here = _here()
    who = f"files are written by the user {writes_as}" if writes_as else ""
    if here is not None and _is_writable(here):
        return Proposal("", who and f"{who}, in {here}")
    place = "the working directory" if here is None else here
    refused = f"{who}, who may not write in {place}" if who else f"{place} cannot be written"
    folder = _temporary()
    if folder is None:
        return Proposal("", refused)
    return Proposal(os.path.join(folder, FILE_NAME), f"{refused}; {folder} can be written")


def refusal(path: str, writes_as: str) -> str:
    """Why a file may not be written, and where one may.

    Args:
        path: which file.
        writes_as: as for ``proposal``.
    """
    folder = _temporary()
    if _is_writable(os.path.dirname(os.path.abspath(path))):
        places = "where it was started" + ("" if folder is None else f", and in {folder}")
        return f"{path}: trtop confines itself: it writes {places} (--no-sandbox: anywhere)"
    who = f"the user {writes_as}, as whom this screen runs," if writes_as else "this user"
    instead = "" if folder is None else f": {folder} can be written"
    return f"{path}: {who} may not write there{instead}"


def _here() -> str | None:
    """The working directory; None where it is gone."""
    try:
        return os.getcwd()
    except OSError:
        return None


def _temporary() -> str | None:
    """A folder for anybody's files, if this process may write there."""
    folder = os.environ.get("TMPDIR") or TEMPORARY
    return folder if _is_writable(folder) else None


def _is_writable(folder: str) -> bool:
    return os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK)
