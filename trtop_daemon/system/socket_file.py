"""The file of a listening Unix socket: made, kept from others, found missing, removed.

Takes a path and the user that it is to belong to; gives a listening descriptor whose file has mode
0660. A file that a dead daemon left behind is replaced; one that somebody answers at is not. Never
follows a link, and does as root only what needs root: the folder may belong to the user.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pwd
import socket
import stat
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from trtop_core.errors import TrtopError

BACKLOG = 512
"""Clients that may be waiting to be accepted: hundreds that come back at once after a restart."""

UMASK = 0o117
"""Leaves 0660: the owner and the group."""

LOCK_SUFFIX = ".lock"

N_TRIES = 5
"""A lock file may be removed by its last owner between our opening and our locking it."""

_UCRED = struct.Struct("3i")


@contextmanager
def acting_as(uid: int, gid: int) -> Iterator[None]:
    """Files made within belong to that user; nothing changes unless we are root."""
    if os.geteuid() != 0:
        yield
        return
    before = os.geteuid(), os.getegid()
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(before[0])
        os.setegid(before[1])


class SocketFile:
    """A socket's file that is ours as long as this object is not closed.

    Args:
        path: where.
        uid: who is to own it, where we are root.
        gid: whose group is to have access.

    Raises:
        TrtopError: a daemon answers there, or the file cannot be made.
    """

    def __init__(self, path: str, uid: int, gid: int) -> None:
        self.path = path
        self._uid, self._gid = uid, gid
        self._inode: tuple[int, int] | None = None
        self._lock_fd = _lock(path, uid, gid)

    def listen(self) -> int:
        """Make the file; the descriptor belongs to the caller.

        Raises:
            TrtopError: it cannot be made, or somebody listens there.
        """
        with acting_as(self._uid, self._gid), _failing(self.path, self._uid):
            _make_room(self.path)
            listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            umask = os.umask(UMASK)
            try:
                listening.bind(self.path)
                listening.listen(BACKLOG)
                listening.setblocking(False)
                self._inode = _inode(self.path)
            except OSError:
                listening.close()
                raise
            finally:
                os.umask(umask)
        return listening.detach()

    @property
    def is_there(self) -> bool:
        """The file that ``listen`` made still has its name."""
        return self._inode is not None and _inode(self.path) == self._inode

    def close(self) -> None:
        """Remove the file, if it is still ours, and let others have the name."""
        if self._lock_fd < 0:
            return
        with suppress(OSError):
            if self.is_there:
                os.unlink(self.path)
        with suppress(OSError):
            os.unlink(self.path + LOCK_SUFFIX)
        os.close(self._lock_fd)
        self._lock_fd = -1


def make_folder(path: str, mode: int) -> None:
    """The folder of a default endpoint, if it is missing.

    Raises:
        TrtopError: it cannot be made.
    """
    folder = str(Path(path).parent)
    with _failing(folder, os.geteuid()), suppress(FileExistsError):
        os.mkdir(folder, mode)


def take_folder(path: str, uid: int, gid: int) -> None:
    """As root, give a default endpoint's folder to the user; nothing of a live daemon's changes.

    What a dead daemon of another user left there is removed as that user.

    Raises:
        TrtopError: a daemon uses it, or it cannot be given away.
    """
    folder = str(Path(path).parent)
    with _failing(folder, os.geteuid()):
        folder_fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            found = os.fstat(folder_fd)
            if (found.st_uid, found.st_gid) == (uid, gid):
                return
            with closing(SocketFile(path, found.st_uid, found.st_gid)):
                with acting_as(found.st_uid, found.st_gid):
                    _make_room(path)
                os.fchown(folder_fd, uid, gid)
        finally:
            os.close(folder_fd)


def lock_folder(path: str) -> int:
    """A descriptor that holds a lock of root's beside a default endpoint's folder.

    Whoever may write to the folder cannot touch it. It is never removed: its owner has no right to
    when the time comes, and an empty file means nothing.

    Raises:
        TrtopError: another daemon holds it.
    """
    name = str(Path(path).parent) + LOCK_SUFFIX
    with _failing(name, os.geteuid()):
        lock_fd = _open_lock(name, os.geteuid())
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock_fd)
        raise TrtopError(_in_use(path)) from None
    return lock_fd


def check_path(path: str, uid: int, gid: int) -> None:
    """Whether that user could listen there now; changes nothing.

    Raises:
        TrtopError: what is in the way.
    """
    with acting_as(uid, gid), _failing(path, uid):
        if not os.access(Path(path).parent, os.W_OK | os.X_OK, effective_ids=True):
            os.stat(Path(path).parent)
            raise PermissionError(errno.EACCES, "")
        with suppress(FileNotFoundError):
            if not stat.S_ISSOCK(os.lstat(path).st_mode):
                raise TrtopError(f"{path}: is no socket, and is not replaced by one")
        if listener_pid(path) is not None:
            raise TrtopError(_in_use(path))


def user_name(uid: int) -> str:
    """A user's name, or their number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def listener_pid(path: str) -> int | None:
    """The process that answers at a socket's file; None where nobody does.

    Raises:
        OSError: it cannot be told.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        except BlockingIOError:  # alive, and too busy to accept us
            return 0
        credentials = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        return int(_UCRED.unpack(credentials)[0])


def _lock(path: str, uid: int, gid: int) -> int:
    """A descriptor that holds the lock beside a socket's file; made as the user it is for."""
    name = path + LOCK_SUFFIX
    for _ in range(N_TRIES):
        with _failing(name, uid):
            try:
                with acting_as(uid, gid):
                    lock_fd = _open_lock(name, uid)
                fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(lock_fd)
                raise TrtopError(_in_use(path)) from None
        opened = os.fstat(lock_fd)
        if _inode(name) == (opened.st_dev, opened.st_ino):
            return lock_fd
        os.close(lock_fd)
    raise TrtopError(f"{name}: cannot be locked: others keep removing it")


def _open_lock(name: str, uid: int) -> int:
    """A lock file, made if it is missing.

    Raises:
        OSError: it cannot be opened.
        TrtopError: it is something else, or somebody else's.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    lock_fd = os.open(name, flags, 0o600)
    found = os.fstat(lock_fd)
    problem = ""
    if not stat.S_ISREG(found.st_mode):
        problem = "is no file"
    elif found.st_nlink > 1:
        problem = f"has {found.st_nlink} names"
    elif found.st_uid not in (uid, 0):
        problem = f"belongs to {user_name(found.st_uid)}"
    if problem:
        os.close(lock_fd)
        raise TrtopError(f"{name}: {problem}, so it is no lock of ours; remove it")
    return lock_fd


def _make_room(path: str) -> None:
    """Remove what a dead daemon left behind."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise TrtopError(f"{path}: is no socket, and is not replaced by one")
    if listener_pid(path) is not None:
        raise TrtopError(_in_use(path))
    os.unlink(path)


def _in_use(path: str) -> str:
    pid: int | None = None
    with suppress(OSError):
        pid = listener_pid(path)
    who = f"process {pid}" if pid else "a daemon"
    return f"{path}: {who} already listens there; stop it, or choose another with --listen"


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def _failing(path: str, uid: int) -> Iterator[None]:
    """Errors of the system as one line that names the file, and the user if that is why."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        hint = "; the folder must exist" if error.errno == errno.ENOENT else ""
        if isinstance(error, PermissionError):
            hint = f" for the user {user_name(uid)}; see --user"
        raise TrtopError(f"{path}: cannot listen: {reason}{hint}") from error
