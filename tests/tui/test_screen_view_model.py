from dataclasses import replace

import pytest
from support.builders.snapshot import MS, destination, other, snapshot
from support.equal import assert_equal
from support.traffic.busy import SEED, busy

from trtop.filters.engines import Labels, filtered_of_engine
from trtop.filters.filter import Filter, parse_filter
from trtop.tui.source import Status
from trtop.tui.state import Grouping, State
from trtop.tui.view_model import ask, everything, make_view_model, needs_all_rows, question
from trtop_core.batch import CaptureCounters, PacketBatch
from trtop_core.config import EngineConfig
from trtop_core.engine import Engine
from trtop_core.health import Health
from trtop_core.merging.delta import since
from trtop_core.metrics import COUNTERS, GAUGES, SKETCHES
from trtop_core.records import NS_PER_S, GroupBy, Window
from trtop_core.snapshot import Snapshot
from trtop_core.table import destination_names
from trtop_core.view import Period, View
from trtop_core.wire.questions import Question, QuestionReply

ROWS = [destination(f"10.0.0.{i}", syn=100 - i, response_time=[i * MS]) for i in range(1, 21)]


def fed(packets: list[tuple[int, bytes]], engine: Engine, **counters: int) -> Engine:
    known = CaptureCounters(**counters) if counters else None
    engine.feed(PacketBatch.from_packets(packets, counters=known))
    return engine


@pytest.mark.parametrize("group_by", list(GroupBy))
@pytest.mark.parametrize("cut", [0, 100, 700])
def test_since_is_what_came_after(group_by: GroupBy, cut: int) -> None:
    packets = busy(11, 60)
    view = View(group_by=group_by, sort="destination", descending=False)
    engine = Engine(EngineConfig(group_by=group_by), SEED)
    if cut:
        fed(packets[:cut], engine, received=cut + 3, kernel_dropped=3)
    before = engine.snapshot(view)
    after = fed(packets[cut:], engine, received=500, kernel_dropped=7).snapshot(view)
    difference = since(after, before)

    places = {key.tobytes(): i for i, key in enumerate(after.table.keys)}
    olds = {key.tobytes(): i for i, key in enumerate(before.table.keys)}
    rows = [*range(len(difference.table)), -1]
    for row in rows:
        table = difference.table if row >= 0 else difference.total
        key = table.keys[row].tobytes()
        now, at = (after.table, places[key]) if row >= 0 else (after.total, 0)
        old = before.table if row >= 0 else before.total
        old_at = olds.get(key) if row >= 0 else 0
        for name in COUNTERS:
            was = 0 if old_at is None else int(old.counters[name][old_at])
            assert table.counters[name][row] == now.counters[name][at] - was, name
        for name in GAUGES:
            assert table.counters[name][row] == now.counters[name][at]
        for name in SKETCHES:
            row_at = row if row >= 0 else 0
            expected = _bins(now, name, at)
            for number, n in _bins(old, name, old_at).items():
                expected[number] -= n
            got = _bins(table, name, row_at)
            assert got == {number: n for number, n in expected.items() if n}, name
            stats = table.sketches[name].stats[row_at]
            assert stats["count"] == sum(got.values())
            if got:
                column = table.sketches[name]
                low, high = int(stats["min"]), int(stats["max"])
                assert low <= int(column.quantiles(50)[row_at]) <= high
    assert difference.span_ns == after.clock_ns - (before.clock_ns or after.first_ns)  # type: ignore[operator]
    assert difference.health.packets == len(packets) - cut
    assert difference.health.received == 500
    assert difference.health.kernel_dropped == 7
    assert difference.n_destinations == len(difference.table)


def _bins(table: object, name: str, row: int | None) -> dict[int, int]:
    if row is None:
        return {}
    column = table.sketches[name]  # type: ignore[attr-defined]
    at = slice(column.indptr[row], column.indptr[row + 1])
    return dict(zip(column.bins[at].tolist(), column.counts[at].tolist(), strict=True))


def test_since_sums_and_extremes_are_of_the_later_samples() -> None:
    early = snapshot([destination("10.0.0.1", syn=1, response_time=[5 * MS, 9 * MS])],
                     health=Health(packets=1))  # fmt: skip
    samples = [5 * MS, 9 * MS, 6 * MS, 7 * MS, 20 * MS]
    late = snapshot([destination("10.0.0.1", syn=3, response_time=samples)],
                    health=Health(packets=3), span_ns=50 * NS_PER_S)  # fmt: skip
    column = since(late, early).table.sketches["response_time"]
    assert column.stats["count"][0] == 3
    assert column.sums() == [33 * MS]
    assert column.stats["max"][0] == 20 * MS  # a new record: exact
    assert column.stats["min"][0] == pytest.approx(6 * MS, rel=0.01)
    assert int(column.quantiles(50)[0]) == pytest.approx(7 * MS, rel=0.01)


def test_since_nothing_happened_has_no_rows() -> None:
    made = snapshot([destination("10.0.0.1", syn=1, response_time=[MS])], health=Health(packets=1))
    difference = since(made, made)
    assert difference.n_destinations == len(difference.table) == 0
    assert difference.totals.count("syn") == difference.totals.samples("response_time") == 0


def test_snapshots_that_left_out_rows_do_not_subtract() -> None:
    whole = snapshot(ROWS, health=Health(packets=1))
    part = snapshot(ROWS, View(limit=3), health=Health(packets=1))
    with pytest.raises(ValueError, match="left out"):
        since(part, whole)
    with pytest.raises(ValueError, match="left out"):
        since(whole, part)


def test_a_source_is_asked_for_the_rows_on_the_screen_alone() -> None:
    view = question(State(), 30, False)
    assert (view.limit, view.sort, view.descending) == (30, "verdict", True)
    assert not needs_all_rows(State(), False)
    assert needs_all_rows(State(filter=parse_filter("rst>0")), False)
    assert needs_all_rows(State(grouping=Grouping.NAME), False)
    assert needs_all_rows(State(), True)
    assert not needs_all_rows(State(window=Window.LAST_10_S), True)
    assert question(State(filter=parse_filter("rst>0")), 30, False).limit is None


def answered(state: State, n_rows: int = 8, **more: object) -> list[str]:
    view = question(state, n_rows, False)
    whole = snapshot(ROWS, view, health=Health(packets=1))
    return list(make_view_model(whole, state, n_rows, None, None, **more).names)  # type: ignore[arg-type]


def test_rows_are_those_of_the_source_in_its_order() -> None:
    assert answered(State()) == [f"10.0.0.{i}" for i in range(1, 9)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("syn<85", [16, 17, 18, 19, 20]), ("rtt>18.5ms", [19, 20]), ("host 10.0.0.1", [1])],
)
def test_a_filter_leaves_the_order_and_the_limit(text: str, expected: list[int]) -> None:
    state = State(filter=parse_filter(text))
    assert answered(state) == [f"10.0.0.{i}" for i in expected]
    assert answered(state, 1) == [f"10.0.0.{expected[0]}"]
    view = question(state, 8, False)
    made = make_view_model(snapshot(ROWS, view, health=Health(packets=1)), state, 1, None, None)
    assert (made.n_rows, made.n_destinations) == (len(expected), 20)
    assert made.snapshot.totals.count("syn") == sum(100 - i for i in range(1, 21))


def names(addr: str, port: int) -> str | None:
    number = int(addr.rpartition(".")[2]) if "." in addr else 0
    return None if number % 4 == 0 else ("odd" if number % 2 else "even")


def test_equal_names_are_one_row_and_unknown_ones_stay_alone() -> None:
    state = State(grouping=Grouping.NAME)
    view = question(state, 30, False)
    answer = snapshot([*ROWS, other(syn=1)], view, health=Health(packets=1))
    made = make_view_model(answer, state, 30, None, names)
    by_name = dict(zip(made.names, made.members, strict=True))
    assert by_name == {
        "odd": 10,
        "even": 5,
        **{f"10.0.0.{i}": 1 for i in (4, 8, 12, 16, 20)},
        "(other)": 1,
    }
    assert made.names[0] == "odd"
    counters = made.snapshot.table.counters["syn"]
    assert counters[0] == sum(100 - i for i in range(1, 21, 2))
    column = made.snapshot.table.sketches["response_time"]
    assert column.stats["count"][0] == 10
    assert int(column.quantiles(100)[0]) == 19 * MS


def test_names_are_searched_beside_addresses() -> None:
    state = State(filter=parse_filter("even"))
    view = question(state, 30, False)
    made = make_view_model(snapshot(ROWS, view, health=Health(packets=1)), state, 30, None, names)
    assert len(made.names) == 5
    state = State(filter=parse_filter("0.0.2"))
    made = make_view_model(snapshot(ROWS, view, health=Health(packets=1)), state, 30, None, names)
    assert set(made.snapshot.table.keys["addr"][:, 15].tolist()) == {2, 20}


def test_an_overlong_name_is_cut() -> None:
    answer = snapshot(ROWS[:1], View(limit=9), health=Health(packets=1))
    made = make_view_model(answer, State(), 9, None, lambda addr, port: "x" * 10_000)
    assert len(made.names[0]) == 255


def test_a_name_with_its_port() -> None:
    row = [destination("2001:db8::1", 443, syn=1)]
    asked = []

    def ask(addr: str, port: int) -> str:
        asked.append((addr, port))
        return "web"

    state = State(grouping=Grouping.ADDR_PORT)
    made = make_view_model(
        snapshot(row, state.view(9), health=Health(packets=1)), state, 9, None, ask
    )
    assert made.names == ("web:443",)
    assert asked == [("2001:db8::1", 443)]


def test_from_a_reset_on_rows_are_counted_sorted_and_limited() -> None:
    state = State(sort="syn")
    packets = busy(4, 60)
    engine = Engine(EngineConfig(), SEED)
    baseline = fed(packets[:300], engine).snapshot(everything(state))
    answer = fed(packets[300:], engine).snapshot(question(state, 2, True))
    made = make_view_model(answer, state, 2, baseline, None)
    assert made.is_since_reset
    assert len(made.names) == 2
    assert made.n_rows == 3
    counts = made.snapshot.table.counters["syn"].tolist()
    assert counts == sorted(counts, reverse=True)
    assert made.snapshot.totals.count("syn") == _syns(answer) - _syns(baseline)
    recent = State(window=Window.LAST_10_S)
    windowed = Engine(EngineConfig(windows=(Window.LAST_10_S,)), SEED)
    answer = fed(packets, windowed).snapshot(question(recent, 2, True))
    assert not make_view_model(answer, recent, 2, baseline, None).is_since_reset


def _syns(made: Snapshot) -> int:
    return made.totals.count("syn")


def test_a_held_answer_with_all_rows_is_arranged_anew() -> None:
    held = snapshot(ROWS, everything(State()), health=Health(packets=1))
    made = make_view_model(held, State(sort="response_time"), 3, None, None)
    assert made.names == ("10.0.0.20", "10.0.0.19", "10.0.0.18")
    assert destination_names(made.snapshot.table.keys) == list(made.names)
    made = make_view_model(held, State(is_descending=False), 3, None, None)
    assert made.names == ("10.0.0.20", "10.0.0.19", "10.0.0.18")


def test_a_row_is_found_by_its_key() -> None:
    made = make_view_model(
        snapshot(ROWS, View(limit=30), health=Health(packets=1)), State(), 30, None, None
    )
    for i in range(len(ROWS)):
        key = made.key(i)
        assert key is not None
        assert made.place(key) == i
    assert made.key(-1) is made.key(len(ROWS)) is None


class Direct:
    """A source of an engine's rows, all of them or those of a filter."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.views: list[View] = []

    def step(self, budget_s: float) -> bool:
        return False

    def poll(self, view: View) -> Snapshot:
        self.views.append(view)
        return self.engine.snapshot(view)

    def answer(self, question: Question) -> QuestionReply | None:
        return None

    def status(self) -> Status:
        return Status("test")


class Filtering(Direct):
    def poll_chosen(self, view: View, chosen: Filter, labels: Labels) -> Snapshot:
        return filtered_of_engine(self.engine, view, chosen, labels)


FILTERS = (
    "rtt>1ms", "rtt>10s", "p50(rtt)<5ms or mean(lat)>1ms", "max(rtt)>1ms", "count(rtt)>3", "syn>2",
    "198.51", ":443", "443", "rst>5%", "verdict:ok", "not verdict:ok", "server/rtt>0.5", "nobody",
    "198.51.100.0/24", "est_rate>0", "waiting>0 or rtt>1ms", "one.example", "~^one",
)  # fmt: skip


@pytest.mark.parametrize("window", [Window.ALL, Window.LAST_10_S, None])
@pytest.mark.parametrize("text", FILTERS)
def test_a_filter_that_the_source_knows_shows_the_same(text: str, window: Window | None) -> None:
    config = EngineConfig(windows=tuple(Window), group_by=GroupBy.ADDR_PORT, history_bytes=1 << 24)
    engine = fed(busy(9, 60), Engine(config, SEED), received=3000, kernel_dropped=1)

    past = Period((engine.clock_ns or 0) - 40 * NS_PER_S, (engine.clock_ns or 0) - 20 * NS_PER_S)

    def names(address: str, port: int) -> str | None:
        return "one.example" if address.endswith("7") else None

    for grouping in (Grouping.ADDR, Grouping.ADDR_PORT):
        for sort in ("verdict", "syn", "response_time", "destination"):
            state = State(
                window=Window.ALL if window is None else window,
                period=past if window is None else None,
                filter=parse_filter(text),
                sort=sort,
                grouping=grouping,
                percentile=90.0,
            )
            models = []
            for source in (Direct(engine), Filtering(engine)):
                answer = ask(source, state, 3, False, names)
                assert answer is not None
                assert (source.views == []) == isinstance(source, Filtering)
                models.append(make_view_model(answer, state, 3, None, names))
            expected, found = models
            assert_equal(replace(found.snapshot, filtered=None), expected.snapshot)
            for name in ("names", "members", "n_rows", "n_destinations", "filter", "remarks"):
                assert getattr(found, name) == getattr(expected, name), name
            assert found.is_since_reset is False


def test_rows_that_are_made_here_need_all_that_there_are() -> None:
    source = Filtering(fed(busy(9, 20), Engine(EngineConfig(), SEED)))
    by_name = State(filter=parse_filter("rst>0"), grouping=Grouping.NAME)
    for state, is_since_reset in ((by_name, False), (State(filter=parse_filter("rst>0")), True)):
        assert ask(source, state, 3, is_since_reset, None) is not None
        assert source.views.pop().limit is None
