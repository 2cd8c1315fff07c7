"""A daemon whose own files the user that it becomes cannot read, as those of a venv of root's."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy
import pytest
from support.daemons import Daemon, finished, peer
from support.paths import EXAMPLE

import trtop_core
from trtop_core import View, wire
from trtop_core.activity import ActivityView
from trtop_core.closed_connections import ClosedView
from trtop_core.detail import DetailView
from trtop_core.snapshot import Snapshot
from trtop_core.timeline import TimelineView
from trtop_core.trends import TrendView
from trtop_core.view import Period
from trtop_core.wire.questions import KINDS, Question

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to become somebody else")

COMMAND = [sys.executable, "-P", "-m", "trtop_daemon"]

NOBODY = "nobody"

PACKAGES = ("trtop", "trtop_core", "trtop_daemon")

LIBRARIES = ("msgspec", "numpy", "numpy.libs", "pyzmq.libs", "zmq")


@pytest.fixture
def code() -> Iterator[Path]:
    """A copy of the packages, and of those that they need, that root alone can read."""
    built, site = Path(trtop_core.__file__).parents[1], Path(numpy.__file__).parents[1]
    with TemporaryDirectory(dir=Path.home()) as folder:
        found = [built / name for name in PACKAGES] + [site / name for name in LIBRARIES]
        for path in filter(Path.exists, found):
            shutil.copytree(path, Path(folder) / path.name, ignore=shutil.ignore_patterns("tests"))
        yield Path(folder)


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A folder of that user's."""
    with TemporaryDirectory(prefix="trtop-test-") as folder:
        shutil.chown(folder, NOBODY)
        yield Path(folder)


def questions(snapshot: Snapshot) -> list[Question]:
    keys = snapshot.table.keys[:1].tobytes()
    return [
        DetailView(snapshot.table.keys["addr"][0].tobytes()),
        TrendView(keys),
        TimelineView(),
        ActivityView(keys, n_slow=3),
        ClosedView(),
    ]


def test_every_question_is_answered(code: Path, sockets: Path) -> None:
    env = {"PYTHONPATH": str(code)}
    args = ("-r", EXAMPLE, "--speed=max", "--connections=100", f"--user={NOBODY}")
    with Daemon(sockets, *args, command=COMMAND, env=env) as daemon, peer(daemon.path) as client:
        seen = finished(client)
        assert seen.first_ns is not None
        assert seen.clock_ns is not None
        period = Period(seen.first_ns, seen.clock_ns)
        assert client.snapshot(View(period=period)).n_destinations == seen.n_destinations
        asked = questions(seen)
        for number, question in enumerate(asked, 1_000):
            kind = next(kind for kind in KINDS if isinstance(question, kind.question))
            client.send(wire.encode_request(kind.ask(number, question)))
            frames = client.socket.recv_multipart()
            assert isinstance(wire.decode_reply(frames[0]), kind.head), daemon.log
        assert {type(question) for question in asked} == {kind.question for kind in KINDS}
        assert "Traceback" not in daemon.log
        assert Path(f"/proc/{daemon.pid}").stat().st_uid != 0
        daemon.send(signal.SIGKILL)  # it would wait for the reader of connections
