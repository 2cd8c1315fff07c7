"""One endpoint that clients connect to: a channel with bounds on all it holds.

Takes an endpoint and keys, gives something to poll and a channel. A client that does not read loses
answers, one that sends too much loses its connection; neither is waited for. Without keys the
channel is our own; with keys it is a ROUTER of ZeroMQ, which has the cryptography.
"""

from __future__ import annotations

import os
import socket

import zmq

from trtop_core.errors import TrtopError
from trtop_core.wire import MAX_REQUEST_BYTES
from trtop_core.wire.endpoint import Endpoint
from trtop_daemon.keys import KeyPair
from trtop_daemon.server.channel import Channel, RouterChannel
from trtop_daemon.server.plain_channel import MAX_ANSWERS_WAITING, PlainChannel
from trtop_daemon.server.zap import DOMAIN
from trtop_daemon.system.privileges import Identity
from trtop_daemon.system.socket_file import BACKLOG, SocketFile

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
        channel: messages of clients, and answers to them.
        pollable: a descriptor, or a socket of ZeroMQ; readable when the channel is to be read.
        address: where it listens, with the port that the system chose.

    Raises:
        TrtopError: it cannot listen there.
    """

    channel: Channel
    pollable: int | zmq.Socket[bytes]

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
        self._plain: PlainChannel | None = None
        self._router: zmq.Socket[bytes] | None = None
        try:
            if endpoint.path is None and keys is not None:
                self.channel, self.address = self._open_router(context, keys)
            else:
                self.channel, self.address = self._open_plain(owner)
        except BaseException:
            self.close()
            raise

    def restore(self) -> bool:
        """Listen again where somebody removed the socket's file; whether that was so.

        Raises:
            TrtopError: it cannot be made again.
        """
        if self._file is None or self._plain is None or self._file.is_there:
            return False
        self._plain.listen(socket.socket(fileno=self._file.listen()))
        return True

    def expire(self) -> None:
        """Send away clients that stand still."""
        if self._plain is not None:
            self._plain.expire()

    def close(self) -> None:
        """Stop listening; answers that are under way still leave."""
        if self._router is not None:
            self._router.close()
        if self._plain is not None:
            self._plain.close()
            self._plain = None
        if self._file is not None:
            self._file.close()

    def _open_plain(self, owner: Identity) -> tuple[Channel, str]:
        if self.endpoint.path is not None:
            self._file = SocketFile(self.endpoint.path, owner.uid, owner.gid)
            listening, address = socket.socket(fileno=self._file.listen()), str(self.endpoint)
        else:
            listening = self._listen_on_loopback()
            host, port = listening.getsockname()[:2]
            address = str(Endpoint(host=host, port=port))
        self._plain = PlainChannel()
        self._plain.listen(listening)
        self.pollable = self._plain.fileno
        return self._plain, address

    def _listen_on_loopback(self) -> socket.socket:
        endpoint = self.endpoint
        host = "127.0.0.1" if endpoint.host == "localhost" else endpoint.host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            listening = socket.create_server((host, endpoint.port), family=family, backlog=BACKLOG)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise TrtopError(f"{endpoint}: cannot listen: {reason}") from error
        listening.setblocking(False)
        return listening

    def _open_router(
        self, context: zmq.Context[zmq.Socket[bytes]], keys: KeyPair
    ) -> tuple[Channel, str]:
        endpoint = self.endpoint
        host = "127.0.0.1" if endpoint.host == "localhost" else endpoint.host
        self._router = self.pollable = router = context.socket(zmq.ROUTER)
        router.linger = LINGER_MS
        router.sndhwm = MAX_ANSWERS_WAITING
        router.rcvhwm = MAX_REQUESTS_WAITING
        router.set(zmq.MAXMSGSIZE, MAX_REQUEST_BYTES)
        router.set(zmq.BACKLOG, BACKLOG)
        router.set(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        router.set(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        router.set(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        router.set(zmq.IPV6, int(":" in host))
        router.curve_server = True
        router.curve_publickey = keys.public
        router.curve_secretkey = keys.secret
        router.zap_domain = DOMAIN.encode()
        try:
            router.bind(str(Endpoint(host=host, port=endpoint.port)))
        except zmq.ZMQError as error:
            raise TrtopError(f"{endpoint}: cannot listen: {error.strerror}") from error
        return RouterChannel(router), router.getsockopt_string(zmq.LAST_ENDPOINT)
