"""Every number of a row, declared once. Data only.

Gives each metric's name, kind, unit, group, texts and thresholds, and what follows from them: the
counters that an engine stores and their order, what rows can be sorted by, which fields reports
have. Whoever stores, sends, sorts, filters or shows a number asks here. Written by hand besides:
the C struct (``_records.pxd``, compared at import) and the kernel that counts.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from trtop_core.metric_types import (
    Counters,
    Group,
    Kind,
    Metric,
    Thresholds,
    Unit,
    above,
    below,
    per_second,
    ratio,
)
from trtop_core.records import NS_PER_MS, NS_PER_S

_ATTEMPTS = ("syn",)
_ALL = ("syn", "midstream")
"""What shares are shares of: attempts, and connections with a SYN and without."""

_COUNTER, _GAUGE = Kind.COUNTER, Kind.GAUGE
_DISTRIBUTION, _DERIVED = Kind.DISTRIBUTION, Kind.DERIVED
_COUNT, _BYTES, _NS = Unit.COUNT, Unit.BYTES, Unit.NS
_C, _T, _P = Group.CONNECTIONS, Group.TRANSPORT, Group.PCAP

METRICS: tuple[Metric, ...] = (
    Metric("syn", _COUNTER, _COUNT, _C, "connection attempts, and attempts per second",
           in_brackets="syn_rate", titles=("Syn(/s)", "Syn"), order=10, importance=1, min_width=7,
           letter="S", exported="connection_attempts"),
    Metric("syn_rate", _DERIVED, Unit.PER_SECOND, _C, "attempts per second",
           derive=lambda c, span_ns: per_second(c["syn"], span_ns)),
    Metric("syn_retrans", _COUNTER, _COUNT, _C, "further SYNs of the same attempt",
           titles=("Syn Retr", "SynRt"), order=160, importance=26, min_width=4, letter="Y",
           exported="syn_retransmits"),
    Metric("synack", _COUNTER, _COUNT, _C, "attempts that were answered",
           share_of=_ATTEMPTS, as_share=True, titles=("Syn/Ack(%)", "Syn/Ack"), order=20,
           importance=8, min_width=8, thresholds=below(99, 90, is_share=True), letter="K",
           exported="connections_answered"),
    Metric("synack_retrans", _COUNTER, _COUNT, _C, "further SYN/ACKs of the same attempt",
           exported="synack_retransmits"),
    Metric("est", _COUNTER, _COUNT, _C, "attempts whose handshake completed",
           share_of=_ATTEMPTS, as_share=True, titles=("Est(%)", "Est"), order=30, importance=4,
           min_width=8, thresholds=below(99, 90, is_share=True), letter="E",
           exported="connections_established"),
    Metric("est_rate", _DERIVED, Unit.PER_SECOND, _C, "handshakes per second",
           titles=("Est Rate", "Est/s"), order=70, importance=17, min_width=5, letter="V",
           derive=lambda c, span_ns: per_second(c["est"], span_ns)),
    Metric("rst", _COUNTER, _COUNT, _C, "connections reset before any FIN",
           share_of=_ALL, as_share=True, titles=("Rst(%)", "Rst"), order=40, importance=2,
           min_width=6, thresholds=above(1, 10, is_share=True), letter="R",
           exported="connections_reset"),
    Metric("rst_out", _COUNTER, _COUNT, _C, "of these, reset by the client",
           share_of=_ALL, titles=("Rst_O",), order=110, importance=33, min_width=4,
           exported="connections_reset_by_client"),
    Metric("rst_in", _COUNTER, _COUNT, _C, "of these, reset by the server",
           share_of=_ALL, titles=("Rst_I",), order=100, importance=32, min_width=4,
           exported="connections_reset_by_server"),
    Metric("refused", _COUNTER, _COUNT, _C, "reset instead of answered",
           share_of=_ATTEMPTS, titles=("Refused", "Ref"), order=120, importance=11, min_width=3,
           thresholds=above(0, 1, is_share=True), letter="X", exported="connections_refused"),
    Metric("rst_after_fin", _COUNTER, _COUNT, _C, "reset after a FIN", share_of=_ALL,
           exported="connections_reset_after_fin"),
    Metric("fin_out", _COUNTER, _COUNT, _C, "connections closed first by the client",
           share_of=_ALL, as_share=True, titles=("Fin_O(%)", "Fin_O"), order=50, importance=16,
           min_width=8, letter="F", exported="connections_closed_by_client"),
    Metric("fin_in", _COUNTER, _COUNT, _C, "connections closed first by the server",
           share_of=_ALL, as_share=True, titles=("Fin_I(%)", "Fin_I"), order=60, importance=15,
           min_width=8, letter="G", exported="connections_closed_by_server"),
    Metric("midstream", _COUNTER, _COUNT, _C, "connections first seen without their SYN",
           titles=("Midstream", "Mid"), order=170, importance=29, min_width=3, letter="D",
           exported="connections_midstream"),
    Metric("timeouts", _COUNTER, _COUNT, _C, "attempts without an answer for 20 s",
           share_of=_ATTEMPTS, titles=("Timeouts", "Tmo"), order=130, importance=12, min_width=3,
           thresholds=above(0, 1, is_share=True), letter="M", exported="connection_timeouts"),
    Metric("pending", _GAUGE, _COUNT, _C, "attempts that wait for an answer now",
           share_of=_ATTEMPTS, titles=("Pending", "Pend"), order=140, importance=20, min_width=4,
           letter="P", exported="connections_pending"),
    Metric("pending_retrans", _GAUGE, _COUNT, _C, "of these, with their SYN sent again",
           exported="connections_pending_retransmitted"),
    Metric("active", _GAUGE, _COUNT, _C, "connections open now",
           titles=("Active", "Act"), order=150, importance=19, min_width=4, letter="A",
           exported="connections_active"),
    Metric("requests", _COUNTER, _COUNT, _T, "runs of the client's data", hot=4,
           titles=("Out",), order=10, importance=7, min_width=4, letter="O"),
    Metric("responses", _COUNTER, _COUNT, _T, "runs of the server's data that follow them",
           hot=5, titles=("In",), order=20, importance=9, min_width=4, letter="I"),
    Metric("banners", _COUNTER, _COUNT, _T, "servers that spoke first"),
    Metric("tls_turns", _COUNTER, _COUNT, _T, "turns of TLS handshakes, which are no requests"),
    Metric("slow_by_loss", _COUNTER, _COUNT, _T, "answered requests that had been retransmitted",
           exported="requests_slowed_by_loss"),
    Metric("unanswered", _COUNTER, _COUNT, _T, "requests without an answer at the end",
           share_of=("requests",), titles=("Unanswered", "Unans"), order=105, importance=35,
           min_width=5, thresholds=above(0, 1, is_share=True), exported="requests_unanswered"),
    Metric("waiting", _GAUGE, _COUNT, _T, "requests that wait for their answer now",
           exported="requests_waiting"),
    Metric("waiting_long", _GAUGE, _COUNT, _T, "of these, for longer than 10 s",
           exported="requests_waiting_long"),
    Metric("withheld", _COUNTER, _COUNT, _T, "responses whose times are not given",
           exported="responses_withheld"),
    Metric("multiplexed", _COUNTER, _COUNT, _T, "connections on which both sides talk at once",
           share_of=_ALL, exported="connections_multiplexed"),
    Metric("multiplexed_unfollowed", _COUNTER, _COUNT, _T,
           "of these, those whose requests cannot be told", share_of=_ALL,
           exported="connections_multiplexed_unfollowed"),
    Metric("tls_hellos", _COUNTER, _COUNT, _T, "connections with a TLS ClientHello",
           exported="tls_handshakes"),
    Metric("tls_failed", _COUNTER, _COUNT, _T, "TLS handshakes that failed",
           share_of=("tls_hellos",), titles=("TLS Fail", "TlsF"), order=85, importance=36,
           min_width=4, thresholds=above(0, 1, is_share=True), exported="tls_handshakes_failed"),
    Metric("tls_failed_in", _COUNTER, _COUNT, _T, "of these, ended by the server",
           exported="tls_handshakes_failed_by_server"),
    Metric("bytes_out", _COUNTER, _BYTES, _T, "payload bytes of the client", hot=1,
           titles=("Bytes Out", "B_Out"), order=110, importance=24, min_width=5, exported="sent"),
    Metric("bytes_in", _COUNTER, _BYTES, _T, "payload bytes of the server", hot=2,
           titles=("Bytes In", "B_In"), order=120, importance=23, min_width=5, exported="received"),
    Metric("segments_out", _COUNTER, _COUNT, _T, "segments of the client with payload",
           hot=6, exported="segments_sent"),
    Metric("segments_in", _COUNTER, _COUNT, _T, "segments of the server with payload",
           hot=7, exported="segments_received"),
    Metric("retrans_out", _COUNTER, _COUNT, _T, "segments that the client sent again",
           share_of=("segments_out",), hot=9, titles=("Retr_O", "Rt_O"), order=90, importance=13,
           min_width=4, thresholds=above(1, 3, is_share=True), aliases=("retr",),
           exported="segments_sent_again"),
    Metric("retrans_in", _COUNTER, _COUNT, _T, "segments that the server sent again",
           share_of=("segments_in",), hot=10, titles=("Retr_I", "Rt_I"), order=100, importance=14,
           min_width=4, thresholds=above(1, 3, is_share=True), exported="segments_received_again"),
    Metric("fin_retrans", _COUNTER, _COUNT, _T, "FINs without payload sent again",
           exported="fin_retransmits"),
    Metric("keepalives", _COUNTER, _COUNT, _T, "probes of idle connections", hot=8),
    Metric("out_of_order", _COUNTER, _COUNT, _T, "segments that arrived late, filling a hole",
           exported="segments_out_of_order"),
    Metric("zero_window_out", _COUNTER, _COUNT, _T, "segments in which the client's window is 0",
           exported="zero_window_segments_sent"),
    Metric("zero_window_in", _COUNTER, _COUNT, _T, "segments in which the server's window is 0",
           titles=("Zero Win_I", "ZW_I"), order=130, importance=27, min_width=4,
           exported="zero_window_segments_received"),
    Metric("zero_window_connections_out", _COUNTER, _COUNT, _T,
           "connections in which the client's window was 0", share_of=_ALL,
           exported="connections_zero_window_sent"),
    Metric("zero_window_connections_in", _COUNTER, _COUNT, _T,
           "connections in which the server's window was 0", share_of=_ALL,
           exported="connections_zero_window_received"),
    Metric("streams", _COUNTER, _COUNT, _T, "responses of 1 MiB and more"),
    Metric("stream_bytes", _COUNTER, _BYTES, _T, "bytes of streams", exported="stream"),
    Metric("stream_ns", _COUNTER, _NS, _T, "time that streams took", exported="stream_duration"),
    Metric("goodput", _DERIVED, Unit.BYTES_PER_SECOND, _T, "bytes of streams per second",
           titles=("Goodput", "Gput"), order=140, importance=30, min_width=5,
           derive=lambda c, _: ratio(c["stream_bytes"] * float(NS_PER_S), c["stream_ns"])),
    Metric("stalls", _COUNTER, _COUNT, _T, "pauses above 1 s in streams", exported="stream_stalls"),

    Metric("capture_gaps", _COUNTER, _COUNT, _P, "acknowledged data that the capture never held",
           titles=("Err",), order=10, importance=6, min_width=4, thresholds=above(0),
           graded_with="completeness", aliases=("gaps",), letter="C"),
    Metric("gap_bytes", _COUNTER, _BYTES, _P, "bytes in those gaps", exported="capture_gap"),
    Metric("acked_bytes", _COUNTER, _BYTES, _P, "bytes acknowledged in both directions",
           hot=3, exported="acknowledged"),
    Metric("completeness", _DERIVED, Unit.SHARE, _P, "acknowledged bytes that the capture held",
           titles=("Complete", "Cmpl"), order=20, importance=25, min_width=6,
           is_low_first=True, unknown=1.0, thresholds=below(None, 99.9),
           derive=lambda c, _: np.maximum(0.0, 1 - ratio(c["gap_bytes"], c["acked_bytes"]))),
    Metric("one_sided", _COUNTER, _COUNT, _P, "connections of which one direction was never seen",
           titles=("One-sided", "1-sd"), order=30, importance=31, min_width=4,
           exported="connections_one_sided"),

    # In the order of ``sketch_t``.
    Metric("connect_latency", _DISTRIBUTION, _NS, _C, "first SYN to the client's ACK",
           titles=("Lat",), order=90, importance=5, min_width=6,
           aliases=("latency", "connect"), letter="L", exported="connect_duration"),
    Metric("syn_rtt", _DISTRIBUTION, _NS, _T, "SYN to SYN/ACK",
           titles=("Syn RTT", "SynT"), label="SYN RTT", order=40, importance=34, min_width=6),
    Metric("response_time", _DISTRIBUTION, _NS, _T,
           "end of the request to the first byte of the response",
           titles=("Rtt",), order=30, importance=3, min_width=6,
           aliases=("response",), letter="T"),
    Metric("response_duration", _DISTRIBUTION, _NS, _T,
           "end of the request to the last byte of the response",
           titles=("Last byte", "Last"), order=70, importance=28, min_width=6, letter="B"),
    Metric("tls_latency", _DISTRIBUTION, _NS, _T, "duration of TLS handshakes",
           titles=("TLS",), order=80, importance=22, min_width=6, letter="U",
           exported="tls_handshake_duration"),
    Metric("net_rtt", _DISTRIBUTION, _NS, _T, "a segment to its ACK, delayed ACKs included",
           label="ACK RTT", exported="ack_rtt"),
    Metric("server_time", _DISTRIBUTION, _NS, _T, "response time less the least round trip",
           titles=("Server", "Srv"), order=50, importance=18, min_width=6, letter="W"),
    Metric("path_rtt", _DISTRIBUTION, _NS, _T, "least round trip of a connection",
           titles=("Net",), order=60, importance=21, min_width=6, aliases=("path",), letter="N"),
    Metric("reset_age", _DISTRIBUTION, _NS, _C, "age of connections that the server reset",
           label="Reset age", exported="reset_connection_age"),
    Metric("reuse", _DISTRIBUTION, _COUNT, _C, "responses per connection",
           titles=("QoS",), order=80, importance=10, min_width=3, letter="Q",
           exported="responses_per_connection"),
)  # fmt: skip
"""All of them; within a group in the order of the documentation and the drill-down."""

METRIC_OF = {metric.name: metric for metric in METRICS}


def _names(kind: Kind) -> tuple[str, ...]:
    return tuple(metric.name for metric in METRICS if metric.kind is kind)


COUNTERS: tuple[str, ...] = tuple(
    sorted(_names(Kind.COUNTER), key=lambda name: METRIC_OF[name].hot or len(METRICS))
)
"""Monotonic counters of a destination, in the order of their storage (the busiest first)."""

GAUGES = _names(Kind.GAUGE)

COUNTER_ROW = np.dtype([(name, "<u8") for name in COUNTERS + GAUGES])
"""One destination's numbers."""

SKETCHES = _names(Kind.DISTRIBUTION)
"""The distributions kept per destination; the place of each is its number in the kernels."""

ERRORS = ("rst_in", "timeouts", "tls_failed", "unanswered")
"""What counts as errors in strips and trends: connections that the other end refused or reset,
attempts without an answer, failed TLS handshakes, requests without an answer. A refusal is among
``rst_in``; what fails in two of these ways counts twice."""

DERIVED = _names(Kind.DERIVED)

SORTABLE = ("destination", "verdict", *COUNTERS, *GAUGES, *DERIVED, *SKETCHES)
"""What rows can be sorted by; a distribution sorts by the view's percentile."""

NEVER = above(None)
"""Thresholds beyond which no value lies."""

CLASSIC_THRESHOLDS: dict[str, Thresholds] = {
    "synack": below(None, 90, is_share=True),
    "est": below(None, 90, is_share=True),
    "rst": above(None, 10, is_share=True),
    "connect_latency": above(None, 20 * NS_PER_MS),
    "response_time": above(None, 100 * NS_PER_MS),
    "capture_gaps": above(None, 0),
    "reuse": below(None, 100),
}
"""What stood out in the tool of 2016, by metric; nothing else did."""


def derived(name: str, counters: Counters, span_ns: int) -> npt.NDArray[np.float64]:
    """A derived metric of n rows, shape (n,), NaN where it is unknown.

    Args:
        name: of ``DERIVED``.
        counters: of the rows.
        span_ns: capture time that they cover.
    """
    derive = METRIC_OF[name].derive
    if derive is None:
        raise ValueError(f"{name} is not computed from others")
    return derive(counters, span_ns)


def known(values: npt.NDArray[np.float64]) -> list[float | None]:
    """Numbers as a list, with None for those that are unknown."""
    return [None if value != value else value for value in values.tolist()]  # noqa: PLR0124 - NaN
