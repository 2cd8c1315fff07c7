"""Giving up privileges, for good: capabilities, users, and the tie to the parent process.

Takes whom to become, changes the calling process. Nothing here can be taken back. Linux only:
capabilities(7), prctl(2).
"""

from __future__ import annotations

import ctypes
import grp
import os
import pwd
import signal
from collections.abc import Mapping
from dataclasses import dataclass

from trtop_core.errors import TrtopError

ROOT_UID = 0

OWN_USER = "trtop"
"""Made by packages for the daemon alone: nothing else of this machine runs as that user."""

NOBODY = "nobody"
NOBODY_ID = 65_534
"""Number of the user nobody where there is no user of that name."""

CAP_SETGID = 6
CAP_SETUID = 7
"""Without both, as in a container that dropped them, root cannot become anybody else."""

CAP_NET_RAW = 13
"""All that opening a packet socket takes."""

NO_RIGHT = (
    "no permission to capture: the capability CAP_NET_RAW is missing; run it as root (sudo), or "
    "give it that capability (see docs/daemon.md). In a pod: securityContext: {runAsUser: 0, "
    "capabilities: {drop: [ALL], add: [NET_RAW]}}"
)

NO_CHANGE = (
    "the capabilities CAP_SETUID and CAP_SETGID are missing, or that user is not mapped into this "
    "user namespace. In a pod: securityContext: {capabilities: {add: [NET_RAW, SETUID, SETGID]}}; "
    "or stay root, which keeps no capability either: --user root"
)

LAST_CAP = 63
"""Room for capabilities of later kernels; those that are not there are refused, and skipped."""

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_SET_NAME = 15
_PR_CAPBSET_DROP = 24
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4

_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapData(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


@dataclass(frozen=True, slots=True)
class Identity:
    """A user and their group, as numbers."""

    uid: int
    gid: int


def choose_identity(user: str | None, environ: Mapping[str, str]) -> Identity | None:
    """Whom root should become.

    Args:
        user: a name, a number, or UID:GID; None: the user trtop if there is one, else the caller of
            sudo, else nobody.
        environ: of the process: sudo says there who called it.

    Returns:
        None if we stay who we are: we are not root, or nobody was named and root cannot change.

    Raises:
        TrtopError: there is no such user, or root cannot become them.
    """
    if os.geteuid() != ROOT_UID:
        return None
    identity = _wanted(user, environ)
    if identity.uid == ROOT_UID or can_become(identity):
        return identity
    if user is None:
        return None
    raise TrtopError(f"cannot become {name_of(identity)}: {NO_CHANGE}")


def can_become(identity: Identity) -> bool:
    """Whether this process may become that user: it has the capabilities, and they are mapped."""
    return (
        has_permitted(CAP_SETUID)
        and has_permitted(CAP_SETGID)
        and _is_mapped("uid_map", identity.uid)
        and _is_mapped("gid_map", identity.gid)
        and _may_set_groups()
    )


def _is_mapped(name: str, number: int) -> bool:
    """user_namespaces(7): lines of a first number here, one outside, and how many."""
    try:
        with open(f"/proc/self/{name}", encoding="ascii") as lines:
            ranges = [[int(word) for word in line.split()] for line in lines]
    except OSError:
        return True
    return any(first <= number < first + n_ids for first, _, n_ids in ranges)


def _may_set_groups() -> bool:
    try:
        with open("/proc/self/setgroups", encoding="ascii") as stream:
            return stream.read().strip() == "allow"
    except OSError:
        return True


def caller_of_sudo(environ: Mapping[str, str]) -> Identity | None:
    """Who called sudo; None: nobody but root did."""
    uid, gid = environ.get("SUDO_UID", ""), environ.get("SUDO_GID", "")
    if _is_number(uid) and _is_number(gid) and int(uid):
        return Identity(int(uid), int(gid))
    return None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _wanted(user: str | None, environ: Mapping[str, str]) -> Identity:
    """Whom root should become, whether it can or not.

    Raises:
        TrtopError: there is no such user.
    """
    if user is None:
        try:
            own = pwd.getpwnam(OWN_USER)
            return Identity(own.pw_uid, own.pw_gid)
        except KeyError:
            return caller_of_sudo(environ) or _wanted(NOBODY, environ)
    uid, _, gid = user.partition(":")
    if _is_number(uid) and _is_number(gid):
        return Identity(int(uid), int(gid))
    try:
        entry = pwd.getpwuid(int(user)) if _is_number(user) else pwd.getpwnam(user)
    except KeyError:
        if user == NOBODY:
            return Identity(NOBODY_ID, NOBODY_ID)
        raise TrtopError(f"there is no user {user}; name one with --user") from None
    return Identity(entry.pw_uid, entry.pw_gid)


def name_of(identity: Identity) -> str:
    """``user:group`` for people."""
    try:
        user = pwd.getpwuid(identity.uid).pw_name
    except KeyError:
        user = str(identity.uid)
    try:
        group = grp.getgrgid(identity.gid).gr_name
    except KeyError:
        group = str(identity.gid)
    return f"{user}:{group}"


def drop_to(identity: Identity | None, *kept: int) -> None:
    """Become that user, without a way back, and without capabilities but those named.

    For the calling thread; what it starts has none at all. The main process calls it without any
    once its feed is made and its sockets are bound.

    Args:
        identity: whom root becomes; None: whoever we are.
        kept: capabilities that stay in effect, as far as they are permitted now.

    Raises:
        TrtopError: the system refuses.
    """
    kept = tuple(capability for capability in kept if has_permitted(capability))
    if identity is not None and os.geteuid() == ROOT_UID:
        for capability in range(LAST_CAP + 1):
            # One that the kernel does not know is refused.
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
        if kept:
            _prctl(_PR_SET_KEEPCAPS, 1)
        _become(identity)
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    header, data = _CapHeader(_CAPABILITY_VERSION_3, 0), (_CapData * 2)()
    for capability in kept:
        data[capability // 32].permitted |= 1 << capability % 32
        data[capability // 32].effective |= 1 << capability % 32
    if _libc.capset(ctypes.byref(header), data):
        _fail("capset")
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _become(identity: Identity) -> None:
    try:
        if identity.uid != ROOT_UID or (has_permitted(CAP_SETGID) and _may_set_groups()):
            os.setgroups([])
        os.setresgid(identity.gid, identity.gid, identity.gid)
        os.setresuid(identity.uid, identity.uid, identity.uid)
    except OSError:
        raise TrtopError(f"cannot become {name_of(identity)}: {NO_CHANGE}") from None


def die_with_parent(parent_pid: int) -> None:
    """Be killed when the parent's thread that started us ends. To be called after any drop.

    Raises:
        ProcessLookupError: it has ended already.
        TrtopError: the system refuses.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        raise ProcessLookupError("the parent process has ended")


def set_process_name(name: str) -> None:
    """What ``ps -o comm`` and ``top`` show; 15 bytes at most."""
    _libc.prctl(_PR_SET_NAME, ctypes.c_char_p(name.encode()), 0, 0, 0)


def has_permitted(capability: int) -> bool:
    """Whether this thread may use a capability."""
    header, data = _CapHeader(_CAPABILITY_VERSION_3, 0), (_CapData * 2)()
    if _libc.capget(ctypes.byref(header), data):
        _fail("capget")
    return bool(data[capability // 32].permitted >> capability % 32 & 1)


def _prctl(option: int, *values: int) -> None:
    arguments = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    if _libc.prctl(option, *arguments):
        _fail("prctl")


def _fail(call: str) -> None:
    number = ctypes.get_errno()
    raise TrtopError(
        f"the system refuses {call}, which giving up rights takes: {os.strerror(number)}"
    )
