"""Records of connections under the names of trtop, Zeek's conn.log, ECS, or OCSF's class 4001.

Takes columns of records (``connection_columns``), gives their fields to a writer of columns
(``record_columns.Fields``). What a schema asks for and a capture of packets does not tell (a user,
a process, a uid) is left out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop.reporters.connection_columns import Connections, Numbers, Tokens
from trtop.reporters.formats import Schema
from trtop.reporters.record_columns import Fields, picked
from trtop_core._text import UNKNOWN
from trtop_core.connection_records import OVER, Ended
from trtop_core.metrics import COUNTERS, METRIC_OF, SKETCHES
from trtop_core.records import NS_PER_MS, NS_PER_S, NS_PER_US

OCSF_VERSION = "1.5.0"
OCSF_CLASS = 4001
"""Network Activity."""


def add_connections(fields: Fields, records: npt.NDArray[Any], schema: Schema) -> None:
    """The fields of some records.

    Args:
        fields: where to.
        records: shape (n,), dtype ``CONNECTION_RECORD``.
        schema: whose names they have.
    """
    ADDERS[schema](fields, Connections(records))


def _add_trtop(fields: Fields, c: Connections) -> None:
    for end in ("client", "server"):
        fields.add_tokens(f"{end}_address", c.address(end))
        fields.add_numbers(f"{end}_port", c.port(end))
    fields.add_tokens("community_id", c.community_ids)
    fields.add_tokens("state", c.states)
    fields.add_flags("is_over", np.isin(c.ended, OVER))
    fields.add_flags("is_tls", c.carries("tls"))
    fields.add_flags("is_http2", c.carries("http2"))
    fields.add_numbers("first_ns", c.first_ns)
    fields.add_numbers("last_ns", c.last_ns)
    fields.add_numbers("duration_ns", c.duration_ns)
    for way in ("out", "in"):
        fields.add_numbers(f"packets_{way}", c.packets(way))
    for name in COUNTERS:
        fields.add_numbers(name, c[name])
    fields.add_numbers("waiting", c.waiting)
    fields.add_tokens("verdict", c.verdicts)
    for name in SKETCHES:
        samples, unit = c.samples(name), METRIC_OF[name].unit.suffix
        fields.open_group(name)
        fields.add_numbers("count", samples["count"])
        fields.add_numbers(f"sum{unit}", samples["sum"])
        largest = np.where(samples["count"] > 0, samples["max"], UNKNOWN)
        fields.add_numbers(f"max{unit}", largest)
        fields.close_group()


def _add_zeek(fields: Fields, c: Connections) -> None:
    fields.add_seconds("ts", c.first_ns)
    fields.add_tokens("id.orig_h", c.address("client"))
    fields.add_numbers("id.orig_p", c.port("client"))
    fields.add_tokens("id.resp_h", c.address("server"))
    fields.add_numbers("id.resp_p", c.port("server"))
    fields.add_constant("proto", "tcp")
    fields.add_seconds("duration", c.duration_ns)
    fields.add_numbers("orig_bytes", c["bytes_out"])
    fields.add_numbers("resp_bytes", c["bytes_in"])
    fields.add_tokens("conn_state", zeek_states(c))
    fields.add_numbers("missed_bytes", c["gap_bytes"])
    fields.add_numbers("orig_pkts", c.packets("out"))
    fields.add_numbers("resp_pkts", c.packets("in"))
    fields.add_tokens("community_id", c.community_ids)


def zeek_states(c: Connections) -> Tokens:
    """Zeek's ``conn_state`` of each connection."""
    began, answered, complete = c["syn"] > 0, c["synack"] > 0, c["est"] > 0
    rst_out, rst_in = c["rst_out"] > 0, c["rst_in"] > 0
    fin_out, fin_in = c["fin_out"] > 0, c["fin_in"] > 0
    both = c.ended == Ended.CLOSED
    holds = [
        (~began, "OTH"),
        (c["refused"] > 0, "REJ"),
        (complete & rst_out, "RSTO"),
        (complete & rst_in, "RSTR"),
        (~answered & rst_out, "RSTOS0"),
        (answered & rst_in, "RSTRH"),
        (answered & rst_out, "RSTO"),
        (complete & both & (fin_out | fin_in), "SF"),
        (complete & fin_out, "S2"),
        (complete & fin_in, "S3"),
        (complete, "S1"),
        (~answered & fin_out, "SH"),
        (answered & fin_in, "SHR"),
        (answered, "S1"),
    ]
    words = [*(word.encode() for _, word in holds), b"S0"]
    found = np.select([mask for mask, _ in holds], list(range(len(holds))), len(holds))
    return picked(words, found)


def _add_ecs(fields: Fields, c: Connections) -> None:
    ends = _iso(c.last_ns)
    starts = _iso(np.where(c.first_ns == UNKNOWN, c.last_ns, c.first_ns))
    fields.add_tokens("@timestamp", ends)
    fields.open_group("event")
    for name, word in (("kind", "event"), ("category", "network"), ("type", "connection")):
        fields.add_constant(name, word)
    fields.add_tokens("start", starts)
    fields.add_tokens("end", ends)
    fields.add_numbers("duration", c.duration_ns)
    fields.close_group()
    for group, end, way in (("source", "client", "out"), ("destination", "server", "in")):
        fields.open_group(group)
        fields.add_tokens("ip", c.address(end))
        fields.add_numbers("port", c.port(end))
        fields.add_numbers("bytes", c[f"bytes_{way}"])
        fields.add_numbers("packets", c.packets(way))
        fields.close_group()
    fields.open_group("network")
    fields.add_constant("transport", "tcp")
    fields.add_tokens("type", _ip_versions(c))
    fields.add_numbers("bytes", c["bytes_out"] + c["bytes_in"])
    fields.add_numbers("packets", c.packets("out") + c.packets("in"))
    fields.add_tokens("community_id", c.community_ids)
    fields.close_group()
    fields.open_group("trtop")
    fields.add_tokens("state", c.states)
    fields.add_tokens("verdict", c.verdicts)
    fields.close_group()


OCSF_ACTIVITIES = {
    Ended.CLOSED: 2,
    Ended.RESET: 3,
    Ended.TIMED_OUT: 4,
}
"""``activity_id``: Close, Reset, Fail; of all others Traffic, and of refused ones Refuse."""

OCSF_TRAFFIC, OCSF_REFUSE = 6, 5


def _add_ocsf(fields: Fields, c: Connections) -> None:
    activities = np.full(len(c.records), OCSF_TRAFFIC, np.int64)
    for state, number in OCSF_ACTIVITIES.items():
        activities[c.ended == state] = number
    activities[c["refused"] > 0] = OCSF_REFUSE
    fields.add_numbers("activity_id", activities)
    fields.add_constant("category_uid", OCSF_CLASS // 1000)
    fields.add_constant("class_uid", OCSF_CLASS)
    fields.add_numbers("type_uid", OCSF_CLASS * 100 + activities)
    fields.add_constant("severity_id", 1)
    numbers = {
        "time": _milliseconds(c.last_ns),
        "start_time": _milliseconds(c.first_ns),
        "end_time": _milliseconds(c.last_ns),
        "duration": _milliseconds(c.duration_ns),
    }
    for name, values in numbers.items():
        fields.add_numbers(name, values)
    for group, end in (("src_endpoint", "client"), ("dst_endpoint", "server")):
        fields.open_group(group)
        fields.add_tokens("ip", c.address(end))
        fields.add_numbers("port", c.port(end))
        fields.close_group()
    fields.open_group("connection_info")
    fields.add_constant("protocol_num", 6)
    fields.add_constant("protocol_name", "tcp")
    fields.add_constant("direction_id", 0)
    fields.add_tokens("community_uid", c.community_ids)
    fields.close_group()
    fields.open_group("traffic")
    for name, of_way in (("bytes", lambda way: c[f"bytes_{way}"]), ("packets", c.packets)):
        fields.add_numbers(f"{name}_out", of_way("out"))
        fields.add_numbers(f"{name}_in", of_way("in"))
        fields.add_numbers(name, of_way("out") + of_way("in"))
    fields.close_group()
    fields.open_group("metadata")
    fields.add_constant("version", OCSF_VERSION)
    fields.open_group("product")
    fields.add_constant("name", "trtop")
    fields.add_constant("vendor_name", "trtop")
    fields.close_group()
    fields.close_group()
    fields.open_group("unmapped")
    fields.add_tokens("state", c.states)
    fields.add_tokens("verdict", c.verdicts)
    fields.close_group()


def _milliseconds(times_ns: Numbers) -> Numbers:
    return np.where(times_ns == UNKNOWN, UNKNOWN, times_ns // NS_PER_MS)


ISO_CHARS = len("2016-01-02T03:04:05.678901Z")


def _iso(times_ns: Numbers) -> Tokens:
    """Times in UTC, as RFC 3339 writes them."""
    seconds, rests = np.divmod(times_ns, NS_PER_S)
    rests //= NS_PER_US
    distinct, at = np.unique(seconds, return_inverse=True)
    texts = np.datetime_as_string(distinct.astype("datetime64[s]")).astype("S19")
    chars = np.empty((len(times_ns), ISO_CHARS), np.uint8)
    chars[:, :19] = texts.view(np.uint8).reshape(-1, 19)[at.reshape(-1)]
    chars[:, 19], chars[:, -1] = ord("."), ord("Z")
    for digit in range(ISO_CHARS - 2, 19, -1):
        rests, chars[:, digit] = np.divmod(rests, 10)
    chars[:, 20:-1] += ord("0")
    written: Tokens = chars.view(f"S{ISO_CHARS}").reshape(-1).tolist()
    return written


def _ip_versions(c: Connections) -> Tokens:
    mapped = np.frombuffer(bytes(10) + b"\xff\xff", np.uint8)
    is_v4 = (c.records["server_addr"][:, :12] == mapped).all(axis=1)
    return [b"ipv4" if is_mapped else b"ipv6" for is_mapped in is_v4.tolist()]


ADDERS: dict[Schema, Callable[[Fields, Connections], None]] = {
    Schema.TRTOP: _add_trtop,
    Schema.ZEEK: _add_zeek,
    Schema.ECS: _add_ecs,
    Schema.OCSF: _add_ocsf,
}
