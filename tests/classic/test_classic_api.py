"""The classes of the classic API, called as a program calls them."""

import io
import logging
import random
import threading
import time
from pathlib import Path

import pytest
from support.builders.names import client_hello
from support.builders.packets import ACK, FIN, NS_PER_MS, NS_PER_S, PSH, RST, SYN, Talk
from support.builders.savefile import write_pcap
from support.scripts import BY_ADDRESS, FIRST_NS, conversation, workload, write_workload

from trtop.classic.analyzer import BaseAnalyser, BaseAnalyzer, OutgoingTCPAnalyzer
from trtop.classic.collector import BaseCollector, TCPDumpFileCollector
from trtop.classic.packet import FLAGS_OF, UnifiedPacket, unified_packets
from trtop.classic.remote_state import TcpRemoteState
from trtop.classic.reporter import (
    BaseReporter,
    CLICursesOutgoingTCPReporter,
    CLIEventAppendReporter,
)
from trtop.names.base import BaseResolver
from trtop.names.resolvers import DefaultDNSResolver, NoResolver
from trtop.names.whitelist import DefaultWhitelist, StaticListWhitelist
from trtop.runtime.environment import Environment
from trtop_core.batch import CaptureCounters, PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.engine import Engine
from trtop_core.errors import TrtopError
from trtop_core.snapshot import Snapshot
from trtop_core.view import View

PATIENCE_S = 120


def analyzed(
    packets: list[tuple[int, bytes]], analyzer: OutgoingTCPAnalyzer | None = None
) -> OutgoingTCPAnalyzer:
    analyzer = analyzer or OutgoingTCPAnalyzer(DefaultWhitelist(), DefaultDNSResolver())
    analyzer.feed(PacketBatch.from_packets(packets))
    analyzer.finish()
    return analyzer


def story() -> list[tuple[int, bytes]]:
    """Of 11 attempts 7 are established after 30 ms, 2 are refused, 2 are not answered; in the 7
    there are 5 requests each, answered after 50 ms; 4 are closed by the client, 3 by the server."""
    packets = []
    for i in range(11):
        talk, at = Talk(client_port=40_000 + i), FIRST_NS + i * NS_PER_S
        packets.append((at, talk.out(100, flags=SYN)))
        if i < 7:
            packets.append((at + 20 * NS_PER_MS, talk.back(500, 101, SYN | ACK)))
            packets.append((at + 30 * NS_PER_MS, talk.out(101, 501)))
            for k in range(5):
                asked = at + (100 + 100 * k) * NS_PER_MS
                packets.append((asked, talk.out(101 + 4 * k, 501 + 4 * k, ACK | PSH, b"PING")))
                answer = talk.back(501 + 4 * k, 105 + 4 * k, ACK | PSH, b"PONG")
                packets.append((asked + 50 * NS_PER_MS, answer))
            done = at + 700 * NS_PER_MS
            fins = [talk.out(121, 521, FIN | ACK), talk.back(521, 121, FIN | ACK)]
            for fin in fins if i < 4 else fins[::-1]:
                packets.append((done, fin))
        elif i < 9:
            packets.append((at + NS_PER_MS, talk.back(0, 101, RST | ACK)))
    return packets


# Remotes.


def test_a_remote_answers_every_classic_getter() -> None:
    remote = analyzed(story()).tracked_remotes["198.51.100.7"]
    assert remote.hostname == "198.51.100.7"
    assert remote.get_syn_count() == 11
    assert remote.get_syn_ack_count() == remote.get_est_count() == 7
    assert remote.get_rst_count() == 2
    assert remote.get_fin_out_count() == 4
    assert remote.get_fin_in_count() == 3
    assert remote.get_outgoing_count() == remote.get_incoming_count() == 35
    assert remote.get_pkt_err_count() == remote.get_retransmit_counter() == 0
    assert remote.get_rt_per_conn_95th() == 5
    span_s = 10
    assert remote.get_syn_mean_rate() == pytest.approx(11 / span_s)
    assert remote.get_est_mean_rate() == pytest.approx(7 / span_s)
    for latency in ("mean", "95th", "min", "max"):
        assert getattr(remote, f"get_conn_latency_{latency}")() == pytest.approx(30, rel=0.01)
    assert remote.get_transport_rtt_95th() == pytest.approx(50, rel=0.01)
    assert remote.get_percentile("syn_rtt", 50) == pytest.approx(20, rel=0.01)
    assert remote.record()["refused"] == 2
    assert "attempts 11, established 7 (63.64%" in str(remote)


def test_a_remote_without_samples_answers_zero_and_an_asterisk() -> None:
    packets = [(FIRST_NS, Talk().out(100, flags=SYN))]
    remote = analyzed(packets).tracked_remotes["198.51.100.7"]
    assert remote.get_rt_per_conn_95th() == "*"
    latencies = [f"conn_latency_{what}" for what in ("mean", "95th", "min", "max")]
    for getter in (*latencies, "transport_rtt_95th", "syn_mean_rate", "est_mean_rate"):
        assert getattr(remote, f"get_{getter}")() == 0.0
    assert "established 0 (0.00%" in str(remote)


def test_lost_and_repeated_segments_are_told() -> None:
    talk = Talk()
    again = talk.out(101, 501, payload=b"PING")
    packets = [
        (FIRST_NS, talk.out(100, flags=SYN)),
        (FIRST_NS + NS_PER_MS, talk.back(500, 101, SYN | ACK)),
        (FIRST_NS + 2 * NS_PER_MS, talk.out(101, 501)),
        (FIRST_NS + 3 * NS_PER_MS, again),
        (FIRST_NS + 300 * NS_PER_MS, talk.out(101, 501, payload=b"PING")),
        (FIRST_NS + 400 * NS_PER_MS, talk.back(501, 205)),
    ]
    remote = analyzed(packets).tracked_remotes["198.51.100.7"]
    assert remote.get_retransmit_counter() == 1
    assert remote.get_pkt_err_count() == 1


def test_a_remote_stays_the_same_object_and_grows() -> None:
    analyzer = OutgoingTCPAnalyzer()
    analyzer.feed(PacketBatch.from_packets(story()[:1]))
    remote = analyzer.tracked_remotes["198.51.100.7"]
    assert remote.get_syn_count() == 1
    analyzer.feed(PacketBatch.from_packets(story()[1:]))
    assert analyzer.tracked_remotes["198.51.100.7"] is remote
    assert remote.get_syn_count() == 11


def test_more_remotes_than_one_block_of_rows_are_told_apart() -> None:
    packets = [
        (FIRST_NS + i, Talk(server=f"10.1.{i // 250}.{i % 250}").out(100, flags=SYN))
        for i in range(2003)
    ]
    heard: list[str] = []

    class Listener(BaseReporter):
        def handle_remote_event(self, remote: TcpRemoteState) -> None:
            assert remote.get_syn_count() == 1
            heard.append(remote.hostname)

    analyzer = OutgoingTCPAnalyzer()
    analyzer.set_observer(Listener())
    analyzed(packets, analyzer)
    assert len(heard) == len(set(heard)) == 2003


# Analyzers.


def test_a_resolver_and_a_whitelist_shape_what_an_analyzer_tracks() -> None:
    class Letters(BaseResolver):
        def resolve(self, addr: str, port: int) -> str:
            return f"{addr[-1]}:{port}"

    analyzer = analyzed(
        workload(), OutgoingTCPAnalyzer(StaticListWhitelist(["127.0.0.1"]), Letters())
    )
    counts = {name: remote.get_syn_count() for name, remote in analyzer.tracked_remotes.items()}
    assert counts == {"1:80": 23, "1:443": 3}


def test_packets_fed_one_by_one_count_as_in_batches() -> None:
    packets = story() + [
        (at, frame)
        for i in range(3)
        for at, frame in conversation("10.0.0.9", 443, 900 + i, FIRST_NS)
    ]
    packets.sort(key=lambda packet: packet[0])
    hello = client_hello("api.example.com")
    packets.append((FIRST_NS + 60 * NS_PER_S, Talk(server="10.0.0.8").out(1, 1, payload=hello)))
    fast = analyzed(packets).snapshot()
    slow_analyzer = OutgoingTCPAnalyzer()
    for packet in unified_packets(PacketBatch.from_packets(packets)):
        slow_analyzer.analyse(packet)
    slow_analyzer.finish()
    assert slow_analyzer.snapshot().record(True) == fast.record(True)
    assert fast.totals.count("tls_turns") == 1


def test_packets_made_by_hand_count() -> None:
    analyzer = OutgoingTCPAnalyzer()

    def analyse(
        ts: str | float, out: bool, flags: str, seq: int, ack: int, length: int = 0
    ) -> None:
        packet = UnifiedPacket()
        ends = [("10.0.0.1", 40_000), ("198.51.100.7", 443)]
        (packet.src, packet.src_port), (packet.dst, packet.dst_port) = ends if out else ends[::-1]
        packet.timestamp, packet.flags = ts, flags  # type: ignore[assignment] - a script may
        packet.sequence, packet.ack, packet.length = seq, ack, length
        analyzer.analyse(packet)

    analyse("1714565000.000001", True, "S", 100, 0)
    analyse("1714565000.030001", False, "S.", 500, 101)
    analyse(1714565000.040001, True, ".", 101, 501)
    analyse("1714565000.100001", True, "P.", 111, 501, 10)
    analyse("1714565000.150001", False, "P.", 521, 111, 20)
    analyse("1714565000.200001", False, "F.", 521, 111)
    analyzer.finish()
    remote = analyzer.tracked_remotes["198.51.100.7"]
    assert remote.get_syn_count() == remote.get_est_count() == remote.get_fin_in_count() == 1
    assert remote.get_conn_latency_max() == pytest.approx(40, abs=0.001)
    assert remote.get_outgoing_count() == remote.get_incoming_count() == 1
    assert remote.get_transport_rtt_95th() == pytest.approx(50, rel=0.01)
    assert remote.row.count("bytes_out") == 10
    assert remote.row.count("bytes_in") == 20


@pytest.mark.parametrize(
    ("field", "value"), [("ts_ns", None), ("src", None), ("dst", "::1"), ("src_port", 70_000)]
)
def test_a_packet_that_lacks_something_is_refused(field: str, value: object) -> None:
    packet = next(unified_packets(PacketBatch.from_packets(story()[:1])))
    packet.raw = None
    setattr(packet, field, value)
    with pytest.raises(ValueError, match="packet"):
        OutgoingTCPAnalyzer().analyse(packet)


def test_an_analyzer_that_looks_at_packets_first_still_counts() -> None:
    class Without443(OutgoingTCPAnalyzer):
        def analyse(self, packet: UnifiedPacket) -> None:
            if packet.remote_port() != 443:
                super().analyse(packet)

    analyzer = Without443()
    batch = PacketBatch.from_packets(workload(), counters=CaptureCounters(280, 3, None))
    analyzer.feed(batch)
    analyzer.finish()
    counts = {name: remote.get_syn_count() for name, remote in analyzer.tracked_remotes.items()}
    assert counts == {"127.0.0.1": 23, "10.9.8.7": 2}
    assert analyzer.snapshot().health.kernel_dropped == 3


def test_an_analyzer_of_ones_own_gets_each_segment(tmp_path: Path) -> None:
    class Lines(BaseAnalyser):
        def __init__(self) -> None:
            self.lines: list[str] = []

        def analyse(self, packet: UnifiedPacket) -> None:
            self.lines.append(f"{packet.timestamp} {packet.flags} {packet.remote_ip()}")

    analyzer = Lines()
    TCPDumpFileCollector(analyzer, write_workload(tmp_path / "x.pcap")).start()
    assert len(analyzer.lines) == 280
    assert analyzer.lines[0] == "1714565000.000000000 S 127.0.0.1"
    assert [line.split()[1] for line in analyzer.lines[:8]] == [
        "S", "S.", ".", ".", ".", "F.", "F.", ".",
    ]  # fmt: skip
    assert BaseAnalyzer is BaseAnalyser
    BaseAnalyser().analyse(UnifiedPacket())


def test_the_observer_is_told_what_is_new_and_nothing_twice() -> None:
    heard: list[tuple[str, int]] = []

    class Listener(BaseReporter):
        def handle_remote_event(self, remote: TcpRemoteState) -> None:
            heard.append((remote.hostname, remote.get_syn_count()))

    analyzer = OutgoingTCPAnalyzer()
    analyzer.set_observer(Listener())
    analyzer.feed(PacketBatch.from_packets(conversation("10.0.0.1", 80, 1, FIRST_NS)))
    analyzer._next_s = time.monotonic()
    analyzer.tick()
    analyzer.tick()  # not due again
    assert heard == [("10.0.0.1", 1)]
    analyzer.feed(PacketBatch.from_packets(conversation("10.0.0.2", 80, 2, FIRST_NS + NS_PER_S)))
    analyzer.finish()
    analyzer.finish()
    assert heard == [("10.0.0.1", 1), ("10.0.0.2", 1)]


def test_a_whole_picture_goes_to_whoever_takes_one() -> None:
    class Pictures(BaseReporter):
        def __init__(self) -> None:
            self.seen: list[Snapshot] = []

        def handle_snapshot(self, snapshot: Snapshot) -> None:
            self.seen.append(snapshot)

    reporter, analyzer = Pictures(), OutgoingTCPAnalyzer()
    analyzer.set_observer(reporter)
    analyzed(workload(), analyzer)
    assert [part.totals.count("syn") for part in reporter.seen] == [35]


def test_a_configuration_of_ones_own_stays_and_else_the_command_line_holds() -> None:
    nobody = EngineConfig(max_connections=7)
    by_name = View(sort="destination")
    told = OutgoingTCPAnalyzer(config=nobody, view=by_name)
    told.configure(EngineConfig(), View())
    assert told.engine._config is nobody
    assert told.view is by_name
    untold = OutgoingTCPAnalyzer()
    untold.configure(nobody, by_name)
    assert untold.engine._config is nobody
    assert untold.view is by_name
    assert type(untold.engine) is Engine


# Packets.


def test_a_packet_says_what_tcpdump_says() -> None:
    talk = Talk(client="2001:db8::1", server="2001:db8::7")
    frames = [
        (1_500_000_001, talk.out(100, 7, SYN | PSH, b"abc", window=23)),
        (2 * NS_PER_S, talk.back(2**32 - 2, 9, ACK | FIN | PSH, b"abcd")),
        (3 * NS_PER_S, talk.out(5, 6, RST)),
        (4 * NS_PER_S, talk.out(5, 6)),
    ]
    first, second, third, fourth = unified_packets(PacketBatch.from_packets(frames))
    assert (first.src, first.src_port, first.dst, first.dst_port) == (
        "2001:db8::1", 40_000, "2001:db8::7", 443,
    )  # fmt: skip
    assert (first.timestamp, first.ts_ns) == ("1.500000001", 1_500_000_001)
    assert (first.flags, first.sequence, first.ack, first.length, first.window) == (
        "SP", 103, 7, 3, 23,
    )  # fmt: skip
    assert (second.flags, second.sequence, second.length) == ("FP.", 2, 4)
    assert (third.flags, fourth.flags) == ("R", ".")
    assert fourth.is_ack_only()
    assert not second.is_ack_only()
    assert "[FP.] seq 2 ack 9 length 4" in str(second)
    assert FLAGS_OF[0x12] == "S."
    assert FLAGS_OF[0xC2] == "SEW"


@pytest.mark.parametrize(
    ("src_port", "dst_port", "flags", "outgoing"),
    [
        (40_000, 443, "S", True),
        (443, 40_000, "S", True),
        (443, 40_000, "S.", False),
        (40_000, 443, "S.", False),
        (40_000, 443, ".", True),
        (443, 40_000, ".", False),
        (8080, 50_000, "P.", False),
        (50_000, 8080, "P.", True),
        (8080, 9090, ".", True),
        (9090, 8080, ".", True),
        (80, 80, ".", True),
    ],
)
def test_a_packet_guesses_its_client_as_the_engine_does(
    src_port: int, dst_port: int, flags: str, outgoing: bool
) -> None:
    packet = UnifiedPacket()
    packet.src, packet.dst, packet.flags = "10.0.0.1", "10.0.0.2", flags
    packet.src_port, packet.dst_port = src_port, dst_port
    assert packet.is_outgoing() is outgoing
    ends = [("10.0.0.1", src_port), ("10.0.0.2", dst_port)]
    client, server = ends if outgoing else ends[::-1]
    assert (packet.local_ip(), packet.ephemeral_port()) == client
    assert (packet.remote_ip(), packet.remote_port()) == server


# Collectors.


def test_a_collector_reads_several_files_as_one_capture(tmp_path: Path) -> None:
    packets = workload()
    for i, part in enumerate((packets[:100], packets[100:])):
        (tmp_path / f"{i}.pcap").write_bytes(write_pcap(part))
    analyzer = OutgoingTCPAnalyzer()
    collector = TCPDumpFileCollector(analyzer, [str(tmp_path / f"{i}.pcap") for i in range(2)])
    collector.start()
    counts = {name: remote.get_syn_count() for name, remote in analyzer.tracked_remotes.items()}
    assert counts == BY_ADDRESS
    assert (collector.errors, collector.exit_status) == ([], 0)


def test_a_collector_of_a_growing_file_stops_when_it_is_told(tmp_path: Path) -> None:
    path = write_workload(tmp_path / "x.pcap")
    analyzer = OutgoingTCPAnalyzer()
    collector = TCPDumpFileCollector(analyzer, path, follow=True)
    thread = threading.Thread(target=collector.start)
    thread.start()
    deadline_s = time.monotonic() + PATIENCE_S
    while analyzer.engine.snapshot(View()).totals.count("syn") < 35:
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
    collector.stop()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_a_collector_tells_what_it_could_not_read(tmp_path: Path) -> None:
    path = write_workload(tmp_path / "x.pcap")
    path.write_bytes(path.read_bytes()[:-1])
    collector = TCPDumpFileCollector(OutgoingTCPAnalyzer(), path)
    collector.start()
    assert len(collector.errors) == 1
    assert collector.exit_status == 2
    with pytest.raises(TrtopError):
        TCPDumpFileCollector(OutgoingTCPAnalyzer(), tmp_path / "none").start()


def test_the_bases_do_nothing_of_their_own() -> None:
    collector = BaseCollector(BaseAnalyser())
    collector.start()
    collector.stop()
    reporter = BaseReporter()
    reporter.start()
    reporter.handle_remote_event(None)  # type: ignore[arg-type] - it looks at none
    reporter.stop()


# Reporters.


def test_events_are_appended_line_by_line() -> None:
    stream = io.StringIO()
    analyzer = OutgoingTCPAnalyzer()
    reporter = CLIEventAppendReporter(analyzer=analyzer, stream=stream)
    reporter.start()
    analyzed(workload(), analyzer)
    reporter.stop()
    lines = stream.getvalue().splitlines()
    assert [line.partition(":")[0] for line in lines] == list(BY_ADDRESS)


def test_a_reporter_of_events_may_make_its_own_collector_as_the_classic_did(
    tmp_path: Path,
) -> None:
    path, stream = write_workload(tmp_path / "x.pcap"), io.StringIO()
    reporter = CLIEventAppendReporter(
        lambda analyzer: TCPDumpFileCollector(analyzer, path),
        OutgoingTCPAnalyzer,
        lambda: StaticListWhitelist(["127.0.0.2"]),
        NoResolver,
        stream,
    )
    reporter.start()
    reporter.stop()
    assert stream.getvalue().startswith("127.0.0.2: attempts 7, established 7")
    assert stream.getvalue().count("\n") == 1


def test_the_screen_prints_its_last_picture_where_there_is_no_terminal(tmp_path: Path) -> None:
    stdout = io.StringIO()
    analyzer = OutgoingTCPAnalyzer()
    env = Environment(stdout=stdout, stderr=io.StringIO(), environ={})
    reporter = CLICursesOutgoingTCPReporter(analyzer, str(tmp_path / "r"), env)
    reporter.start()
    analyzed(workload(), analyzer)
    assert stdout.getvalue() == ""
    reporter.stop()
    assert "127.0.0.1" in stdout.getvalue()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["r.json", "r.trtop"]
    none = CLICursesOutgoingTCPReporter(analyzer, None, env)
    none.start()
    none.stop()
    assert len(list(tmp_path.iterdir())) == 2


def test_a_resolver_is_asked_once_per_destination_whatever_the_number_of_packets() -> None:
    class Counting(BaseResolver):
        n_asked = 0

        def resolve(self, addr: str, port: int) -> str:
            self.n_asked += 1
            return f"{addr}/{port}"

    resolver = Counting()
    analyzer = OutgoingTCPAnalyzer(None, resolver)
    packets = workload()
    for start in range(0, len(packets), 7):
        analyzer.feed(PacketBatch.from_packets(packets[start : start + 7]))
        analyzer.snapshot()
    analyzer.finish()
    assert len(analyzer.tracked_remotes) == resolver.n_asked == 4


def test_any_order_of_batches_and_single_packets_counts_the_same() -> None:
    rng = random.Random(7)
    packets = workload()
    expected = analyzed(packets).snapshot().record(True)
    analyzer, start = OutgoingTCPAnalyzer(), 0
    while start < len(packets):
        part = PacketBatch.from_packets(packets[start : start + rng.randrange(1, 20)])
        start += len(part)
        if rng.random() < 0.5:
            analyzer.feed(part)
        else:
            for packet in unified_packets(part):
                analyzer.analyse(packet)
    analyzer.finish()
    assert analyzer.snapshot().record(True) == expected


def test_nothing_is_logged_where_nothing_goes_wrong(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        analyzed(workload())
    assert caplog.records == []
