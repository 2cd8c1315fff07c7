"""``PacketSocket``: the PULL socket that capture subprocesses send to, in a folder of its own.

Takes whom the subprocesses become, gives their messages, checked. Feeds nothing to an engine.
"""

from __future__ import annotations

import os
import shutil

import zmq

from trtop_core.errors import TrtopError
from trtop_daemon.capture.batch_sender import HIGH_WATER_MARK
from trtop_daemon.ipc.batch_message import MAX_MESSAGE_BYTES, Message, unpack
from trtop_daemon.processes.runtime_dir import SOCKET_NAME, make_runtime_dir
from trtop_daemon.system.privileges import Identity
from trtop_daemon.system.socket_file import acting_as


class PacketSocket:
    """Where messages of capture subprocesses arrive.

    Args:
        context: the process's own.
        identity: whom the subprocesses become; None: they stay who they are.

    Attributes:
        pull: to be polled.
        endpoint: where subprocesses send to.
        folder: where the socket is; removed by ``close``.

    Raises:
        TrtopError: the socket cannot be bound.
        OSError: its folder cannot be made.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], identity: Identity | None) -> None:
        self.pull: zmq.Socket[bytes] = context.socket(zmq.PULL)
        self.pull.rcvhwm = HIGH_WATER_MARK
        self.pull.maxmsgsize = MAX_MESSAGE_BYTES
        self.pull.linger = 0
        self.folder = ""
        try:
            self.folder = make_runtime_dir(identity)
            self.endpoint = self._bind(identity)
        except BaseException:
            self.close()
            raise

    def receive(self) -> Message | None:
        """The next message; None if there is none now.

        Raises:
            MessageError: no capture subprocess sends such a message.
        """
        try:
            parts = self.pull.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None
        return unpack([part.buffer for part in parts])

    def close(self) -> None:
        """Close the socket, and remove its folder."""
        self.pull.close()
        if self.folder:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _bind(self, identity: Identity | None) -> str:
        path = f"{self.folder}/{SOCKET_NAME}"
        uid, gid = (
            (os.geteuid(), os.getegid()) if identity is None else (identity.uid, identity.gid)
        )
        try:
            with acting_as(uid, gid):  # the folder is theirs: root would follow what they put there
                self.pull.bind(f"ipc://{path}")
        except (zmq.ZMQError, OSError) as error:
            raise TrtopError(
                f"{path}: cannot be listened on: {os.strerror(error.errno or 0)}"
            ) from error
        return f"ipc://{path}"
