"""What the columns of the table are: data, not code.

Takes a row and the percentile in use, gives each column's value (what a threshold is compared
with) and its text forms. Knows nothing of widths, colours or terminals beyond each column's own
floor. Keys are the field names of the metric definitions, which is what ``--sort`` takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from trtop.metrics import format as units
from trtop.metrics.format import Forms
from trtop_core.records import NS_PER_MS, NS_PER_S
from trtop_core.snapshot import Row

Value = float | None


class Group(Enum):
    """The classic three groups; the value is the group's headings, the longest first."""

    CONNECTIONS = ("Connections", "Conns")
    TRANSPORT = ("Transport", "Trans")
    PCAP = ("Pcap",)


class Side(Enum):
    """On which side of a threshold a value is worth a highlight."""

    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True, slots=True)
class Threshold:
    """When a value stands out.

    Attributes:
        side: above or below the limit; the limit itself does not stand out.
        limit: percent for shares, ns for latencies, else a count.
    """

    side: Side
    limit: float

    def is_high(self, value: Value) -> bool:
        """Whether a value stands out; one that does not exist never does."""
        if value is None:
            return False
        return value > self.limit if self.side is Side.ABOVE else value < self.limit


@dataclass(frozen=True, slots=True)
class Lens:
    """What a cell depends on besides its row.

    Attributes:
        percentile: what latency columns show.
        micro: what stands for micro, see ``units.duration``.
        thresholds: by column key, instead of the columns' own.
        mark_width: characters before a high number, 0 where colour marks it.
    """

    percentile: float
    micro: str = "µ"
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    mark_width: int = 0


@dataclass(frozen=True, slots=True)
class Column:
    """One column of numbers, aligned right.

    Attributes:
        key: field name; rows can be sorted by it.
        group: which of the classic groups it stands in.
        headings: from the longest to the shortest.
        importance: 1 stays to the last when a terminal is narrow.
        floor: characters it takes even where all its numbers are shorter, against flicker.
        value: the number that a threshold is compared with.
        forms: the cell's text, from the most exact to the shortest.
        threshold: when the cell stands out, None for never.
    """

    key: str
    group: Group
    headings: Forms
    importance: int
    floor: int
    value: Callable[[Row, Lens], Value]
    forms: Callable[[Row, Lens], Forms]
    threshold: Threshold | None = None


ValueOf = Callable[[Row, Lens], Value]
FormsOf = Callable[[Row, Lens], Forms]


def _count(key: str) -> tuple[ValueOf, FormsOf]:
    return (
        lambda row, lens: row.count(key),
        lambda row, lens: units.count_forms(row.count(key)),
    )


def _bytes(key: str) -> tuple[ValueOf, FormsOf]:
    return (
        lambda row, lens: row.count(key),
        lambda row, lens: units.bytes_forms(row.count(key)),
    )


def _syns(row: Row) -> int:
    return row.count("syn")


def _connections(row: Row) -> int:
    return row.n_connections


def _share(key: str, whole: Callable[[Row], int]) -> tuple[ValueOf, FormsOf]:
    """A count and its percentage of ``whole``: ``23(100%)``; 0 stands alone."""

    def value(row: Row, lens: Lens) -> Value:
        n_whole = whole(row)
        return 100 * row.count(key) / n_whole if n_whole else None

    def forms(row: Row, lens: Lens) -> Forms:
        n, n_whole = row.count(key), whole(row)
        if n == 0 or n_whole == 0:
            return units.count_forms(n)
        percent = units.percent(n, n_whole)
        return tuple(f"{count}({percent})" for count in units.count_forms(n))

    return value, forms


def _attempts() -> tuple[ValueOf, FormsOf]:
    """Attempts and attempts per second: ``23(0.7)``."""

    def forms(row: Row, lens: Lens) -> Forms:
        counts, per_s = units.count_forms(_syns(row)), row.rate("syn")
        if not per_s:
            return counts
        return (*(f"{count}({units.rate(per_s)})" for count in counts), counts[-1])

    return _count("syn")[0], forms


def _rate(key: str) -> tuple[ValueOf, FormsOf]:
    def forms(row: Row, lens: Lens) -> Forms:
        per_s = row.rate(key)
        return (units.NO_SAMPLE if per_s is None else units.rate(per_s),)

    return (lambda row, lens: row.rate(key)), forms


def _latency(sketch: str) -> tuple[ValueOf, FormsOf]:
    def value(row: Row, lens: Lens) -> Value:
        return row.quantile(sketch, lens.percentile)

    def forms(row: Row, lens: Lens) -> Forms:
        ns = row.quantile(sketch, lens.percentile)
        return (units.NO_SAMPLE if ns is None else units.duration(ns, lens.micro),)

    return value, forms


def _reuse() -> tuple[ValueOf, FormsOf]:
    """Responses per connection; an asterisk until a connection has closed."""

    def forms(row: Row, lens: Lens) -> Forms:
        n = row.quantile("reuse", lens.percentile)
        return (units.NO_REUSE,) if n is None else units.count_forms(n)

    return _latency("reuse")[0], forms


def _goodput() -> tuple[ValueOf, FormsOf]:
    """Bytes per second of responses that reached 1 MiB."""

    def value(row: Row, lens: Lens) -> Value:
        ns = row.count("stream_ns")
        return row.count("stream_bytes") * NS_PER_S / ns if ns else None

    def forms(row: Row, lens: Lens) -> Forms:
        per_s = value(row, lens)
        if per_s is None:
            return (units.NO_SAMPLE,)
        texts = units.bytes_forms(round(per_s))
        return (f"{texts[0]}B/s", *texts)

    return value, forms


def _completeness() -> tuple[ValueOf, FormsOf]:
    def value(row: Row, lens: Lens) -> Value:
        share = row.completeness
        return None if share is None else 100 * share

    def forms(row: Row, lens: Lens) -> Forms:
        share = row.completeness
        return (units.NO_SAMPLE if share is None else units.fine_percent(share),)

    return value, forms


_C, _T, _P = Group.CONNECTIONS, Group.TRANSPORT, Group.PCAP
_ABOVE, _BELOW = Side.ABOVE, Side.BELOW

COLUMNS: tuple[Column, ...] = (
    Column("syn", _C, ("Syn(/s)", "Syn"), 1, 7, *_attempts()),
    Column("synack", _C, ("Syn/Ack(%)", "Syn/Ack"), 8, 8, *_share("synack", _syns),
           Threshold(_BELOW, 90)),
    Column("est", _C, ("Est(%)", "Est"), 2, 8, *_share("est", _syns), Threshold(_BELOW, 90)),
    Column("rst", _C, ("Rst(%)", "Rst"), 5, 6, *_share("rst", _connections),
           Threshold(_ABOVE, 10)),
    Column("fin_out", _C, ("Fin_O(%)", "Fin_O"), 16, 8, *_share("fin_out", _connections)),
    Column("fin_in", _C, ("Fin_I(%)", "Fin_I"), 15, 8, *_share("fin_in", _connections)),
    Column("est_rate", _C, ("Est Rate", "Est/s"), 17, 5, *_rate("est")),
    Column("reuse", _C, ("QoS",), 10, 3, *_reuse(), Threshold(_BELOW, 100)),
    Column("connect_latency", _C, ("Lat",), 4, 6, *_latency("connect_latency"),
           Threshold(_ABOVE, 20 * NS_PER_MS)),
    Column("rst_in", _C, ("Rst_I",), 32, 4, *_count("rst_in")),
    Column("rst_out", _C, ("Rst_O",), 33, 4, *_count("rst_out")),
    Column("refused", _C, ("Refused", "Ref"), 11, 3, *_count("refused")),
    Column("timeouts", _C, ("Timeouts", "Tmo"), 12, 3, *_count("timeouts")),
    Column("pending", _C, ("Pending", "Pend"), 20, 4, *_count("pending")),
    Column("active", _C, ("Active", "Act"), 19, 4, *_count("active")),
    Column("syn_retrans", _C, ("Syn Retr", "SynRt"), 26, 4, *_count("syn_retrans")),
    Column("midstream", _C, ("Midstream", "Mid"), 29, 3, *_count("midstream")),
    Column("requests", _T, ("Out",), 7, 4, *_count("requests")),
    Column("responses", _T, ("In",), 9, 4, *_count("responses")),
    Column("response_time", _T, ("Rtt",), 3, 6, *_latency("response_time"),
           Threshold(_ABOVE, 100 * NS_PER_MS)),
    Column("syn_rtt", _T, ("Syn RTT", "SynT"), 34, 6, *_latency("syn_rtt")),
    Column("server_time", _T, ("Server", "Srv"), 18, 6, *_latency("server_time")),
    Column("net_rtt", _T, ("Net RTT", "Net"), 21, 6, *_latency("net_rtt")),
    Column("response_duration", _T, ("Last byte", "Last"), 28, 6, *_latency("response_duration")),
    Column("tls_latency", _T, ("TLS",), 22, 6, *_latency("tls_latency")),
    Column("retrans_out", _T, ("Retr_O", "Rt_O"), 13, 4, *_count("retrans_out")),
    Column("retrans_in", _T, ("Retr_I", "Rt_I"), 14, 4, *_count("retrans_in")),
    Column("bytes_out", _T, ("Bytes Out", "B_Out"), 24, 5, *_bytes("bytes_out")),
    Column("bytes_in", _T, ("Bytes In", "B_In"), 23, 5, *_bytes("bytes_in")),
    Column("zero_window_in", _T, ("Zero Win_I", "ZW_I"), 27, 4, *_count("zero_window_in")),
    Column("stream_bytes", _T, ("Goodput", "Gput"), 30, 5, *_goodput()),
    Column("capture_gaps", _P, ("Err",), 6, 4, *_count("capture_gaps"), Threshold(_ABOVE, 0)),
    Column("completeness", _P, ("Complete", "Cmpl"), 25, 6, *_completeness()),
    Column("one_sided", _P, ("One-sided", "1-sd"), 31, 4, *_count("one_sided")),
)  # fmt: skip
"""In the order of the screen."""

BY_KEY = {column.key: column for column in COLUMNS}
