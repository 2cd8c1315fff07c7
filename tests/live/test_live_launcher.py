"""The launcher dies: what captures dies with it, which is the end or is mended, and said."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from support.daemons import TIMEOUT_S, TRTOPD, Daemon, trtop, wait_for
from support.feeding import drive, feeding, whole
from support.netns import needs_root
from support.processes import is_gone, terminal, with_parent

from trtop_core.errors import EXIT_CAPTURE_DEAD
from trtop_daemon.ipc.feed import CaptureConfig
from trtop_daemon.processes import supervisor
from trtop_daemon.processes.child import Child
from trtop_daemon.processes.launcher import Launcher

pytestmark = needs_root


def launcher_of(pid: int) -> int:
    """The child of a main process that started the capture processes."""

    def found() -> list[int]:
        names = {child: Path(f"/proc/{child}/comm").read_text() for child in with_parent(pid)}
        return [child for child, name in names.items() if name == "trtop-launcher\n"]

    wait_for(found)
    return found()[0]


def test_a_killed_launcher_ends_the_daemon_with_a_status_and_the_reason(tmp_path: Path) -> None:
    with Daemon(tmp_path, "-i", "lo", command=TRTOPD) as daemon:
        children = with_parent(daemon.pid)
        os.kill(launcher_of(daemon.pid), signal.SIGKILL)
        assert daemon.process.wait(TIMEOUT_S) == 1
        last = daemon.log.splitlines()[-1]
        assert last.startswith("trtopd: the capture is over: its launcher has ended (signal 9)")
        assert not daemon.path.exists()
        for pid in children:
            wait_for(lambda pid=pid: is_gone(pid))


def test_clients_of_a_daemon_that_ends_so_are_told_why(tmp_path: Path) -> None:
    with (
        Daemon(tmp_path, "-i", "lo", command=TRTOPD) as daemon,
        terminal("attach", "--interval=0.1", str(daemon.path)) as (process, seen, _),
    ):
        wait_for(lambda: "last 10" in seen())
        os.kill(launcher_of(daemon.pid), signal.SIGKILL)
        wait_for(lambda: "the daemon has stopped" in seen())
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0


def test_told_to_stay_it_says_on_every_screen_and_by_a_status_that_nothing_is_captured(
    tmp_path: Path,
) -> None:
    with Daemon(tmp_path, "-i", "lo", "--stay", command=TRTOPD) as daemon:
        before = trtop("attach", "--once", "--format=json", daemon.path)
        assert (before.returncode, before.stderr) == (0, "")
        os.kill(launcher_of(daemon.pid), signal.SIGKILL)

        def asked() -> subprocess.CompletedProcess[str]:
            return trtop("attach", "--once", "--format=json", daemon.path)

        wait_for(lambda: asked().returncode == EXIT_CAPTURE_DEAD)
        done = asked()
        assert "its launcher has ended (signal 9)" in done.stderr
        health = json.loads(done.stdout)["health"]
        assert health["interruptions"] == 1
        before_ns = health["interrupted_ns"]
        wait_for(lambda: json.loads(asked().stdout)["health"]["interrupted_ns"] > before_ns)
        with terminal("attach", str(daemon.path)) as (process, seen, _):
            wait_for(lambda: "the capture is over" in seen())
            process.send_signal(signal.SIGTERM)
            assert process.wait(TIMEOUT_S) == 0
        wait_for(lambda: "the capture is over" in daemon.log)
        assert daemon.stop() == 1  # it went on, but without what it is for


def test_a_main_process_that_may_starts_the_launcher_again() -> None:
    with feeding(CaptureConfig(("lo",), user="root")) as feed:
        os.kill(launcher_of(os.getpid()), signal.SIGKILL)
        drive(feed, lambda: not feed.is_capturing)
        drive(feed, lambda: feed.is_capturing)
        assert feed.failure == ""
        assert whole(feed).health.interruptions == 1
        texts = [notice.text for notice in feed.notices]
        assert "the launcher of captures had ended (signal 9)" in texts
        assert any("nothing was captured there for" in text for text in texts)


def test_captures_that_outlive_the_launcher_for_a_moment_still_capture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "has_permitted", lambda _: False)
    with feeding(CaptureConfig(("lo",), user="root")) as feed:
        with monkeypatch.context() as patch:
            patch.setattr(Child, "has_ended", False)
            os.kill(launcher_of(os.getpid()), signal.SIGKILL)
            drive(feed, lambda: feed.failure)
            assert feed.is_capturing
            assert whole(feed).health.interruptions == 0
        drive(feed, lambda: not feed.is_capturing)
        assert whole(feed).health.interruptions == 1


def test_a_dead_capture_is_none_until_another_one_captures() -> None:
    with feeding(CaptureConfig(("lo",), user="root")) as feed:
        assert feed.is_capturing
        child = feed.slots[0].child
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
        drive(feed, lambda: not feed.is_capturing)
        drive(feed, lambda: feed.is_capturing)


def test_a_launcher_that_cannot_fork_lives_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more() -> int:
        raise BlockingIOError(errno.EAGAIN, "no more processes")

    monkeypatch.setattr(os, "fork", no_more)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs, open(os.devnull, "rb") as nothing:
        launcher = Launcher(theirs, None, needs_rights=False, is_confined=False)
        fds = [nothing.fileno()] * 3
        socket.send_fds(ours, [b"start"], fds)
        n_before = len(os.listdir("/proc/self/fd"))
        assert launcher._take_order()
        assert json.loads(ours.recv(256)) == {"failed": errno.EAGAIN}
        assert len(os.listdir("/proc/self/fd")) == n_before


def test_a_capture_that_cannot_be_forked_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with feeding(CaptureConfig(("lo",), user="root")) as feed:
        launcher = launcher_of(os.getpid())
        failures = [{"failed": errno.EAGAIN}]
        hear = feed._children._hear

        def fail_once() -> dict[str, int] | None:
            heard = hear()
            is_pid = heard is not None and "status" not in heard
            return failures.pop() if is_pid and failures else heard

        monkeypatch.setattr(feed._children, "_hear", fail_once)
        child = feed.slots[0].child
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
        drive(feed, lambda: any("Resource temporarily" in item.text for item in feed.notices))
        drive(feed, lambda: feed.is_capturing)
        assert whole(feed).health.interruptions == 1
        assert launcher_of(os.getpid()) == launcher
