"""seccomp: a process gives up system calls, all but those of a list.

Takes the list, writes the BPF program for it (seccomp(2)), and installs it in every thread of this
process, for good. What is not on the list fails with EPERM, what only an attacker wants ends the
process, and what is newer than our tables fails with ENOSYS, as on an older kernel: a C library
then does without. Knows no kind of process: ``trtop_daemon.system.sandbox`` does.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from trtop_daemon.system.syscalls import LAST_NUMBER, NUMBERS

ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column of ``NUMBERS``, and AUDIT_ARCH_ of a 64-bit process, by what ``uname -m`` says."""

_SECCOMP_NUMBER = {"x86_64": 317, "aarch64": 277}
_SET_MODE_FILTER, _GET_ACTION_AVAIL = 1, 2
_FILTER_FLAG_TSYNC = 1
_PR_SET_NO_NEW_PRIVS = 38

_KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000
_ALLOW = 0x7FFF0000

# struct seccomp_data: where its parts are.
_NR, _ARCH, _ARGS = 0, 4, 16

# BPF: load a word, compare with a constant, return one.
_LOAD, _JUMP_EQUAL, _JUMP_ABOVE, _JUMP_SET, _RETURN = 0x20, 0x15, 0x25, 0x45, 0x06

_SOCK_FILTER = struct.Struct("=HBBI")

_libc = ctypes.CDLL(None, use_errno=True)


class Argument(NamedTuple):
    """A condition on one argument of a system call, of which the kernel looks at 32 bits.

    Attributes:
        place: of the argument, from 0.
        values: it is one of these.
        unless: these are the ones that it must not be, instead.
        with_bits: it has one of these bits at least; 0: no such condition.
    """

    place: int
    values: tuple[int, ...] = ()
    unless: bool = False
    with_bits: int = 0


class Filter(NamedTuple):
    """Which system calls a process may make.

    Attributes:
        allowed: by name; one that an architecture does not have is passed over.
        deadly: end the process.
        conditions: allowed by name under a condition, else refused with EPERM.
        absent: fail with ENOSYS: they hide what a condition must see, and have a substitute.
    """

    allowed: frozenset[str]
    deadly: frozenset[str]
    conditions: Mapping[str, Argument]
    absent: frozenset[str]


def is_there() -> bool:
    """Whether this kernel, on this machine, has filters that can end a process."""
    machine = os.uname().machine
    if machine not in ARCHITECTURES:
        return False
    action = ctypes.c_uint32(_KILL_PROCESS)
    number = _SECCOMP_NUMBER[machine]
    return not _libc.syscall(number, _GET_ACTION_AVAIL, 0, ctypes.byref(action))


def install(wanted: Filter) -> bool:
    """Filter what every thread of this process calls from now on.

    Returns:
        False: the kernel cannot, and nothing has changed.

    Raises:
        OSError: it can, and refuses.
    """
    if not is_there():
        return False
    machine = os.uname().machine
    program = assemble(wanted, machine)
    code = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, *map(ctypes.c_ulong, (1, 0, 0, 0)))
    result = _libc.syscall(_SECCOMP_NUMBER[machine], _SET_MODE_FILTER, _FILTER_FLAG_TSYNC, header)
    if result:
        raise OSError(ctypes.get_errno() if result < 0 else errno.EBUSY, "seccomp refuses")
    return True


def assemble(wanted: Filter, machine: str) -> bytes:
    """The BPF program of a filter.

    Args:
        wanted: which calls.
        machine: a key of ``ARCHITECTURES``.
    """
    column, architecture = ARCHITECTURES[machine]

    def numbers(names: Iterable[str]) -> list[int]:
        found = (NUMBERS[name][column] for name in names)
        return sorted(number for number in found if number is not None)

    code = [
        _step(_LOAD, _ARCH),
        _step(_JUMP_EQUAL, architecture, 1, 0),
        _step(_RETURN, _KILL_PROCESS),
        _step(_LOAD, _NR),
    ]
    plain = wanted.allowed - set(wanted.conditions)
    for names, action in (
        (plain, _ALLOW),
        (wanted.absent, _ERRNO | errno.ENOSYS),
        (wanted.deadly, _KILL_PROCESS),
    ):
        for number in numbers(names):
            code += [_step(_JUMP_EQUAL, number, 0, 1), _step(_RETURN, action)]
    for name, condition in wanted.conditions.items():
        for number in numbers([name]):
            body = _checked(condition)
            code += [_step(_JUMP_EQUAL, number, 0, len(body)), *body]
    code += [
        _step(_JUMP_ABOVE, LAST_NUMBER, 0, 1),
        _step(_RETURN, _ERRNO | errno.ENOSYS),
        _step(_RETURN, _ERRNO | errno.EPERM),
    ]
    return b"".join(code)


def _checked(condition: Argument) -> list[bytes]:
    """What decides about a call with a condition; ends in every case."""
    fits, fails = (_ERRNO | errno.EPERM, _ALLOW) if condition.unless else (
        _ALLOW, _ERRNO | errno.EPERM
    )  # fmt: skip
    code = [_step(_LOAD, _ARGS + 8 * condition.place)]
    for value in condition.values:
        code += [_step(_JUMP_EQUAL, value, 0, 1), _step(_RETURN, fits)]
    if condition.with_bits:
        code += [_step(_JUMP_SET, condition.with_bits, 0, 1), _step(_RETURN, fits)]
    return [*code, _step(_RETURN, fails)]


def _step(operation: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """``struct sock_filter``; jumps count the steps that are left out."""
    return _SOCK_FILTER.pack(operation, if_true, if_false, value)
