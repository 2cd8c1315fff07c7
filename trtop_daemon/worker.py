"""``Worker``: one capture subprocess, as the main process sees it.

Takes what to capture, starts the process, says when it has ended and why. Reads no packets and
decides nothing: ``trtop_daemon.supervisor`` does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from dataclasses import dataclass

from trtop_core.errors import TrtopError
from trtop_core.sources.raw import STDIN
from trtop_daemon.capture import STOP
from trtop_daemon.feed import CaptureConfig
from trtop_daemon.privileges import Identity

LAST_WORDS_BYTES = 4_096

ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": str(32 << 20)}
"""A batch's buffer grows by realloc: kept out of mmap, it costs a third."""


@dataclass(frozen=True, slots=True)
class Role:
    """What one subprocess does, whatever becomes of it.

    Attributes:
        number: of the subprocess.
        interface: or the name that a replay goes by.
        engine: number of the engine that gets its packets.
        fanout_group: see ``device.DeviceConfig``.
        label: what people are told.
    """

    number: int
    interface: str
    engine: int
    fanout_group: int | None
    label: str


@dataclass(frozen=True, slots=True)
class Orders:
    """What a subprocess is told.

    Attributes:
        role: what it does.
        generation: how often it had been started before.
        endpoint: where it sends to.
        config: how to capture.
        identity: whom it becomes.
    """

    role: Role
    generation: int
    endpoint: str
    config: CaptureConfig
    identity: Identity | None


class Worker:
    """A subprocess and what it said of itself.

    Args:
        orders: what it is told.

    Attributes:
        pidfd: readable once it has ended.

    Raises:
        TrtopError: it cannot be started.
    """

    def __init__(self, orders: Orders) -> None:
        reading, self._control = os.pipe2(os.O_CLOEXEC)
        replay = orders.config.replay
        arguments = _arguments(orders, reading)
        is_stdin_read = replay is not None and STDIN in replay.paths
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "trtop_daemon.capture", *arguments],
                stdin=None if is_stdin_read else subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                pass_fds=(reading,),
                env={**os.environ, **ENVIRONMENT},
                bufsize=0,
            )
            self.pidfd = os.pidfd_open(self._process.pid)
        except OSError as error:
            os.close(self._control)
            raise TrtopError(f"cannot start a capture process: {error}") from error
        finally:
            os.close(reading)

    @property
    def pid(self) -> int:
        """Of the subprocess."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that killed it."""
        return self._process.poll()

    def last_words(self) -> str:
        """What it wrote on standard error; to be asked once it has ended."""
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        said = self._process.stderr.read(LAST_WORDS_BYTES) or b""
        lines = said.decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else ""

    def how_it_ended(self) -> str:
        """``signal 9``, or what it said, or its exit status."""
        code = self.exit_code
        if code is not None and code < 0:
            return f"signal {-code}"
        return self.last_words() or f"exit status {code}"

    def ask_to_stop(self) -> None:
        """Let it send what it holds and end."""
        with contextlib.suppress(OSError):
            os.write(self._control, STOP)

    def end(self, grace_s: float) -> None:
        """Wait for its end, and kill it if it does not come, stopped (SIGSTOP) or not."""
        try:
            self._process.wait(grace_s)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                self._process.send_signal(signal.SIGKILL)
            self._process.wait()

    def close(self) -> None:
        """Free the descriptors of a process that has ended."""
        os.close(self._control)
        os.close(self.pidfd)
        assert self._process.stderr is not None
        self._process.stderr.close()


def _arguments(orders: Orders, control_fd: int) -> list[str]:
    role, config, identity = orders.role, orders.config, orders.identity
    options: dict[str, object] = {
        "--endpoint": orders.endpoint,
        "--interface": role.interface,
        "--worker": role.number,
        "--generation": orders.generation,
        "--control-fd": control_fd,
        "--parent-pid": os.getpid(),
    }
    if identity is not None:
        options |= {"--uid": identity.uid, "--gid": identity.gid}
    if config.replay is not None:
        speed = "max" if config.replay.speed is None else repr(config.replay.speed)
        reads = [f"--read={path}" for path in config.replay.paths]
        return [*(f"{name}={value}" for name, value in options.items()), f"--speed={speed}", *reads]
    options |= {
        "--snaplen": config.snaplen_bytes,
        "--buffer-bytes": config.buffer_bytes,
        "--timeout-ms": config.timeout_ms,
    }
    if role.fanout_group is not None:
        options["--fanout-group"] = role.fanout_group
    if config.capture_filter is not None:
        options["--filter"] = config.capture_filter
    flags = [] if config.engine.decap else ["--no-decap"]
    return [*(f"{name}={value}" for name, value in options.items()), *flags]
