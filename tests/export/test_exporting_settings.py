"""What users write of metrics: read, or refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from trtop_core.argument_parser import UsageError
from trtop_core.errors import TrtopError
from trtop_core.wire.endpoint import Endpoint
from trtop_daemon.config import exporting
from trtop_daemon.config.arguments import parse
from trtop_daemon.config.settings import Settings, make_settings
from trtop_daemon.ipc.export_orders import Orders, OtlpOrders


def settings(*arguments: str) -> Settings:
    return make_settings(parse(arguments).given, None)


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("9464", Endpoint(host="127.0.0.1", port=9464)),
        (":9464", Endpoint(host="127.0.0.1", port=9464)),
        ("0.0.0.0:1", Endpoint(host="0.0.0.0", port=1)),
        ("[::1]:9464", Endpoint(host="::1", port=9464)),
        ("unix:/run/m.sock", Endpoint(path="/run/m.sock")),
    ],
)
def test_places_for_metrics(text: str, endpoint: Endpoint) -> None:
    assert settings("--metrics", text).metrics == (endpoint,)


def test_everything_is_a_key_of_the_file_too(tmp_path: Path) -> None:
    path = tmp_path / "trtopd.toml"
    path.write_text(
        """
        metrics = [9464, "unix:/run/m.sock"]
        otlp = "https://collector.example:4318/x"
        otlp_header = ["Authorization=Bearer a=b"]
        otlp_ca = "/ca.pem"
        otlp_interval = 10
        otlp_temporality = "delta"
        export_destinations = 7
        export_bounds = "0.001, 0.1"
        export_names = ["hosts:/h", "dns"]
        """
    )
    found = make_settings({}, str(path))
    assert [str(one) for one in found.metrics] == ["tcp://127.0.0.1:9464", "ipc:///run/m.sock"]
    assert found.otlp_header == (("Authorization", "Bearer a=b"),)
    assert (found.otlp_interval, found.otlp_temporality) == (10, True)
    assert (found.export_destinations, found.export_bounds) == (7, (0.001, 0.1))
    assert found.export_names == ("hosts:/h", "dns")
    assert found.is_exporting
    assert "Bearer" not in repr(found)
    assert not Settings().is_exporting


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--metrics", ""], "is no place for metrics"),
        (["--metrics", "127.0.0.1:99999"], "is no place for metrics"),
        (["--metrics", "unix:"], "names no socket file"),
        (["--metrics", "a b:1"], "is no place for metrics"),
        (["--otlp", "ftp://x"], "'ftp://x' is no OTLP receiver"),
        (["--otlp", "http://"], "is no OTLP receiver"),
        (["--otlp", "http://x:y"], "is no OTLP receiver"),
        (["--otlp", "http://[x"], "is no OTLP receiver"),
        (["--otlp", "http://x\ny"], "is no OTLP receiver"),
        (["--otlp", "http://u:s3cret@x"], "an OTLP URL has no user in it"),
        (["--otlp-header", "a=s3cret"], "--otlp-header goes with --otlp URL"),
        (["--otlp-interval", "5"], "--otlp-interval goes with --otlp URL"),
        (["--otlp", "http://x", "--otlp-header", "a b=s3cret"], "a header is NAME=VALUE"),
        (["--otlp", "http://x", "--otlp-header", "a=s3cret\r\nb: c"], "is not printable ASCII"),
        (["--otlp", "http://x", "--otlp-temporality", "y"], "'y' is none of: cumulative | delta"),
        (["--export-bounds", "1,1"], "bounds ascend"),
        (["--export-bounds", "1,x"], "is no list of times"),
        (["--export-bounds", ""], "is no list of times"),
        (["--export-bounds", "0.1,2000"], "within 1 µs … 1,000 s"),
        (["--export-bounds", ",".join(map(str, range(1, 60)))], "at most 50 bounds"),
        (["--export-destinations", "0"], "0"),
        (["--export-destinations", "1000000"], "at most 2,000 destinations"),
        (["--export-names", "capture"], "'capture' is no source of names here"),
        (["--export-names", "hosts," * 20 + "hosts"], "at most 16 sources of names"),
    ],
)
def test_what_is_wrong_is_one_line_without_secrets(arguments: list[str], words: str) -> None:
    with pytest.raises((TrtopError, UsageError)) as raised:
        settings(*arguments)
    text = str(raised.value)
    assert words in text
    assert "\n" not in text
    assert "s3cret" not in text


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(exporting.missing_packages(True, "grpc://x")) == []
    monkeypatch.setattr(exporting, "find_spec", lambda name: None)
    assert list(exporting.missing_packages(False, None)) == []
    assert [line.partition(":")[0] for line in exporting.missing_packages(True, "grpc://x")] == [
        "--metrics needs a package that is not installed (prometheus_client)",
        "--otlp needs a package that is not installed (opentelemetry)",
        "--otlp needs a package that is not installed (grpc)",
    ]


def test_orders_survive_their_way_to_the_exporter() -> None:
    orders = Orders(
        endpoint="ipc:///x",
        curve=("a", "b", "c"),
        identity=(1, 2),
        metrics_fds=(3, 4),
        otlp=OtlpOrders("http://x", (("a", "b"),), "/ca", 1.5, True),
        names=("dns",),
        observation_point="\udcff",
    )
    assert Orders.from_json(orders.to_json()) == orders
    assert Orders.from_json(Orders("ipc:///x").to_json()) == Orders("ipc:///x")
    assert "'b'" not in repr(orders)
