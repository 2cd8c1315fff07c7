"""The text that Prometheus reads says what the snapshot says."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from prometheus_client.openmetrics.parser import (
    text_string_to_metric_families as openmetrics_families,
)
from prometheus_client.parser import text_string_to_metric_families
from support.builders.snapshot import Destination, destination, incident, table
from support.export import OPENMETRICS, collected_of

from trtop.export.catalog import DESTINATION_FAMILIES, FAMILIES, HEALTH_FAMILIES, Form
from trtop.export.collected import Label
from trtop.export.prometheus import content_type_of, encoded
from trtop_core.health import Health
from trtop_core.metric_types import Kind
from trtop_core.metrics import COUNTERS, GAUGES, METRICS, SKETCHES
from trtop_daemon.ipc.export_orders import DEFAULT_BOUNDS_S

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def series(text: bytes) -> Series:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def of(found: Series, name: str, /, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


def test_every_stored_metric_has_a_family() -> None:
    named = [family.metric.name for family in DESTINATION_FAMILIES if family.metric is not None]
    assert sorted(named) == sorted([*COUNTERS, *GAUGES, *SKETCHES])
    assert len({family.exposed for family in FAMILIES}) == len(FAMILIES)
    assert len({family.otlp_name for family in FAMILIES}) == len(FAMILIES)


def test_every_number_of_health_has_a_family() -> None:
    fields = {family.field for family in HEALTH_FAMILIES}
    assert fields | {"undecoded"} == set(Health().record())


def test_names_follow_the_conventions() -> None:
    for family in DESTINATION_FAMILIES:
        assert family.exposed.startswith("trtop_")
        assert family.exposed.endswith("_total") == (family.form is Form.COUNTER)
        assert family.metric is not None
        assert not family.help.startswith("of these")
    assert "trtop_connection_attempts_total" in {family.exposed for family in FAMILIES}
    assert "trtop_connect_duration_seconds" in {family.exposed for family in FAMILIES}
    assert "trtop_response_duration_seconds" in {family.exposed for family in FAMILIES}


def test_every_counter_gauge_and_histogram_is_that_of_the_rows() -> None:
    snapshot = incident()
    found = series(encoded(collected_of(snapshot.table), DEFAULT_BOUNDS_S, ""))
    names = {family.metric.name: family for family in DESTINATION_FAMILIES if family.metric}
    for row in snapshot.rows():
        labels = {"destination": str(row.origin.address)}
        for metric in METRICS:
            if metric.kind not in (Kind.COUNTER, Kind.GAUGE):
                continue
            family = names[metric.name]
            value = row.count(metric.name) / family.per_unit
            assert of(found, family.exposed, **labels) == pytest.approx(value, rel=1e-15)
        for sketch in SKETCHES:
            family, record = names[sketch], row.sketch_record(sketch)
            if not record["count"]:
                assert (f"{family.name}_count", tuple(labels.items())) not in found
                continue
            total = next(value for key, value in record.items() if key.startswith("sum"))
            assert of(found, f"{family.name}_count", **labels) == record["count"]
            assert of(found, f"{family.name}_bucket", le="+Inf", **labels) == record["count"]
            assert of(found, f"{family.name}_sum", **labels) == pytest.approx(
                total / family.per_unit
            )


def test_buckets_are_cumulative_and_in_seconds() -> None:
    rows = [destination("192.0.2.1", syn=1, response_time=[2_000_000, 30_000_000, 4_000_000_000])]
    found = series(encoded(collected_of(table(rows)), (0.005, 0.05, 1.0), ""))
    buckets = {
        dict(labels)["le"]: value
        for (name, labels), value in found.items()
        if name == "trtop_response_time_seconds_bucket"
    }
    assert buckets == {"0.005": 1, "0.05": 2, "1.0": 2, "+Inf": 3}
    assert of(found, "trtop_response_time_seconds_sum", destination="192.0.2.1") == 4.032


def test_labels_have_ports_and_names() -> None:
    made = collected_of(table([destination("2001:db8::1", 443, syn=2)]))
    made = replace(made, labels=(Label("2001:db8::1", 443, "db.example"), made.labels[-1]))
    found = series(encoded(made, DEFAULT_BOUNDS_S, ""))
    labels = {"destination": "2001:db8::1", "port": "443", "name": "db.example"}
    assert of(found, "trtop_connection_attempts_total", **labels) == 2


HOSTILE = 'a"b\\c\nd{}=,\x1b[31m\u202e\udcff'


def test_a_hostile_name_is_one_label_of_one_line() -> None:
    rows: list[Destination] = [destination("192.0.2.1", 443, syn=2)]
    made = collected_of(table(rows), names={("192.0.2.1", 443): HOSTILE})
    text = encoded(made, DEFAULT_BOUNDS_S, "").decode()
    labels = {dict(key).get("name") for _, key in series(text.encode())}
    assert labels == {None, 'a"b\\\\c\\x0ad{}=,\\x1b[31m\\u202e\\udcff'}
    assert not [line for line in text.splitlines() if not line.isprintable()]


def test_what_the_capturing_side_does_not_say_has_no_series() -> None:
    made = collected_of(incident().table)
    for health, is_there in ((Health(), False), (Health(kernel_dropped=0), True)):
        found = series(encoded(replace(made, health=health), DEFAULT_BOUNDS_S, ""))
        assert (("trtop_packets_kernel_dropped_total", ()) in found) == is_there


def test_health_verdicts_and_reasons() -> None:
    made = replace(
        collected_of(table([destination("192.0.2.1", syn=2)])),
        verdicts=("NO ANSWER",),
        health=Health(packets=7, interrupted_ns=1_500_000_000, undecoded={"truncated": 3}),
    )
    found = series(encoded(made, DEFAULT_BOUNDS_S, ""))
    assert of(found, "trtop_packets_total") == 7
    assert of(found, "trtop_capture_interrupted_seconds_total") == 1.5
    assert of(found, "trtop_packets_undecoded_total", reason="truncated") == 3
    labels = {"destination": "192.0.2.1", "verdict": "NO ANSWER"}
    assert of(found, "trtop_destination_verdict", **labels) == 1


def test_openmetrics_is_given_to_who_asks_for_it() -> None:
    text = encoded(collected_of(incident().table), DEFAULT_BOUNDS_S, OPENMETRICS)
    assert text.endswith(b"# EOF\n")
    assert content_type_of(OPENMETRICS).startswith("application/openmetrics-text")
    assert content_type_of("").startswith("text/plain")
    families = {family.name: family for family in openmetrics_families(text.decode())}
    attempts = {
        sample.labels["destination"]: sample.value
        for sample in families["trtop_connection_attempts"].samples
    }
    assert attempts["10.20.0.11"] == 23
    assert not [value for value in attempts.values() if math.isnan(value)]
