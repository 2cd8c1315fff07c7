"""The laboratory itself: its path, its arithmetic, its judgement. One that is off by one fails."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from lab import LabError
from lab.forwarder import Segment, read_log
from lab.measures import Kind, Times, Truth, judge, times_of, truth_of
from lab.network import FAR, Link, Network, network
from lab.processes import run, running, wait_until
from lab.report import Result, page
from lab.retransmissions import ACK, FIN, SYN, passed_again
from lab.store import Record, keep, recall
from lab.table import PAIRINGS
from support.netns import needs_root

NS_PER_MS = 1_000_000
PORT = 7_777
N_TRIES = 200
TIMEOUT_S = 120.0

TRUTH = Truth(23, 5, Times(50 * NS_PER_MS, 130 * NS_PER_MS), Times(40 * NS_PER_MS, 120 * NS_PER_MS))


def a_row(**changes: object) -> dict[str, object]:
    """What trtop would say of ``TRUTH``."""
    return {
        "syn": 5,
        "requests": 23,
        "responses": 23,
        "unanswered": 0,
        "tls_failed": 0,
        "multiplexed": 0,
        "withheld": 0,
        "out_of_order": 0,
        "retrans_out": 3,
        "retrans_in": 4,
        "response_time": {"count": 23, "p50_ns": 50.4e6, "p95_ns": 131e6},
        "server_time": {"count": 23, "p50_ns": 40.4e6, "p95_ns": 121e6},
        "verdict": "SLOW SERVER",
        **changes,
    }


def failed(kind: Kind, truth: Truth, row: dict[str, object]) -> list[str]:
    return [check.what for check in judge(kind, truth, row).failures]


def test_a_row_that_says_the_truth_meets_its_targets() -> None:
    assert failed(Kind.ALTERNATING, TRUTH, a_row()) == []


@pytest.mark.parametrize("field", ["syn", "requests", "responses", "unanswered", "multiplexed"])
def test_a_count_that_is_off_by_one_fails(field: str) -> None:
    row = a_row()
    row[field] = int(str(row[field])) + 1
    assert failed(Kind.ALTERNATING, TRUTH, row) == [field]


def test_a_field_that_is_missing_fails() -> None:
    row = a_row()
    del row["unanswered"]
    assert failed(Kind.ALTERNATING, TRUTH, row) == ["unanswered"]


@pytest.mark.parametrize(
    ("p50_ms", "holds"), [(52.4, True), (52.6, False), (47.6, True), (47, False)]
)
def test_a_percentile_may_be_5_percent_off(p50_ms: float, holds: bool) -> None:
    row = a_row(response_time={"count": 23, "p50_ns": p50_ms * NS_PER_MS, "p95_ns": 130e6})
    assert (failed(Kind.ALTERNATING, TRUTH, row) == []) == holds


def test_a_percentile_may_be_1_ms_off_where_that_is_more() -> None:
    truth = replace(TRUTH, response_time=Times(200_000, 300_000))
    row = a_row(response_time={"count": 23, "p50_ns": 1.1e6, "p95_ns": 1.4e6})
    assert failed(Kind.ALTERNATING, truth, row) == ["response_time p95"]


def test_server_time_may_lie_between_what_is_known_and_what_the_client_saw() -> None:
    truth = replace(
        TRUTH,
        service=Times(40 * NS_PER_MS, 120 * NS_PER_MS),
        server_time=Times(50 * NS_PER_MS, 120 * NS_PER_MS),
    )
    for p50_ms, holds in [(37.9, False), (38.1, True), (45, True), (52.4, True), (52.6, False)]:
        times = {"count": 23, "p50_ns": p50_ms * NS_PER_MS, "p95_ns": 120e6}
        row = a_row(server_time=times, verdict="SLOW SERVER")
        assert (failed(Kind.ALTERNATING, truth, row) == []) == holds


def test_a_farewell_is_a_request_that_nobody_has_to_answer() -> None:
    truth = replace(TRUTH, farewells=5)
    assert failed(Kind.ALTERNATING, truth, a_row(requests=28)) == []
    assert failed(Kind.ALTERNATING, truth, a_row()) == ["requests"]


def test_one_connection_in_a_hundred_may_stay_unrecognised_as_multiplexed() -> None:
    truth = Truth(500, 100)
    few = {"count": 7, "p50_ns": None, "p95_ns": None}
    for shown, holds in [(98, False), (99, True), (100, True), (101, False)]:
        row = a_row(syn=100, multiplexed=shown, response_time=few, verdict="MIXED")
        assert (failed(Kind.MULTIPLEXED, truth, row) == []) == holds
    many = {"count": 201, "p50_ns": 1, "p95_ns": 1}
    row = a_row(syn=100, multiplexed=100, response_time=many, verdict="MIXED")
    assert failed(Kind.MULTIPLEXED, truth, row) == ["response_time count at most"]


def test_under_loss_each_request_is_timed_or_withheld_or_unanswered() -> None:
    truth = replace(TRUTH, retrans_out=3, retrans_in=4)
    told = {"count": 20, "p50_ns": 1, "p95_ns": 1}
    assert failed(Kind.LOSSY, truth, a_row(response_time=told, withheld=3)) == []
    row = a_row(response_time=told, withheld=2)
    assert failed(Kind.LOSSY, truth, row) == ["timed + withheld + unanswered"]
    assert failed(Kind.LOSSY, truth, a_row(retrans_in=5, out_of_order=1)) == [
        "out_of_order",
        "retrans_in",
    ]


def test_a_wrong_verdict_fails() -> None:
    truth = replace(TRUTH, server_time=Times(40 * NS_PER_MS, 120 * NS_PER_MS))
    assert failed(Kind.ALTERNATING, truth, a_row(verdict="SLOW SERVER")) == []
    quick = replace(truth, server_time=Times(40 * NS_PER_MS, 99 * NS_PER_MS))
    assert failed(Kind.ALTERNATING, quick, a_row(verdict="ok")) == ["server_time p95"]
    assert failed(Kind.ALTERNATING, truth, a_row(verdict="ok")) == ["verdict"]
    assert failed(Kind.ALTERNATING, truth, a_row(verdict=None)) == ["verdict"]
    few = replace(truth, requests=9)
    row = a_row(requests=9, responses=9, verdict="ok")
    assert failed(Kind.ALTERNATING, few, row) == []


def test_percentiles_are_by_nearest_rank() -> None:
    assert times_of(range(1, 101)) == Times(50, 95)
    assert times_of([7]) == Times(7, 7)
    assert times_of([]) is None


def segment(
    is_out: bool, seq: int, length: int, flags: int = ACK, is_lost: bool = False
) -> Segment:
    ports = (40_000, 443) if is_out else (443, 40_000)
    return Segment(0, is_out, is_lost, *ports, seq % 2**32, 0, flags, length)


@pytest.mark.parametrize("isn", [0, 2**31 - 5, 2**32 - 1500])
def test_segments_sent_again_count_where_the_capture_sees_both(isn: int) -> None:
    log = [
        segment(True, isn, 0, SYN),
        segment(False, isn, 0, SYN | ACK),
        segment(True, isn + 1, 1000, is_lost=True),
        segment(True, isn + 1, 1000),  # lies before what was lost: sent again
        segment(False, isn + 1, 1000, is_lost=True),
        segment(False, isn + 1001, 1000),
        segment(False, isn + 1, 1000),  # fills the hole: sent again
        segment(False, isn + 2001, 500, is_lost=True),
        segment(False, isn + 2001, 500),  # the tail was lost: the first that is seen
        segment(False, isn + 2001, 500),  # and this is not
        segment(False, isn + 2001, 900),  # holds new data
        segment(False, isn + 2901, 0, FIN | ACK),
        segment(False, isn + 2901, 0, FIN | ACK),
        segment(True, isn + 1000, 1),  # a keep-alive
    ]
    counted = passed_again(Truth(1, 1), log)
    assert (counted.retrans_out, counted.retrans_in) == (1, 2)


def test_names_of_pairings_are_unique() -> None:
    assert len({pairing.name for pairing in PAIRINGS}) == len(PAIRINGS)


def test_each_connection_of_a_pairing_has_a_request() -> None:
    assert all(min(pairing.work.shares()) >= 1 for pairing in PAIRINGS)


def test_what_is_kept_is_recalled(tmp_path: Path) -> None:
    capture = tmp_path / f"{PAIRINGS[0].name}.pcap"
    capture.touch()
    kept = keep(PAIRINGS[0], TRUTH, capture)
    assert list(recall(tmp_path)) == [kept]
    assert truth_of(TRUTH.as_dict()) == TRUTH


def test_the_page_says_what_is_met_and_what_did_not_run() -> None:
    record = Record("a", "curl", "nginx", "HTTP", Kind.ALTERNATING, TRUTH, Path())
    good = Result(record, judge(Kind.ALTERNATING, TRUTH, a_row()))
    bad = Result(record, judge(Kind.ALTERNATING, TRUTH, a_row(requests=24)))
    text = page([good, bad], {"b": "needs caddy"})
    assert "1 of 2 pairings" in text
    assert "| 23 / 24 |" in text
    assert "**no**: requests" in text
    assert "- b: needs caddy" in text


@pytest.fixture
def join(tmp_path: Path) -> Callable[[Link], Network]:
    return lambda link: network(link, tmp_path)


@needs_root
def test_a_round_trip_takes_twice_the_delay(join: Callable[[Link], Network]) -> None:
    with join(Link(delay_us=15_000)) as hosts:
        with hosts.far.inside():
            listening = socket.create_server((FAR, PORT), backlog=256)
        with listening:
            # On a busy machine some take longer; none is ever shorter.
            for _ in range(N_TRIES):
                took_s = connect_s(hosts)
                assert took_s >= 0.030
                if took_s < 0.033:
                    return
    pytest.fail("no round trip was as short as it should be")


def connect_s(hosts: Network) -> float:
    """How long connecting takes."""
    with hosts.near.inside():
        connecting = socket.socket()
    with connecting:
        connecting.settimeout(TIMEOUT_S)
        start_s = time.monotonic()
        connecting.connect((FAR, PORT))
        return time.monotonic() - start_s


def talk_bulk(hosts: Network, n_bytes: int) -> None:
    """Send bytes one way over one connection, to the end."""
    with hosts.far.inside():
        listening = socket.create_server((FAR, PORT))
    with hosts.near.inside():
        sending = socket.socket()

    def receive() -> None:
        with listening, listening.accept()[0] as accepted:
            accepted.settimeout(TIMEOUT_S)
            while accepted.recv(65_536):
                pass

    receiving = threading.Thread(target=receive)
    receiving.start()
    with sending:
        sending.settimeout(TIMEOUT_S)
        sending.connect((FAR, PORT))
        sending.sendall(bytes(n_bytes))
    receiving.join(TIMEOUT_S)
    assert not receiving.is_alive()


@needs_root
def test_the_seed_decides_which_frames_are_lost(join: Callable[[Link], Network]) -> None:
    with join(Link(delay_us=500, loss_out=0.05, seed=3)) as hosts:
        talk_bulk(hosts, 400_000)
        log = read_log(hosts.log)
    rng = random.Random("3 out")
    ways = {True: [one for one in log if one.is_out], False: [one for one in log if not one.is_out]}
    assert [one.is_lost for one in ways[True]] == [rng.random() < 0.05 for _ in ways[True]]
    assert not any(one.is_lost for one in ways[False])
    assert any(one.is_lost for one in ways[True])


@needs_root
def test_a_program_is_gone_with_all_that_it_started(
    join: Callable[[Link], Network], tmp_path: Path
) -> None:
    name = f"lab-sleeper-{time.monotonic_ns()}"
    script = f"exec -a {name} sleep 300 & exec -a {name} sleep 300"
    with join(Link()) as hosts:
        with running(hosts.far, ["bash", "-c", script], tmp_path / "log"):
            wait_until(lambda: n_processes(name) >= 2, TIMEOUT_S, "both have started")
        wait_until(lambda: n_processes(name) == 0, TIMEOUT_S, "both have ended")


@needs_root
def test_nothing_is_left_when_the_laboratory_is_killed(tmp_path: Path) -> None:
    name = f"lab-sleeper-{time.monotonic_ns()}"
    program = f"""
import sys, time
from pathlib import Path
from lab.network import Link, network
from lab.processes import running
folder = Path({str(tmp_path)!r})
with network(Link(), folder) as hosts:
    command = ["bash", "-c", "exec -a {name} sleep 300"]
    with running(hosts.far, command, folder / "log"):
        time.sleep(300)
"""
    folders = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
    setup = f"import sys; sys.path[:0] = {folders!r}\n"
    with subprocess.Popen([sys.executable, "-c", setup + program]) as lab:
        wait_until(lambda: n_processes(name) >= 1, TIMEOUT_S, "it has started")
        number = f"lab{lab.pid}x0"
        lab.kill()
    wait_until(lambda: n_processes(name) == 0, TIMEOUT_S, "it has ended")
    for end in ("a", "b"):  # namespaces have names, and nobody was left to remove them
        subprocess.run(["ip", "netns", "del", number + end], check=True)


def n_processes(name: str) -> int:
    """How many processes have this as their name."""
    found = 0
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += path.read_bytes().startswith(name.encode())
        except OSError:
            continue
    return found


@needs_root
def test_a_client_that_fails_is_told_of_in_its_own_words(
    join: Callable[[Link], Network],
) -> None:
    with join(Link()) as hosts, pytest.raises(LabError, match="bash: status 3: alas"):
        run(hosts.near, ["bash", "-c", "echo alas >&2; exit 3"], TIMEOUT_S)
