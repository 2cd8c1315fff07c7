"""Who a process is and what it may do: with the capabilities of containers, and beside others."""

from __future__ import annotations

import os
import pwd
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemons import FILE_FEED, TIMEOUT_S, TRTOPD, Daemon, environment, trtop, wait_for
from support.netns import needs_root
from support.paths import EXAMPLE
from support.processes import terminal, with_parent

from trtop_core import TrtopError
from trtop_daemon.system.pidfile import PidFile
from trtop_daemon.system.socket_file import SocketFile, lock_folder, take_folder

pytestmark = needs_root

NOBODY = pwd.getpwnam("nobody")

NOTHING = ["setpriv", "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all"]
"""Root in a container that drops all capabilities."""
NET_RAW = [*NOTHING[:-1], "--bounding-set=-all,+net_raw"]
STRANGE = ["unshare", "--user", "--map-root-user", "--net"]
"""Root in a user namespace that maps root alone."""

OWN_RUN = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh"]


def ids(pid: int) -> dict[str, set[str]]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {line.partition(":")[0]: set(line.partition(":")[2].split()) for line in lines}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*map(str, command)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        env=environment(), timeout=TIMEOUT_S, check=False,
    )  # fmt: skip


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of root's that everybody may look into."""
    with tempfile.TemporaryDirectory(prefix="trtop-test-") as name:
        os.chmod(name, 0o755)
        yield Path(name)


def test_live_of_root_itself_shows_as_nobody() -> None:
    args = (
        "live",
        "-r",
        str(EXAMPLE),
        "--speed=max",
        "--window=all",
        "--names=hosts,dns:127.0.0.1",
    )
    with terminal(*args) as (process, seen, press):
        wait_for(lambda: "192.0.2.15" in seen())
        found = ids(process.pid)
        assert found["Uid"] == {str(NOBODY.pw_uid)}
        assert found["Gid"] == {str(NOBODY.pw_gid)}
        assert found["Groups"] == set()
        assert {int(next(iter(found[name])), 16) for name in ("CapPrm", "CapEff", "CapAmb")} == {0}
        press(b"d")
        wait_for(lambda: "slowest" in seen().lower() or "p99" in seen())
        press(b"qq")
        assert process.wait(TIMEOUT_S) == 0, seen()[-500:]


def test_live_of_root_itself_saves_as_nobody_where_nobody_may_write(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = folder / "open"
    opened.mkdir()
    opened.chmod(0o1777)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TMPDIR", str(opened))
    with terminal("live", "-r", str(EXAMPLE), "--speed=max", "--window=all") as (_, seen, press):
        wait_for(lambda: "192.0.2.15" in seen())
        press(b"s\r")  # as it is proposed
        wait_for((opened / "trtop-saved.html").exists)
        press(b"q")
    saved = sorted(path.name for path in opened.glob("trtop-saved*"))
    assert saved == [f"trtop-saved.{kind}" for kind in ("html", "json", "trtop")]
    assert {path.stat().st_uid for path in opened.glob("trtop-saved*")} == {NOBODY.pw_uid}


@pytest.mark.parametrize("user", [[], ["--user=root"]], ids=["default", "root"])
@pytest.mark.parametrize("rights", [NET_RAW, STRANGE], ids=["net_raw", "user_namespace"])
def test_root_that_can_become_nobody_captures_and_keeps_no_right(
    tmp_path: Path, rights: list[str], user: list[str]
) -> None:
    log = tmp_path / "log"
    path = tmp_path / "s.sock"
    with open(log, "wb") as stream:
        process = subprocess.Popen(
            [*rights, *TRTOPD, "-i", "lo" if rights is NET_RAW else "any", *user, "-l", path],
            stdout=stream, stderr=stream, env=environment(),
        )  # fmt: skip
    try:
        wait_for(lambda: "listening on" in log.read_text() or process.poll() is not None)
        assert process.poll() is None, log.read_text()
        assert ("stays root" in log.read_text()) == (not user)
        for pid in (process.pid, *with_parent(process.pid)):
            found = ids(pid)
            least = {"CapPrm", "CapEff"} if found["Name"] != {"trtop-launcher"} else {"CapAmb"}
            assert {int(next(iter(found[name])), 16) for name in least} == {0}, found["Name"]
            assert found["NoNewPrivs"] == {"1"}
        done = trtop("attach", "--once", "--format=csv", path)
        assert (done.returncode, done.stderr) == (0, "")
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0, log.read_text()


@pytest.mark.parametrize(
    ("rights", "user", "said"),
    [
        (NET_RAW, "nobody", ["CAP_SETUID and CAP_SETGID", "add: [NET_RAW, SETUID, SETGID]"]),
        (STRANGE, "nobody", ["cannot become nobody:", "not mapped into this user namespace"]),
        (NOTHING, "root", ["lo: no permission to capture: the capability CAP_NET_RAW",
                           "capabilities: {drop: [ALL], add: [NET_RAW]}"]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("check", [[], ["--check"]], ids=["start", "check"])
def test_a_missing_capability_is_named_with_what_to_write_in_the_manifest(
    tmp_path: Path, rights: list[str], user: str, said: list[str], check: list[str]
) -> None:
    done = run(*rights, *TRTOPD, "-i", "lo", f"--user={user}", "-l", tmp_path / "s.sock", *check)
    assert (done.returncode, done.stdout) == (1, "")
    for part in said:
        assert part.removeprefix("lo: ") in done.stderr
    assert "Errno" not in done.stderr
    assert all(line.startswith("trtopd: ") for line in done.stderr.splitlines())
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(not os.access("/usr/bin/python3", os.X_OK), reason="no interpreter for all")
def test_who_is_not_root_is_told_what_is_missing(folder: Path) -> None:
    version = run("/usr/bin/python3", "-c", "import sys; print(sys.version_info[:2])").stdout
    if version.strip() != str(sys.version_info[:2]):
        pytest.skip("another version of Python")
    os.chmod(folder, 0o777)
    path = ":".join([environment()["PYTHONPATH"], *(p for p in sys.path if "site-packages" in p)])
    done = run("env", f"PYTHONPATH={path}", "setpriv", f"--reuid={NOBODY.pw_uid}", "--clear-groups",
               f"--regid={NOBODY.pw_gid}", "/usr/bin/python3", "-m", "trtop_daemon", "-i", "lo",
               "-l", folder / "s.sock")  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith(
        "trtopd: lo: no permission to capture: the capability CAP_NET_RAW"
    )
    assert done.stderr.count("\n") == 1


def test_a_second_daemon_of_another_user_changes_nothing_of_the_firsts(tmp_path: Path) -> None:
    """Both of root, at the default place, which a killed one gives free."""
    script = tmp_path / "script"
    feed = " ".join(FILE_FEED)
    look = "stat -c '%n %u %g %a %i' /run/trtop /run/trtop/*"
    script.write_text(f"""
        {feed} --user=root 2>{tmp_path}/first & first=$!
        until grep -q listening {tmp_path}/first; do sleep 0.05; done
        {look} >{tmp_path}/before
        {feed} --user=nobody 2>{tmp_path}/second; echo $? >{tmp_path}/status
        {look} >{tmp_path}/after
        kill -9 $first; wait $first
        {feed} --user=nobody 2>{tmp_path}/third & third=$!
        until grep -q listening {tmp_path}/third || ! kill -0 $third; do sleep 0.05; done
        stat -c '%U' /run/trtop /run/trtop/trtopd.sock >{tmp_path}/owners
        kill $third; wait $third; echo $? >{tmp_path}/end; ls -A /run /run/trtop >{tmp_path}/left
    """)
    run(*OWN_RUN, "sh", script)
    assert (tmp_path / "status").read_text() == "1\n"
    assert "already listens there" in (tmp_path / "second").read_text()
    assert (tmp_path / "after").read_text() == (tmp_path / "before").read_text()
    assert (tmp_path / "owners").read_text() == "nobody\nnobody\n", (tmp_path / "third").read_text()
    assert (tmp_path / "end").read_text() == "0\n"
    assert (tmp_path / "left").read_text().split() == [
        "/run:",
        "trtop",
        "trtop.lock",
        "/run/trtop:",
    ]


def test_a_folder_in_use_is_not_taken(folder: Path) -> None:
    inner = folder / "trtop"
    inner.mkdir()
    path = str(inner / "s.sock")
    first = SocketFile(path, 0, 0)
    os.close(first.listen())  # not even answering: the lock counts
    with pytest.raises(TrtopError, match="already listens there"):
        take_folder(path, NOBODY.pw_uid, NOBODY.pw_gid)
    assert os.stat(inner).st_uid == 0
    first.close()
    take_folder(path, NOBODY.pw_uid, NOBODY.pw_gid)
    assert os.stat(inner).st_uid == NOBODY.pw_uid
    inner.rename(folder / "other")
    inner.symlink_to(folder / "other")
    with pytest.raises(TrtopError):
        take_folder(path, 0, 0)
    assert os.stat(folder / "other").st_uid == NOBODY.pw_uid


def test_a_lock_with_another_name_or_owner_is_not_ours(folder: Path) -> None:
    precious = folder / "precious"
    precious.write_text("secret")
    os.chmod(precious, 0o600)
    given = folder / "theirs"
    given.mkdir()
    os.chown(given, NOBODY.pw_uid, NOBODY.pw_gid)
    lock = given / "s.sock.lock"
    os.link(precious, lock)
    with pytest.raises(TrtopError, match="Permission denied for the user nobody"):
        SocketFile(str(given / "s.sock"), NOBODY.pw_uid, NOBODY.pw_gid)
    assert os.stat(precious).st_uid == 0  # a hard link would have been given away
    os.link(precious, folder / "run.lock")
    with pytest.raises(TrtopError, match="has 3 names, so it is no lock of ours; remove it"):
        lock_folder(str(folder / "run" / "s.sock"))
    lock.unlink()
    (folder / "run.lock").unlink()
    os.mkfifo(folder / "run.lock")
    with pytest.raises(TrtopError, match="is no file"):
        lock_folder(str(folder / "run" / "s.sock"))
    lock.touch()
    os.chmod(lock, 0o666)
    os.chown(lock, 1, 1)
    with pytest.raises(TrtopError, match=f"belongs to {pwd.getpwuid(1).pw_name}"):
        SocketFile(str(given / "s.sock"), NOBODY.pw_uid, NOBODY.pw_gid)
    lock.unlink()
    lock.symlink_to(precious)
    with pytest.raises(TrtopError, match="symbolic links"):
        SocketFile(str(given / "s.sock"), NOBODY.pw_uid, NOBODY.pw_gid)


def test_a_file_of_another_name_is_not_overwritten_by_the_process_number(folder: Path) -> None:
    precious, path = folder / "precious", folder / "pid"
    precious.write_text("secret")
    os.link(precious, path)
    with pytest.raises(TrtopError, match="is not written over"):
        PidFile(str(path))
    assert precious.read_text() == "secret"
    path.unlink()
    path.write_text("12345678\n")
    PidFile(str(path)).close()
    assert not path.exists()


def test_what_the_main_process_listens_at_was_never_made_by_root() -> None:
    """The socket's folder belongs to the user, who could put a link there for root to follow."""
    with (
        tempfile.TemporaryDirectory() as name,
        Daemon(
            Path(name), "-i", "lo", "--user=nobody", "-l", "tcp://127.0.0.1:0", command=TRTOPD
        ) as daemon,
    ):
        (found,) = Path("/tmp").glob(f"trtop-{daemon.pid}-*")
        assert stat.S_IMODE(found.stat().st_mode) == 0o700
        assert found.stat().st_uid == (found / "packets").stat().st_uid == NOBODY.pw_uid
        assert daemon.stop() == 0
        assert not found.exists()
