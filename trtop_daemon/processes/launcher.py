"""The launcher: a small process that forks capture subprocesses when the main process asks.

Keeps the one capability that opening a device takes, so that the main process need keep none. As
everything is imported before, a new subprocess captures within milliseconds, and needs no file of
the interpreter that its user may not read. Opens nothing, looks at no packet.

Speaks over one socket pair: a request brings three descriptors (orders, control, standard error);
the answer is a pid, and later that pid with its exit status; or why there is none. Ends with the
main process.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import traceback

from trtop_daemon.capture import process as capture
from trtop_daemon.system import privileges, sandbox
from trtop_daemon.system.syscalls import Kind

MESSAGE_BYTES = 256
N_FDS = 3

EXIT_FAILED = 1

GRANTS = sandbox.Grants(connects=(sandbox.DNS_PORT,), uses_internet=True)
"""Names of hosts in a filter are looked up when a device is opened."""

IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
"""Signals that reach the whole group or unit; the main process says when it is time to end."""


class Launcher:
    """Forks, and reaps.

    Args:
        channel: to the main process.
        identity: whom to become.
        needs_rights: opening takes CAP_NET_RAW; else it is opened once, as whoever started us.
        is_confined: it gives up what neither it nor a capture process that opens a device needs.
    """

    def __init__(
        self,
        channel: socket.socket,
        identity: privileges.Identity | None,
        needs_rights: bool,
        is_confined: bool,
    ) -> None:
        self._channel = channel
        self._identity = identity
        self._needs_rights = needs_rights
        self._is_confined = is_confined
        self._main_pid = os.getppid()
        self._pids: dict[int, int] = {}
        self._poll = select.poll()
        self._poll.register(channel, select.POLLIN)
        if needs_rights:
            self._drop(privileges.CAP_NET_RAW)

    def serve(self) -> None:
        """Fork and reap until the main process is gone."""
        while True:
            for fd, _ in self._poll.poll():
                if fd != self._channel.fileno():
                    self._reap(fd)
                elif not self._take_order():
                    return

    def _take_order(self) -> bool:
        """Fork; whether the main process is still there."""
        try:
            order, fds, _, _ = socket.recv_fds(self._channel, MESSAGE_BYTES, N_FDS)
        except ConnectionError:  # it went without hearing us out
            return False
        if not order:
            return False
        try:
            pid = os.fork()
        except OSError as error:  # no room for a process; there may be some later
            self._tell({"failed": error.errno or 0})
            return True
        else:
            if not pid:
                _run_capture(self._channel, fds)
        finally:
            for fd in fds:
                os.close(fd)
        pidfd = os.pidfd_open(pid)
        self._pids[pidfd] = pid
        self._poll.register(pidfd, select.POLLIN)
        self._tell({"pid": pid})
        if not self._needs_rights:
            self._drop()  # the files are open, or soon: nothing is started anew
        return True

    def _reap(self, pidfd: int) -> None:
        pid = self._pids.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        self._tell({"pid": pid, "status": os.waitstatus_to_exitcode(status)})

    def _tell(self, what: dict[str, int]) -> None:
        with contextlib.suppress(ConnectionError):
            self._channel.send(json.dumps(what).encode())

    def _drop(self, *kept: int) -> None:
        privileges.drop_to(self._identity, *kept)
        privileges.die_with_parent(self._main_pid)
        if self._is_confined:
            sandbox.confine(Kind.LAUNCHER, GRANTS)


def _run_capture(channel: socket.socket, fds: list[int]) -> None:
    """Run the capture in a forked process; never returns."""
    status = EXIT_FAILED
    try:
        channel.close()
        orders_fd, control_fd, stderr_fd = fds
        os.dup2(stderr_fd, 2)
        with open(orders_fd, "rb") as stream:
            orders = json.load(stream)
        privileges.set_process_name("trtop-capture")
        status = capture.main(orders, control_fd)
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(status)


def main() -> None:
    """Serve the main process."""
    parser = argparse.ArgumentParser(prog="trtopd-launcher", allow_abbrev=False)
    parser.add_argument("--channel", type=int, required=True)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("--without-rights", action="store_true")
    parser.add_argument("--unconfined", action="store_true")
    given = parser.parse_args()
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    privileges.set_process_name("trtop-launcher")
    identity = None if given.uid is None else privileges.Identity(given.uid, given.gid)
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=given.channel) as channel, contextlib.suppress(ProcessLookupError):
        Launcher(channel, identity, not given.without_rights, not given.unconfined).serve()


if __name__ == "__main__":
    main()
