"""One endpoint that clients connect to: a ROUTER socket with bounds on all it holds.

Takes an endpoint and keys, gives a socket to poll. A client that does not read loses answers, one
that sends too much loses its connection; neither is waited for.
"""

from __future__ import annotations

import os
from contextlib import suppress

import zmq

from trtop_core.errors import TrtopError
from trtop_core.wire import MAX_REQUEST_BYTES
from trtop_core.wire.endpoint import Endpoint
from trtop_daemon.keys import KeyPair
from trtop_daemon.server.zap import DOMAIN
from trtop_daemon.system.privileges import Identity
from trtop_daemon.system.socket_file import BACKLOG, SocketFile

MAX_ANSWERS_WAITING = 4
"""Per client that does not read; further answers to it are dropped."""

MAX_REQUESTS_WAITING = 16
"""Per client that asks faster than it is read."""

HANDSHAKE_MS = 5_000
"""Who connects and says nothing of the protocol is sent away after this."""

HEARTBEAT_MS = 10_000
HEARTBEAT_TIMEOUT_MS = 30_000
"""Clients whose machine is gone are forgotten after this."""

LINGER_MS = 1_000
"""How long a last answer may take to leave."""


def refuse_unguarded(endpoint: Endpoint, has_keys: bool) -> None:
    """Without keys only this machine may connect.

    Raises:
        TrtopError: others could.
    """
    if not has_keys and not endpoint.is_local:
        raise TrtopError(
            f"{endpoint}: refused: without keys everyone on the network could read who talks "
            "to whom; make keys with: trtop keygen, and give --server-key and --authorized-keys"
        )


class Listener:
    """Listens at an endpoint.

    Args:
        context: of ZeroMQ; a guarded listener needs a ``KeyCheck`` in it.
        endpoint: where.
        owner: of the socket's file, where we are root.
        keys: the daemon's own; without them the connection is neither secret nor checked.

    Attributes:
        socket: the ROUTER.
        address: where it listens, with the port that the system chose.

    Raises:
        TrtopError: it cannot listen there.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: Endpoint,
        owner: Identity,
        keys: KeyPair | None = None,
    ) -> None:
        refuse_unguarded(endpoint, keys is not None)
        self.endpoint = endpoint
        self._file: SocketFile | None = None
        self.socket = context.socket(zmq.ROUTER)
        try:
            self._configure(keys if endpoint.path is None else None)
            if endpoint.path is not None:
                self._file = SocketFile(endpoint.path, owner.uid, owner.gid)
                self._bind_file(self._file)
            else:
                self._bind_tcp()
        except BaseException:
            self.close()
            raise
        self.address = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def restore(self) -> bool:
        """Listen again where somebody removed the socket's file; whether that was so.

        Raises:
            TrtopError: it cannot be made again.
        """
        if self._file is None or self._file.is_there:
            return False
        with suppress(zmq.ZMQError):
            self.socket.unbind(str(self.endpoint))
        self._bind_file(self._file)
        return True

    def close(self) -> None:
        """Stop listening; answers that are under way still leave."""
        self.socket.close()
        if self._file is not None:
            self._file.close()

    def _configure(self, keys: KeyPair | None) -> None:
        socket = self.socket
        socket.linger = LINGER_MS
        socket.sndhwm = MAX_ANSWERS_WAITING
        socket.rcvhwm = MAX_REQUESTS_WAITING
        socket.set(zmq.MAXMSGSIZE, MAX_REQUEST_BYTES)
        socket.set(zmq.BACKLOG, BACKLOG)
        socket.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        socket.set(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.set(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        if keys is not None:
            socket.curve_server = True
            socket.curve_publickey = keys.public
            socket.curve_secretkey = keys.secret
            socket.zap_domain = DOMAIN.encode()

    def _bind_file(self, file: SocketFile) -> None:
        # A descriptor of our own: libzmq would make the file with other permissions, and would
        # remove it later, when its name may belong to a new one.
        listening_fd = file.listen()
        self.socket.set(zmq.USE_FD, listening_fd)
        try:
            self.socket.bind(str(self.endpoint))
        except zmq.ZMQError as error:
            os.close(listening_fd)
            raise TrtopError(f"{self.endpoint}: cannot listen: {error.strerror}") from error

    def _bind_tcp(self) -> None:
        endpoint = self.endpoint
        host = "127.0.0.1" if endpoint.host == "localhost" else endpoint.host
        self.socket.set(zmq.IPV6, int(":" in host))
        try:
            self.socket.bind(str(Endpoint(host=host, port=endpoint.port)))
        except zmq.ZMQError as error:
            raise TrtopError(f"{endpoint}: cannot listen: {error.strerror}") from error
