"""What the capture held and lost, in words: the lines above the table.

Takes a snapshot, gives the facts of its health as short items, and a plain warning for each
reason why its numbers cannot be trusted. Unknown is said to be unknown, never 0.
"""

from __future__ import annotations

from collections.abc import Iterator

from trtop.escape import escape
from trtop.metrics import format as units
from trtop_core.config import EngineConfig
from trtop_core.health import SUSPECT_COMPLETENESS, SUSPECT_LOSS, Health
from trtop_core.records import Direction, Window
from trtop_core.snapshot import Row, Snapshot

ONE_SIDED_SHARE = 0.1
"""Above this share of connections seen from one side only, the capture point is the suspect."""

UNDECODED_SHARE = 0.001
"""Above this share of undecoded packets the counters are doubtful: as for lost ones."""

NOT_TCP_SHARE = 0.9
"""Above this share of packets without TCP, what was looked for is likely to be somewhere else."""

_REASONS = {"link_type": "unknown link type"}
"""Why packets could not be read, where the reason's own name does not say it behind a number."""

OPTIONAL_ITEMS = (
    ("untimed", "without time"),
    ("read_lost", "unreadable"),
    ("interruptions", "capture interrupted"),
    ("holes_unkept", "holes judged early"),
    ("samples_unbinned", "samples not binned"),
)
"""Fields of ``Health`` that are shown only when they are not 0, and what they are called."""


def health_items(snapshot: Snapshot, totals: Row, micro: str = "µ") -> list[str]:
    """Facts about the capture, the most telling first; each fits on a line of its own.

    Args:
        snapshot: of which they are.
        totals: its row of all destinations together.
        micro: what stands for micro.
    """
    health = snapshot.health
    items = [_amount(health.packets, "packet"), *_time_items(snapshot, micro)]
    items += _dropped_items(health)
    items.append(f"undecoded {_undecoded(health)}")
    items.append(f"not TCP {health.not_tcp:,}")
    items.append(f"duplicates {health.duplicates:,}")
    items.append(f"evicted {health.evicted:,}")
    for name, words in OPTIONAL_ITEMS:
        if value := getattr(health, name):
            items.append(f"{words} {value:,}")
    complete = totals.completeness
    known = "unknown" if complete is None else units.fine_percent(complete)
    # Of a part that was not read nobody knows what it held.
    items.append(f"completeness {known}" + (" of what was read" if snapshot.unread else ""))
    return items


def warnings(snapshot: Snapshot, totals: Row) -> Iterator[str]:
    """One sentence for each reason not to trust the numbers; none for a sound capture.

    Args:
        snapshot: of which they are.
        totals: its row of all destinations together.
    """
    health = snapshot.health
    for error in snapshot.unread:
        yield f"Not all was read: {escape(error)}."
    loss = snapshot.window_health.loss
    if loss is not None and loss > SUSPECT_LOSS:
        yield (
            f"The capture lost {units.fine_percent(loss)} of its packets: "
            "counters are lower bounds."
        )
    if snapshot.window_health.interrupted:
        span = units.duration(snapshot.window_health.interrupted_ns)
        yield f"The capture was interrupted ({span}): counters are lower bounds."
    complete = totals.completeness
    if complete is not None and complete < SUSPECT_COMPLETENESS:
        yield (
            f"{units.fine_percent(1 - complete)} of the acknowledged bytes are missing from the "
            "capture: counters are lower bounds."
        )
    truncated = health.undecoded.get("truncated", 0)
    if truncated > health.packets * UNDECODED_SHARE:
        yield (
            f"{_amount(truncated, 'packet')} cut off before the end of the TCP header and not "
            "counted: capture with a longer snapshot length (tcpdump -s 128)."
        )
    if health.not_tcp > health.packets * NOT_TCP_SHARE:
        yield (
            f"{health.not_tcp:,} of {_amount(health.packets, 'packet')} hold no TCP that trtop "
            "decodes: another protocol, or a tunnel that it does not look into?"
        )
    n_link_type = health.undecoded.get("link_type", 0)
    if n_link_type:
        yield f"{_amount(n_link_type, 'packet')} of an unsupported link type not counted."
    undecoded = sum(health.undecoded.values()) - truncated - n_link_type
    if undecoded > health.packets * UNDECODED_SHARE:
        yield f"{_amount(undecoded, 'packet')} could not be decoded and are not counted."
    one_sided = totals.count("one_sided")
    n_connections = totals.count("syn") + totals.count("midstream")
    if one_sided > n_connections * ONE_SIDED_SHARE:
        yield (
            f"{one_sided:,} of {_amount(n_connections, 'connection')} seen from one side "
            "only, without latencies: asymmetric routing, or half a mirror port?"
        )
    if health.evicted:
        yield (
            f"{_amount(health.evicted, 'connection')} evicted from a full table; each may count "
            "once more as mid-stream: raise --max-connections."
        )


def unmatched_local(snapshot: Snapshot, config: EngineConfig, option: str) -> list[str]:
    """One sentence if TCP is there, but none that the local networks take part in.

    Args:
        snapshot: of the whole capture, with all its destinations.
        config: with the local networks.
        option: what the user gave them in.
    """
    health = snapshot.health
    is_tcp = health.packets > health.not_tcp + sum(health.undecoded.values())
    if not config.local or not is_tcp or snapshot.n_destinations:
        return []
    word = {Direction.OUT: "opened by", Direction.IN: "opened to", Direction.BOTH: "of"}
    return [
        f"no connection {word[config.direction]} the networks of {option}; "
        f"without {option} every connection counts"
    ]


def _time_items(snapshot: Snapshot, micro: str) -> list[str]:
    if snapshot.clock_ns is None or snapshot.first_ns is None:
        return []
    span = units.duration(snapshot.clock_ns - snapshot.first_ns, micro)
    items = [f"{units.point_in_time(snapshot.first_ns)} UTC +{span}"]
    window = snapshot.view.window
    if window is not Window.ALL:
        items.append(f"last {units.duration(snapshot.span_ns, micro)} shown")
    return items


def _dropped_items(health: Health) -> list[str]:
    kernel, interface = health.kernel_dropped, health.interface_dropped
    if kernel is None and interface is None:
        return ["dropped unknown"]
    return [f"dropped by kernel {_known(kernel)}, interface {_known(interface)}"]


def _known(n: int | None) -> str:
    return "unknown" if n is None else f"{n:,}"


def _undecoded(health: Health) -> str:
    reasons = {name: n for name, n in health.undecoded.items() if n}
    total = f"{sum(reasons.values()):,}"
    if not reasons:
        return total
    listed = sorted(reasons.items(), key=lambda item: -item[1])
    words = {name: _REASONS.get(name, name.replace("_", " ")) for name in reasons}
    by_reason = ", ".join(f"{n:,} {words[name]}" for name, n in listed)
    return f"{total} ({by_reason})"


def _amount(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
