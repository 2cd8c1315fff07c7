"""The exporter as the daemon sees it: sockets bound, a process started, its end noticed.

Takes settings, gives a running exporter or says why there can be none. The process
(``trtop.export.process``) is a client of the daemon like any other; where clients need keys it gets
a pair that lives as long as the daemon.
"""

from __future__ import annotations

import json
import logging
import os
import select
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack

import zmq

from trtop_core.errors import TrtopError, reason_of
from trtop_core.records import GroupBy
from trtop_core.wire.endpoint import Endpoint, parse_endpoint
from trtop_daemon.config.settings import Settings
from trtop_daemon.ipc.export_orders import Orders, OtlpOrders
from trtop_daemon.keys import KeyPair
from trtop_daemon.server.listener import Listener
from trtop_daemon.system.import_path import UntrustedPathError, isolated
from trtop_daemon.system.privileges import Identity
from trtop_daemon.system.socket_file import BACKLOG, SocketFile

LOG = logging.getLogger(__name__)

MODULE = "trtop.export.process"
"""Named, not imported: it belongs to the user's side, as every client does."""

READY_TIMEOUT_S = 30.0
"""For imports on a busy machine."""

MAX_WORDS_BYTES = 4096

END_TIMEOUT_S = 5.0

ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""No threads of libraries before the exporter forks."""

ANY_ADDRESSES = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}
"""What to connect to where a listener is bound to all addresses."""


class MetricsSocket:
    """A socket that listens for scrapes.

    Args:
        endpoint: where.
        owner: of the socket's file, where we are root.

    Attributes:
        address: for people, with the port that the system chose.

    Raises:
        TrtopError: it cannot listen there.
    """

    def __init__(self, endpoint: Endpoint, owner: Identity) -> None:
        self._file: SocketFile | None = None
        if endpoint.path is not None:
            self._file = SocketFile(endpoint.path, owner.uid, owner.gid)
            try:
                self.listening = socket.socket(fileno=self._file.listen())
            except BaseException:
                self._file.close()
                raise
            self.address = f"unix:{endpoint.path}"
        else:
            self.listening = _listen(endpoint)
            host, port = self.listening.getsockname()[:2]
            shown = f"[{host}]" if ":" in host else host
            self.address = f"http://{shown}:{port}/metrics"
            _warn(endpoint, self.address)

    def close(self) -> None:
        """Stop listening."""
        self.listening.close()
        if self._file is not None:
            self._file.close()


class Exporter:
    """A running exporter.

    Args:
        settings: what is exported, and where.
        sockets: which it serves.
        door: where and how it asks the daemon.
        identity: whom it becomes.

    Raises:
        TrtopError: it does not start.
    """

    def __init__(
        self,
        settings: Settings,
        sockets: Sequence[MetricsSocket],
        door: Door,
        identity: Identity | None,
    ) -> None:
        self._is_missed = False
        said, saying = os.pipe2(os.O_CLOEXEC)
        fds = tuple(one.listening.fileno() for one in sockets)
        orders = _orders(settings, door, identity, fds, saying)
        with ExitStack() as stack:
            stack.callback(os.close, said)
            told = os.memfd_create("orders")
            stack.callback(os.close, told)
            os.write(told, orders.to_json())
            os.lseek(told, 0, os.SEEK_SET)
            try:
                self._process = subprocess.Popen(
                    isolated(MODULE, f"--orders={told}"),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=(told, saying, *fds),
                    env={**os.environ, **ENVIRONMENT},
                )
            except (OSError, UntrustedPathError) as error:
                why = reason_of(error) if isinstance(error, OSError) else str(error)
                raise TrtopError(f"cannot start the exporter: {why}") from error
            finally:
                os.close(saying)
            try:
                self._await_ready(said)
            except BaseException:
                self.close()
                raise
        for one in sockets:
            one.listening.close()  # who comes when the exporter is gone is refused, and waits not

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._process.pid

    def check(self) -> None:
        """Say it, once, when the exporter has ended."""
        code = self._process.poll()
        if code is None or self._is_missed:
            return
        self._is_missed = True
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        LOG.error("metrics are not exported any more: the exporter has ended (%s)", how)

    def close(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(END_TIMEOUT_S)

    def _await_ready(self, said: int) -> None:
        """Wait until it says that all is well, or why not.

        Raises:
            TrtopError: it does not start.
        """
        words = b""
        end_s = time.monotonic() + READY_TIMEOUT_S
        while len(words) < MAX_WORDS_BYTES:
            if not select.select([said], [], [], max(0.0, end_s - time.monotonic()))[0]:
                raise TrtopError("the exporter does not start: it says nothing")
            part = os.read(said, MAX_WORDS_BYTES)
            if not part:
                break
            words += part
        try:
            problem = json.loads(words)
        except ValueError:
            raise TrtopError("the exporter does not start: its output above says why") from None
        if problem:
            raise TrtopError(str(problem))


class Door:
    """Where the exporter asks the daemon: the first listener without keys, else one with a pair.

    Args:
        listeners: of the daemon.
        server_keys: the daemon's own pair, where clients need keys.

    Attributes:
        endpoint: to connect to.
        pair: the exporter's own; None where it needs none.
        server_key: the daemon's public key; empty where none is needed.
    """

    def __init__(self, listeners: Sequence[Listener], server_keys: KeyPair | None) -> None:
        plain = [one for one in listeners if server_keys is None or one.endpoint.path is not None]
        listener = (plain or listeners)[0]
        self.pair: KeyPair | None = None
        self.server_key = b""
        if not plain and server_keys is not None:
            public, secret = zmq.curve_keypair()
            self.pair, self.server_key = KeyPair(public, secret), server_keys.public
        bound = parse_endpoint(listener.address)
        if bound.path is None:
            bound = Endpoint(host=ANY_ADDRESSES.get(bound.host, bound.host), port=bound.port)
        self.endpoint = bound

    @property
    def authorized(self) -> frozenset[bytes]:
        """The public key that must be let in."""
        return frozenset() if self.pair is None else frozenset({self.pair.public})


def _listen(endpoint: Endpoint) -> socket.socket:
    host = "127.0.0.1" if endpoint.host == "localhost" else endpoint.host
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server(
            ("" if host == "*" else host, endpoint.port), family=family, backlog=BACKLOG
        )
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise TrtopError(f"--metrics {endpoint.host}:{endpoint.port}: {reason}") from error


def _warn(endpoint: Endpoint, address: str) -> None:
    if endpoint.is_local:
        LOG.warning("%s: every user of this machine may read it", address)
    else:
        LOG.warning(
            "%s: everyone who reaches this address can read who talks to whom; "
            "let only Prometheus through (a firewall, a proxy that asks for a certificate)",
            address,
        )


def _orders(
    settings: Settings,
    door: Door,
    identity: Identity | None,
    fds: tuple[int, ...],
    ready_fd: int,
) -> Orders:
    otlp = None
    if settings.otlp is not None:
        otlp = OtlpOrders(
            url=settings.otlp,
            headers=settings.otlp_header,
            ca_path=settings.otlp_ca,
            interval_s=settings.otlp_interval,
            is_delta=settings.otlp_temporality,
        )
    curve = None
    if door.pair is not None:
        keys = (door.pair.public, door.pair.secret, door.server_key)
        curve = (keys[0].decode(), keys[1].decode(), keys[2].decode())
    return Orders(
        endpoint=str(door.endpoint),
        curve=curve,
        identity=None if identity is None else (identity.uid, identity.gid),
        metrics_fds=fds,
        otlp=otlp,
        limit=settings.export_destinations,
        bounds_s=settings.export_bounds,
        names=settings.export_names,
        by_port=settings.group_by is GroupBy.ADDR_PORT,
        observation_point=" ".join(settings.read or settings.interface),
        start_ns=time.time_ns(),
        is_confined=not settings.no_sandbox,
        ready_fd=ready_fd,
    )
