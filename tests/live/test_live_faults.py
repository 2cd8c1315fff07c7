"""What goes wrong around a capture: processes that die or stop, interfaces that come and go."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq
from support.daemons import wait_for
from support.feeding import drive, drive_for, feeding, turn, whole
from support.netns import Host, furnish, needs_root, two_hosts
from support.paths import ROOT, TESTS
from support.services import DELAY_S, TIMEOUT_S, http_service, use_http
from test_live_traffic import connector, meanwhile, rows_of

from trtop_core import TrtopError
from trtop_core.records import NS_PER_S
from trtop_core.wire import Severity
from trtop_daemon.ipc.batch_message import Message, MessageKind, pack
from trtop_daemon.ipc.feed import MIN_BUFFER_BYTES, CaptureConfig
from trtop_daemon.processes.supervisor import Supervisor

pytestmark = needs_root

SENDER = ROOT / "benchmarks" / "sender.py"
MAIN = TESTS / "support" / "live_main.py"

ONLY_SENT = "tcp dst port 443"

N_OTHER = 50
"""Most packets of other protocols on a link in a test: ARP and neighbour discovery."""
"""What ``send`` sends, and nothing that the hosts say of their own."""


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    with two_hosts() as made:
        yield made


def send(far: Host, n_packets: int, rate: float | None = None) -> None:
    """Packets from the far host, and back when they are sent."""
    command = [sys.executable, str(SENDER), far.link, "--packets", str(n_packets)]
    command += [] if rate is None else ["--rate", str(rate)]
    with far.inside():
        done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert json.loads(done.stdout)["sent"] == n_packets


def arrived(host: Host) -> int:
    """Packets that reached the interface, by the interface's own count."""
    return int(_statistics(host)["rx"]["packets"])


def passed(host: Host) -> int:
    """Packets that reached or left the interface, by the interface's own count."""
    statistics = _statistics(host)
    return int(statistics["rx"]["packets"]) + int(statistics["tx"]["packets"])


def _statistics(host: Host) -> dict[str, Any]:
    shown = subprocess.run(
        ["ip", "-n", host.name, "-j", "-s", "link", "show", host.link],
        capture_output=True,
        check=True,
        timeout=30,
    )
    statistics: dict[str, Any] = json.loads(shown.stdout)[0]["stats64"]
    return statistics


def child_pid(feed: Supervisor, number: int = 0) -> int:
    child = feed.slots[number].child
    assert child is not None
    return child.pid


def texts(feed: Supervisor) -> list[str]:
    return [notice.text for notice in feed.notices]


class MainProcess:
    """``live_main.py``, asked line by line."""

    def __init__(self, **config: Any) -> None:
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self.process = subprocess.Popen(
            [sys.executable, str(MAIN), json.dumps(config)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environ,
        )

    def __enter__(self) -> MainProcess:
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(TIMEOUT_S)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        assert select.select([self.process.stdout], [], [], TIMEOUT_S)[0], "no answer"
        heard: dict[str, Any] = json.loads(self.process.stdout.readline())
        return heard

    def ask(self, what: str = "") -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{what}\n".encode())
        self.process.stdin.flush()
        return self.hear()

    def ask_until(self, is_so: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        end_s = time.monotonic() + TIMEOUT_S
        while not is_so(answer := self.ask()):
            assert time.monotonic() < end_s, answer
        return answer


def status_of(pid: int) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def is_running(pid: int) -> bool:
    try:
        return status_of(pid)["State"][0] not in "ZX"
    except FileNotFoundError:
        return False


CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def test_the_capture_subprocess_has_no_privileges_left() -> None:
    with feeding(CaptureConfig(("lo",), user="nobody")) as feed:
        pid = child_pid(feed)
        status = status_of(pid)
        for task in Path(f"/proc/{pid}/task").iterdir():
            of_thread = status_of(int(task.name))
            assert {name: int(of_thread[name], 16) for name in CAPABILITIES} == dict.fromkeys(
                CAPABILITIES, 0
            )
            assert of_thread["NoNewPrivs"] == "1"
            assert set(of_thread["Uid"].split()) == {"65534"}
        assert status["Groups"].strip() == ""
        drive(feed, lambda: whole(feed).health.received is not None)


def test_a_main_process_without_privileges_still_restarts_its_capture(
    hosts: tuple[Host, Host],
) -> None:
    near, far = hosts
    with near.inside(), MainProcess(interfaces=[near.link], drops=True) as main:
        first = main.hear()
        status = status_of(main.process.pid)
        assert set(status["Uid"].split()) == {"65534"}
        for name in CAPABILITIES:
            assert int(status[name], 16) == 0
        assert status["NoNewPrivs"] == "1"
        os.kill(first["pids"][0], signal.SIGKILL)
        later = main.ask_until(lambda a: a["pids"] and a["pids"] != first["pids"])
        main.ask_until(lambda a: "nothing was captured there" in "".join(a["notices"]))
        for name in CAPABILITIES[:3]:
            assert int(status_of(later["pids"][0])[name], 16) == 0
        send(far, 1_009)
        main.ask_until(lambda a: a["health"]["packets"] >= 1_009)


def test_a_killed_subprocess_is_noticed_and_replaced(
    hosts: tuple[Host, Host],
) -> None:
    near, far = hosts
    opened_ns = time.time_ns()
    with near.inside(), feeding(CaptureConfig((near.link,))) as feed:
        send(far, 101)
        drive(feed, lambda: whole(feed).health.packets >= 101)
        pid = child_pid(feed)
        began_ns = time.time_ns()
        os.kill(pid, signal.SIGKILL)
        drive(feed, lambda: feed.notices)
        (notice,) = feed.notices
        assert notice.text == f"capture on {near.link} died (signal 9), restarting in 0.5 s"
        assert notice.severity is Severity.ERROR
        assert began_ns <= notice.time_ns <= time.time_ns()
        assert whole(feed).health.interruptions == 1
        send(far, 103)  # nobody captures: these are the gap
        drive(feed, lambda: "nothing was captured" in "".join(texts(feed)))
        (text,) = texts(feed)
        health = whole(feed).health
        assert health.interruptions == 1
        # From what it had told last, or from when its death was seen, however late that was.
        assert 0 < health.interrupted_ns <= time.time_ns() - opened_ns
        assert text == (
            f"capture on {near.link} died (signal 9); "
            f"nothing was captured there for {health.interrupted_ns / NS_PER_S:.1f} s"
        )
        before = health.packets
        send(far, 107)
        drive(feed, lambda: whole(feed).health.packets - before >= 107)
        assert whole(feed).health.interruptions == 1
        assert child_pid(feed) != pid


def test_a_subprocess_that_dies_again_and_again_is_started_more_and_more_slowly() -> None:
    with feeding(CaptureConfig(("lo",))) as feed:
        waits = []
        for _ in range(3):
            os.kill(child_pid(feed), signal.SIGKILL)
            drive(feed, lambda: "restarting" in "".join(texts(feed)))
            waits.append(re.findall(r"in (\S+) s", texts(feed)[0])[0])
            drive(feed, lambda: "nothing was captured" in "".join(texts(feed)))
        assert waits == ["0.5", "1", "2"]
        assert whole(feed).health.interruptions == 3


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_subprocess_does_not_outlive_its_parent(number: int) -> None:
    with MainProcess(interfaces=["lo"]) as main:
        pids = main.hear()["pids"]
        assert all(is_running(pid) for pid in pids)
        main.process.send_signal(number)
        main.process.wait(TIMEOUT_S)
        wait_for(lambda: not any(is_running(pid) for pid in pids))


def test_what_a_stopped_main_process_does_not_take_is_counted_to_the_packet(
    hosts: tuple[Host, Host],
) -> None:
    near, far = hosts
    n_packets = 300_007
    with (
        near.inside(),
        MainProcess(
            interfaces=[near.link],
            buffer_bytes=MIN_BUFFER_BYTES,
            capture_filter=ONLY_SENT,
        ) as main,
    ):
        main.hear()
        main.process.send_signal(signal.SIGSTOP)
        send(far, n_packets)
        main.process.send_signal(signal.SIGCONT)
        answer = main.ask_until(lambda a: (a["health"]["received"] or 0) >= n_packets)
        main.ask_until(
            lambda a: (
                a["health"]["packets"] + a["health"]["kernel_dropped"] == a["health"]["received"]
            )
        )
        answer = main.ask("stop")
        health = answer["health"]
        assert health["kernel_dropped"] > 0
        assert health["received"] == n_packets
        assert health["packets"] == n_packets - health["kernel_dropped"]
        assert health["loss"] == health["kernel_dropped"] / health["received"]


def test_a_flood_is_decoded_or_counted_as_dropped_and_delays_stay_right(
    hosts: tuple[Host, Host],
) -> None:
    near, far = hosts
    there = far.address(0)
    n_packets = 400_009
    with contextlib.ExitStack() as stack:
        stack.enter_context(near.inside())
        with far.inside():
            stack.enter_context(http_service(there))
        config = CaptureConfig((near.link,), buffer_bytes=MIN_BUFFER_BYTES)
        feed = stack.enter_context(feeding(config))
        before, passed_before = arrived(near), passed(near)
        asked: list[float] = []
        is_over = threading.Event()

        def ask() -> None:
            connect = connector(near)
            while not is_over.is_set():
                began_s = time.monotonic()
                use_http(there, connect, 1, 1)
                asked.append(time.monotonic() - began_s)

        thread = threading.Thread(target=ask)
        thread.start()
        # A subprocess that stands still for a moment makes sure that the ring runs over.
        os.kill(child_pid(feed), signal.SIGSTOP)
        flood = threading.Thread(target=send, args=(far, n_packets))
        flood.start()
        while flood.is_alive():
            turn(feed, 0.02)
            if arrived(near) - before > n_packets // 2:
                os.kill(child_pid(feed), signal.SIGCONT)
        os.kill(child_pid(feed), signal.SIGCONT)
        flood.join(TIMEOUT_S)
        is_over.set()
        meanwhile(feed, lambda: thread.join(TIMEOUT_S))
        drive(feed, lambda: whole(feed).totals.count("active") <= 1_100)
        feed.stop()
        snapshot = whole(feed)
        n_passed = passed(near) - passed_before
    health = snapshot.health
    assert health.kernel_dropped
    assert health.kernel_dropped > 0
    assert health.packets + health.kernel_dropped == health.received
    # The sender's own count, and what the interface counted: ARP is no TCP, the rest is there.
    assert n_packets < health.received <= n_passed
    assert n_passed - health.received < N_OTHER
    n_flood = sum(row.count("midstream") for row in snapshot.rows() if row.name != there)
    assert n_flood > 0
    assert all(row.suspect for row in snapshot.rows())
    row = rows_of(snapshot)[there]
    assert row.count("responses") > 0
    record = row.sketch_record("response_time")
    assert record["count"] > 0
    assert record["min_ns"] / NS_PER_S >= DELAY_S
    assert record["max_ns"] / NS_PER_S <= max(asked)


def test_an_interface_that_goes_down_and_up_is_said_and_captured_on(
    hosts: tuple[Host, Host],
) -> None:
    near, far = hosts
    config = CaptureConfig((near.link,), capture_filter=ONLY_SENT)
    with near.inside(), feeding(config) as feed:
        pid = child_pid(feed)
        near.ip("link", "set", near.link, "down")
        drive(feed, lambda: texts(feed) == [f"{near.link} is down"])
        near.ip("link", "set", near.link, "up")
        drive(feed, lambda: texts(feed) == [f"{near.link} is up again"])
        # What is sent before the subprocess has looked again may wait, but is not lost.
        send(far, 211)
        drive(feed, lambda: whole(feed).health.packets >= 211)
        assert child_pid(feed) == pid
        drive_for(feed, 0.5)
        health = whole(feed).health
        assert (health.interruptions, health.read_lost) == (0, 0)


def test_what_passes_while_a_device_is_opened_is_not_received(hosts: tuple[Host, Host]) -> None:
    near, far = hosts
    config = CaptureConfig((near.link,), capture_filter="tcp dst port 1")
    command = [sys.executable, str(SENDER), far.link, "--packets", "100000", "--rate", "50000"]
    for _ in range(3):
        with far.inside(), subprocess.Popen(command, stdout=subprocess.DEVNULL) as sender:
            before = arrived(near)
            wait_for(lambda before=before: arrived(near) > before)
            with near.inside(), feeding(config) as feed:
                drive(feed, lambda: whole(feed).health.received is not None)
                drive_for(feed, 0.3)
                assert arrived(near) > before + 1_000
                assert whole(feed).health.received == 0
            sender.kill()


def test_packets_that_a_read_error_throws_away_are_counted(hosts: tuple[Host, Host]) -> None:
    near, far = hosts
    n_packets = 1_021
    config = CaptureConfig((near.link,), capture_filter=ONLY_SENT)
    with near.inside(), feeding(config) as feed:
        os.kill(child_pid(feed), signal.SIGSTOP)
        send(far, n_packets)
        near.ip("link", "set", near.link, "down")
        os.kill(child_pid(feed), signal.SIGCONT)
        drive(feed, lambda: whole(feed).health.packets + whole(feed).health.read_lost >= n_packets)
        feed.stop()
        health = whole(feed).health
    assert health.packets + health.read_lost == health.received == n_packets
    assert health.loss == health.read_lost / n_packets


def test_an_interface_that_vanishes_is_awaited(hosts: tuple[Host, Host]) -> None:
    near, far = hosts
    with near.inside(), feeding(CaptureConfig((near.link,))) as feed:
        send(far, 113)
        drive(feed, lambda: whole(feed).health.packets >= 113)
        near.ip("link", "del", near.link)
        said = f"{near.link} is gone; capturing goes on when it is back"
        drive(feed, lambda: texts(feed) == [said])
        assert feed.notices[0].severity is Severity.ERROR
        drive(feed, lambda: feed.slots[0].child is None)
        drive_for(feed, 1.0)
        assert texts(feed) == [said]
        near.ip("link", "add", near.link, "type", "veth", "peer", "name", far.link)
        near.ip("link", "set", far.link, "netns", far.name)
        for host in (near, far):
            furnish(host)
        drive(feed, lambda: feed.slots[0].has_spoken)
        drive(feed, lambda: re.fullmatch(rf"{near.link} was gone for \d+\.\d s", texts(feed)[0]))
        before = whole(feed).health.packets
        send(far, 127)
        drive(feed, lambda: whole(feed).health.packets - before >= 127)


def test_an_interface_that_is_replaced_is_captured_on_anew(hosts: tuple[Host, Host]) -> None:
    near, far = hosts
    with near.inside(), feeding(CaptureConfig((near.link,))) as feed:
        pid = child_pid(feed)
        near.ip("link", "del", near.link)
        near.ip("link", "add", near.link, "type", "veth", "peer", "name", far.link)
        near.ip("link", "set", far.link, "netns", far.name)
        for host in (near, far):
            furnish(host)
        drive(feed, lambda: feed.slots[0].child and child_pid(feed) != pid)
        drive(feed, lambda: feed.slots[0].has_spoken)
        before = whole(feed).health.packets
        send(far, 131)
        drive(feed, lambda: whole(feed).health.packets - before >= 131)


def test_any_goes_on_when_an_interface_vanishes(hosts: tuple[Host, Host]) -> None:
    near, far = hosts
    near.ip("link", "add", "extra", "type", "veth", "peer", "name", "extra-peer")
    near.ip("link", "set", "extra", "up")
    with near.inside(), feeding(CaptureConfig()) as feed:
        pid = child_pid(feed)
        near.ip("link", "del", "extra")
        send(far, 137)
        drive(feed, lambda: whole(feed).health.packets >= 137)
        assert child_pid(feed) == pid
        assert not feed.notices


def test_a_stopped_subprocess_is_said_and_goes_on(hosts: tuple[Host, Host]) -> None:
    near, far = hosts
    with near.inside(), feeding(CaptureConfig((near.link,))) as feed:
        os.kill(child_pid(feed), signal.SIGSTOP)
        drive(feed, lambda: feed.notices)
        assert texts(feed) == [
            f"capture on {near.link} does not answer; "
            "packets wait in the kernel while its buffer lasts"
        ]
        assert not feed.is_capturing
        send(far, 1_013)
        os.kill(child_pid(feed), signal.SIGCONT)
        drive(feed, lambda: texts(feed) == [f"capture on {near.link} answers again"])
        drive(feed, lambda: whole(feed).health.packets >= 1_013)
        health = whole(feed).health
        assert (health.kernel_dropped, health.interruptions) == (0, 0)
        assert feed.is_capturing


def test_what_no_subprocess_sends_is_refused_and_harms_nothing() -> None:
    with feeding(CaptureConfig(("lo",))) as feed:
        drive(feed, lambda: whole(feed).health.received is not None)
        stranger: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.PUSH)
        with stranger:
            stranger.linger = 0
            stranger.connect(feed.endpoint)
            sound = pack(Message(MessageKind.PACKETS, child=7))
            chance = random.Random(31)
            garbage = [
                [b""],
                [b"GET / HTTP/1.1"],
                [sound[0]],
                [sound[0], b"x" * 1_000_000, b""],
                sound,
                pack(Message(MessageKind.END, child=0, generation=9)),
                *([chance.randbytes(chance.randrange(200)) for _ in range(3)] for _ in range(200)),
            ]
            for number, parts in enumerate(garbage, start=1):
                stranger.send_multipart(parts)
                drive(feed, lambda n=number: f"refused {n:,} messages" in "".join(texts(feed)))
        assert len(texts(feed)) == 1
        assert whole(feed).health.packets == 0
        assert not feed.is_finished
        assert feed.slots[0].child is not None


def test_stopping_ends_even_a_stopped_subprocess(hosts: tuple[Host, Host]) -> None:
    near, _ = hosts
    with near.inside(), feeding(CaptureConfig((near.link,))) as feed:
        pid = child_pid(feed)
        os.kill(pid, signal.SIGSTOP)
        feed.stop()
        assert not is_running(pid)


def test_stopping_takes_what_the_kernel_still_holds(hosts: tuple[Host, Host]) -> None:
    near, far = hosts
    with near.inside(), feeding(CaptureConfig((near.link,), timeout_ms=1_000)) as feed:
        send(far, 1_019)
        feed.stop()
        health = whole(feed).health
        assert health.packets - health.not_tcp == 1_019
        assert health.received == health.packets
        assert not feed.sockets
        assert not feed.filenos()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (CaptureConfig(("nowhere0",)), r"nowhere0: no such interface; trtopd --list-interfaces"),
        (
            CaptureConfig(("lo",), capture_filter="tcp port http or"),
            r"the filter 'tcp port http or' is wrong: .*; see pcap-filter\(7\)",
        ),
        (
            CaptureConfig(("any",), capture_filter="vlan 7"),
            r"the filter 'vlan 7' is wrong: no VLAN support.*",
        ),
        (CaptureConfig(("lo",), user="no such user"), r"there is no user no such user; .*--user"),
    ],
)
def test_what_cannot_start_is_one_line(config: CaptureConfig, message: str) -> None:
    with pytest.raises(TrtopError) as caught, feeding(config):
        pass
    assert re.fullmatch(message, str(caught.value))


def test_an_interface_that_is_down_at_the_start_is_one_line(hosts: tuple[Host, Host]) -> None:
    near, _ = hosts
    near.ip("link", "set", near.link, "down")
    with near.inside(), pytest.raises(TrtopError) as caught, feeding(CaptureConfig((near.link,))):
        pass
    assert str(caught.value) == f"{near.link}: is down; bring it up: ip link set {near.link} up"


def test_nothing_is_left_behind() -> None:
    pattern = f"trtop-{os.getpid()}-*"
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with feeding(CaptureConfig(("lo",))) as feed:
            pid = child_pid(feed)
            assert list(Path("/tmp").glob(pattern))
        assert not is_running(pid)
        assert not list(Path("/tmp").glob(pattern))
    assert len(os.listdir("/proc/self/fd")) == len(before)
