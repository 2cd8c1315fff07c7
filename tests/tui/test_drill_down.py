"""The drill-down over a daemon, and over several engines, is that of the file."""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import zmq
from support.daemons import TRTOPD, Daemon, finished, peer, wait_for
from support.desk import Desk
from support.equal import assert_equal_details, assert_equal_tables
from support.paths import EXAMPLE
from support.terminals import OnTerminal
from support.traffic.busy import SEED, WINDOWS, busy, mapped

from trtop.remote.client import Client
from trtop.remote.source import DaemonSource
from trtop_core import Engine, EngineConfig, PacketBatch, View, wire
from trtop_core.detail import DetailView
from trtop_core.merging.details import merge_details
from trtop_core.merging.snapshots import merge
from trtop_core.records import DestinationKind, GroupBy, Window
from trtop_core.sources import open_capture
from trtop_core.wire.endpoint import Endpoint

ADDR = "192.0.2.16"


def offline() -> Engine:
    engine = Engine(EngineConfig(windows=WINDOWS, group_by=GroupBy.ADDR_PORT), SEED)
    for batch in open_capture([EXAMPLE]):
        engine.feed(batch)
    engine.finish()
    return engine


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, "-r", EXAMPLE, "--speed=max", command=TRTOPD) as running:
        with peer(running.path) as client:
            finished(client)
        yield running


def test_a_replaying_daemon_tells_what_the_engine_of_the_file_tells(daemon: Daemon) -> None:
    engine = offline()
    n_slots = n_connections = 0
    with peer(daemon.path) as client:
        for group_by in GroupBy:
            keys = engine.snapshot(View(group_by=group_by)).table.keys
            for key in keys:
                for window in Window:
                    view = DetailView(
                        bytes(key["addr"]), int(key["port"]), int(key["kind"]), group_by, window
                    )
                    expected = engine.detail(view)
                    assert_equal_details(client.detail(view), expected)
                    n_slots += len(expected.minute)
                    n_connections += len(expected.slowest)
    assert n_slots > 20
    assert n_connections > 20


def test_the_screen_of_a_client_shows_history_and_connections(daemon: Daemon) -> None:
    args = ("-m", "trtop", "attach", "--window=all", daemon.path)
    with OnTerminal(*args, size=(100, 60)) as terminal:
        terminal.wait_for(ADDR)
        terminal.send("d")
        terminal.wait_for("attempts/s")
        terminal.wait_for("Slowest latest request")
        assert "connections" in terminal.text
        terminal.send("q")
        assert terminal.ended() == 0


@pytest.mark.parametrize("window", [Window.ALL, Window.LAST_60_S])
def test_details_of_parts_are_that_of_the_whole(window: Window) -> None:
    packets = busy(5, 400)
    whole, *parts = (
        Engine(EngineConfig(windows=WINDOWS, group_by=GroupBy.ADDR_PORT), SEED) for _ in range(4)
    )
    whole.feed(PacketBatch.from_packets(packets))
    for number, part in enumerate(parts):
        mine = [packet for packet in packets if _client_port(packet[1]) % len(parts) == number]
        part.feed(PacketBatch.from_packets(mine))
        part.advance(packets[-1][0])
    view = DetailView(mapped("198.51.100.7"), window=window)
    merged = merge_details([part.detail(view) for part in parts], view)
    one = whole.detail(view)
    for name in ("view", "clock_ns", "span_ns", "n_connections"):
        assert getattr(merged, name) == getattr(one, name), name
    rows = merge([part.snapshot(View(window=window)) for part in parts], View(window=window)).table
    row = np.flatnonzero(rows.keys == one.table.keys[0])
    assert_equal_tables(merged.table, rows.take(row))
    assert_equal_tables(merged.table, one.table)
    for ours, theirs in ((merged.minutes, one.minutes), (merged.minute, one.minute)):
        assert len(ours) == len(theirs) > 9
        for name in ("syn", "requests", "rst"):
            assert np.array_equal(ours[name], theirs[name]), name
        assert (ours["response_time_ns"] >= theirs["response_time_ns"]).all()
    assert np.array_equal(merged.minute["start_ns"], one.minute["start_ns"])
    assert np.array_equal(merged.minute["span_ns"], one.minute["span_ns"])
    for name in ("opened_ns", "is_midstream"):
        assert np.array_equal(merged.longest_open[name], one.longest_open[name]), name
    assert np.array_equal(merged.slowest["response_ns"], one.slowest["response_ns"])
    assert len(merged.slowest) == view.n_connections


def _client_port(data: bytes) -> int:
    """The client's port in an Ethernet frame with IPv4 and TCP."""
    source, target = struct.unpack_from(">HH", data, 34)
    return int(source if source >= 20_000 else target)


def test_questions_of_both_kinds_are_answered_a_view_a_turn() -> None:
    desk = Desk()
    try:
        client = desk.client()
        view = DetailView(mapped(ADDR))
        ask = wire.encode_request(wire.AskDetail(7, view))
        client.ask()
        client.send(ask)
        client.send(ask)
        wait_for(lambda: desk.turn() or desk.server.counts.requests == 3)
        desk.server.serve(0, desk.announcement)
        assert (len(desk.asked), desk.details) == (1, [])
        desk.server.serve(0, desk.announcement)
        assert desk.details == [view]
        assert not desk.server.has_work
        assert client.reply()[0].id == 1
        head, body = client.socket.recv_multipart()
        assert wire.decode_reply(head) == wire.DetailAnswer(7)
        assert wire.decode_detail(body).view == view
        client.send(wire.encode_request(wire.AskDetail(8, DetailView(mapped(ADDR), 1))))
        desk.turn()
        desk.server.serve(0, desk.announcement)
        head_, _ = client.reply()
        assert head_ == wire.Refusal(8, wire.Reason.UNAVAILABLE, "not that", wire.VERSION)
    finally:
        desk.close()


@pytest.mark.parametrize("n_daemons", [1, 2])
def test_a_daemon_source_gives_the_detail(daemon: Daemon, n_daemons: int) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    clients = [Client(context, Endpoint(path=str(daemon.path))) for _ in range(n_daemons)]
    source = DaemonSource(clients)
    view = DetailView(mapped(ADDR), kind=int(DestinationKind.ADDR))
    try:
        assert source.answer(view) is None
        got = []
        wait_for(lambda: got.append(source.answer(view)) or got[-1])
        expected = [offline().detail(view)] * n_daemons
        assert_equal_details(
            got[-1], expected[0] if n_daemons == 1 else merge_details(expected, view)
        )
        assert got[-1].table.counters["syn"][0] == n_daemons * expected[0].table.counters["syn"][0]
    finally:
        source.close()
        context.destroy(linger=0)


def test_a_daemon_that_does_not_know_the_question_goes_on_being_shown(tmp_path: Path) -> None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    router = context.socket(zmq.ROUTER)
    router.bind(f"ipc://{tmp_path}/old.sock")
    client = Client(context, Endpoint(path=f"{tmp_path}/old.sock"))
    source = DaemonSource([client])
    engine, asked = offline(), []

    def turn() -> None:
        """What a daemon does that has ``Ask`` alone."""
        while router.poll(0):
            who, data = router.recv_multipart()
            request = wire.decode_request(data)
            asked.append(request)
            if isinstance(request, wire.Ask):
                head = wire.encode_reply(wire.Answer(request.id, "old"))
                body = wire.encode_snapshot(engine.snapshot(request.view))
                router.send_multipart([who, head, body])
            else:
                refusal = wire.Refusal(0, wire.Reason.MALFORMED, "what?", wire.VERSION)
                router.send_multipart([who, wire.encode_reply(refusal)])

    view = DetailView(mapped(ADDR))
    try:
        wait_for(lambda: turn() or source.poll(View()) is not None)
        wait_for(lambda: turn() or source.answer(view) is not None or not client.takes(view))
        n_asked = len(asked)
        wait_for(lambda: turn() or source.answer(view) or source.poll(View()) is not None)
        assert source.status().notices == ()
        assert [type(request) for request in asked[n_asked:]] == [wire.Ask]
    finally:
        source.close()
        context.destroy(linger=0)
