"""A system call made inside another process, as code that took it over would make it.

Stops a thread with ptrace(2), has it execute one system call with arguments of ours, and lets it go
on where it was: no process is prepared for it. Linux on x86-64, as root.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager

CAN_INJECT = platform.machine() == "x86_64" and os.geteuid() == 0

_CONT, _ATTACH, _DETACH, _SINGLESTEP, _GETREGS, _SETREGS = 7, 16, 17, 9, 12, 13
_WALL = 0x40000000
_SYSCALL_INSTRUCTION = b"\x0f\x05"
_RED_ZONE_BYTES = 4_096

_PATIENCE_S = 60.0
_PAUSE_S = 0.01

_REGS = struct.Struct("=27Q")
_NAMES = (
    *("r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx"),
    *("rsi", "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds"),
    *("es", "fs", "gs"),
)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
_libc.ptrace.restype = ctypes.c_long


class KilledError(Exception):
    """The process was ended by the call; the argument is the signal's number."""


def call(tid: int, number: int, *arguments: int | bytes) -> int:
    """The result of a system call that a thread of another process makes: below 0 an error.

    Args:
        tid: of the thread.
        number: of the call.
        arguments: bytes are put on the thread's stack, and their address given.

    Raises:
        KilledError: the process was ended by it.
    """
    end_s = time.monotonic() + _PATIENCE_S
    while True:
        with _stopped(tid):
            raw = ctypes.create_string_buffer(_REGS.size)
            _ptrace(_GETREGS, tid, ctypes.addressof(raw))
            before = dict(zip(_NAMES, _REGS.unpack(raw.raw), strict=True))
            with open(f"/proc/{tid}/mem", "r+b", buffering=0) as memory:
                found = _call(tid, memory.fileno(), before, number, arguments)
            _ptrace(_SETREGS, tid, ctypes.addressof(raw))
        if found is not None:
            return found
        assert time.monotonic() < end_s, "it never waits in a system call"
        time.sleep(_PAUSE_S)


def _call(
    tid: int, memory: int, before: dict[str, int], number: int, arguments: tuple[int | bytes, ...]
) -> int | None:
    # Whoever waits in the system stands behind the instruction that called it.
    at = before["rip"] - len(_SYSCALL_INSTRUCTION)
    if os.pread(memory, 2, at) != _SYSCALL_INSTRUCTION:
        return None  # it was at work
    room = (before["rsp"] - _RED_ZONE_BYTES) & ~0xF
    values = []
    for argument in arguments:
        if isinstance(argument, bytes):
            room = (room - len(argument) - 1) & ~0xF
            os.pwrite(memory, argument + b"\0", room)
            values.append(room)
        else:
            values.append(argument)
    registers = ("rdi", "rsi", "rdx", "r10", "r8", "r9")
    wanted = {**before, "rip": at, "rax": number, "orig_rax": (1 << 64) - 1}
    wanted |= dict(zip(registers, values, strict=False))
    raw = ctypes.create_string_buffer(_REGS.pack(*wanted.values()), _REGS.size)
    _ptrace(_SETREGS, tid, ctypes.addressof(raw))
    _ptrace(_SINGLESTEP, tid, 0)
    _, status = os.waitpid(tid, _WALL)
    if os.WIFSIGNALED(status):
        raise KilledError(os.WTERMSIG(status))
    assert os.WIFSTOPPED(status), status
    _ptrace(_GETREGS, tid, ctypes.addressof(raw))
    value = dict(zip(_NAMES, _REGS.unpack(raw.raw), strict=True))["rax"]
    return value - (1 << 64) if value >> 63 else value


@contextmanager
def _stopped(tid: int) -> Iterator[None]:
    _ptrace(_ATTACH, tid, 0)
    _, status = os.waitpid(tid, _WALL)
    assert os.WIFSTOPPED(status), status
    assert os.WSTOPSIG(status) == signal.SIGSTOP, status
    try:
        yield
    except KilledError:
        raise
    except BaseException:
        _libc.ptrace(_DETACH, tid, None, None)
        raise
    else:
        _ptrace(_DETACH, tid, 0)


def _ptrace(request: int, tid: int, data: int) -> None:
    if _libc.ptrace(request, tid, None, data) < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
