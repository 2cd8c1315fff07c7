"""The exporter: a process that asks the daemon and tells Prometheus and OTLP receivers.

``python -m trtop.export.process --orders=FD``, started by ``trtopd``. Imports everything and reads
what it must while it may, gives up every right, confines itself, says that it is ready, then forks
a worker, which keeps still less, and another one when that dies. Ends with the daemon. To the
daemon it is a client like any other.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial

import zmq

from trtop.escape import escape
from trtop.export.collected import Collected
from trtop.export.confinement import grants_of
from trtop.export.http_server import MetricsServer
from trtop.export.reader import Reader
from trtop.names.namer import Namer
from trtop.plugins import PartKind, Plugins
from trtop.remote.client import Client, Keys
from trtop_core.errors import TrtopError
from trtop_core.wire.endpoint import parse_endpoint
from trtop_daemon.ipc.export_orders import Orders
from trtop_daemon.keys import KeyPair
from trtop_daemon.system import privileges, sandbox
from trtop_daemon.system.log import printable, start_log
from trtop_daemon.system.syscalls import Kind

LOG = logging.getLogger("trtop_daemon.exporter")

NAME = "trtop-export"

IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGTERM)
"""Signals that reach the whole group or unit; the exporter ends with the daemon."""

NICE = 5
"""Who captures goes first."""

FIRST_RESTART_S = 1.0
LAST_RESTART_S = 60.0
STEADY_S = 60.0
"""A worker that has lived so long is started again at once."""

MAX_ORDERS_BYTES = 1 << 20

Start = Callable[[Reader], None]
"""Starts one way of exporting."""


def main() -> int:
    """Run until the daemon ends; the exit status."""
    parser = argparse.ArgumentParser(prog="trtopd-exporter", allow_abbrev=False)
    parser.add_argument("--orders", type=int, required=True)
    given = parser.parse_args()
    parent_pid = os.getppid()
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    with os.fdopen(given.orders, "rb") as stream:
        orders = Orders.from_json(stream.read(MAX_ORDERS_BYTES))
    start_log(os.environ)
    privileges.set_process_name(NAME)
    try:
        namer = _make_namer(orders)
        starts = _prepared(orders)
        identity = None if orders.identity is None else privileges.Identity(*orders.identity)
        privileges.drop_to(identity)
        privileges.die_with_parent(parent_pid)
    except TrtopError as error:
        _tell(orders.ready_fd, str(error))
        return 1
    except ProcessLookupError:
        return 1
    with suppress(OSError):
        os.nice(NICE)
    grants = grants_of(orders)
    if orders.is_confined:
        sandbox.confine(Kind.EXPORTER, grants._replace(forks=True))
    _tell(orders.ready_fd, "")

    def work(is_first: bool) -> None:
        if orders.is_confined:
            sandbox.confine_calls(Kind.EXPORTER, grants)
        _work(orders, starts, namer, from_now=not is_first)

    _supervise(work)
    return 0


def _make_namer(orders: Orders) -> Namer | None:
    if not orders.names:
        return None
    from trtop.names.resolvers import ChainResolver  # noqa: PLC0415 - seldom used

    plugins = Plugins()
    return Namer(ChainResolver(plugins.make(PartKind.RESOLVER, name) for name in orders.names))


def _prepared(orders: Orders) -> list[Start]:
    """Ways of exporting, each with all that it must import and read.

    Raises:
        TrtopError: a package or a file is missing.
    """
    starts: list[Start] = []
    if orders.metrics_fds:
        starts.append(_prepare_metrics(orders))
    if orders.otlp is not None:
        starts.append(_prepare_otlp(orders))
    return starts


def _prepare_metrics(orders: Orders) -> Start:
    try:
        from trtop.export.prometheus import content_type_of, encoded  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise _missing("--metrics", error) from None

    def start(reader: Reader) -> None:
        latest: dict[str, tuple[Collected, bytes]] = {}

        def expose(accept: str) -> tuple[bytes, str]:
            content_type = content_type_of(accept)
            with reader.rendering:
                collected = reader.collect()
                known = latest.get(content_type)
                if known is None or known[0] is not collected:
                    known = collected, encoded(collected, orders.bounds_s, accept)
                    latest[content_type] = known
            return known[1], content_type

        listening = [socket.socket(fileno=fd) for fd in orders.metrics_fds]
        server = MetricsServer(listening, expose)
        reader.own_counts.append(lambda: {("scrapes_refused", ""): server.n_refused})
        server.start()

    return start


def _prepare_otlp(orders: Orders) -> Start:
    otlp = orders.otlp
    assert otlp is not None
    try:
        from trtop.export.otlp_points import PointMaker  # noqa: PLC0415 - an extra
        from trtop.export.pusher import Pusher  # noqa: PLC0415
        from trtop.export.receiver import make_transport  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise _missing("--otlp", error) from None
    transport = make_transport(otlp)

    def start(reader: Reader) -> None:
        where = escape(orders.observation_point)
        maker = PointMaker(where, orders.start_ns, otlp.is_delta, reader.from_now)
        pusher = Pusher(transport, reader.collect, maker.requests, otlp.interval_s)
        reader.own_counts.append(pusher.own_counts)
        pusher.start()

    return start


def _missing(option: str, error: ModuleNotFoundError) -> TrtopError:
    return TrtopError(
        f"{option} needs a package that is not installed ({error.name}): "
        f"pip install 'trtop[metrics]'"
    )


def _tell(fd: int, problem: str) -> None:
    """Say that all is well, or why not."""
    with suppress(OSError):
        os.write(fd, json.dumps(problem).encode())
        os.close(fd)


def _work(orders: Orders, starts: list[Start], namer: Namer | None, from_now: bool) -> None:
    """Export until killed.

    Args:
        orders: what to export.
        starts: start each way of exporting.
        namer: who knows names.
        from_now: another worker has told what was counted before.
    """
    with ExitStack() as stack:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        stack.callback(context.destroy, 0)
        keys = None
        if orders.curve is not None:
            public, secret, server = (part.encode() for part in orders.curve)
            keys = Keys(KeyPair(public, secret), server)
        client = Client(context, parse_endpoint(orders.endpoint), keys)
        stack.callback(client.close)
        reader = Reader(client, orders, namer, from_now)
        for start in starts:
            start(reader)
        signal.pause()


def _supervise(work: Callable[[bool], None]) -> None:
    """Run a worker, and another one whenever it has died; the work is told which is the first."""
    pause_s, is_first = FIRST_RESTART_S, True
    while True:
        begun_s = time.monotonic()
        own_pid = os.getpid()
        pid = os.fork()
        if not pid:
            _run_worker(partial(work, is_first), own_pid)
        _, status = os.waitpid(pid, 0)
        is_first = False
        code = os.waitstatus_to_exitcode(status)
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        if time.monotonic() - begun_s >= STEADY_S:
            pause_s = FIRST_RESTART_S
        LOG.warning("the exporter's worker has ended (%s); another one in %g s", how, pause_s)
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, LAST_RESTART_S)


def _run_worker(work: Callable[[], None], parent_pid: int) -> None:
    """Work in a forked process; never returns."""
    try:
        privileges.die_with_parent(parent_pid)
        work()
    except TrtopError as error:
        LOG.error("%s", printable(str(error)))
    except BaseException:
        traceback.print_exc()
    finally:
        with suppress(OSError):
            sys.stderr.flush()
        os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
