import logging
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from support.builders.packets import SYN, Talk
from support.builders.snapshot import Destination, destination, other, snapshot
from support.name_server import NameServer

from trtop.names.base import BaseResolver, NameAnswer
from trtop.names.dns import RETRY_S, DNSResolver
from trtop.names.engine import NamedEngine
from trtop.names.engine_factory import final_snapshot
from trtop.names.lookup_cache import LookupCache
from trtop.names.namer import MAX_NAME, Namer, clean_name, named, wide
from trtop.names.resolvers import (
    ChainResolver,
    DefaultDNSResolver,
    HostsResolver,
    NoResolver,
)
from trtop.names.whitelist import BaseWhitelist
from trtop_core.batch import PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.errors import TrtopError
from trtop_core.records import GroupBy
from trtop_core.snapshot import Snapshot
from trtop_core.view import View

PATIENCE_S = 120
"""For what must happen; nothing waits so long unless it is broken."""


class Table(BaseResolver):
    """Names from a dict; counts how often it was asked."""

    def __init__(self, names: dict[str, object], needs_port: bool = False) -> None:
        self.names, self.needs_port = names, needs_port
        self.asked: list[tuple[str, int]] = []

    def resolve(self, addr: str, port: int) -> str | None:
        self.asked.append((addr, port))
        return self.names.get(addr)  # type: ignore[return-value]


class Blocked(BaseResolver):
    """Answers when it is let go."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.is_entered = threading.Event()

    def resolve(self, addr: str, port: int) -> str | None:
        self.is_entered.set()
        assert self.gate.wait(PATIENCE_S)
        return f"late-{addr}"


class Broken(BaseResolver):
    def resolve(self, addr: str, port: int) -> str | None:
        raise OSError(f"no way to {addr}")


class Clock:
    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


ROWS = [
    destination("10.0.0.1", syn=23, est=20, connect_latency=[1_000_000, 3_000_000]),
    destination("10.0.0.2", syn=5, est=5, connect_latency=[9_000_000]),
    destination("2001:db8::7", syn=11, est=1),
]


def picture(rows: list[Destination] = ROWS, view: View | None = None) -> Snapshot:
    return snapshot(rows, view or View())


def shown(namer: Namer, view: View | None = None, rows: list[Destination] = ROWS) -> Snapshot:
    """The snapshot once all names have come."""
    view = view or View()
    everything = picture(rows, wide(view, namer.needs_port))
    result = named(everything, view, namer)
    for _ in range(5):
        namer.wait(PATIENCE_S)
        result = named(everything, view, namer)
    return result


def syns(result: Snapshot) -> dict[str, int]:
    return {row.name: row.count("syn") for row in result.rows()}


# Rows.


def test_rows_are_named_and_the_others_keep_their_address() -> None:
    result = shown(Namer(Table({"10.0.0.1": "front"})))
    assert syns(result) == {"front": 23, "2001:db8::7": 11, "10.0.0.2": 5}


def test_equal_names_are_one_row_with_all_its_numbers() -> None:
    result = shown(Namer(Table({"10.0.0.1": "front", "10.0.0.2": "front"})))
    assert syns(result) == {"front": 28, "2001:db8::7": 11}
    front = next(result.rows())
    assert front.samples("connect_latency") == 3
    assert front.sketch_record("connect_latency")["max_ns"] == 9_000_000
    assert result.n_destinations == 2
    assert result.totals.count("syn") == 39


def test_a_limit_and_an_order_hold_after_rows_have_merged() -> None:
    rows = [destination(f"10.0.0.{i}", syn=i) for i in range(1, 8)]
    names = {"10.0.0.3": "sum", "10.0.0.5": "sum"}
    result = shown(Namer(Table(dict(names))), View(limit=2), rows)
    assert syns(result) == {"sum": 8, "10.0.0.7": 7}
    assert result.n_destinations == 6
    assert result.totals.count("syn") == 28


def test_rows_sorted_by_destination_go_by_name_whatever_its_case() -> None:
    namer = Namer(Table({"10.0.0.1": "Zoo", "10.0.0.2": "ant", "2001:db8::7": "Bee"}))
    result = shown(namer, View(sort="destination", descending=False))
    assert list(syns(result)) == ["ant", "Bee", "Zoo"]


def test_a_resolver_that_needs_ports_is_given_them_and_rows_are_by_address_again() -> None:
    rows = [
        destination("10.0.0.1", 80, syn=3),
        destination("10.0.0.1", 443, syn=5),
        destination("10.0.0.2", 80, syn=7),
    ]
    resolver = Table({"10.0.0.2": "back"}, needs_port=True)
    result = shown(Namer(resolver), rows=rows)
    assert sorted(resolver.asked) == [("10.0.0.1", 80), ("10.0.0.1", 443), ("10.0.0.2", 80)]
    assert syns(result) == {"10.0.0.1": 8, "back": 7}


def test_grouped_by_port_the_port_stays_behind_the_name() -> None:
    rows = [
        destination("10.0.0.1", 80, syn=3),
        destination("10.0.0.1", 443, syn=5),
        destination("10.0.0.2", 80, syn=7),
        destination("2001:db8::7", 80, syn=1),
    ]
    names = Table({"10.0.0.1": "front", "10.0.0.2": "front"})
    result = shown(Namer(names), View(group_by=GroupBy.ADDR_PORT), rows)
    assert syns(result) == {"front:80": 10, "front:443": 5, "[2001:db8::7]:80": 1}


def test_the_row_of_all_others_is_never_asked_about() -> None:
    resolver = Table({})
    result = shown(Namer(resolver), rows=[*ROWS, other(syn=2)])
    assert syns(result)["(other)"] == 2
    assert len(resolver.asked) == 3


def test_names_can_be_switched_off_and_on() -> None:
    namer = Namer(Table({"10.0.0.1": "front"}))
    assert "front" in syns(shown(namer))
    namer.is_enabled = False
    assert "10.0.0.1" in syns(shown(namer))
    namer.is_enabled = True
    assert "front" in syns(shown(namer))


def test_a_snapshot_without_rows_stays_one() -> None:
    assert syns(shown(Namer(Table({})), rows=[])) == {}


# Who is asked, and when.


def test_a_resolver_is_asked_once_per_destination_not_once_per_picture() -> None:
    resolver = Table({"10.0.0.1": "front"})
    namer = Namer(resolver)
    for _ in range(7):
        shown(namer)
    assert sorted(resolver.asked) == [("10.0.0.1", 0), ("10.0.0.2", 0), ("2001:db8::7", 0)]


def test_the_rows_at_the_top_get_their_names_first() -> None:
    resolver = Table({})
    shown(Namer(resolver))
    assert [addr for addr, _ in resolver.asked] == ["10.0.0.1", "2001:db8::7", "10.0.0.2"]


def test_a_resolver_that_blocks_delays_a_name_and_no_picture() -> None:
    resolver = Blocked()
    namer = Namer(resolver)
    first = named(picture(), View(), namer)
    assert resolver.is_entered.wait(PATIENCE_S)
    second = named(picture(), View(), namer)
    assert syns(first) == syns(second) == {"10.0.0.1": 23, "2001:db8::7": 11, "10.0.0.2": 5}
    resolver.gate.set()
    assert "late-10.0.0.1" in syns(shown(namer))


def test_a_resolver_that_raises_is_logged_once_and_the_address_is_shown(
    caplog: pytest.LogCaptureFixture,
) -> None:
    namer = Namer(Broken())
    with caplog.at_level(logging.DEBUG, logger="trtop"):
        assert set(syns(shown(namer))) == {"10.0.0.1", "2001:db8::7", "10.0.0.2"}
        shown(namer)
    assert len(caplog.records) == 1
    assert "Broken" in caplog.records[0].getMessage()
    assert namer.failures == ["resolver Broken: OSError: no way to 10.0.0.1 (addresses are shown)"]


def test_a_resolver_that_ends_its_thread_leaves_the_others_running() -> None:
    class Quitter(BaseResolver):
        def resolve(self, addr: str, port: int) -> str | None:
            if addr == "10.0.0.1":
                raise SystemExit(1)
            return "here"

    assert syns(shown(Namer(Quitter()))) == {"10.0.0.1": 23, "here": 16}


def test_one_thread_asks_a_resolver_that_says_nothing_else() -> None:
    class Counting(BaseResolver):
        n_inside = n_most = 0

        def resolve(self, addr: str, port: int) -> str | None:
            self.n_inside += 1
            self.n_most = max(self.n_most, self.n_inside)
            time.sleep(0.001)
            self.n_inside -= 1
            return None

    resolver = Counting()
    shown(Namer(resolver), rows=[destination(f"10.0.0.{i}", syn=1) for i in range(23)])
    assert resolver.n_most == 1


def test_a_resolver_may_be_asked_by_several_threads_if_it_says_so() -> None:
    class Meeting(BaseResolver):
        concurrency = 3

        def __init__(self) -> None:
            self.barrier = threading.Barrier(3)

        def resolve(self, addr: str, port: int) -> str | None:
            self.barrier.wait(PATIENCE_S)
            return f"met-{addr}"

    assert all(name.startswith("met-") for name in syns(shown(Namer(Meeting()))))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("", None),
        ("10.0.0.1", None),
        ("front", "front"),
        (b"front", "front"),
        (b"\xff", "\\xff"),
        (23, "23"),
        ("x" * MAX_NAME, "x" * MAX_NAME),
        ("x" * (MAX_NAME + 1), "x" * (MAX_NAME - 1) + "…"),
    ],
)
def test_whatever_a_resolver_gives_becomes_a_bounded_name(
    given: object, expected: str | None
) -> None:
    assert clean_name(given, "10.0.0.1") == expected


def test_a_whitelist_is_asked_once_per_destination_and_the_rest_is_left_out() -> None:
    class Only(BaseWhitelist):
        def __init__(self) -> None:
            self.asked: list[tuple[str, int]] = []

        def allow(self, host: str, port: int) -> bool:
            self.asked.append((host, port))
            return host == "10.0.0.2"

    whitelist = Only()
    namer = Namer(None, whitelist)
    for _ in range(3):
        result = shown(namer)
    assert syns(result) == {"10.0.0.2": 5}
    assert result.totals.count("syn") == 5
    assert result.n_destinations == 1
    assert len(whitelist.asked) == 3


def test_what_a_whitelist_leaves_out_is_not_asked_for_its_name() -> None:
    class Nobody(BaseWhitelist):
        needs_port = False

        def allow(self, host: str, port: int) -> bool:
            return False

    resolver = Table({})
    assert syns(shown(Namer(resolver, Nobody()))) == {}
    assert resolver.asked == []


def test_a_whitelist_that_raises_is_logged_once_and_hides_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class BrokenList(BaseWhitelist):
        def allow(self, host: str, port: int) -> bool:
            raise KeyError(host)

    with caplog.at_level(logging.DEBUG, logger="trtop"):
        namer = Namer(None, BrokenList())
        assert len(syns(shown(namer))) == 3
    assert len(caplog.records) == 1
    assert namer.failures[0].startswith("whitelist BrokenList: KeyError: ")
    assert namer.failures[0].endswith(" (rows are shown)")


# The look-up cache.


def test_an_answer_is_kept_until_it_is_too_old_and_shown_until_there_is_a_new_one() -> None:
    clock, answers = Clock(), iter(["first", "second"])
    cache: LookupCache[str, str | None] = LookupCache(
        "x", lambda key: (next(answers), 60), None, clock_s=clock
    )
    assert cache.look_up("a") == (None, False)
    assert cache.wait(PATIENCE_S)
    assert cache.look_up("a") == ("first", True)
    clock.now_s += 59
    assert cache.look_up("a") == ("first", True)
    assert cache.n_pending == 0
    clock.now_s += 1
    assert cache.look_up("a") == ("first", True)
    assert cache.wait(PATIENCE_S)
    assert cache.look_up("a") == ("second", True)
    cache.close()


def test_answers_beyond_the_bound_are_forgotten_the_oldest_first() -> None:
    asked: list[int] = []

    def ask(key: int) -> tuple[int, None]:
        asked.append(key)
        return key, None

    cache = LookupCache("x", ask, -1, max_keys=5)
    for key in range(7):
        cache.look_up(key)
        assert cache.wait(PATIENCE_S)
    for key in (6, 5, 4, 3, 2):
        assert cache.look_up(key) == (key, True)
    assert asked == list(range(7))
    assert cache.look_up(0) == (-1, False)
    assert cache.wait(PATIENCE_S)
    assert asked == [*range(7), 0]
    cache.close()


def test_a_closed_asker_ends_its_threads() -> None:
    cache: LookupCache[int, int] = LookupCache(
        "to-be-closed", lambda key: (key, None), 0, n_threads=3
    )
    for key in range(50):
        cache.look_up(key)
    cache.wait(PATIENCE_S)
    threads = [thread for thread in threading.enumerate() if thread.name == "trtop-to-be-closed"]
    assert 1 <= len(threads) <= 3
    cache.close()
    for thread in threads:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


# Chains and files.


def test_the_first_of_a_chain_that_knows_a_name_wins() -> None:
    chain = ChainResolver(
        [Table({"10.0.0.1": "one"}), NoResolver(), Table({"10.0.0.1": "x", "10.0.0.2": "two"})]
    )
    assert syns(shown(Namer(chain))) == {"one": 23, "2001:db8::7": 11, "two": 5}
    assert chain.resolve("10.0.0.2", 0) == "two"
    assert chain.resolve("10.0.0.9", 0) is None


def test_the_next_of_a_chain_is_asked_only_about_what_the_first_did_not_know() -> None:
    second = Table({"10.0.0.2": "two"})
    chain = ChainResolver([Table({"10.0.0.1": "one"}), second])
    shown(Namer(chain))
    assert sorted(second.asked) == [("10.0.0.2", 0), ("2001:db8::7", 0)]


def test_a_chain_in_a_chain_is_one_chain() -> None:
    one, two, three = Table({}), Table({}), Table({})
    assert ChainResolver([one, ChainResolver([two, three])]).links() == (one, two, three)


def test_a_hosts_file_gives_the_first_name_of_each_address(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_bytes(
        b"# 10.0.0.9 remark\n10.0.0.1 front front-alias # the first\n\n10.0.0.1 again\n"
        b"  2001:0db8:0:0::7\tsix\nnonsense\n10.0.0.300 bad\n10.0.0.2\n::ffff:10.0.0.3 mapped\n"
        b"fe80::1%eth0 scoped\n10.0.0.4 stra\xdfe\n"
    )
    hosts = HostsResolver(path)
    known = {addr: hosts.resolve(addr, 0) for addr in ("10.0.0.1", "2001:db8::7", "10.0.0.3")}
    assert known == {"10.0.0.1": "front", "2001:db8::7": "six", "10.0.0.3": "mapped"}
    assert hosts.resolve("fe80::1", 0) == "scoped"
    assert hosts.resolve("10.0.0.4", 0) == "stra\\xdfe"
    assert [hosts.resolve(f"10.0.0.{i}", 0) for i in (2, 9, 30)] == [None] * 3


def test_a_hosts_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrtopError, match="No such file"):
        HostsResolver(tmp_path / "none")


def test_the_default_resolver_shows_addresses_and_asks_nobody() -> None:
    heard: list[tuple[str, str | None]] = []
    for resolver in (DefaultDNSResolver(), NoResolver()):
        assert resolver.resolve("10.0.0.1", 443) == "10.0.0.1"
        assert Namer(resolver).is_idle
        resolver.resolve_async("10.0.0.1", 443, lambda *found: heard.append(found))
    assert heard == [("10.0.0.1", "10.0.0.1")] * 2


def test_a_resolver_without_resolve_says_so() -> None:
    with pytest.raises(NotImplementedError, match="BaseResolver has no resolve"):
        BaseResolver().resolve("10.0.0.1", 443)


# Name servers.


def asking(server: NameServer, **options: float) -> DNSResolver:
    return DNSResolver(["127.0.0.1"], port=server.port, **options)  # type: ignore[arg-type]


def test_names_come_from_ptr_records() -> None:
    names = {"10.0.0.1": "front.example.com.", "2001:db8::7": ["b.example.", "a.example."]}
    with NameServer(names) as server:
        result = shown(Namer(asking(server)))
    assert syns(result) == {"front.example.com": 23, "a.example": 11, "10.0.0.2": 5}
    assert sorted(server.asked) == ["10.0.0.1", "10.0.0.2", "2001:db8::7"]


def test_look_ups_run_at_the_same_time() -> None:
    rows = [destination(f"10.0.1.{i}", syn=1) for i in range(8)]
    names = {row.addr: f"n{i}.example." for i, row in enumerate(rows)}
    # One after the other, each would wait in vain for those behind it.
    with NameServer(names, n_held=len(rows)) as server:
        namer = Namer(asking(server, timeout_s=PATIENCE_S, concurrency=len(rows)))
        result = shown(namer, rows=rows)
    assert set(syns(result)) == {f"n{i}.example" for i in range(8)}


def test_names_are_cached_for_their_time_to_live_within_bounds() -> None:
    with NameServer({"10.0.0.1": "front."}, ttl_s=300) as server:
        resolver = asking(server, min_age_s=60, max_age_s=200)
        answer = resolver.answer("10.0.0.1", 0)
        assert answer == NameAnswer("front", 200)
        assert resolver.answer("10.0.0.1", 443).name == "front"
        assert server.asked == ["10.0.0.1"]
    with NameServer({"10.0.0.1": "front."}, ttl_s=5) as server:
        assert asking(server, min_age_s=60).answer("10.0.0.1", 0) == NameAnswer("front", 60)


def test_the_cache_is_bounded() -> None:
    with NameServer({f"10.0.0.{i}": f"n{i}." for i in range(9)}) as server:
        resolver = asking(server, n_cached=3)
        for i in range(9):
            resolver.resolve(f"10.0.0.{i}", 0)
        resolver.resolve("10.0.0.8", 0)
        assert len(server.asked) == 9
        resolver.resolve("10.0.0.0", 0)
        assert len(server.asked) == 10


def test_no_name_no_record_and_no_answer_are_told_apart_by_when_to_ask_again() -> None:
    with NameServer({"10.0.0.2": []}, silent=frozenset({"10.0.0.3"})) as server:
        resolver = asking(server, timeout_s=0.3, max_age_s=3600)
        assert resolver.answer("10.0.0.1", 0) == NameAnswer(None, 3600)
        assert resolver.answer("10.0.0.2", 0).name is None
        assert resolver.answer("10.0.0.3", 0) == NameAnswer(None, RETRY_S)
        assert resolver.answer("224.0.0.1", 0) == NameAnswer(None)
    assert "224.0.0.1" not in server.asked


def test_a_name_from_dns_with_control_characters_reaches_no_terminal() -> None:
    with NameServer({"10.0.0.1": "evil\\027[2Jx."}) as server:
        name = asking(server).resolve("10.0.0.1", 0)
    assert name is not None
    assert name.isprintable()


def test_a_name_server_that_is_no_address_is_one_line() -> None:
    with pytest.raises(TrtopError, match="no name server"):
        DNSResolver(["not an address"])


def test_a_name_that_comes_later_changes_the_row_and_nothing_else() -> None:
    resolver = Blocked()
    namer = Namer(resolver)
    before = named(picture(), View(), namer)
    resolver.gate.set()
    after = shown(namer)
    assert replace(after, table=before.table) == replace(
        before, table=before.table, total=after.total
    )


def test_a_final_picture_has_the_names_however_fast_they_come() -> None:
    for _ in range(50):
        engine = NamedEngine(EngineConfig(), bytes(16), Namer(Table({"198.51.100.7": "fast"})))
        engine.feed(PacketBatch.from_packets([(1, Talk().out(100, flags=SYN))]))
        engine.finish()
        assert syns(final_snapshot(engine, View())) == {"fast": 1}


def test_a_final_picture_waits_for_one_name_after_the_other_but_not_for_ever() -> None:
    chain = ChainResolver([Table({}), Table({"198.51.100.7": "second"})])
    engine = NamedEngine(EngineConfig(), bytes(16), Namer(chain))
    engine.feed(PacketBatch.from_packets([(1, Talk().out(100, flags=SYN))]))
    assert syns(engine.settled_snapshot(View(), PATIENCE_S)) == {"second": 1}
    blocked = Blocked()
    engine = NamedEngine(EngineConfig(), bytes(16), Namer(blocked))
    engine.feed(PacketBatch.from_packets([(1, Talk().out(100, flags=SYN))]))
    assert syns(engine.settled_snapshot(View(), 0.05)) == {"198.51.100.7": 1}
    blocked.gate.set()


def test_a_resolver_that_blocks_delays_no_packet() -> None:
    resolver = Blocked()
    engine = NamedEngine(EngineConfig(), bytes(16), Namer(resolver))
    engine.feed(PacketBatch.from_packets([(1, Talk().out(100, flags=SYN))]))
    engine.snapshot(View())
    assert resolver.is_entered.wait(PATIENCE_S)
    for i in range(2, 25):
        frames = [(i, Talk(client_port=40_000 + i).out(100, flags=SYN))]
        engine.feed(PacketBatch.from_packets(frames))
        assert syns(engine.snapshot(View())) == {"198.51.100.7": i}
    resolver.gate.set()
    assert syns(engine.settled_snapshot(View(), PATIENCE_S)) == {"late-198.51.100.7": 24}


def test_a_name_stands_beside_the_address_and_the_port_never_in_their_place() -> None:
    rows = [destination("10.0.0.1", syn=1), destination("10.0.0.2", syn=1)]
    view = View(sort="destination", descending=False)
    named_one = shown(Namer(Table({"10.0.0.1": "web"})), view, rows)
    assert [(row["destination"], row["address"], row["port"], row["name"])
            for row in named_one.record()["destinations"]] == [
        ("10.0.0.2", "10.0.0.2", None, None),
        ("web", "10.0.0.1", None, "web"),
    ]  # fmt: skip
    assert {"address", "port", "name"}.isdisjoint(named_one.record()["totals"])
    alike = shown(Namer(Table({"10.0.0.1": "w", "10.0.0.2": "w"})), view, rows)
    (row,) = alike.record()["destinations"]
    assert (row["address"], row["name"], row["syn"]) == (None, "w", 2)
