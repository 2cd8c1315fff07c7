"""Connections told packet by packet, and the check that kernels and twin count them as expected.

A test tells a ``Story`` in the words of a packet list: times in ms, sequence numbers relative to
the ISNs (as Wireshark shows them: a SYN is 0, the first byte of data 1). ``check`` then compares
everything that was counted with the numbers that the test worked out by hand: what is not named
must be 0, but for what nearly every story counts (``INCIDENTAL``). Each story is run with several
ISNs (wrap-around included), with either end's address the lower one, cut off like
``tcpdump -s 100``, in one batch and packet by packet.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from reference import Packet, Twin

from support.builders.packets import ACK, FIN, NS_PER_MS, RST, SYN, Talk
from support.compare import HEALTH, SEED, batch_of, binned, config_of, plain_row
from trtop_core import Engine, EngineConfig, View
from trtop_core.metrics import SKETCHES

KERNELS_TOO = True
"""Whether the kernels count by the same version of the definitions as the twin."""


CLIENT = "192.0.2.1"
SERVER = "198.51.100.7"
LOW_SERVER = "10.0.0.7"
"""A server whose address is below the client's: the table orders ends by address."""

START_NS = 1_700_000_000 * 10**9

LINK_ETHERNET = 1
SNAPLEN, WHOLE = 100, 70_000

INCIDENTAL = (
    "segments_out",
    "segments_in",
    "waiting",
    "path_rtt",
    "tls_hellos",
    "multiplexed_unfollowed",
    "zero_window_connections_out",
    "zero_window_connections_in",
    "pending_retrans",
    "reset_age",
)
"""What is compared with a number of the test only where that names it, else with the twin's."""

TOTAL = "total"
"""What the row of all destinations together is called."""

Expected = dict[str, Any]


@dataclass(frozen=True)
class Line:
    """One packet of a story, or (``frame``) bytes that the test made itself."""

    at_ns: int
    from_client: bool = True
    seq: int = 0
    ack: int | None = None
    flags: int = 0
    payload: bytes = b""
    fields: dict[str, int] = field(default_factory=dict)
    frame: bytes | None = None
    repeats: int | None = None


@dataclass(frozen=True)
class Telling:
    """One way to tell a story: what must not change any number."""

    client_isn: int = 1_000
    server_isn: int = 500_000
    server: str = SERVER
    caplen: int = 2_000
    one_by_one: bool = False


TELLINGS = (
    Telling(),
    Telling(2**32 - 1, 2**31 - 1, caplen=SNAPLEN, one_by_one=True),
    Telling(2**32 - 8, 2**32 - 12, server=LOW_SERVER),
    Telling(2**31 - 3, 2**32 - 1, server=LOW_SERVER, caplen=SNAPLEN),
)


class Story:
    """One 4-tuple. ``out`` is a segment of the client, ``back`` one of the server."""

    def __init__(self, client_port: int = 40_000, server_port: int = 443, **ends: str) -> None:
        self.lines: list[Line] = []
        self.ports = (client_port, server_port)
        self.ends = ends

    # --- packets ------------------------------------------------------------------------------

    def out(
        self,
        at_ms: float,
        seq: int,
        ack: int | None = None,
        payload: bytes = b"",
        flags: int = 0,
        **fields: int,
    ) -> Story:
        return self._tell(at_ms, True, seq, ack, payload, flags, fields)

    def back(
        self,
        at_ms: float,
        seq: int,
        ack: int | None = None,
        payload: bytes = b"",
        flags: int = 0,
        **fields: int,
    ) -> Story:
        return self._tell(at_ms, False, seq, ack, payload, flags, fields)

    def syn(self, at_ms: float, **more: Any) -> Story:
        return self.out(at_ms, 0, flags=SYN, **more)

    def synack(self, at_ms: float, **more: Any) -> Story:
        return self.back(at_ms, **{"seq": 0, "ack": 1, "flags": SYN, **more})

    def fin_out(self, at_ms: float, seq: int, ack: int, payload: bytes = b"") -> Story:
        return self.out(at_ms, seq, ack, payload, FIN)

    def fin_back(self, at_ms: float, seq: int, ack: int, payload: bytes = b"") -> Story:
        return self.back(at_ms, seq, ack, payload, FIN)

    def rst_out(self, at_ms: float, seq: int, ack: int | None = None) -> Story:
        return self.out(at_ms, seq, ack, flags=RST)

    def rst_back(self, at_ms: float, seq: int, ack: int | None = None) -> Story:
        return self.back(at_ms, seq, ack, flags=RST)

    def raw(self, at_ms: float, frame: bytes) -> Story:
        """Any other packet."""
        self.lines.append(Line(_ns(at_ms), frame=frame))
        return self

    def again(self, after_ms: float) -> Story:
        """The last packet once more, bit by bit, as a mirror port shows it."""
        last = len(self.lines) - 1
        at_ns = self.lines[last].at_ns + _ns(after_ms)
        self.lines.append(Line(at_ns, repeats=last))
        return self

    def handshake(self) -> Story:
        """SYN at 0, SYN/ACK at 10 ms, ACK at 11 ms: ``OPENED`` says what that counts."""
        return self.syn(0).synack(10).out(11, 1, 1)

    def _tell(
        self,
        at_ms: float,
        from_client: bool,
        seq: int,
        ack: int | None,
        payload: bytes,
        flags: int,
        fields: dict[str, int],
    ) -> Story:
        flags |= 0 if ack is None else ACK
        self.lines.append(Line(_ns(at_ms), from_client, seq, ack, flags, payload, fields))
        return self

    # --- frames -------------------------------------------------------------------------------

    def packets(self, telling: Telling) -> list[Packet]:
        """The story's packets in the order told."""
        talk = Talk(
            client=self.ends.get("client", CLIENT),
            server=self.ends.get("server", telling.server),
            client_port=self.ports[0],
            server_port=self.ports[1],
            ident=self.ports[0] % 1000,
        )
        frames: list[bytes] = []
        for line in self.lines:
            if line.repeats is not None:
                frames.append(frames[line.repeats])
            elif line.frame is not None:
                frames.append(line.frame)
            else:
                frames.append(_frame(talk, line, telling))
        return [
            Packet(
                START_NS + line.at_ns,
                LINK_ETHERNET,
                frame[: telling.caplen],
                len(frame),
            )
            for line, frame in zip(self.lines, frames, strict=True)
        ]


OPENED: Expected = {
    "syn": 1,
    "synack": 1,
    "est": 1,
    "syn_rtt": [10 * NS_PER_MS],
    "connect_latency": [11 * NS_PER_MS],
}
"""What ``Story.handshake`` counts, besides ``active`` while it is open."""


def _ns(at_ms: float) -> int:
    return round(at_ms * NS_PER_MS)


def _frame(talk: Talk, line: Line, telling: Telling) -> bytes:
    isns = (telling.client_isn, telling.server_isn)
    own, other = isns if line.from_client else isns[::-1]
    make = talk.out if line.from_client else talk.back
    ack = 0 if line.ack is None else other + line.ack
    return make(own + line.seq, ack, line.flags, line.payload, **line.fields)


def tell(stories: Story | Sequence[Story], telling: Telling) -> list[Packet]:
    """One story as told; several ones interleaved by time."""
    if isinstance(stories, Story):
        return stories.packets(telling)
    together = itertools.chain.from_iterable(story.packets(telling) for story in stories)
    return sorted(together, key=lambda packet: packet.ts_ns)


def check(
    stories: Story | Sequence[Story],
    expected: Expected,
    *more: Expected,
    until_ms: float | None = None,
    finish: bool = True,
    whole: bool = False,
    health: Expected | None = None,
    **options: Any,
) -> None:
    """Run stories through kernels and twin; both must count exactly what is expected.

    Args:
        stories: what was captured.
        expected: counters by name, latencies as lists of ns: of the one row there is. Or, if its
            values are dicts, such rows by destination.
        more: further such expectations, added to the first: ``check(story, OPENED, {...})``.
        until_ms: capture time that passes after (or before) the last packet.
        whole: whether the story only holds if packets are captured whole.
        finish: whether the capture ends; else it is looked at while it goes on.
        health: what the capture as a whole counts; ``packets`` follows from the stories.
        options: those of the twin.
    """
    by_name = any(isinstance(value, dict) for value in expected.values())
    for told in TELLINGS:
        telling = replace(told, caplen=WHOLE) if whole else told
        packets = tell(stories, telling)
        rows = expected if by_name else {telling.server: added(expected, *more)}
        rows = {name: row for name, row in rows.items() if row}
        if rows:
            rows[TOTAL] = added(*rows.values())
        rows = {name: _filled(row) for name, row in rows.items()}
        about = _filled_health(health, len(packets))
        until_ns = None if until_ms is None else START_NS + _ns(until_ms)
        found = counted_by_twin(packets, until_ns, finish, options)
        rows = {name: _with_incidentals(row, found[0].get(name, {})) for name, row in rows.items()}
        _compare("the twin", telling, found, (rows, about))
        if KERNELS_TOO:
            found = counted_by_kernels(packets, until_ns, finish, telling.one_by_one, options)
            _compare("the kernels", telling, found, (rows, about))


def _with_incidentals(row: Expected, found: Expected) -> Expected:
    taken = {name: found[name] for name in INCIDENTAL if name in found and name not in row}
    return {name: value for name, value in {**taken, **row}.items() if value}


def added(*parts: Expected) -> Expected:
    """Several expectations for one row: counters add up, latencies are joined."""
    total: Expected = {}
    for part in parts:
        for name, value in part.items():
            total[name] = total[name] + value if name in total else value
    return total


def counted_by_kernels(
    packets: Sequence[Packet],
    until_ns: int | None,
    finish: bool,
    one_by_one: bool,
    options: dict[str, Any],
) -> tuple[Expected, Expected]:
    """Rows and health as an engine counts them; as the twin does, where kernels are left out."""
    if not KERNELS_TOO:
        return counted_by_twin(packets, until_ns, finish, options)
    config: EngineConfig = config_of(**options)
    engine = Engine(config, SEED)
    for batch in [[packet] for packet in packets] if one_by_one else [packets]:
        engine.feed(batch_of(batch))
    if until_ns is not None:
        engine.advance(until_ns)
    if finish:
        engine.finish()
    snapshot = engine.snapshot(View(group_by=config.group_by))
    shown = [*snapshot.rows(), snapshot.totals]
    rows = {row.name: _without_percentiles(plain_row(row)) for row in shown}
    rows = {name: row for name, row in rows.items() if row}
    health = {key: value for key, value in snapshot.health.record().items() if value}
    return rows, health


def counted_by_twin(
    packets: Iterable[Packet], until_ns: int | None, finish: bool, options: dict[str, Any]
) -> tuple[Expected, Expected]:
    """Rows and health of some packets as the twin counts them."""
    twin = Twin(**options)
    for packet in packets:
        twin.feed(packet)
    if until_ns is not None:
        twin.advance(until_ns)
    twin = twin.ended() if finish else twin
    report = twin.report(final=False)
    rows = {}
    for name, fields in report["destinations"].items():
        row = {key: value for key, value in fields.items() if key not in SKETCHES}
        rows[name] = {**row, **twin.samples.get(name, {})}
    if rows:
        total = added(*rows.values())
        shown = {name: value for name, value in report["totals"].items() if name not in SKETCHES}
        for name in SKETCHES:
            count = report["totals"].get(name, {}).get("count", 0)
            shown[name] = total.get(name, []) if count == len(total.get(name, [])) else [count]
        rows[TOTAL] = shown
    rows = {name: _without_zeros(_filled(row)) for name, row in rows.items()}
    return rows, {key: report[key] for key in HEALTH if report.get(key)}


def _compare(
    who: str,
    telling: Telling,
    found: tuple[Expected, Expected],
    expected: tuple[Expected, Expected],
) -> None:
    lines = []
    for where in sorted({*found[0], *expected[0]}):
        counted, named = found[0].get(where, {}), expected[0].get(where, {})
        lines += [
            f"{where} {name}: counted {counted.get(name, 0)}, expected {named.get(name, 0)}"
            for name in sorted({*counted, *named})
            if counted.get(name, 0) != named.get(name, 0)
        ]
    if found[1] != expected[1]:
        lines.append(f"health: counted {found[1]}, expected {expected[1]}")
    assert not lines, "\n".join([f"{who}, told as {telling}:", *lines])


def _filled(row: Expected) -> Expected:
    """Lists of samples become what a sketch says of them."""
    filled = {
        name: binned(name, value) if name in SKETCHES and value else value
        for name, value in row.items()
    }
    # A number that is named is meant, 0 too.
    return {name: value for name, value in filled.items() if value or name in INCIDENTAL}


def _without_zeros(row: Expected) -> Expected:
    return {name: value for name, value in row.items() if value}


def _without_percentiles(row: Expected) -> Expected:
    return {
        name: {key: v for key, v in value.items() if not key.startswith("p")}
        if isinstance(value, dict)
        else value
        for name, value in row.items()
    }


def _filled_health(health: Expected | None, n_packets: int) -> Expected:
    filled = {"packets": n_packets, **(health or {})}
    return {key: value for key, value in filled.items() if value}
