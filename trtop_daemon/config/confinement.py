"""What the main process keeps once all is open, as its settings say.

Takes settings, where it listens and what its feed holds; gives ``Grants``. Opens nothing.
"""

from __future__ import annotations

from collections.abc import Iterable

from trtop_daemon.config.settings import Settings
from trtop_daemon.ipc.feed import Feed
from trtop_daemon.system.landlock import READ, WRITE, Access
from trtop_daemon.system.sandbox import Files, Grants, folder_of

SOCKETS = WRITE | Access.MAKE_SOCK
"""A socket whose file was removed is made anew, with a lock beside it."""


def main_grants(
    settings: Settings, config_path: str | None, sockets: Iterable[str], feed: Feed
) -> Grants:
    """What the main process keeps besides what every one does.

    A file that is read again may have been replaced by then, so that its folder is granted. Sockets
    that clients connect to are bound already: none is listened at, or connected to, from now on.

    Args:
        settings: of the daemon.
        config_path: the file of settings.
        sockets: paths of Unix sockets that clients connect to.
        feed: where packets come from.
    """
    files = [*_sockets(sockets), *_read_again(settings, config_path)]
    if settings.pidfile is not None:
        files.append((folder_of(settings.pidfile), Access.REMOVE_FILE))
    if feed.folder:
        files.append((feed.folder, READ | Access.REMOVE_FILE))
        files.append((folder_of(feed.folder), Access.REMOVE_DIR))
    return Grants(files=tuple(files), signals=feed.child_pids)


def _sockets(paths: Iterable[str]) -> Files:
    """Those of a daemon that lives for one client are removed with their folder."""
    found: list[tuple[str, int]] = []
    for path in paths:
        folder = folder_of(path)
        found += [(folder, SOCKETS), (folder_of(folder), Access.REMOVE_DIR)]
    return tuple(found)


def _read_again(settings: Settings, config_path: str | None) -> Files:
    """What SIGHUP reads: the file of settings, and the keys of those who may connect."""
    found = [] if config_path is None else [(folder_of(config_path), READ)]
    if settings.authorized_keys is not None:
        found.append((settings.authorized_keys, READ))
    return tuple(found)
