"""Landlock: a thread gives up files, TCP, signals and abstract sockets that it was not granted.

Takes what stays allowed; changes the calling thread and what it starts, for good (landlock(7)).
What this kernel's version does not know stays as it was. Needs no rights. Files that are open
already, and sockets that are bound, are not touched.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterable
from typing import NamedTuple

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""Numbers of the system calls, the same on every architecture."""

_CREATE_RULESET_VERSION = 1
_RULE_PATH_BENEATH, _RULE_NET_PORT = 1, 2
_PR_SET_NO_NEW_PRIVS = 38

_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT_UNIX_SOCKET, _SCOPE_SIGNAL = 1, 2
_ABI_NET, _ABI_SCOPED = 4, 6

_libc = ctypes.CDLL(None, use_errno=True)


class Access:
    """What may be done with a file, or with those beneath a folder.

    Bits; an enumeration would take a third of the time that confining may cost a start.
    """

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


READ = Access.READ_FILE | Access.READ_DIR
WRITE = READ | Access.WRITE_FILE | Access.TRUNCATE | Access.MAKE_REG | Access.REMOVE_FILE
"""Files can be made beneath a folder, replaced and removed."""

_OF_FILES = (
    Access.EXECUTE | Access.WRITE_FILE | Access.READ_FILE | Access.TRUNCATE | Access.IOCTL_DEV
)
"""What a rule about something that is no folder may grant."""

_LAST_OF_ABI = {1: Access.MAKE_SYM, 2: Access.REFER, 3: Access.TRUNCATE, 5: Access.IOCTL_DEV}
"""The last kind of access that a version knows."""


class Rules(NamedTuple):
    """What stays allowed.

    Attributes:
        files: paths, and what may be done there and beneath; those that do not exist are passed
            over. None: files are not restricted.
        bind_ports: TCP ports that may be listened at; 0: any that the system chooses. None: all.
        connect_ports: TCP ports that may be connected to; None: all.
        own_signals_only: signals reach only what is restricted like this, or more, from here on.
        own_abstract_sockets_only: likewise for sockets without a file.
    """

    files: tuple[tuple[str, int], ...] | None = ()
    bind_ports: tuple[int, ...] | None = ()
    connect_ports: tuple[int, ...] | None = ()
    own_signals_only: bool = True
    own_abstract_sockets_only: bool = True


_RULESET = struct.Struct("=QQQ")
"""``struct landlock_ruleset_attr``: files, TCP, scopes."""

_PATH_BENEATH = struct.Struct("=Qi")
_NET_PORT = struct.Struct("=QQ")


def abi() -> int:
    """The version of Landlock that this kernel has; 0: none, or it is switched off."""
    version = int(_libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION))
    return max(version, 0)


def restrict(rules: Rules) -> int:
    """Restrict the calling thread, and what it starts from now on.

    Returns:
        The version of Landlock that holds; 0: the kernel has none, and nothing has changed.

    Raises:
        OSError: the kernel has it, and refuses.
    """
    version = abi()
    handled = files, ports, _ = _handled(rules, version)
    if not any(handled):
        return 0
    attr = _RULESET.pack(*handled)
    ruleset_fd = _call(_CREATE_RULESET, attr, ctypes.c_size_t(len(attr)), 0)
    try:
        for path, access in rules.files or ():
            _allow_path(ruleset_fd, path, access & files)
        if ports:
            _allow_ports(ruleset_fd, rules.bind_ports or (), _BIND_TCP)
            _allow_ports(ruleset_fd, rules.connect_ports or (), _CONNECT_TCP)
        _libc.prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0)))
        _call(_RESTRICT_SELF, ruleset_fd, 0)
    finally:
        os.close(ruleset_fd)
    return version


def _handled(rules: Rules, version: int) -> tuple[int, int, int]:
    """What is forbidden unless a rule allows it, as far as this version knows it."""
    files = ports = scopes = 0
    known = [last for since, last in _LAST_OF_ABI.items() if since <= version]
    if rules.files is not None and known:
        files = max(known) * 2 - 1
    if version >= _ABI_NET:
        ports |= _BIND_TCP if rules.bind_ports is not None else 0
        ports |= _CONNECT_TCP if rules.connect_ports is not None else 0
    if version >= _ABI_SCOPED:
        scopes |= _SCOPE_SIGNAL if rules.own_signals_only else 0
        scopes |= _SCOPE_ABSTRACT_UNIX_SOCKET if rules.own_abstract_sockets_only else 0
    return files, ports, scopes


def _allow_path(ruleset_fd: int, path: str, access: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (OSError, ValueError):  # it is not there, or not for us
        return
    try:
        if not stat.S_ISDIR(os.fstat(fd).st_mode):
            access &= _OF_FILES
        if access:
            beneath = _PATH_BENEATH.pack(access, fd)
            try:
                _call(_ADD_RULE, ruleset_fd, _RULE_PATH_BENEATH, beneath, 0)
            except OSError as error:  # what has no name, as a pipe, needs no rule
                if error.errno != errno.EBADFD:
                    raise
    finally:
        os.close(fd)


def _allow_ports(ruleset_fd: int, ports: Iterable[int], access: int) -> None:
    for port in ports:
        try:
            _call(_ADD_RULE, ruleset_fd, _RULE_NET_PORT, _NET_PORT.pack(access, port), 0)
        except OSError as error:  # a kernel without TCP, or that does not handle this side
            if error.errno not in (errno.EAFNOSUPPORT, errno.EINVAL):
                raise


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(number, *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
