"""A daemon's life: its socket files, its signals, its configuration, what it leaves behind."""

import os
import pwd
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemons import (
    FILE_FEED,
    TIMEOUT_S,
    Daemon,
    environment,
    finished,
    peer,
    peers,
    wait_for,
)
from support.paths import EXAMPLE

from trtop_core import TrtopError, View, wire
from trtop_daemon.system import privileges
from trtop_daemon.system.privileges import Identity, choose_identity, name_of
from trtop_daemon.system.socket_file import SocketFile, acting_as, listener_pid
from trtop_daemon.system.systemd import Notifier

UID, GID = os.getuid(), os.getgid()

AS_ROOT = ["--user=root"] if os.geteuid() == 0 else []

IDENTITY = choose_identity("root", os.environ)
WHO = "" if IDENTITY is None else f" as {name_of(IDENTITY)}"

NOBODY_UID, NOBODY_GID = 65_534, 65_534

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def refused(*args: str | Path, status: int = 1) -> str:
    """What a daemon that does not start says; one line."""
    done = subprocess.run(
        [*FILE_FEED, *AS_ROOT, *map(str, args)],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=TIMEOUT_S,
        check=False,
    )
    assert (done.returncode, done.stdout) == (status, ""), done.stderr
    last = done.stderr.splitlines()[-1]
    assert last.startswith("trtopd: ")
    assert "Traceback" not in done.stderr
    return last.removeprefix("trtopd: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_a_last_answer_and_nothing_left(
    tmp_path: Path, number: signal.Signals
) -> None:
    pid_path = tmp_path / "pid"
    with (
        Daemon(tmp_path / "run", "-r", EXAMPLE, "--pidfile", pid_path) as daemon,
        peers(daemon.path, 3) as clients,
    ):
        expected = [finished(client, View(limit=i)) for i, client in enumerate(clients)]
        assert pid_path.read_text() == f"{daemon.pid}\n"
        assert daemon.stop(number) == 0
        for client, before in zip(clients, expected, strict=True):
            head, snapshot = client.reply()
            assert isinstance(head, wire.Answer)
            assert head.is_last
            assert head.id == client.n_asked
            assert snapshot is not None
            assert snapshot.record() == before.record()
        assert sorted(os.listdir(tmp_path)) == ["run"]
        assert os.listdir(tmp_path / "run") == ["log"]
        assert f"stopping after {number.name}" in daemon.log


def test_a_file_that_holds_no_process_number_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    for content in ("root:x:0:0::/root:/bin/sh\n", "7" * 33, "-7\n"):
        path.write_text(content)
        said = refused("-r", EXAMPLE, "--listen", tmp_path / "s.sock", "--pidfile", path)
        assert said == f"{path}: holds no process number, and is not written over"
        assert path.read_text() == content


@pytest.mark.parametrize("left", ["", "4711\n"])
def test_what_a_killed_daemon_wrote_of_itself_is_written_over(tmp_path: Path, left: str) -> None:
    path = tmp_path / "pid"
    path.write_text(left)
    with Daemon(tmp_path / "run", "-r", EXAMPLE, "--pidfile", path) as daemon:
        assert path.read_text() == f"{daemon.pid}\n"


def test_the_socket_is_for_its_owner_and_group(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        found = os.stat(daemon.path)
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert stat.S_ISSOCK(found.st_mode)


def test_a_killed_daemons_socket_is_replaced(tmp_path: Path) -> None:
    with Daemon(tmp_path) as first:
        assert first.stop(signal.SIGKILL) == -signal.SIGKILL
        assert first.path.exists()
        assert listener_pid(str(first.path)) is None
        with Daemon(tmp_path, "-r", EXAMPLE) as second, peer(second.path) as client:
            finished(client)


def test_a_live_daemons_socket_is_not_replaced(tmp_path: Path) -> None:
    with Daemon(tmp_path) as first:
        said = refused("--listen", first.path)
        assert said == (
            f"{first.path}: process {first.pid} already listens there; "
            "stop it, or choose another with --listen"
        )
        first.send(signal.SIGSTOP)
        assert "already listens there" in refused("--listen", first.path)
        first.send(signal.SIGCONT)
        with peer(first.path) as client:
            client.snapshot()


def test_of_many_started_at_once_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    started = [
        subprocess.Popen(
            [*FILE_FEED, *AS_ROOT, "--listen", str(path)], stderr=subprocess.PIPE, env=environment()
        )
        for _ in range(4)
    ]
    try:
        wait_for(lambda: sum(process.poll() is not None for process in started) == 3)
        with peer(path) as client:
            client.snapshot()
    finally:
        for process in started:
            process.terminate()
            _, said = process.communicate(timeout=TIMEOUT_S)
            assert process.returncode == (0 if b"stopping after" in said else 1)


def test_another_programs_socket_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        assert f"process {os.getpid()} already listens" in refused("--listen", path)
    assert path.exists()


def test_a_file_that_is_no_socket_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s.sock"
    path.write_text("precious")
    assert refused("--listen", path) == f"{path}: is no socket, and is not replaced by one"
    assert path.read_text() == "precious"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "s.sock"
    link.symlink_to(target)
    assert "is no socket" in refused("--listen", link)
    (tmp_path / "t.sock.lock").symlink_to(target)
    refused("--listen", tmp_path / "t.sock")
    assert not target.exists()


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    said = refused("--listen", tmp_path / "missing" / "s.sock")
    assert said.endswith("No such file or directory; the folder must exist")


def test_a_removed_socket_is_made_again_and_old_clients_stay(tmp_path: Path) -> None:
    with Daemon(tmp_path, "-r", EXAMPLE) as daemon, peer(daemon.path) as old:
        finished(old)
        daemon.path.unlink()
        wait_for(daemon.path.exists)
        assert stat.S_IMODE(os.stat(daemon.path).st_mode) == 0o660
        with peer(daemon.path) as new:
            finished(new)
        old.snapshot()
        n_fds = daemon.n_fds()
        daemon.path.unlink()
        wait_for(daemon.path.exists)
        wait_for(lambda: daemon.n_fds() <= n_fds)
        assert daemon.stop() == 0
        assert os.listdir(tmp_path) == ["log"]


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach."""
    with tempfile.TemporaryDirectory(prefix="trtop-test-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


@root_only
def test_as_root_the_file_belongs_to_the_other_user(open_folder: Path) -> None:
    os.chown(open_folder, NOBODY_UID, NOBODY_GID)
    path = str(open_folder / "s.sock")
    file = SocketFile(path, NOBODY_UID, NOBODY_GID)
    listening = socket.socket(fileno=file.listen())
    found = os.stat(path)
    assert (found.st_uid, found.st_gid) == (NOBODY_UID, NOBODY_GID)
    assert stat.S_IMODE(found.st_mode) == 0o660
    assert file.is_there
    listening.close()
    file.close()
    assert os.listdir(open_folder) == []
    assert (os.geteuid(), os.getegid()) == (UID, GID)


@root_only
def test_a_folder_that_the_user_may_not_write_to_is_refused_even_as_root(
    open_folder: Path,
) -> None:
    with pytest.raises(TrtopError, match="Permission denied for the user nobody; see --user"):
        SocketFile(str(open_folder / "s.sock"), NOBODY_UID, NOBODY_GID)


def test_only_root_acts_as_another() -> None:
    with acting_as(NOBODY_UID, NOBODY_GID):
        assert os.geteuid() == (NOBODY_UID if UID == 0 else UID)
    assert os.geteuid() == UID


def test_a_name_is_free_again_once_it_is_closed(tmp_path: Path) -> None:
    path = str(tmp_path / "s.sock")
    for _ in range(3):
        file = SocketFile(path, UID, GID)
        with pytest.raises(TrtopError, match="already listens"):
            SocketFile(path, UID, GID)
        os.close(file.listen())
        file.close()
        file.close()
    assert os.listdir(tmp_path) == []


def test_a_wrong_configuration_does_not_start_it(tmp_path: Path) -> None:
    config = tmp_path / "trtopd.toml"
    config.write_text('snaplenn = 96\ninterval = "1s"\n')
    assert refused("--config", config).startswith(f"{config}: unknown key 'snaplenn'; did you mean")
    config.write_text("interval = 'often'\n")
    assert refused("-c", config) == f"{config}: interval: 'often' is no number of seconds above 0"


def test_sighup_reads_the_file_again_and_a_wrong_one_changes_nothing(tmp_path: Path) -> None:
    config = tmp_path / "trtopd.toml"
    config.write_text("interval = 1000\n")
    with Daemon(tmp_path, "-r", EXAMPLE, "--config", config) as daemon, peer(daemon.path) as client:
        finished(client)
        config.write_text("interval = [\n")
        daemon.send(signal.SIGHUP)
        wait_for(lambda: "not reloaded: " in daemon.log)
        client.snapshot()
        config.write_text('interval = 0.001\ngroup_by = "addr"\n')
        daemon.send(signal.SIGHUP)
        wait_for(lambda: "info: reloaded" in daemon.log)
        assert "group_by has changed; that needs a restart" in daemon.log
        client.snapshot()
        assert daemon.stop() == 0


class Listening:
    """A service manager's end of sd_notify."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(TIMEOUT_S)

    def next(self) -> dict[str, str]:
        lines = self.socket.recv(4096).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Listening]:
    made = Listening(tmp_path / "notify")
    yield made
    made.socket.close()


def test_the_service_manager_is_told_of_each_step(tmp_path: Path, manager: Listening) -> None:
    env = {"NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "100000"}
    with Daemon(tmp_path / "run", "-r", EXAMPLE, env=env) as daemon:
        ready = manager.next()
        assert (ready["READY"], ready["MAINPID"]) == ("1", str(daemon.pid))
        assert ready["STATUS"] == f"replaying {EXAMPLE}"
        for _ in range(3):
            assert manager.next() == {"WATCHDOG": "1"}
        daemon.send(signal.SIGHUP)
        while "RELOADING" not in (said := manager.next()):
            continue
        assert int(said["MONOTONIC_USEC"]) <= time.monotonic_ns() // 1000
        while "READY" not in manager.next():
            continue
        assert daemon.stop() == 0
        while "STOPPING" not in manager.next():
            continue


def test_without_a_service_manager_nothing_is_said() -> None:
    notifier = Notifier({"NOTIFY_SOCKET": "/nonexistent/notify", "WATCHDOG_USEC": "x"})
    notifier.ready("x")
    assert notifier.watchdog_s is None
    notifier.close()


def test_under_the_journal_lines_have_priorities_and_no_time(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    found = log.stat()
    stream = f"{found.st_dev}:{found.st_ino}"
    with Daemon(tmp_path, env={"JOURNAL_STREAM": stream}) as daemon:
        daemon.stop()
        assert daemon.log.splitlines() == [
            f"<6>capturing on any{WHO}, listening on ipc://{daemon.path}",
            "<6>stopping after SIGTERM",
        ]


@pytest.mark.parametrize("options", [[], ["--filter", "tcp"]], ids=["plain", "warned"])
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_log_on_a_full_disk_stops_nothing(tmp_path: Path, options: list[str]) -> None:
    path = tmp_path / "s.sock"
    with open("/dev/full", "wb") as full:
        process = subprocess.Popen(
            [*FILE_FEED, *AS_ROOT, *options, "--listen", str(path)],
            stdout=full,
            stderr=full,
            env=environment(),
        )
    try:
        wait_for(path.exists)
        with peer(path) as client:
            client.snapshot()
    finally:
        process.terminate()
        assert process.wait(TIMEOUT_S) == 0
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_closed_streams_do_not_matter(tmp_path: Path, closed: str) -> None:
    path = tmp_path / "s.sock"
    command = " ".join([*FILE_FEED, *AS_ROOT, "--listen", str(path)])
    process = subprocess.Popen(["sh", "-c", f"exec {command} {closed}"], env=environment())
    try:
        wait_for(path.exists)
        with peer(path) as client:
            client.snapshot()
    finally:
        process.terminate()
        assert process.wait(TIMEOUT_S) == 0


def test_a_daemon_whose_lifeline_ends_stops_and_takes_its_folder_along(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    ours, theirs = socket.socketpair()
    ours.settimeout(TIMEOUT_S)
    with theirs:
        process = subprocess.Popen(
            [*FILE_FEED, *AS_ROOT, f"--listen={folder}/s.sock", f"--lifeline={theirs.fileno()}"],
            pass_fds=(theirs.fileno(),),
            stderr=subprocess.DEVNULL,
            env=environment(),
        )
    with ours:
        assert ours.recv(100) == b"ready\n"
        with peer(folder / "s.sock") as client:
            client.snapshot()
    assert process.wait(TIMEOUT_S) == 0
    assert not folder.exists()


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with Daemon(tmp_path) as daemon:
        sending = [threading.Thread(target=daemon.send, args=(signal.SIGTERM,)) for _ in range(2)]
        for thread in sending:
            thread.start()
        assert daemon.process.wait(TIMEOUT_S) in (0, 130)
        for thread in sending:
            thread.join(TIMEOUT_S)
        wait_for(lambda: os.listdir(tmp_path) == ["log"])


def test_root_becomes_the_user_made_for_it_else_who_called_sudo(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sudo = {"SUDO_UID": "1234", "SUDO_GID": "1235"}
    known: dict[str, tuple[int, int]] = {}

    def entry(name: str) -> pwd.struct_passwd:
        uid, gid = known[name]
        return pwd.struct_passwd((name, "x", uid, gid, "", "/", "/bin/false"))

    monkeypatch.setattr(privileges.pwd, "getpwnam", entry)
    monkeypatch.setattr(privileges.os, "geteuid", lambda: 0)
    monkeypatch.setattr(privileges, "can_become", lambda identity: True)
    assert choose_identity(None, sudo) == Identity(1234, 1235)
    assert choose_identity(None, {}) == Identity(NOBODY_UID, NOBODY_GID)
    known["trtop"] = (990, 991)
    assert choose_identity(None, sudo) == choose_identity(None, {}) == Identity(990, 991)
    assert choose_identity("7:8", sudo) == Identity(7, 8)
    known["alice"] = (1000, 1001)
    assert choose_identity("alice", sudo) == Identity(1000, 1001)
    with pytest.raises(TrtopError, match="there is no user 7:x"):
        choose_identity("7:x", {})
