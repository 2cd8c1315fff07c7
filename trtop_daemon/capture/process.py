"""The capture subprocess: what ``trtop_daemon.processes.launcher`` forks.

Opens a device, or files to replay, gives up every privilege, and then moves packets to the main
process until it is told to stop or the main process is gone. One thread of our own, one loop.

Standard error gets one line when it ends with a status other than 0.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
import time
from collections.abc import Sequence

import zmq

from trtop_core.errors import EXIT_OK, EXIT_UNUSABLE, TrtopError
from trtop_core.records import NS_PER_MS, NS_PER_S
from trtop_daemon.capture.batch_sender import Outlet, Sender
from trtop_daemon.capture.device import Device, DeviceConfig, DeviceError
from trtop_daemon.capture.replay import Replay
from trtop_daemon.system import privileges

REPORT_S = 0.2
"""How often totals and the time are sent at least: a fifth of what a screen shows."""

DOWN_PAUSE_S = 0.1
"""Between looks at an interface that is down: polling it returns at once."""

STOP = b"s"
"""What the main process writes to ask for an orderly end."""

EXIT_ORPHANED = 4
"""The main process is gone; nobody sees this."""

DRAIN_LOOK_S = 0.01
"""Between looks at a ring that still holds a packet; the kernel hands it over at a time-out."""

LAST_WORDS_S = 2.0
"""How long an orderly end waits for a main process that takes nothing."""

MARGIN_NS = 20 * NS_PER_MS
"""What a packet may take from its timestamp to an idle ring, beyond two timeouts of the ring."""


class Control:
    """The pipe from the main process: orders, and by its end the main process's own.

    Args:
        fd: the pipe's reading end.
    """

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.is_stopping = False

    def read(self) -> None:
        """Take an order.

        Raises:
            ProcessLookupError: the main process is gone.
        """
        order = os.read(self.fd, 64)
        if not order:
            raise ProcessLookupError("the main process is gone")
        self.is_stopping = True

    def wait(self, timeout_s: float) -> None:
        """Sleep, unless an order comes."""
        if select.select([self.fd], [], [], max(0.0, timeout_s))[0]:
            self.read()

    def wait_for_room(self, outlet: Outlet) -> None:
        """Send the message that the outlet keeps, however long that takes."""
        while not outlet.flush():
            poller = zmq.Poller()
            poller.register(outlet.socket, zmq.POLLOUT)
            poller.register(self.fd, zmq.POLLIN)
            if self.fd in dict(poller.poll()):
                self.read()
                if self.is_stopping:
                    # Ordered to end while nobody takes anything: one more try, not for ever.
                    poller.unregister(self.fd)
                    poller.poll(int(LAST_WORDS_S * 1000))
                    if not outlet.flush():
                        raise ProcessLookupError("the main process takes nothing")


def run_device(device: Device, outlet: Outlet, control: Control, timeout_ms: int) -> None:
    """Move packets from a device to the main process until ordered to stop.

    Raises:
        DeviceError: the device failed; all before that was sent.
        ProcessLookupError: the main process is gone.
    """
    lag_ns = 2 * timeout_ms * NS_PER_MS + MARGIN_NS
    poller = select.poll()
    poller.register(device.fileno, select.POLLIN)
    poller.register(control.fd, select.POLLIN)
    totals = device.totals()
    report_at_s = 0.0
    stop_by_s: float | None = None
    while True:
        if control.is_stopping and stop_by_s is None:
            stop_by_s = time.monotonic() + lag_ns / NS_PER_S
        began_ns = time.time_ns()
        batch = device.read()
        now_s = time.monotonic()
        if batch is not None or now_s >= report_at_s:
            if now_s >= report_at_s:
                totals = device.totals()
                report_at_s = now_s + REPORT_S
            until_ns = began_ns - lag_ns if batch is None else int(batch.index["ts_ns"][-1])
            outlet.send_batch(batch, totals, device.link_type, until_ns)
            control.wait_for_room(outlet)
            control.wait(0)  # packets may never cease
        if stop_by_s is not None and batch is None and device.is_drained():
            return
        if stop_by_s is not None and now_s > stop_by_s:
            return
        if batch is None:
            wait_s = DRAIN_LOOK_S if control.is_stopping else report_at_s - time.monotonic()
            _wait(device, control, poller, wait_s)


def _wait(device: Device, control: Control, poller: select.poll, timeout_s: float) -> None:
    """Until there are packets, an order, or a report is due."""
    if device.is_down:
        control.wait(DOWN_PAUSE_S)
        return
    for fd, _ in poller.poll(max(1.0, timeout_s * 1000.0)):
        if fd == control.fd:
            control.read()


def run_replay(replay: Replay, outlet: Outlet, control: Control) -> None:
    """Move packets from files to the main process, at the replay's pace.

    Raises:
        ProcessLookupError: the main process is gone.
    """
    for batch in replay.batches(time.monotonic):
        outlet.send_batch(batch, replay.totals, 0, replay.until_ns)
        control.wait_for_room(outlet)
        control.wait(0.0 if batch is not None else min(replay.wait_s, REPORT_S))
        if control.is_stopping:
            return


def main(argv: Sequence[str], control_fd: int) -> int:
    """Capture until told to stop.

    Args:
        argv: see ``_parse``.
        control_fd: see ``Control``.

    Returns:
        The exit status.
    """
    given = _parse(argv)
    control = Control(control_fd)
    sender = Sender(given.endpoint, given.worker, given.generation, given.interface)
    try:
        return _replay(given, sender, control) if given.read else _capture(given, sender, control)
    except TrtopError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    except OSError as error:
        if isinstance(error, ProcessLookupError):
            os._exit(EXIT_ORPHANED)
        sys.stderr.write(f"{error}\n")
        return EXIT_UNUSABLE


def _capture(given: argparse.Namespace, sender: Sender, control: Control) -> int:
    config = DeviceConfig(
        given.interface,
        given.filter,
        given.snaplen,
        given.buffer_bytes,
        given.timeout_ms,
        given.fanout_group,
        not given.no_decap,
    )
    device = Device(config)
    _give_up_privileges(given)
    outlet = Outlet(sender)
    try:
        run_device(device, outlet, control, given.timeout_ms)
    except DeviceError as error:
        outlet.send_end(device.totals(), error.exit_status, str(error))
        outlet.close()
        raise
    outlet.send_end(device.totals(), EXIT_OK, "")
    control.wait_for_room(outlet)
    outlet.close()
    return EXIT_OK


def _replay(given: argparse.Namespace, sender: Sender, control: Control) -> int:
    replay = Replay(given.read, None if given.speed == "max" else float(given.speed))
    _give_up_privileges(given)
    outlet = Outlet(sender)
    code, text = EXIT_OK, ""
    with replay:
        try:
            run_replay(replay, outlet, control)
        except TrtopError as error:
            code, text = error.exit_status, "\n".join(str(part) for part in replay.errors)
        outlet.send_end(replay.totals, code, text)
        control.wait_for_room(outlet)
    outlet.close()
    return EXIT_OK


def _give_up_privileges(given: argparse.Namespace) -> None:
    identity = None if given.uid is None else privileges.Identity(given.uid, given.gid)
    parent_pid = os.getppid()
    privileges.drop_to(identity)
    privileges.die_with_parent(parent_pid)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="trtopd-capture", allow_abbrev=False)
    for name in ("--endpoint", "--interface"):
        parser.add_argument(name, required=True)
    for name in ("--worker", "--generation"):
        parser.add_argument(name, type=int, required=True)
    for name in ("--snaplen", "--buffer-bytes", "--timeout-ms", "--fanout-group", "--uid", "--gid"):
        parser.add_argument(name, type=int)
    parser.add_argument("--filter")
    parser.add_argument("--no-decap", action="store_true")
    parser.add_argument("-r", "--read", action="append", default=[])
    parser.add_argument("--speed", default="max")
    return parser.parse_args(argv)
