"""``Children`` and ``Child``: capture subprocesses, as the main process sees them.

Takes what to capture, has the launcher fork a process for it, says when it has ended and why.
Reads no packets and decides nothing: ``trtop_daemon.processes.supervisor`` does.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
from dataclasses import asdict, dataclass

from trtop_core.errors import TrtopError, reason_of
from trtop_daemon.capture.backends import to_json
from trtop_daemon.capture.batch_sender import Origin
from trtop_daemon.capture.control import STOP
from trtop_daemon.ipc.feed import CaptureConfig
from trtop_daemon.processes.assignments import Assignment
from trtop_daemon.processes.launcher import MESSAGE_BYTES
from trtop_daemon.system.import_path import UntrustedPathError, isolated
from trtop_daemon.system.privileges import Identity

STDERR_TAIL_BYTES = 4_096

ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
}
"""Variables of a subprocess: no threads of libraries, which would keep their capabilities; and
buffers that grow by realloc, kept out of mmap, which costs a third."""

ANSWER_TIMEOUT_S = 30.0
"""Time for the launcher's imports on a busy machine."""

STATUS_TIMEOUT_S = 0.5
"""Time between a process's end and the launcher's word of how it ended."""

END_TIMEOUT_S = 5.0
"""Time between SIGKILL and a process's end."""


@dataclass(frozen=True, slots=True)
class Orders:
    """What a subprocess is told.

    Attributes:
        assignment: what it does.
        generation: how often it had been started before.
        endpoint: where it sends to.
        config: how to capture.
        identity: whom it becomes.
    """

    assignment: Assignment
    generation: int
    endpoint: str
    config: CaptureConfig
    identity: Identity | None

    def to_json(self) -> dict[str, object]:
        """Orders as ``trtop_daemon.capture.process.main`` takes them."""
        assignment, identity = self.assignment, self.identity
        origin = Origin(self.endpoint, assignment.number, self.generation, assignment.target)
        return {
            "origin": asdict(origin),
            "target": assignment.target,
            "fanout_group": assignment.fanout_group,
            "identity": None if identity is None else (identity.uid, identity.gid),
            "capture": to_json(self.config),
        }


class Children:
    """The launcher's end here: starts subprocesses and hears how they ended.

    Args:
        identity: whom the launcher and what it forks become.
        needs_rights: opening takes CAP_NET_RAW (``Backend``).
        with_stdin: a process needs our standard input.
        is_confined: the launcher confines itself.

    Attributes:
        pidfd: readable once the launcher has ended; None while there is none.
    """

    def __init__(
        self,
        identity: Identity | None,
        needs_rights: bool = True,
        with_stdin: bool = False,
        is_confined: bool = True,
    ) -> None:
        self._identity = identity
        self._needs_rights = needs_rights
        self._with_stdin = with_stdin
        self._is_confined = is_confined
        self._channel: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._statuses: dict[int, int] = {}
        self.pidfd: int | None = None
        self._how = ""

    @property
    def launcher_pid(self) -> int | None:
        """The launcher's process; None while there is none."""
        return None if self._process is None else self._process.pid

    def start(self, orders: Orders) -> Child:
        """Have a process forked.

        Raises:
            TrtopError: that is not possible.
        """
        try:
            return self._start(orders)
        except (OSError, ValueError, UntrustedPathError) as error:
            if not self._has_ended():
                self._how = str(error)
            self.close()
            why = reason_of(error) if isinstance(error, OSError) else str(error)
            raise TrtopError(f"cannot start a capture process: {why}") from error

    def status_of(self, pid: int) -> int | None:
        """The exit status of a process that has ended; None if the launcher does not say."""
        while pid not in self._statuses and self._channel is not None:
            if not select.select([self._channel], [], [], STATUS_TIMEOUT_S)[0]:
                break
            if self._hear() is None:
                break
        return self._statuses.pop(pid, None)

    def how_it_ended(self) -> str:
        """What became of the launcher, if it has ended since this was asked last; else empty."""
        if self._has_ended():
            self.close()
        how, self._how = self._how, ""
        return how

    def close(self) -> None:
        """End the launcher."""
        if self.pidfd is not None:
            os.close(self.pidfd)
            self.pidfd = None
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            try:
                self._process.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def _has_ended(self) -> bool:
        """Whether the launcher has ended by itself; notes how."""
        code = None if self._process is None else self._process.poll()
        if code is not None:
            self._how = f"signal {-code}" if code < 0 else f"exit status {code}"
        return code is not None

    def _start(self, orders: Orders) -> Child:
        if self._has_ended():
            self.close()
        channel = self._channel or self._launch()
        with contextlib.ExitStack() as stack:
            told = os.memfd_create("orders")
            stack.callback(os.close, told)
            os.write(told, json.dumps(orders.to_json()).encode())
            os.lseek(told, 0, os.SEEK_SET)
            reading, control = os.pipe2(os.O_CLOEXEC)
            stack.callback(os.close, reading)
            said, saying = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            stack.callback(os.close, saying)
            try:
                socket.send_fds(channel, [b"start"], [told, reading, saying])
                pid = self._await_pid()
                return Child(self, pid, control, said)
            except BaseException:
                os.close(control)
                os.close(said)
                raise

    def _launch(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        options = [f"--channel={theirs.fileno()}"]
        if self._identity is not None:
            options += [f"--uid={self._identity.uid}", f"--gid={self._identity.gid}"]
        if not self._needs_rights:
            options.append("--without-rights")
        if not self._is_confined:
            options.append("--unconfined")
        with theirs:
            try:
                self._process = subprocess.Popen(
                    isolated("trtop_daemon.processes.launcher", *options),
                    stdin=None if self._with_stdin else subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(theirs.fileno(),),
                    env={**os.environ, **ENVIRONMENT},
                )
            except BaseException:
                ours.close()
                raise
        self._channel = ours
        self.pidfd = os.pidfd_open(self._process.pid)
        return ours

    def _await_pid(self) -> int:
        assert self._channel is not None
        while True:
            if not select.select([self._channel], [], [], ANSWER_TIMEOUT_S)[0]:
                raise TimeoutError("the launcher does not answer")
            heard = self._hear()
            if heard is None:
                raise ConnectionError("the launcher has ended")
            if "failed" in heard:
                raise TrtopError(f"cannot start a capture process: {os.strerror(heard['failed'])}")
            if "status" not in heard:
                return heard["pid"]

    def _hear(self) -> dict[str, int] | None:
        """One message; None: the launcher is gone."""
        assert self._channel is not None
        try:
            raw = self._channel.recv(MESSAGE_BYTES)
        except ConnectionError:
            raw = b""
        if not raw:
            return None
        heard: dict[str, int] = json.loads(raw)
        if "status" in heard:
            self._statuses[heard["pid"]] = heard["status"]
        return heard


class Child:
    """One subprocess.

    Args:
        children: who had it started.
        pid: of the process.
        control: writing end of its pipe of orders.
        said: reading end of its standard error.

    Attributes:
        pid: of the process.
        pidfd: readable once it has ended.
    """

    def __init__(self, children: Children, pid: int, control: int, said: int) -> None:
        self.pid = pid
        self._children = children
        self._control = control
        self._said = said
        self._status: int | None = None
        try:
            self.pidfd = os.pidfd_open(pid)
        except ProcessLookupError:  # it has ended already, and the launcher has noticed
            self.pidfd = os.eventfd(1, os.EFD_CLOEXEC)

    @property
    def has_ended(self) -> bool:
        """Whether the process is no more."""
        return bool(select.select([self.pidfd], [], [], 0)[0])

    def how_it_ended(self) -> str:
        """``signal 9``, or what it said, or its exit status; once it has ended."""
        code = self._children.status_of(self.pid)
        if code is not None and code < 0:
            return f"signal {-code}"
        return self._stderr_tail() or f"exit status {'unknown' if code is None else code}"

    def ask_to_stop(self) -> None:
        """Let it send what it holds and end."""
        with contextlib.suppress(OSError):
            os.write(self._control, STOP)

    def end(self, grace_s: float) -> None:
        """Wait for its end, and kill it if it does not come, stopped (SIGSTOP) or not."""
        if not select.select([self.pidfd], [], [], grace_s)[0]:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            select.select([self.pidfd], [], [], END_TIMEOUT_S)
        os.close(self._control)
        os.close(self.pidfd)
        os.close(self._said)

    def _stderr_tail(self) -> str:
        try:
            raw = os.read(self._said, STDERR_TAIL_BYTES)
        except BlockingIOError:
            return ""
        lines = raw.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""
