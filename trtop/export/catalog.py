"""What metrics systems are told: name, kind, unit and meaning of everything exported. Data only.

Names and texts of a destination's numbers follow from the table of metrics; those of the capture's
health, and of the exporter itself, stand here. ``docs/metrics.md`` is made from this table.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from trtop_core.metric_types import Kind, Metric, Unit
from trtop_core.metrics import METRICS

PREFIX = "trtop_"
OTLP_PREFIX = "trtop."

LABELS = ("destination", "port", "name")
"""Of every series of a destination."""

OTHER = "other"
"""``destination`` of the series in which those without series of their own are added up."""

CHILD = "of these"
"""How the text of a metric begins that counts a part of the one before it."""


class Form(Enum):
    """How a family is exposed."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


_FORMS = {
    Kind.COUNTER: Form.COUNTER,
    Kind.GAUGE: Form.GAUGE,
    Kind.DISTRIBUTION: Form.HISTOGRAM,
}

_UNITS = {Unit.BYTES: "bytes", Unit.NS: "seconds"}

_OTLP_UNITS = {Unit.BYTES: "By", Unit.NS: "ns"}

ERROR_TYPES = {
    "refused": "connection_refused",
    "timeouts": "timeout",
    "rst_out": "connection_reset_by_client",
    "rst_in": "connection_reset_by_server",
    "tls_failed": "tls_handshake_failed",
    "unanswered": "no_response",
}
"""The attribute ``error.type`` of OTLP, by the metric whose points bear it."""


class Family(NamedTuple):
    """One family of series.

    Attributes:
        name: in Prometheus, without the ``_total`` of counters.
        form: how it is exposed.
        help: one sentence that stands alone.
        labels: of each series.
        metric: the metric of a destination; None for health and the exporter's own.
        field: of ``Health``; empty for anything else.
        per_unit: what the stored number is divided by.
    """

    name: str
    form: Form
    help: str
    labels: tuple[str, ...] = ()
    metric: Metric | None = None
    field: str = ""
    per_unit: float = 1.0

    @property
    def exposed(self) -> str:
        """The name that PromQL knows."""
        return f"{self.name}_total" if self.form is Form.COUNTER else self.name

    @property
    def otlp_name(self) -> str:
        """The name in OTLP, whose units stand apart."""
        metric = self.metric
        if metric is not None:
            return OTLP_PREFIX + (metric.exported or metric.name)
        return OTLP_PREFIX + self.name.removeprefix(PREFIX).removesuffix("_seconds")

    @property
    def otlp_unit(self) -> str:
        """The unit in OTLP, as UCUM spells it."""
        if self.metric is not None:
            return _OTLP_UNITS.get(self.metric.unit, "1")
        return "s" if self.name.endswith("_seconds") else "1"


def _of_destinations() -> tuple[Family, ...]:
    families, parent = [], ""
    for metric in METRICS:
        text = metric.help.partition(", and ")[0] if metric.in_brackets else metric.help
        if text.startswith(CHILD):
            text = f"{parent}: {text}"
        else:
            parent = text
        if metric.kind not in _FORMS:  # PromQL derives what is derived
            continue
        unit = _UNITS.get(metric.unit, "")
        name = PREFIX + (metric.exported or metric.name) + (f"_{unit}" if unit else "")
        scale = 1e9 if metric.unit is Unit.NS else 1.0
        families.append(Family(name, _FORMS[metric.kind], text, LABELS, metric, "", scale))
    return tuple(families)


DESTINATION_FAMILIES = _of_destinations()
"""One per metric that an engine stores, in the order of the table."""


def _counter(name: str, field: str, text: str, per_unit: float = 1.0) -> Family:
    return Family(PREFIX + name, Form.COUNTER, text, (), None, field, per_unit)


HEALTH_FAMILIES = (
    _counter("packets", "packets", "packets that reached the decoder"),
    _counter("packets_not_tcp", "not_tcp", "decoded packets without TCP"),
    _counter("duplicate_segments", "duplicates", "segments captured twice, which count once"),
    _counter("packets_untimed", "untimed", "packets without a timestamp, skipped"),
    _counter("connections_evicted", "evicted", "connections that a full table forgot"),
    _counter("holes_unkept", "holes_unkept", "holes judged at once, since their memory was full"),
    _counter("samples_unbinned", "samples_unbinned",
             "samples in the count and sum of histograms that found no memory for a bin"),
    _counter("packets_received", "received", "packets that the capturing side says it received"),
    _counter("packets_kernel_dropped", "kernel_dropped",
             "packets that the kernel dropped for lack of room"),
    _counter("packets_interface_dropped", "interface_dropped",
             "packets that the interface dropped"),
    _counter("packets_read_lost", "read_lost",
             "packets that the kernel kept and a capture process could not read"),
    _counter("capture_interruptions", "interruptions", "times that capturing stopped by itself"),
    _counter("capture_interrupted_seconds", "interrupted_ns",
             "time in which nothing was captured for that reason", 1e9),
    _counter("clock_steps", "clock_steps", "times that capture time jumped"),
    _counter("stray_times", "stray_times", "packets whose time was no time"),
)  # fmt: skip
"""One per number of ``Health``; what the capturing side does not say has no series."""

UNDECODED = Family(
    f"{PREFIX}packets_undecoded", Form.COUNTER,
    "packets that should have held TCP and could not be read, by reason", ("reason",),
)  # fmt: skip

VERDICT = Family(
    f"{PREFIX}destination_verdict", Form.GAUGE,
    "1 for the verdict of a destination in the last minute", (*LABELS, "verdict"),
)  # fmt: skip

OWN_FAMILIES = (
    Family(f"{PREFIX}build_info", Form.GAUGE, "1; the version of trtop", ("version",)),
    Family(f"{PREFIX}capture_info", Form.GAUGE, "1; the host and what is captured there",
           ("host", "observation_point")),
    Family(f"{PREFIX}capturing", Form.GAUGE,
           "1 while something captures, or a replay runs or has ended"),
    Family(f"{PREFIX}notices", Form.GAUGE, "conditions of the capture that hold now, by severity",
           ("severity",)),
    Family(f"{PREFIX}capture_clock_seconds", Form.GAUGE,
           "capture time: the latest time of any packet, since the epoch"),
    Family(f"{PREFIX}destinations", Form.GAUGE, "destinations that the daemon knows"),
    Family(f"{PREFIX}destinations_folded", Form.GAUGE,
           "destinations without series of their own, added up in destination=\"other\""),
    Family(f"{PREFIX}destinations_limit", Form.GAUGE,
           "destinations that have series of their own at most"),
    Family(f"{PREFIX}destination_series_started", Form.COUNTER,
           "destinations that were given series of their own"),
    Family(f"{PREFIX}destination_series_ended", Form.COUNTER,
           "destinations whose series ended for others"),
    Family(f"{PREFIX}snapshot_duration_seconds", Form.GAUGE,
           "time from asking the daemon to its answer"),
    Family(f"{PREFIX}scrapes_refused", Form.COUNTER,
           "connections to the metrics endpoint refused, since too many were open"),
    Family(f"{PREFIX}otlp_requests", Form.COUNTER, "OTLP requests, by what became of them",
           ("result",)),
    Family(f"{PREFIX}otlp_points_lost", Form.COUNTER,
           "OTLP data points that were thrown away or rejected"),
    Family(f"{PREFIX}otlp_requests_queued", Form.GAUGE, "OTLP requests that wait to be sent"),
)  # fmt: skip
"""Of the daemon and of the exporter itself; those of OTLP where it is used."""

OWN = {family.name.removeprefix(PREFIX): family for family in OWN_FAMILIES}

FAMILIES = (*DESTINATION_FAMILIES, VERDICT, *HEALTH_FAMILIES, UNDECODED, *OWN_FAMILIES)
"""All of them, in the order in which they are exposed."""
