"""What a process keeps: filters as the kernel reads them, and what becomes of an older kernel."""

from __future__ import annotations

import errno
import os
import struct
import subprocess
import sys

import pytest
from support.daemons import TIMEOUT_S, environment

from trtop_daemon.system import landlock, sandbox, seccomp
from trtop_daemon.system.landlock import Access, Rules
from trtop_daemon.system.sandbox import (
    ALWAYS,
    DEADLY,
    EQUIVALENT,
    INTERNET,
    SERVING,
    SHOWING,
    Grants,
)
from trtop_daemon.system.seccomp import ARCHITECTURES, assemble
from trtop_daemon.system.syscalls import LAST_NUMBER, NUMBERS, OBSERVED, Kind

ALLOW, KILL = 0x7FFF0000, 0x80000000
REFUSED, UNKNOWN = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS

OWN_PID = os.getpid()

needs_landlock = pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock")


class Machine:
    """A reading of the kernel's interpreter (net/core/filter.c), as far as programs here go."""

    def __init__(self, kind: Kind, machine: str, grants: Grants | None = None) -> None:
        self.column, self.architecture = ARCHITECTURES[machine]
        code = assemble(sandbox.filter_of(kind, grants or Grants()), machine)
        self.steps = list(struct.iter_unpack("=HBBI", code))
        assert len(self.steps) <= 4_096  # BPF_MAXINSNS

    def call(self, name: str, *arguments: int) -> int:
        number = NUMBERS[name][self.column]
        assert number is not None, name
        return self.run(number, *arguments)

    def run(self, number: int, *arguments: int, architecture: int | None = None) -> int:
        values = [*arguments, 0, 0, 0, 0, 0, 0][:6]
        architecture = self.architecture if architecture is None else architecture
        data = struct.pack("=IIQ6Q", number, architecture, 0, *values)
        held = at = 0
        while True:
            operation, if_true, if_false, value = self.steps[at]
            at += 1
            if operation == 0x20:
                held = struct.unpack_from("=I", data, value)[0]
            elif operation == 0x06:
                return int(value)
            else:
                holds = {0x15: held == value, 0x25: held > value, 0x45: bool(held & value)}
                at += if_true if holds[operation] else if_false


@pytest.fixture(params=sorted(ARCHITECTURES))
def machine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_every_call_that_is_named_has_a_number() -> None:
    named = set(ALWAYS | DEADLY | INTERNET | SERVING | SHOWING).union(
        *EQUIVALENT, *OBSERVED.values()
    )
    assert named <= set(NUMBERS)
    assert all(any(number is not None for number in pair) for pair in NUMBERS.values())
    # asm/unistd_64.h and asm-generic/unistd.h
    known = {"read": (0, 63), "openat": (257, 56), "execve": (59, 221), "futex": (202, 98)}
    assert {name: NUMBERS[name] for name in known} == known


@pytest.mark.parametrize("kind", list(Kind))
def test_a_filter_does_with_each_call_what_the_lists_say(kind: Kind, machine: str) -> None:
    reading = Machine(kind, machine)
    conditional = {"clone", "ioctl", "prctl", "socket", "socketpair", "kill", "tgkill"}
    allowed = ALWAYS | OBSERVED[kind]
    for name in NUMBERS:
        if NUMBERS[name][reading.column] is None or name in conditional:
            continue
        if name in DEADLY:
            assert reading.call(name) == KILL, name
        elif name == "clone3":
            assert reading.call(name) == UNKNOWN
        elif name in allowed:
            assert reading.call(name) == ALLOW, name
    assert reading.run(LAST_NUMBER + 1) == UNKNOWN
    number = NUMBERS["read"][reading.column]
    assert number is not None
    assert reading.run(number) == ALLOW
    assert reading.run(number, architecture=0x40000003) == KILL  # i386: other numbers
    assert reading.run(number | 0x40000000) == UNKNOWN  # x32


@pytest.mark.parametrize("kind", [Kind.CAPTURE, Kind.MAIN, Kind.SCREEN, Kind.FILE])
def test_only_the_launcher_starts_processes(kind: Kind, machine: str) -> None:
    reading = Machine(kind, machine)
    sigchld, thread, new_user = 17, 0x00010F00, 0x10000000
    assert reading.call("clone", sigchld) == REFUSED
    assert reading.call("clone", thread) == ALLOW
    launcher = Machine(Kind.LAUNCHER, machine)
    assert launcher.call("clone", sigchld | 0x01200000) == ALLOW
    assert launcher.call("clone", sigchld | new_user) == REFUSED


def test_arguments_decide_where_a_call_serves_good_and_evil(machine: str) -> None:
    unix, inet, netlink, packet = 1, 2, 16, 17
    main = Machine(Kind.MAIN, machine)
    assert main.call("socket", unix) == main.call("socket", netlink) == ALLOW
    assert main.call("socket", inet) == main.call("socket", packet) == REFUSED
    assert Machine(Kind.FILE, machine).call("socket", unix) == REFUSED
    asking = Machine(Kind.FILE, machine, Grants(uses_internet=True))
    assert asking.call("socket", inet) == asking.call("socket", unix) == ALLOW
    assert asking.call("socket", packet) == REFUSED
    tcgets, tiocsti = 0x5401, 0x5412
    assert main.call("ioctl", 1, tcgets) == ALLOW
    assert main.call("ioctl", 1, tiocsti) == REFUSED  # keys for the shell behind us
    assert main.call("kill", OWN_PID, 9) == ALLOW
    assert main.call("kill", 1, 9) == REFUSED
    live = Machine(Kind.SCREEN, machine, Grants(signals=(4_711,)))
    assert live.call("kill", 4_711) == live.call("tgkill", OWN_PID) == ALLOW
    assert live.call("kill", 4_712) == REFUSED
    set_name, set_seccomp = 15, 22
    assert main.call("prctl", set_name) == ALLOW
    assert main.call("prctl", set_seccomp) == REFUSED


def test_a_version_of_landlock_is_asked_for_no_more_than_it_knows() -> None:
    known = {1: Access.MAKE_SYM, 2: Access.REFER, 3: Access.TRUNCATE, 4: Access.TRUNCATE,
             5: Access.IOCTL_DEV, 6: Access.IOCTL_DEV, 9: Access.IOCTL_DEV}  # fmt: skip
    for version, last in known.items():
        files, ports, scopes = landlock._handled(Rules(), version)
        assert files == 2 * last - 1
        assert ports == (3 if version >= 4 else 0)
        assert scopes == (3 if version >= 6 else 0)
    assert landlock._handled(Rules(), 0) == (0, 0, 0)
    assert landlock._handled(Rules(None, None, None, False, False), 9) == (0, 0, 0)
    assert landlock._handled(Rules(bind_ports=None), 9)[1] == 2


def test_without_the_kernels_help_nothing_changes_and_it_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    monkeypatch.setattr(seccomp, "is_there", lambda: False)
    held = sandbox.confine(Kind.FILE, Grants())  # this process goes on as it was
    assert held == (0, False)
    assert held.lack == (
        "files and TCP are not confined: this kernel has no Landlock; "
        "system calls are not confined: this kernel has no seccomp filters"
    )
    assert str(held) == "nothing"
    with open("/etc/passwd", encoding="utf-8") as stream:
        assert stream.read(1)
    sandbox.keep_to_own_processes()
    called: list[bool] = []
    sandbox.call_without_files(lambda: called.append(True))
    assert called == [True]


def test_a_kernel_that_refuses_costs_the_confinement_and_not_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EPERM, "no")

    monkeypatch.setattr(landlock, "restrict", refuse)
    monkeypatch.setattr(seccomp, "install", refuse)
    assert sandbox.confine(Kind.FILE, Grants()) == (0, False)
    sandbox.keep_to_own_processes()


def in_child(code: str) -> str:
    """What a process prints that runs some code; it may confine itself."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


ATTEMPTS = """
import os, socket, tempfile, threading, errno
from trtop_daemon.system import sandbox
from trtop_daemon.system.syscalls import Kind
from trtop_daemon.system.landlock import READ, WRITE
def attempt(name, call):
    try:
        call()
        print(name, "done")
    except OSError as error:
        print(name, errno.errorcode[error.errno])
"""


@needs_landlock
def test_files_are_those_that_were_granted(tmp_path: os.PathLike[str]) -> None:
    code = f"""{ATTEMPTS}
folder = {os.fspath(tmp_path)!r}
for name in ("in", "out", "other"):
    os.mkdir(os.path.join(folder, name))
inside, outside = os.path.join(folder, "in", "x"), os.path.join(folder, "other", "x")
for path in (inside, outside):
    open(path, "w").close()
files = ((inside, READ), (os.path.join(folder, "out"), WRITE), ("/nonexistent", READ))
sandbox.confine(Kind.FILE, sandbox.Grants(files))
attempt("read", lambda: open(inside))
attempt("write", lambda: open(inside, "w"))
attempt("make", lambda: open(os.path.join(folder, "out", "new"), "w"))
new = os.path.join(folder, "out", "new")
attempt("replace", lambda: os.replace(new, new + "er"))
attempt("beside", lambda: open(outside))
attempt("list", lambda: os.listdir(folder))
attempt("passwd", lambda: open("/etc/passwd"))
attempt("socket", lambda: socket.socket())
attempt("fork", os.fork)
attempt("signal", lambda: os.kill(1, 0))
attempt("own", lambda: os.kill(os.getpid(), 0))
import decimal, csv  # modules are found
"""
    assert in_child(code).splitlines() == [
        *("read done", "write EACCES", "make done", "replace done", "beside EACCES"),
        *("list EACCES", "passwd EACCES", "socket EPERM", "fork EPERM", "signal EPERM", "own done"),
    ]


@needs_landlock
def test_ports_are_those_that_were_granted() -> None:
    code = f"""{ATTEMPTS}
servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
granted, other = (server.getsockname() for server in servers)
grants = sandbox.Grants(connects=(granted[1],), uses_internet=True)
sandbox.confine(Kind.SCREEN, grants)
attempt("granted", lambda: socket.create_connection(granted))
attempt("other", lambda: socket.create_connection(other))
attempt("listen", lambda: socket.create_server(("127.0.0.1", 0)))
"""
    if landlock.abi() < 4:
        pytest.skip("this kernel's Landlock knows no TCP")
    assert in_child(code).splitlines() == ["granted done", "other EACCES", "listen EACCES"]


@needs_landlock
def test_threads_that_a_library_starts_open_nothing() -> None:
    code = f"""{ATTEMPTS}
asked, told = threading.Event(), threading.Event()
def wait():
    asked.wait()
    attempt("thread", lambda: open("/etc/passwd"))
    told.set()
sandbox.call_without_files(lambda: threading.Thread(target=wait).start())
asked.set()
told.wait()
attempt("main", lambda: open("/etc/passwd"))
"""
    assert in_child(code).splitlines() == ["thread EACCES", "main done"]


@pytest.mark.parametrize(
    "call", ["os.execv('/bin/true', ['true'])", "ctypes.CDLL(None).ptrace(0, 0, 0, 0)"]
)
def test_what_only_an_attacker_calls_ends_the_process(call: str) -> None:
    code = f"""import ctypes\n{ATTEMPTS}
pid = os.fork()
if not pid:
    sandbox.confine(Kind.FILE, sandbox.Grants())
    {call}
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    assert in_child(code) == "-31"  # SIGSYS
