"""Clients of a daemon: served all alike, however many they are and whatever some of them do."""

import os
import random
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq
from support.compare import plain
from support.daemons import (
    PAUSE_S,
    TIMEOUT_S,
    Daemon,
    finished,
    peer,
    peers,
    wait_for,
)
from support.desk import Desk
from support.paths import CAPTURES, EXAMPLE

from trtop_core import Engine, EngineConfig, Snapshot, View, wire
from trtop_core.closed_connections import ClosedView
from trtop_core.metrics import SORTABLE
from trtop_core.records import GroupBy, Window
from trtop_core.sources import open_capture
from trtop_daemon.server.server import MAX_CACHED_VIEWS, MAX_CLIENTS

N_CLIENTS = 100
MB = 1 << 20


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, "-r", EXAMPLE) as running:
        yield running
        assert running.process.poll() is None, running.log


def offline(path: Path, view: View) -> Snapshot:
    engine = Engine(EngineConfig(group_by=view.group_by), bytes(16))
    for batch in open_capture([path]):
        engine.feed(batch)
    engine.finish()
    return engine.snapshot(view)


@pytest.mark.parametrize("group_by", GroupBy)
def test_an_answer_is_what_the_file_gives_bin_for_bin(daemon: Daemon, group_by: GroupBy) -> None:
    view = View(group_by=group_by)
    with peer(daemon.path) as client:
        assert plain(finished(client, view)) == plain(offline(EXAMPLE, view))


def test_a_view_is_answered_as_asked(daemon: Daemon) -> None:
    with peer(daemon.path) as client:
        finished(client)
        view = View(sort="response_time", descending=False, limit=3, percentile=50)
        snapshot = client.snapshot(view)
        assert snapshot.view == view
        assert len(snapshot.table) == 3
        assert snapshot.n_destinations == 10
        for window in Window:
            assert client.snapshot(View(window=window)).view.window is window


def test_a_hundred_clients_at_once_are_all_served(daemon: Daemon) -> None:
    with peer(daemon.path) as first:
        expected = plain(finished(first))
    views = [View(sort=name) for name in SORTABLE[:5]]
    with peers(daemon.path, N_CLIENTS) as clients:
        for i, client in enumerate(clients):
            client.ask(views[i % len(views)])
        for i, client in enumerate(clients):
            head, snapshot = client.reply()
            assert isinstance(head, wire.Answer)
            assert head.id == 1
            assert head.host == socket.gethostname()
            assert snapshot is not None
            assert snapshot.view == views[i % len(views)]
            assert plain(snapshot) == expected


def test_a_client_that_never_reads_costs_others_nothing(daemon: Daemon) -> None:
    with peer(daemon.path) as first:
        finished(first)
    before = daemon.rss_bytes()
    with peer(daemon.path, rcvhwm=1) as silent, peer(daemon.path) as other:
        for _ in range(2_000):
            silent.ask()
        for _ in range(20):
            other.snapshot()
    assert daemon.rss_bytes() - before < 32 * MB


def raw_connection(daemon: Daemon) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(TIMEOUT_S)
    connection.connect(str(daemon.path))
    return connection


def test_garbage_below_zeromq_is_hung_up_on(daemon: Daemon) -> None:
    seeded = random.Random(7)
    connections = []
    for _ in range(50):
        connection = raw_connection(daemon)
        connections.append(connection)
        try:
            connection.sendall(seeded.randbytes(seeded.randrange(1, 5000)))
        except (BrokenPipeError, ConnectionResetError):
            continue
    with peer(daemon.path) as client:
        finished(client)
    for connection in connections:
        connection.close()


GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
READY = b"\x05READY" + b"\x0bSocket-Type" + struct.pack(">I", 6) + b"DEALER"


def test_broken_frames_after_a_good_handshake_harm_nobody(daemon: Daemon) -> None:
    seeded = random.Random(11)
    connections = []
    for _ in range(30):
        connection = raw_connection(daemon)
        connections.append(connection)
        connection.sendall(GREETING + b"\x04" + bytes([len(READY)]) + READY)
        # A frame that says it is longer than a request may be; then noise.
        connection.sendall(b"\x02" + struct.pack(">Q", seeded.randrange(5000, 1 << 62)))
        try:
            connection.sendall(seeded.randbytes(200))
        except (BrokenPipeError, ConnectionResetError):
            continue
    with peer(daemon.path) as client:
        finished(client)
    for connection in connections:
        connection.close()


ENDLESS = {
    "a message of long parts": b"\x01\xff" + bytes(255),
    "a message of empty parts": b"\x01\x00" * 128,
    "commands": b"\x04\x05\x04PING" * 40,
}


@pytest.mark.parametrize("what", ENDLESS)
def test_what_has_no_end_takes_no_memory(daemon: Daemon, what: str) -> None:
    with peer(daemon.path) as polite:
        finished(polite)
        before = daemon.rss_bytes()
        most = before
        chunk = ENDLESS[what] * (MB // len(ENDLESS[what]))
        n_hung_up = 0
        for _ in range(20):
            connection = raw_connection(daemon)
            connection.sendall(GREETING + b"\x04" + bytes([len(READY)]) + READY)
            try:
                for _ in range(10):
                    connection.settimeout(0.5)  # who is not read any more has tried enough
                    connection.sendall(chunk)
            except (BrokenPipeError, ConnectionResetError):
                n_hung_up += 1
            except TimeoutError:
                pass
            most = max(most, daemon.rss_bytes())
            polite.snapshot()
            connection.close()
        assert most - before < 8 * MB
        assert n_hung_up == (0 if what == "commands" else 20)


def test_every_message_without_sense_is_refused_and_the_next_is_answered(daemon: Daemon) -> None:
    seeded = random.Random(23)
    good = wire.encode_request(wire.Ask(1, View()))
    with peer(daemon.path) as client:
        finished(client)
        for _ in range(200):
            damaged = bytearray(good)
            for _ in range(seeded.randrange(1, 6)):
                damaged[seeded.randrange(len(damaged))] = seeded.randrange(256)
            try:
                wire.decode_request(bytes(damaged))
            except wire.WireError:
                client.send(bytes(damaged))
                head, snapshot = client.reply()
                assert isinstance(head, wire.Refusal)
                assert snapshot is None
        client.send(*[b"x"] * 5_000)
        assert isinstance(client.reply()[0], wire.Refusal)
        client.send(b"")
        assert isinstance(client.reply()[0], wire.Refusal)
        client.snapshot()


def test_a_message_that_is_too_long_ends_the_connection_of_its_sender_only(daemon: Daemon) -> None:
    with peer(daemon.path) as rude, peer(daemon.path) as polite:
        finished(polite)
        rude.send(bytes(10 * MB))
        polite.snapshot()
        rude.snapshot()  # ZeroMQ has connected it again


def test_a_wrong_version_is_told_which_to_use(daemon: Daemon) -> None:
    with peer(daemon.path) as client:
        client.send(b"trtop\x63whatever a later version says")
        head, _ = client.reply()
    assert isinstance(head, wire.Refusal)
    assert (head.reason, head.version) == (wire.Reason.VERSION, wire.VERSION)
    assert head.text == f"that is version 99 of the protocol; use version {wire.VERSION}"


def test_a_req_socket_is_answered_too(daemon: Daemon) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        asking = context.socket(zmq.REQ)
        asking.rcvtimeo = int(TIMEOUT_S * 1000)
        asking.connect(f"ipc://{daemon.path}")
        asking.send(wire.encode_request(wire.Ask(5, View())))
        head, data = asking.recv_multipart()
    finally:
        context.destroy(linger=0)
    assert wire.decode_reply(head).id == 5
    wire.decode_snapshot(data)


def test_a_thousand_comings_and_goings_leak_nothing(daemon: Daemon) -> None:
    with peer(daemon.path) as client:
        finished(client)
    for _ in range(100):
        with peer(daemon.path) as client:
            client.snapshot()
    fds, rss = daemon.n_fds(), daemon.rss_bytes()
    for _ in range(20):
        with peers(daemon.path, 50) as clients:
            for client in clients:
                client.ask()
            for client in clients[::2]:  # the others leave without their answer
                client.reply()
    wait_for(lambda: daemon.n_fds() <= fds)
    assert daemon.rss_bytes() - rss < 16 * MB


def test_a_client_killed_in_mid_request_is_nobodys_loss(daemon: Daemon) -> None:
    code = (
        "import sys, zmq\n"
        "from trtop_core import View, wire\n"
        "s = zmq.Context().socket(zmq.DEALER)\n"
        f"s.connect('ipc://{daemon.path}')\n"
        "print('asking', flush=True)\n"
        "while True:\n"
        "    s.send(wire.encode_request(wire.Ask(1, View())))\n"
    )
    for _ in range(3):
        client = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
        assert client.stdout is not None
        with client, client.stdout:
            client.stdout.readline()
            with peer(daemon.path) as other:
                other.snapshot()
            client.kill()
            client.wait(TIMEOUT_S)
    with peer(daemon.path) as other:
        other.snapshot()


def test_a_client_stopped_for_five_seconds_is_nobodys_loss(daemon: Daemon) -> None:
    code = (
        "import sys, zmq\n"
        "from trtop_core import View, wire\n"
        "s = zmq.Context().socket(zmq.DEALER)\n"
        f"s.connect('ipc://{daemon.path}')\n"
        "for number in range(1, 1_000_000):\n"
        "    s.send(wire.encode_request(wire.Ask(number, View())))\n"
        "    head, _ = s.recv_multipart()\n"
        "    assert wire.decode_reply(head).id == number\n"
        "    print(number, flush=True)\n"
    )
    with peer(daemon.path) as other:
        finished(other)
        client = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        assert client.stdout is not None
        with client, client.stdout:
            assert client.stdout.readline() == "1\n"
            fds, rss = daemon.n_fds(), daemon.rss_bytes()
            client.send_signal(signal.SIGSTOP)
            end_s = time.monotonic() + 5
            while time.monotonic() < end_s:
                other.snapshot()
            assert (daemon.n_fds(), daemon.rss_bytes() - rss < 4 * MB) == (fds, True)
            client.send_signal(signal.SIGCONT)
            before = 1
            for _ in range(20):  # what it asked before is answered, and what it asks now
                number = int(client.stdout.readline())
                assert number == before + 1
                before = number
            client.kill()


def test_a_stopped_daemon_answers_when_it_goes_on(daemon: Daemon) -> None:
    with peer(daemon.path) as client:
        finished(client)
        daemon.send(signal.SIGSTOP)
        number = client.ask()
        with peers(daemon.path, 20) as others:
            for other in others:
                other.ask()
            assert not client.socket.poll(5_000)
            daemon.send(signal.SIGCONT)
            assert client.reply()[0].id == number
            for other in others:
                assert other.reply()[0].id == 1


@pytest.fixture
def desk() -> Iterator[Desk]:
    made = Desk()
    yield made
    made.close()


def test_equal_views_within_an_interval_are_computed_once(desk: Desk) -> None:
    clients = [desk.client() for _ in range(23)]
    for client in clients:
        client.ask(View(sort="est"))
    while desk.server.counts.requests < len(clients):
        desk.turn()
    desk.server.serve(0.0, desk.announcement)
    assert not desk.server.has_work
    assert desk.server.counts.answers == len(clients)
    clients[0].ask(View(sort="est"))
    desk.turn(9.9)
    desk.server.serve(9.9, desk.announcement)
    assert desk.asked == [View(sort="est")]
    clients[0].ask(View(sort="est"))
    desk.turn(10.1)
    desk.server.serve(10.1, desk.announcement)
    assert desk.asked == [View(sort="est")] * 2


def test_the_newest_question_of_a_client_counts(desk: Desk) -> None:
    client = desk.client()
    for sort in SORTABLE[:7]:
        client.ask(View(sort=sort))
    while desk.server.counts.requests < 7:
        desk.turn()
    desk.server.serve(0.0, desk.announcement)
    assert not desk.server.has_work
    head, snapshot = client.reply()
    assert head.id == 7
    assert snapshot is not None
    assert snapshot.view.sort == SORTABLE[6]
    assert not client.socket.poll(0)


def test_different_views_take_a_turn_each(desk: Desk) -> None:
    first, second = desk.client(), desk.client()
    first.ask(View(sort="est"))
    second.ask(View(sort="syn"))
    while desk.server.counts.requests < 2:
        desk.turn()
    desk.server.serve(0.0, desk.announcement)
    assert desk.server.has_work
    desk.server.serve(0.0, desk.announcement)
    assert not desk.server.has_work
    assert len(desk.asked) == 2


@pytest.mark.parametrize(
    ("sort", "text"),
    [("rst", "not that"), ("syn_retrans", "the daemon failed to answer; its log says more")],
)
def test_a_view_that_cannot_be_answered_is_refused_with_the_reason(
    desk: Desk, sort: str, text: str
) -> None:
    client = desk.client()
    number = client.ask(View(sort=sort))
    desk.turn()
    desk.server.serve(0.0, desk.announcement)
    refusal = client.reply()[0]
    assert refusal == wire.Refusal(number, wire.Reason.UNAVAILABLE, text, wire.VERSION)


def test_what_is_remembered_of_clients_and_views_is_bounded(desk: Desk) -> None:
    client = desk.client()
    route = (b"x",)
    for i in range(MAX_CLIENTS + 100):
        ask = wire.Ask(i, View(percentile=(i + 1) / 20))
        desk.server._remember((desk.channel, (b"%d" % i, *route)), ask, 0.0)
    assert len(desk.server._known) == MAX_CLIENTS
    assert len(desk.server._waiting) == MAX_CLIENTS
    for _ in range(MAX_CACHED_VIEWS + 10):
        desk.server.serve(0.0, desk.announcement)
    assert len(desk.server._cached) == MAX_CACHED_VIEWS
    client.socket.close(0)


def test_goodbye_reaches_all_who_asked_lately_and_not_the_others(desk: Desk) -> None:
    early, late, waiting = desk.client(), desk.client(), desk.client()
    early.ask()
    desk.turn(0.0)
    desk.server.serve(0.0, desk.announcement)
    early.reply()
    late.ask(View(sort="est"))
    desk.turn(100.0)
    desk.server.serve(100.0, desk.announcement)
    late.reply()
    waiting.ask(View(sort="est"))
    desk.turn(101.0)
    desk.server.send_final_answers(lambda: 101.0, desk.announcement, 103.0)
    for client in (late, waiting):
        head, snapshot = client.reply()
        assert isinstance(head, wire.Answer)
        assert (head.id, head.is_last, head.host) == (1, True, "web-3")
        assert snapshot is not None
    assert not early.socket.poll(0)


@pytest.mark.skipif(not CAPTURES.is_dir(), reason="needs the collection of captures")
def test_the_picture_of_every_capture_survives_the_journey() -> None:
    n_captures = 0
    for path in sorted(CAPTURES.iterdir()):
        if path.suffix not in (".pcap", ".pcapng"):
            continue
        engine = Engine(EngineConfig(group_by=GroupBy.ADDR_PORT), bytes(16))
        try:
            for batch in open_capture([path]):
                engine.feed(batch)
        except Exception:
            if not engine.snapshot(View()).health.packets:
                continue
        engine.finish()
        for group_by in GroupBy:
            cached = engine.snapshot(View(group_by=group_by))
            back = wire.decode_snapshot(wire.encode_snapshot(cached))
            assert back.record(with_bins=True) == cached.record(with_bins=True), path
        n_captures += 1
    assert n_captures > 60


def test_all_clients_are_served_while_one_floods(daemon: Daemon) -> None:
    with peer(daemon.path) as first:
        finished(first)
    stop = threading.Event()

    def flood() -> None:
        with peer(daemon.path) as rude:
            rude.socket.sndtimeo = 100
            i = 0
            while not stop.is_set():
                i += 1
                view = View(percentile=1 + i % 90)
                try:
                    rude.socket.send(wire.encode_request(wire.Ask(1, view)))
                except zmq.Again:
                    continue
                if rude.socket.poll(0):
                    rude.socket.recv_multipart()

    flooding = threading.Thread(target=flood)
    flooding.start()
    try:
        with peers(daemon.path, 10) as clients:
            for _ in range(5):
                for client in clients:
                    client.ask()
                for client in clients:
                    client.reply()
                time.sleep(PAUSE_S)
    finally:
        stop.set()
        flooding.join(TIMEOUT_S)
    assert os.path.exists(daemon.path)


def test_a_reader_that_asks_no_more_is_not_waited_for(desk: Desk) -> None:
    client = desk.client()
    client.send(wire.encode_request(wire.AskClosed(1, ClosedView())))
    desk.turn(now_s=100.0)
    assert not desk.server.has_readers(100.0)  # there may be more records yet
    desk.server.expect_readers(104.9)
    assert desk.server.has_readers(105.0)
    assert not desk.server.has_readers(105.1)
    client.send(wire.encode_request(wire.AskClosed(2, ClosedView())))
    desk.turn(now_s=105.1)
    assert desk.server.has_readers(110.1)
    desk.server.expect_readers(110.2)
    assert not desk.server.has_readers(110.2)
