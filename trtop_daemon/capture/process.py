"""The capture subprocess: what ``trtop_daemon.processes.launcher`` forks.

Opens what its orders say, gives up every privilege, and then moves packets to the main process
until it is told to stop or the main process is gone. One thread of our own, one loop.

Standard error gets one line when it ends with a status other than 0.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

from trtop_core.errors import EXIT_OK, EXIT_UNUSABLE, TrtopError, reason_of
from trtop_daemon.capture.backend import OpenConfig, Opened
from trtop_daemon.capture.backends import backend_of, from_json
from trtop_daemon.capture.batch_sender import BatchSender, Origin
from trtop_daemon.capture.control import Control
from trtop_daemon.system import privileges, sandbox
from trtop_daemon.system.syscalls import Kind

EXIT_ORPHANED = 4
"""The main process is gone; nobody sees this."""


def main(orders: Mapping[str, Any], control_fd: int) -> int:
    """Capture until told to stop.

    Args:
        orders: as ``trtop_daemon.processes.child.Orders`` gives them.
        control_fd: see ``Control``.

    Returns:
        The exit status.
    """
    control = Control(control_fd)
    try:
        return _capture(orders, control)
    except TrtopError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    except OSError as error:
        if isinstance(error, ProcessLookupError):
            os._exit(EXIT_ORPHANED)
        sys.stderr.write(f"{reason_of(error)}\n")
        return EXIT_UNUSABLE


def _capture(orders: Mapping[str, Any], control: Control) -> int:
    config = from_json(orders["capture"])
    backend = backend_of(config)
    opened = backend.open(OpenConfig(orders["target"], orders["fanout_group"], config))
    try:
        _give_up_privileges(orders["identity"])
        grants = sandbox.Grants()
        if config.is_confined:  # before ZeroMQ starts threads, which have what starts them has
            sandbox.confine_files(Kind.CAPTURE, grants)
        sender = BatchSender(Origin(**orders["origin"]))
        if config.is_confined:
            sandbox.confine_calls(Kind.CAPTURE, grants)
        _run(opened, sender, control, backend.restarts)
    finally:
        opened.close()
    sender.close()
    return EXIT_OK


def _run(opened: Opened, sender: BatchSender, control: Control, restarts: bool) -> None:
    """Hand everything over, and say how it ended.

    Raises:
        TrtopError: it broke off, and must be opened anew.
    """
    code, text = EXIT_OK, ""
    try:
        opened.run(sender, control)
    except TrtopError as error:
        code, text = error.exit_status, str(error)
        if restarts:
            sender.send_end(opened.final_totals(), code, text)
            sender.close()
            raise
    sender.send_end(opened.final_totals(), code, text)
    control.wait_for_room(sender)


def _give_up_privileges(identity: tuple[int, int] | None) -> None:
    parent_pid = os.getppid()
    privileges.drop_to(None if identity is None else privileges.Identity(*identity))
    privileges.die_with_parent(parent_pid)
