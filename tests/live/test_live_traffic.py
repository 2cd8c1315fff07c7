"""Real connections between two hosts show exactly the numbers that were made."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import IO

import pytest
from support.builders.ethertypes import NETWORK, OTHER
from support.compare import SEED
from support.feeding import drive, drive_for, feeding, turn, whole
from support.netns import Host, needs_root, two_hosts
from support.services import (
    DELAY_S,
    N_CONNECTIONS,
    N_REQUESTS,
    PORT,
    TIMEOUT_S,
    family_of,
    http_service,
    listen_drops,
    listener,
    resetting_service,
    use_http,
    use_late,
    use_refusing,
    use_resetting,
)

from trtop_core import Engine, EngineConfig, Snapshot, TrtopError, View
from trtop_core.metrics import COUNTERS
from trtop_core.records import NS_PER_S, Direction
from trtop_core.snapshot import Row
from trtop_core.sources import open_capture
from trtop_daemon.ipc.feed import CaptureConfig
from trtop_daemon.processes.supervisor import Supervisor

pytestmark = needs_root

N_REFUSED, N_RESET, N_LATE = 7, 5, 3

TOLERANCE_S = 0.9
"""What a machine at its limits may add to a delay: less than a retransmission would."""


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    with two_hosts() as made:
        yield made


def connector(host: Host) -> Callable[[str], socket.socket]:
    """Connects from a host."""

    def connect(address: str) -> socket.socket:
        with host.inside():
            made = socket.socket(family_of(address), socket.SOCK_STREAM)
        made.settimeout(TIMEOUT_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            made.connect((address, PORT))
        except BaseException:
            made.close()
            raise
        return made

    return connect


def meanwhile(feed: Supervisor, work: Callable[[], None]) -> None:
    """Turn the feed while work is done in another thread."""
    failures: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    while thread.is_alive():
        turn(feed, 0.02)
    thread.join(TIMEOUT_S)
    if failures:
        raise failures[0]


def rows_of(snapshot: Snapshot) -> dict[str, Row]:
    return {row.name: row for row in snapshot.rows()}


def counted(row: Row) -> dict[str, int]:
    """Every counter that is not 0, but for those that hang on how segments were cut and timed."""
    left_out = ("bytes_out", "bytes_in", "acked_bytes", "segments_out", "segments_in")
    return {n: row.count(n) for n in COUNTERS if row.count(n) and n not in left_out}


def await_listening(said: IO[bytes]) -> None:
    """Until tcpdump captures; it says two lines at once, or one after the other."""
    text = b""
    while b"listening on" not in text:
        assert select.select([said], [], [], TIMEOUT_S)[0], "tcpdump does not start"
        part = os.read(said.fileno(), 4096)  # not line by line: select sees no buffer
        assert part, "tcpdump has ended"
        text += part


HTTP_COUNTS = {
    "syn": N_CONNECTIONS,
    "synack": N_CONNECTIONS,
    "est": N_CONNECTIONS,
    "fin_out": N_CONNECTIONS,
    "requests": N_REQUESTS,
    "responses": N_REQUESTS,
}


def is_settled(feed: Supervisor, n_connections: int) -> bool:
    """All connections were seen, and seen to end, and the kernel's totals say the same."""
    snapshot = whole(feed)
    totals, health = snapshot.totals, snapshot.health
    is_over = totals.count("syn") >= n_connections and totals.count("active") == 0
    return is_over and (health.received or 0) >= health.packets


def assert_delay(row: Row, sketch: str, delay_s: float, n_samples: int) -> None:
    record = row.sketch_record(sketch)
    assert record["count"] == n_samples
    assert delay_s <= record["min_ns"] / NS_PER_S <= delay_s + TOLERANCE_S
    assert delay_s * 0.99 <= record["p50_ns"] / NS_PER_S <= delay_s + TOLERANCE_S


@pytest.mark.parametrize("version", [4, 6])
def test_four_services_show_what_was_done_to_them(hosts: tuple[Host, Host], version: int) -> None:
    near, far = hosts
    sound, refusing, resetting, late = (far.address(i, version) for i in range(4))
    with contextlib.ExitStack() as stack:
        stack.enter_context(near.inside())
        with far.inside():
            stack.enter_context(http_service(sound))
            stack.enter_context(resetting_service(resetting))
            late_listener = stack.enter_context(listener(late, backlog=0))
            n_dropped = stack.enter_context(listen_drops())
        feed = stack.enter_context(feeding(CaptureConfig(interfaces=(near.link,))))
        connect = connector(near)

        def work() -> None:
            use_http(sound, connect)
            use_refusing(refusing, connect, N_REFUSED)
            use_resetting(resetting, connect, N_RESET)
            use_late(late_listener, n_dropped, late, connect, N_LATE)

        meanwhile(feed, work)
        drive(feed, lambda: is_settled(feed, N_CONNECTIONS + N_REFUSED + N_RESET + 2 * N_LATE))
        snapshot = whole(feed)
    rows = rows_of(snapshot)
    assert set(rows) == {sound, refusing, resetting, late}
    assert counted(rows[sound]) == HTTP_COUNTS
    assert_delay(rows[sound], "response_time", DELAY_S, N_REQUESTS)
    assert rows[sound].samples("connect_latency") == N_CONNECTIONS
    assert rows[sound].sketch_record("connect_latency")["p50_ns"] < TOLERANCE_S * NS_PER_S
    assert counted(rows[refusing]) == {
        "syn": N_REFUSED,
        "rst": N_REFUSED,
        "rst_in": N_REFUSED,
        "refused": N_REFUSED,
    }
    assert counted(rows[resetting]) == {
        "syn": N_RESET,
        "synack": N_RESET,
        "est": N_RESET,
        "requests": N_RESET,
        "unanswered": N_RESET,
        "rst": N_RESET,
        "rst_in": N_RESET,
    }
    expected_late = {
        "syn": 2 * N_LATE,
        "synack": 2 * N_LATE,
        "est": 2 * N_LATE,
        "fin_out": 2 * N_LATE,
        "syn_retrans": N_LATE,
    }
    assert counted(rows[late]) == expected_late
    late_record = rows[late].sketch_record("connect_latency")
    assert 1.0 <= late_record["max_ns"] / NS_PER_S <= 1.0 + 2 * TOLERANCE_S
    assert late_record["min_ns"] / NS_PER_S <= TOLERANCE_S
    health = snapshot.health
    assert (health.kernel_dropped, health.interface_dropped, health.read_lost) == (0, 0, 0)
    assert health.received == health.packets


@pytest.mark.parametrize("interface", ["lo", "any"])
def test_loopback_packets_count_once(hosts: tuple[Host, Host], interface: str) -> None:
    near, _ = hosts
    with contextlib.ExitStack() as stack:
        stack.enter_context(near.inside())
        stack.enter_context(http_service("127.0.0.1"))
        feed = stack.enter_context(feeding(CaptureConfig(interfaces=(interface,))))
        meanwhile(feed, lambda: use_http("127.0.0.1", connector(near)))
        drive(feed, lambda: is_settled(feed, N_CONNECTIONS))
        snapshot = whole(feed)
    assert counted(rows_of(snapshot)["127.0.0.1"]) == HTTP_COUNTS
    assert snapshot.health.duplicates == 0
    assert snapshot.health.kernel_dropped == 0
    # Not promiscuous on `any`: libpcap's 0 means nothing there.
    assert snapshot.health.interface_dropped == (0 if interface == "lo" else None)


def test_outgoing_and_incoming_are_told_apart_by_this_machines_addresses(
    hosts: tuple[Host, Host],
) -> None:
    near, far = hosts
    there, here = far.address(0), near.address(0)
    with contextlib.ExitStack() as stack:
        stack.enter_context(near.inside())
        with far.inside():
            stack.enter_context(http_service(there))
        stack.enter_context(http_service(here))
        feeds = [
            stack.enter_context(
                feeding(CaptureConfig((near.link,), engine=EngineConfig(direction=direction)))
            )
            for direction in (Direction.OUT, Direction.IN)
        ]
        work = (
            lambda: use_http(there, connector(near)),
            lambda: use_http(here, connector(far), 13, 17),
        )
        for part in work:
            meanwhile(feeds[0], part)
        for feed, n_connections in zip(feeds, (N_CONNECTIONS, 13), strict=True):
            drive(feed, lambda f=feed, n=n_connections: is_settled(f, n))  # type: ignore[misc]
        outgoing, incoming = (rows_of(whole(feed)) for feed in feeds)
    assert {name: counted(row) for name, row in outgoing.items()} == {there: HTTP_COUNTS}
    assert set(incoming) == {there}  # the client that called us
    assert counted(incoming[there])["syn"] == 13
    assert counted(incoming[there])["responses"] == 17


def test_an_address_that_comes_later_is_local_from_then_on(hosts: tuple[Host, Host]) -> None:
    near, far = hosts
    there, later = far.address(0), "10.83.77.7"
    with contextlib.ExitStack() as stack:
        stack.enter_context(near.inside())
        with far.inside():
            stack.enter_context(http_service(there))
        feed = stack.enter_context(feeding(CaptureConfig(interfaces=(near.link,))))
        near.ip("addr", "add", f"{later}/16", "dev", near.link)
        drive(feed, lambda: ip_network(later) in feed.engines.local)

        def connect(address: str) -> socket.socket:
            with near.inside():
                made = socket.create_connection((address, PORT), TIMEOUT_S, (later, 0))
            return made

        meanwhile(feed, lambda: use_http(there, connect, 5, 7))
        drive(feed, lambda: is_settled(feed, 5))
        assert counted(rows_of(whole(feed))[there])["responses"] == 7
        near.ip("addr", "del", f"{later}/16", "dev", near.link)
        drive(feed, lambda: ip_network(later) not in feed.engines.local)


def read_so_far(path: Path, host: Host) -> Snapshot:
    """What is in a capture that is being written, as seen from a host."""
    engine = Engine(EngineConfig(local=(ip_network(f"{host.address(0)}/24"),)), SEED)
    with open_capture(str(path)) as source, contextlib.suppress(TrtopError):
        for batch in source:
            engine.feed(batch)
    engine.finish()
    return engine.snapshot(View())


@pytest.mark.skipif(not shutil.which("tcpdump"), reason="needs tcpdump")
@pytest.mark.parametrize("interface", ["near0", "any"])
def test_tcpdump_beside_it_gives_the_same_counters_offline(
    hosts: tuple[Host, Host], interface: str, tmp_path: Path
) -> None:
    near, far = hosts
    there = far.address(0)
    path = tmp_path / "beside.pcap"
    with contextlib.ExitStack() as stack:
        stack.enter_context(near.inside())
        with far.inside():
            stack.enter_context(http_service(there))
        feed = stack.enter_context(feeding(CaptureConfig(interfaces=(interface,))))
        options = ["-Z", "root", "-U", "--immediate-mode", "-n", "-s", "128"]
        beside = subprocess.Popen(
            ["tcpdump", *options, "-i", interface, "-w", str(path), "tcp"], stderr=subprocess.PIPE
        )
        stack.callback(beside.wait, TIMEOUT_S)
        stack.callback(beside.kill)
        assert beside.stderr is not None
        stack.enter_context(beside.stderr)
        await_listening(beside.stderr)
        meanwhile(feed, lambda: use_http(there, connector(near)))
        drive(feed, lambda: is_settled(feed, N_CONNECTIONS))
        drive_for(feed, 0.2)  # the last acknowledgement, behind both FINs
        feed.stop()
        ours = whole(feed)
        n_segments = ours.health.packets - ours.health.not_tcp
        drive(feed, lambda: read_so_far(path, near).health.packets >= n_segments)
    theirs = read_so_far(path, near)
    assert theirs.health.packets == n_segments
    assert {name: counted(row) for name, row in rows_of(ours).items()} == {
        name: counted(row) for name, row in rows_of(theirs).items()
    }
    assert counted(rows_of(ours)[there]) == HTTP_COUNTS
    for name in ("bytes_out", "bytes_in", "acked_bytes"):
        assert ours.totals.count(name) == theirs.totals.count(name)


def test_fanned_out_engines_add_up(hosts: tuple[Host, Host]) -> None:
    near, far = hosts
    there = far.address(0)
    with contextlib.ExitStack() as stack:
        stack.enter_context(near.inside())
        with far.inside():
            stack.enter_context(http_service(there))
        feed = stack.enter_context(feeding(CaptureConfig((near.link,), fanout=3)))
        assert len(feed.slots) == 3
        meanwhile(feed, lambda: use_http(there, connector(near)))
        drive(feed, lambda: is_settled(feed, N_CONNECTIONS))
        assert counted(rows_of(whole(feed))[there]) == HTTP_COUNTS
        shares = [engine.snapshot(View()).totals.count("syn") for engine in feed.engines.engines]
        assert sum(shares) == N_CONNECTIONS
        assert max(shares) < N_CONNECTIONS


def test_two_interfaces_that_share_connections_are_one_capture(hosts: tuple[Host, Host]) -> None:
    """Requests go out through one interface, answers come back through another."""
    near, far = hosts
    there, me = far.address(0), "10.84.0.1"
    near.ip("link", "add", "near1", "type", "veth", "peer", "name", "far1", "netns", far.name)
    near.ip("addr", "add", f"{me}/32", "dev", "lo")
    near.ip("addr", "add", "10.85.0.1/24", "dev", "near1")
    far.ip("addr", "add", "10.85.0.2/24", "dev", "far1")
    near.ip("link", "set", "near1", "up")
    far.ip("link", "set", "far1", "up")
    far.ip("route", "add", f"{me}/32", "via", "10.85.0.1")
    for host in (near, far):
        with host.inside():
            for name in ("all", "default", host.link, f"{host.link[:-1]}1"):
                Path(f"/proc/sys/net/ipv4/conf/{name}/rp_filter").write_text("0")
    with contextlib.ExitStack() as stack:
        stack.enter_context(near.inside())
        with far.inside():
            stack.enter_context(http_service(there))
        feed = stack.enter_context(feeding(CaptureConfig(("near0", "near1"))))

        def connect(address: str) -> socket.socket:
            with near.inside():
                return socket.create_connection((address, PORT), TIMEOUT_S, (me, 0))

        meanwhile(feed, lambda: use_http(there, connect))
        drive(feed, lambda: is_settled(feed, N_CONNECTIONS))
        snapshot = whole(feed)
    assert counted(rows_of(snapshot)[there]) == HTTP_COUNTS
    assert_delay(rows_of(snapshot)[there], "response_time", DELAY_S, N_REQUESTS)


WRAPPINGS = {
    "vlan": "link {link} name {name} type vlan id 7",
    "qinq": "link {name}o name {name} type vlan id 9",
    "vxlan": "name {name} type vxlan id 7 dstport 4789 local {here} remote {there}",
    "geneve": "name {name} type geneve id 7 remote {there}",
    "gre": "name {name} type gre local {here} remote {there} ttl 64",
    "ipip": "name {name} type ipip local {here} remote {there} ttl 64",
}
"""What ``ip link add`` is told to make an interface that wraps packets on their way."""


def wrap(hosts: tuple[Host, Host], kind: str) -> str:
    """Join two hosts by a tag or tunnel over their veth; gives the far end's address there."""
    for number, (host, peer) in enumerate((hosts, hosts[::-1]), start=1):
        told = WRAPPINGS[kind].format(
            link=host.link, name="wrap0", here=host.address(0), there=peer.address(0)
        )
        try:
            if kind == "qinq":
                outer = f"link {host.link} name wrap0o type vlan proto 802.1ad id 7"
                host.ip("link", "add", *outer.split())
                host.ip("link", "set", "wrap0o", "up")
            host.ip("link", "add", *told.split())
        except subprocess.CalledProcessError as error:
            pytest.skip(f"the kernel makes no {kind}: {error.stderr.decode().strip()}")
        host.ip("addr", "add", f"10.86.0.{number}/24", "dev", "wrap0")
        host.ip("link", "set", "wrap0", "up")
    return "10.86.0.2"


@pytest.mark.parametrize("kind", WRAPPINGS)
def test_connections_in_tags_and_tunnels_count_on_the_wire(
    hosts: tuple[Host, Host], kind: str
) -> None:
    near, far = hosts
    there = wrap(hosts, kind)
    with contextlib.ExitStack() as stack:
        stack.enter_context(near.inside())
        with far.inside():
            stack.enter_context(http_service(there))
        feed = stack.enter_context(feeding(CaptureConfig((near.link,))))
        meanwhile(feed, lambda: use_http(there, connector(near)))
        drive(feed, lambda: is_settled(feed, N_CONNECTIONS))
        assert counted(rows_of(whole(feed))[there]) == HTTP_COUNTS


@pytest.mark.parametrize("interface", ["near0", "any"])
def test_the_kernel_lets_all_through_that_the_decoder_reads(
    hosts: tuple[Host, Host], interface: str
) -> None:
    """Network cards and the kernel take tags off before the filter runs, and put them back."""
    near, far = hosts
    with contextlib.ExitStack() as stack:
        stack.enter_context(near.inside())
        feed = stack.enter_context(feeding(CaptureConfig((interface,), snaplen_bytes=256)))
        with far.inside():
            sender = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0))
            sender.bind((far.link, 0))
        # On `any` the kernel takes the outer tag off and tells the innermost ethertype; libpcap 1.9
        # puts the tag before that: what has two tags comes out garbled.
        garbled = ("qinq", "three tags") if interface == "any" else ()
        wanted = {name: frame for name, frame in NETWORK.items() if name not in garbled}
        for frames in (OTHER, wanted):
            for ethertype, body in frames.values():
                to_nobody = b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01"
                sender.send(to_nobody + ethertype.to_bytes(2) + body)
        n_frames = len(wanted)

        def n_read() -> int:
            health = whole(feed).health
            return health.packets - health.not_tcp

        drive(feed, lambda: n_read() >= n_frames, 10, "for frames")
        feed.stop()
        health = whole(feed).health
    assert (health.undecoded, n_read()) == ({"fragment": 1}, n_frames)
