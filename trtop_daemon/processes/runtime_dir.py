"""The folder in which the capture processes find the main process: made, and cleared of old ones.

Takes whom the main process becomes, gives a folder for that user alone. One that a killed main
process left behind goes when the next one starts: recognised by a socket at which nobody listens.
"""

from __future__ import annotations

import os
import socket
import stat
import tempfile
from contextlib import suppress

from trtop_daemon.system.privileges import Identity
from trtop_daemon.system.socket_file import acting_as

PUBLIC_FOLDER = "/tmp"

PREFIX = "trtop-"

SOCKET_NAME = "packets"


def make_runtime_dir(identity: Identity | None) -> str:
    """A folder that nobody but those who capture can look into.

    Args:
        identity: whom the main process becomes; None: it stays who it is.

    Raises:
        OSError: it cannot be made.
    """
    # Root's own TMPDIR may be a place where the user whom it becomes cannot go.
    parent = tempfile.gettempdir() if identity is None else PUBLIC_FOLDER
    uid, gid = (os.geteuid(), os.getegid()) if identity is None else (identity.uid, identity.gid)
    with acting_as(uid, gid):  # whatever the user puts there, we act on it as that user only
        _remove_abandoned(parent, uid)
        return tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent)


def _remove_abandoned(parent: str, uid: int) -> None:
    """Remove folders of a user in which a socket is that nobody listens at any more."""
    with suppress(OSError), os.scandir(parent) as entries:
        for entry in entries:
            if entry.name.startswith(PREFIX):
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode) and status.st_uid == uid:
                        _remove_if_abandoned(entry.path)


def _remove_if_abandoned(folder: str) -> None:
    path = os.path.join(folder, SOCKET_NAME)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
            os.rmdir(folder)
