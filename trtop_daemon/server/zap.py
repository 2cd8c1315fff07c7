"""Who may connect over TCP: answers ZeroMQ's own question (ZAP, RFC 27) with a list of keys.

Lives in the event loop of the daemon: a socket to poll and a method to call. Never learns a secret.
"""

from __future__ import annotations

import zmq
from zmq.utils import z85

ZAP_ENDPOINT = "inproc://zeromq.zap.01"
ZAP_VERSION = b"1.0"

DOMAIN = "trtop"
"""Sockets with this ZAP domain are guarded; those without one are not asked about."""

N_REQUEST_FRAMES = 6
"""Version, request id, domain, address, identity, mechanism; then the credentials."""

MAX_PER_TURN = 64


class KeyCheck:
    """Lets in who owns one of some keys.

    Args:
        context: the guarded sockets must belong to it, and be made after this.
        authorized: public keys (Z85) that may connect.

    Attributes:
        socket: to be polled; ``on_ready`` when there is something to read.
        n_refused: connections that were turned away.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], authorized: frozenset[bytes]):
        self.authorized = authorized
        self.n_refused = 0
        self.last_refused = ""
        self.socket = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(ZAP_ENDPOINT)

    def on_ready(self) -> None:
        """Answer the questions that wait."""
        for _ in range(MAX_PER_TURN):
            try:
                frames = self.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self.socket.send_multipart(self._answer(frames))

    def close(self) -> None:
        """Refuse every connection from now on."""
        self.socket.close()

    def _answer(self, frames: list[bytes]) -> list[bytes]:
        number = frames[1] if len(frames) > 1 else b""
        if len(frames) == N_REQUEST_FRAMES + 1 and frames[5] == b"CURVE":
            key = z85.encode(frames[6])
            if frames[0] == ZAP_VERSION and frames[2] == DOMAIN.encode() and key in self.authorized:
                return [ZAP_VERSION, number, b"200", b"OK", key, b""]
        self.n_refused += 1
        self.last_refused = frames[3].decode(errors="replace") if len(frames) > 3 else ""
        return [ZAP_VERSION, number, b"400", b"not authorized", b"", b""]
