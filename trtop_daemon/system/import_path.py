"""Which folders a privileged process may import from, and how a child of one is started.

Takes paths and who is trusted; says in words who else could write there. ``close_import_path``
takes such folders out of ``sys.path``; ``isolated`` gives a command line for a child that imports
from what is left and from nowhere else. Imports the standard library alone, since it runs before
anything else is imported, and never imports what it looks at.

Trusted are root, the user of the process, and whoever owns the interpreter that was started (a
virtual environment in somebody's home, say): they could replace the interpreter itself.
"""

from __future__ import annotations

import os
import stat
import sys
from collections import deque
from importlib.util import find_spec

ROOT_UID = 0
ROOT_ALONE = frozenset({ROOT_UID})

MAX_LINKS = 40
"""Followed in one path, as the kernel does (path_resolution(7))."""

OWN_PACKAGES = ("trtop", "trtop_core", "trtop_daemon")

_STARTER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "isolated.py")
_OWN_FOLDER = os.path.dirname(os.path.dirname(os.path.dirname(_STARTER)))

_ACL = "system.posix_acl_access"


class UntrustedPathError(Exception):
    """A privileged process would run what others may write; ``str()`` is one line."""


def is_privileged() -> bool:
    """Whether this process is root, or may use a capability."""
    if os.geteuid() == ROOT_UID:
        return True
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as stream:
            permitted = [line.split()[1] for line in stream if line.startswith("CapPrm:")]
    except OSError:
        return False
    return any(int(mask, 16) for mask in permitted)


def trusted_owners() -> frozenset[int]:
    """Users who can change what this process runs, whatever it imports."""
    owners = {ROOT_UID, os.geteuid()}
    for path in (os.path.dirname(sys.executable), os.path.realpath(sys.executable)):
        try:
            owners.add(os.stat(path).st_uid)
        except OSError:
            continue
    return frozenset(owners)


def weakness(path: str, trusted: frozenset[int]) -> str:
    """Who else may write to a path, or put another in its place; empty if nobody.

    Each folder on the way is looked at, each link on the way and where it leads. What does not
    exist is sound where nobody else could make it.

    Args:
        path: of a file or folder.
        trusted: users who may.
    """
    waiting = deque(os.path.abspath(path).split(os.sep)[1:])
    here = os.sep
    n_links = 0
    above = ""
    while True:
        try:
            found = os.lstat(here)
        except FileNotFoundError:
            return f"{here} is missing, and {above}" if above else ""
        except OSError as error:
            return f"{here}: {error.strerror}"
        problem = _writers(here, found, trusted)
        # Whoever may write to a sticky folder can neither rename nor remove what others have there.
        is_sticky = stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISVTX
        above = f"{here} {problem}" if problem else ""
        if problem and (found.st_uid not in trusted or not is_sticky):
            return above
        if stat.S_ISLNK(found.st_mode):
            n_links += 1
            if n_links > MAX_LINKS:
                return f"{here} leads in a circle"
            target = os.readlink(here)
            waiting.extendleft(reversed(target.split(os.sep)))
            here = os.sep if os.path.isabs(target) else os.path.dirname(here)
        while waiting and waiting[0] in ("", os.curdir):
            waiting.popleft()
        if not waiting:
            return above
        name = waiting.popleft()
        here = os.path.dirname(here) if name == os.pardir else os.path.join(here, name)


def close_import_path() -> None:
    """Keep a privileged process from importing what others may write; others are left alone.

    Raises:
        UntrustedPathError: this program itself, or the standard library, is among it.
    """
    if not is_privileged():
        return
    trusted = trusted_owners()
    kept, removed = [], []
    for entry in sys.path:
        path = os.path.abspath(entry)
        if problem := weakness(path, trusted):
            removed.append((path, problem))
        else:
            kept.append(path)
    sys.path[:] = kept
    for path in (os.path.dirname(os.__file__), *_own_folders()):
        if problem := weakness(path, trusted):
            raise UntrustedPathError(_refusal(problem))
    for path, problem in removed:
        if any(_is_below(path, getattr(module, "__file__", None)) for module in _modules()):
            raise UntrustedPathError(_refusal(problem))


def isolated(module: str, *arguments: str) -> list[str]:
    """The command line of a child that runs a module and imports only from where we may.

    No working directory, environment, ``.pth`` file or user's folder adds to that.

    Raises:
        UntrustedPathError: this program itself is where others may write.
    """
    entries = dict.fromkeys(os.path.abspath(entry) for entry in [*sys.path, _OWN_FOLDER])
    if is_privileged():
        trusted = trusted_owners()
        if problem := weakness(_STARTER, trusted):
            raise UntrustedPathError(_refusal(problem))
        entries = {entry: None for entry in entries if not weakness(entry, trusted)}
    path = os.pathsep.join(entry for entry in entries if os.pathsep not in entry)
    flags = ["-B"] if sys.dont_write_bytecode else []
    flags += ["-X", "utf8"] if sys.flags.utf8_mode else []
    return [sys.executable, "-I", "-S", *flags, _STARTER, path, module, *arguments]


def _own_folders() -> list[str]:
    """Where this program's packages are, those included that a hook of an installer finds."""
    folders = [os.path.dirname(_STARTER)]
    for name in OWN_PACKAGES:
        spec = find_spec(name)
        folders += (spec and spec.submodule_search_locations) or []
    return folders


def _modules() -> list[object]:
    return list(sys.modules.values())


def _is_below(folder: str, path: object) -> bool:
    return isinstance(path, str) and os.path.abspath(path).startswith(folder.rstrip("/") + "/")


def _refusal(problem: str) -> str:
    return (
        f"refused with privileges, since others could change what runs: {problem}; "
        "install it where only root writes, or mend that"
    )


def _writers(path: str, found: os.stat_result, trusted: frozenset[int]) -> str:
    """Who else may write to one file or folder, in words; empty if nobody."""
    if found.st_uid not in trusted:
        return f"belongs to {_user_name(found.st_uid)}"
    if stat.S_ISLNK(found.st_mode):
        return ""
    if found.st_mode & stat.S_IWOTH:
        return "may be written by everybody"
    if found.st_mode & stat.S_IWGRP and not _is_closed_group(path, found.st_gid, trusted):
        return f"may be written by the group {_group_name(found.st_gid)}"
    return ""


def _is_closed_group(path: str, gid: int, trusted: frozenset[int]) -> bool:
    """Whether a group has trusted members alone, as far as this machine lists them.

    Many systems give each user a group of their own, and files that it may write. Where there is
    an access list, the bits of the group stand for more than the group.
    """
    import grp  # noqa: PLC0415 - seldom used
    import pwd  # noqa: PLC0415

    try:
        os.getxattr(path, _ACL, follow_symlinks=False)
        return False
    except OSError:
        pass
    try:
        names = set(grp.getgrgid(gid).gr_mem)
    except KeyError:
        names = set()
    users = pwd.getpwall()
    return all(user.pw_uid in trusted for user in users if user.pw_gid == gid) and all(
        any(user.pw_name == name and user.pw_uid in trusted for user in users) for name in names
    )


def _user_name(uid: int) -> str:
    import pwd  # noqa: PLC0415 - seldom used

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _group_name(gid: int) -> str:
    import grp  # noqa: PLC0415 - seldom used

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
