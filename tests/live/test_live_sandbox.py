"""Each kind of process of a running trtop, asked from inside to do what it has no business with.

System calls are made in the processes themselves by ``support.injection``, as an attacker's code
would make them; nothing in them is prepared for that.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from support.daemons import TIMEOUT_S, TRTOP, TRTOPD, Daemon, environment, trtop, wait_for
from support.injection import CAN_INJECT, KilledError, call
from support.paths import EXAMPLE

from trtop_daemon.system import landlock
from trtop_daemon.system.syscalls import NUMBERS

pytestmark = [
    pytest.mark.skipif(not CAN_INJECT, reason="needs root, on x86-64"),
    pytest.mark.xdist_group("sandbox"),
]

NUMBER = {name: numbers[0] or 0 for name, numbers in NUMBERS.items()}
NUMBER |= {"fork": 57, "setuid": 105}

AT_FDCWD = (1 << 64) - 100
AF_UNIX, AF_INET, AF_PACKET = 1, 2, 17
SOCK_STREAM, SOCK_RAW = 1, 3

CHILDREN = {"launcher": 1, "capture": 2}
"""How far below the daemon's main process."""

NEW = "/var/tmp/trtop-made-by-a-test"
"""Where nobody saves reports."""

KINDS = ("main", "launcher", "capture", "screen", "file", "exporter", "export worker")

FORKING = ("launcher", "exporter")
"""Kinds that start processes of the same program."""


def children_of(pid: int) -> list[int]:
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


def child_called(pid: int, name: str) -> int:
    """A child by the name that it gives itself."""
    found = [
        child
        for child in children_of(pid)
        if Path(f"/proc/{child}/comm").read_text().strip() == name
    ]
    (only,) = found
    return only


def tasks_of(pid: int) -> list[int]:
    return sorted(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir())


def is_confined(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    return "\nSeccomp:\t2\n" in status and "\nNoNewPrivs:\t1\n" in status


@contextmanager
def started(*command: str | Path) -> Iterator[int]:
    """A process that waits for its standard input, once it has confined itself."""
    process = subprocess.Popen(
        [*TRTOP, *map(str, command)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        cwd="/tmp",
        env=environment(),
    )
    try:
        wait_for(lambda: process.poll() is not None or is_confined(process.pid))
        assert process.poll() is None
        yield process.pid
    finally:
        process.kill()
        process.communicate()


@contextmanager
def processes(folder: Path, kinds: tuple[str, ...] = KINDS) -> Iterator[dict[str, int]]:
    """Processes of these kinds, each waiting in a system call."""
    with ExitStack() as stack:
        found = {}
        if "file" in kinds:
            found["file"] = stack.enter_context(started("--format", "ndjson", "-"))
        if kinds != ("file",):
            arguments = ("-i", "lo", "--user=root", "--metrics=0")
            daemon = stack.enter_context(Daemon(folder, *arguments, command=TRTOPD))
            launcher = child_called(daemon.pid, "trtop-launcher")
            exporter = child_called(daemon.pid, "trtop-export")
            (capture,) = children_of(launcher)
            found |= {"main": daemon.pid, "launcher": launcher, "capture": capture}
            wait_for(lambda: children_of(exporter) and len(tasks_of(*children_of(exporter))) > 1)
            found |= {"exporter": exporter, "export worker": children_of(exporter)[0]}
        if "screen" in kinds:
            attach = ("attach", "--format", "ndjson", "--interval", "600", daemon.path)
            found["screen"] = stack.enter_context(started(*attach))
        for pid in found.values():
            wait_for(lambda pid=pid: Path(f"/proc/{pid}/syscall").read_text()[:1].isdigit())
        yield found


@pytest.fixture(scope="module")
def pids(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, int]]:
    with processes(tmp_path_factory.mktemp("sandbox")) as found:
        yield found


def tried(pid: int, name: str, *arguments: int | bytes) -> str:
    """The outcome of a call inside a process: ``done``, or the name of its error."""
    for _ in range(50):  # it may just be at work
        try:
            found = call(pid, NUMBER[name], *arguments)
        except AssertionError:
            continue
        return "done" if found >= 0 else errno.errorcode[-found]
    raise TimeoutError(f"{pid} never waits")


def opened(pid: int, path: str, flags: int = os.O_RDONLY) -> str:
    return tried(pid, "openat", AT_FDCWD, path.encode(), flags, 0o600)


@pytest.mark.parametrize("kind", KINDS)
def test_every_thread_has_a_filter_and_can_gain_nothing(pids: dict[str, int], kind: str) -> None:
    assert all(is_confined(task) for task in tasks_of(pids[kind]))


@pytest.mark.skipif(not landlock.abi(), reason="this kernel has no Landlock")
@pytest.mark.parametrize("kind", KINDS)
def test_no_process_opens_what_it_does_not_need(pids: dict[str, int], kind: str) -> None:
    for task in tasks_of(pids[kind]):
        is_main_thread = task == pids[kind]
        assert opened(task, "/etc/passwd") == "EACCES"
        assert opened(task, "/root/.bashrc") in ("EACCES", "ENOENT")
        assert opened(task, NEW, os.O_CREAT | os.O_WRONLY) == "EACCES"
        assert opened(task, landlock.__file__, os.O_WRONLY) == "EACCES"
        # What it may, to show that these are no errors of the test.
        if is_main_thread:
            assert opened(task, landlock.__file__) == "done"
        assert opened(task, "/dev/urandom") == "done"
    assert not os.path.exists(NEW)


@pytest.mark.parametrize("kind", KINDS)
def test_no_process_reaches_the_network(pids: dict[str, int], kind: str) -> None:
    pid = pids[kind]
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = struct.pack("=H", AF_INET) + struct.pack("!H4s8x", server.getsockname()[1],
                                                           b"\x7f\0\0\1")  # fmt: skip
        found = call(pid, NUMBER["socket"], AF_INET, SOCK_STREAM, 0)
        if kind == "launcher":  # looks up names; of TCP Landlock leaves DNS
            assert found >= 0
            assert tried(pid, "connect", found, address, len(address)) == "EACCES"
        else:
            assert -found == errno.EPERM
    if kind in ("capture", "file"):
        assert tried(pid, "socket", AF_UNIX, SOCK_STREAM, 0) == "EPERM"
    if kind != "launcher":
        assert tried(pid, "socket", AF_PACKET, SOCK_RAW, 0) == "EPERM"


@pytest.mark.parametrize("kind", KINDS)
def test_no_process_signals_forks_or_becomes_another(pids: dict[str, int], kind: str) -> None:
    pid = pids[kind]
    assert tried(pid, "kill", os.getpid(), 0) == "EPERM"
    assert tried(pid, "kill", 1, 0) == "EPERM"
    assert tried(pid, "fork") == "EPERM"
    assert tried(pid, "setuid", 0) == "EPERM"
    assert tried(pid, "ioctl", 0, 0x5412, b"x") == "EPERM"  # TIOCSTI
    clone_without_thread = signal.SIGCHLD
    if kind not in FORKING:
        assert tried(pid, "clone", clone_without_thread, 0, 0, 0, 0) == "EPERM"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["execve", "ptrace"])
def test_a_process_that_is_taken_over_ends(tmp_path: Path, kind: str, name: str) -> None:
    wanted = (kind,) if kind == "file" else (kind, "main")
    with processes(tmp_path, wanted) as found:
        path = b"/bin/true" if name == "execve" else 0
        with pytest.raises(KilledError) as killed:
            tried(found[kind], name, path, 0, 0)
        assert killed.value.args == (signal.SIGSYS,)


def test_a_daemon_goes_on_when_a_taken_over_capture_has_ended(tmp_path: Path) -> None:
    with Daemon(tmp_path, "-i", "lo", "--user=root", command=TRTOPD) as daemon:
        (launcher,) = children_of(daemon.pid)
        (capture,) = children_of(launcher)
        with pytest.raises(KilledError):
            tried(capture, "execve", b"/bin/true", 0, 0)
        wait_for(lambda: children_of(launcher) not in ([], [capture]))
        (again,) = children_of(launcher)
        wait_for(lambda: is_confined(again))
        assert "signal 31" in daemon.log


@pytest.mark.parametrize(
    ("arguments", "is_held"),
    [([], True), (["--no-sandbox"], False), (["--names", "mine.py"], False)],
)
def test_a_reader_of_files_is_confined_unless_code_of_the_users_own_runs(
    tmp_path: Path, arguments: list[str], is_held: bool
) -> None:
    mine = "from trtop.names.base import BaseResolver\nclass Mine(BaseResolver):\n"
    mine += "    def resolve(self, addr, port): return open('/etc/passwd').readline()[:4]\n"
    (tmp_path / "mine.py").write_text(mine + "def build(): return Mine()\n")
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    process = subprocess.Popen(
        [*TRTOP, "--format", "csv", "--interval", "600", *arguments, str(pipe)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=environment(),
    )
    try:
        with open(pipe, "wb") as writing:  # opened by the reader, when all else is done
            assert is_confined(process.pid) == is_held
            writing.write(EXAMPLE.read_bytes())
        out, err = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert out.count(b"\n") > 1


@pytest.mark.parametrize("kind", ["ndjson", "parquet"])
def test_a_writer_of_connections_is_confined(kind: str) -> None:
    with started("--per", "connection", "--format", kind, "-") as pid:
        assert opened(pid, "/etc/passwd") == "EACCES"
        assert tried(pid, "socket", AF_INET, SOCK_STREAM, 0) == "EPERM"


def test_reports_are_written_where_they_were_asked_for(tmp_path: Path) -> None:
    done = trtop("--format", "csv", "-o", tmp_path / "copy", EXAMPLE)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(os.listdir(tmp_path)) == ["copy.json", "copy.trtop"]


@pytest.fixture
def without(tmp_path: Path) -> Callable[..., list[str]]:
    """A command in front of another, which makes the kernel an older one."""
    if subprocess.run(["which", "strace"], capture_output=True, check=False).returncode:
        pytest.skip("no strace here")

    def command(*lacking: str) -> list[str]:
        inject = [f"--inject={name}:error=ENOSYS" for name in lacking]
        return ["strace", "-f", "-qq", "-o", "/dev/null", f"--trace={','.join(lacking)}", *inject]

    return command


@pytest.mark.parametrize(
    ("lacking", "said"),
    [
        ("landlock_create_ruleset", "files and TCP are not confined: this kernel has no Landlock"),
        ("seccomp", "system calls are not confined: this kernel has no seccomp filters"),
    ],
)
def test_an_older_kernel_costs_one_line_of_the_log(
    tmp_path: Path, without: Callable[..., list[str]], lacking: str, said: str
) -> None:
    with Daemon(
        tmp_path, "-i", "lo", "--user=root", command=[*without(lacking), *TRTOPD]
    ) as daemon:
        assert daemon.log.count("not confined") == 1
        assert f"warning: {said}\n" in daemon.log
        done = trtop("attach", "--once", "--format=csv", daemon.path)
        assert (done.returncode, done.stderr) == (0, "")
        os.kill(children_of(daemon.pid)[0], signal.SIGTERM)
        assert daemon.process.wait(TIMEOUT_S) == 0


def test_check_says_what_would_hold(without: Callable[..., list[str]]) -> None:
    def checked(*front: str, more: tuple[str, ...] = ()) -> str:
        command = [*front, *TRTOPD, "-i", "lo", "--user=root", "--check", *more]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment(), check=True
        ).stdout.splitlines()[-1]

    abi = landlock.abi()
    held = f"files and TCP (Landlock {abi}) and system calls (seccomp)"
    assert checked() == f"confined would be: {held}"
    assert checked(*without("seccomp")) == (
        f"confined would be: files and TCP (Landlock {abi}); "
        "system calls are not confined: this kernel has no seccomp filters"
    )
    assert checked(more=("--no-sandbox",)) == "confined would be: nothing (--no-sandbox)"
