"""What users write of metrics: where they are scraped, where they are pushed, which bounds.

Takes text, gives checked values or ``ValueError`` with one line. Opens nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import pairwise
from urllib.parse import urlsplit

from trtop_core import parse
from trtop_core.wire.endpoint import IPC, TCP, Endpoint, parse_endpoint
from trtop_daemon.ipc.export_orders import MAX_LIMIT

UNIX = "unix:"

LOOPBACK = "127.0.0.1"

OTLP_SCHEMES = ("http", "https", "grpc", "grpcs")

TEMPORALITIES = {"cumulative": False, "delta": True}

MAX_BOUNDS = 50

LEAST_BOUND_S, GREATEST_BOUND_S = 1e-6, 1000.0
"""Sketches tell nothing apart beyond these."""

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A token of RFC 9110 §5.6.2."""

MAX_NAMES = 16


def missing_packages(has_metrics: bool, otlp: str | None) -> Iterator[str]:
    """What is not installed that exporting takes, one line each; imports none of it.

    Args:
        has_metrics: metrics are scraped.
        otlp: where they are pushed; None: nowhere.
    """
    wanted = [("--metrics", "prometheus_client", "metrics")] if has_metrics else []
    if otlp is not None:
        wanted.append(("--otlp", "opentelemetry", "metrics"))
        if urlsplit(otlp).scheme.startswith("grpc"):
            wanted.append(("--otlp", "grpc", "grpc"))
    for option, package, extra in wanted:
        if find_spec(package) is None:
            yield (
                f"{option} needs a package that is not installed ({package}): "
                f"pip install 'trtop[{extra}]'"
            )


def metrics_endpoint(text: str) -> Endpoint:
    """Where metrics are scraped: ``[ADDR:]PORT``, loopback by default, or ``unix:PATH``.

    Raises:
        ValueError: it is neither.
    """
    if text.startswith(UNIX):
        return parse_endpoint(IPC + text.removeprefix(UNIX))
    host, _, port = text.rpartition(":")
    try:
        return parse_endpoint(f"{TCP}{host or LOOPBACK}:{port}")
    except ValueError:
        raise ValueError(
            f"{text!r} is no place for metrics, such as 9464, 192.0.2.7:9464, [::1]:9464 "
            "or unix:/run/trtop/metrics.sock"
        ) from None


def otlp_url(text: str) -> str:
    """Where OTLP is pushed.

    Raises:
        ValueError: it is no URL of a scheme that is spoken.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    is_plain = text.isascii() and text.isprintable() and " " not in text
    if not is_plain or parts.scheme not in OTLP_SCHEMES or not parts.hostname or port == 0:
        raise ValueError(
            f"{text!r} is no OTLP receiver, such as http://127.0.0.1:4318 or grpc://127.0.0.1:4317"
        )
    if parts.username or parts.password:
        raise ValueError("an OTLP URL has no user in it; --otlp-header 'Authorization=…' does that")
    return text


def header(text: str) -> tuple[str, str]:
    """A header as ``NAME=VALUE``.

    Raises:
        ValueError: it is none; the value, which may be secret, is not in the message.
    """
    name, equals, value = text.partition("=")
    if not equals or not HEADER_NAME.fullmatch(name):
        raise ValueError("a header is NAME=VALUE, such as Authorization=Bearer …")
    if not (value.isascii() and value.isprintable()):
        raise ValueError(f"the value of header {name} is not printable ASCII")
    return name, value


def temporality(text: str) -> bool:
    """Whether pushes are deltas.

    Raises:
        ValueError: neither ``cumulative`` nor ``delta``.
    """
    return parse.one_of(TEMPORALITIES, text)


def bounds(text: str) -> tuple[float, ...]:
    """Bounds of histograms in seconds, ascending.

    Raises:
        ValueError: one is no time, or they do not ascend, or are too many.
    """
    try:
        found = tuple(parse.seconds(part.strip()) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{text!r} is no list of times, such as 0.005,0.05,0.5,5") from None
    if any(a >= b for a, b in pairwise(found)):
        raise ValueError(f"{text!r}: bounds ascend")
    if not LEAST_BOUND_S <= found[0] <= found[-1] <= GREATEST_BOUND_S:
        raise ValueError(f"{text!r}: a bound is within 1 µs … 1,000 s")
    if len(found) > MAX_BOUNDS:
        raise ValueError(f"at most {MAX_BOUNDS} bounds")
    return found


def limit(text: str) -> int:
    """How many destinations have series of their own.

    Raises:
        ValueError: it is out of range.
    """
    n_destinations = parse.positive(text)
    if n_destinations > MAX_LIMIT:
        raise ValueError(f"{text!r}: at most {MAX_LIMIT:,} destinations have series of their own")
    return n_destinations


def names(text: str) -> tuple[str, ...]:
    """Resolvers: ``hosts[:FILE]`` and ``dns[:SERVER]``, the first that knows a name wins.

    Raises:
        ValueError: there is no such one.
    """
    found = tuple(part.strip() for part in text.split(","))
    for name in found:
        if name.partition(":")[0] not in ("hosts", "dns"):
            raise ValueError(f"{name!r} is no source of names here; there are: hosts[:FILE], dns")
    if len(found) > MAX_NAMES:
        raise ValueError(f"at most {MAX_NAMES} sources of names")
    return found
