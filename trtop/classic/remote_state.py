"""``TcpRemoteState``: one destination as the classic tool's getters tell it.

Takes the rows of successive snapshots, gives numbers: counts as integers, rates per second,
latencies in milliseconds, 0.0 where there is no sample yet.
"""

from __future__ import annotations

from typing import Any

from trtop.escape import escape
from trtop_core.records import NS_PER_MS
from trtop_core.snapshot import Row

NO_REUSE = "*"
"""What QoS is until a connection has closed."""

P95 = 95.0


class TcpRemoteState:
    """What is known of one destination; the same object is told of each new snapshot.

    Attributes:
        hostname: its name, or its address. From the network: escape it before a terminal sees it.
        row: every number of it (``row.count("refused")``, ``row.record()``).
    """

    def __init__(self, hostname: str, row: Row) -> None:
        self.hostname = hostname
        self.row = row

    def get_syn_count(self) -> int:
        """Connection attempts."""
        return self.row.count("syn")

    def get_syn_mean_rate(self) -> float:
        """Attempts per second."""
        return self.row.rate("syn") or 0.0

    def get_syn_ack_count(self) -> int:
        """Attempts that were answered."""
        return self.row.count("synack")

    def get_est_count(self) -> int:
        """Attempts whose handshake completed."""
        return self.row.count("est")

    def get_est_mean_rate(self) -> float:
        """Handshakes per second."""
        return self.row.rate("est") or 0.0

    def get_rst_count(self) -> int:
        """Connections reset before any FIN."""
        return self.row.count("rst")

    def get_fin_out_count(self) -> int:
        """Connections closed first by the client."""
        return self.row.count("fin_out")

    def get_fin_in_count(self) -> int:
        """Connections closed first by the server."""
        return self.row.count("fin_in")

    def get_retransmit_counter(self) -> int:
        """Segments sent again by either side."""
        return self.row.count("retrans_out") + self.row.count("retrans_in")

    def get_conn_latency_mean(self) -> float:
        """Mean time to connect in ms."""
        record = self.row.sketch_record("connect_latency")
        return record["sum_ns"] / record["count"] / NS_PER_MS if record["count"] else 0.0

    def get_conn_latency_95th(self) -> float:
        """95th percentile of the time to connect in ms."""
        return self.get_percentile("connect_latency", P95)

    def get_conn_latency_min(self) -> float:
        """Least time to connect in ms."""
        return (self.row.sketch_record("connect_latency")["min_ns"] or 0) / NS_PER_MS

    def get_conn_latency_max(self) -> float:
        """Longest time to connect in ms."""
        return (self.row.sketch_record("connect_latency")["max_ns"] or 0) / NS_PER_MS

    def get_transport_rtt_95th(self) -> float:
        """95th percentile of the time to the first byte of the response in ms."""
        return self.get_percentile("response_time", P95)

    def get_outgoing_count(self) -> int:
        """Requests."""
        return self.row.count("requests")

    def get_incoming_count(self) -> int:
        """Responses."""
        return self.row.count("responses")

    def get_rt_per_conn_95th(self) -> int | str:
        """95th percentile of responses per connection; ``*`` until a connection has closed."""
        value = self.row.quantile("reuse", P95)
        return NO_REUSE if value is None else value

    def get_pkt_err_count(self) -> int:
        """Holes of the capture: data that the peer acknowledged and the capture never held."""
        return self.row.count("capture_gaps")

    def get_percentile(self, sketch: str, percentile: float) -> float:
        """A percentile of any latency in ms; 0.0 without samples.

        Args:
            sketch: ``connect_latency``, ``response_time``, ``net_rtt``, ``server_time`` ...
            percentile: above 0 and at most 100.
        """
        return (self.row.quantile(sketch, percentile) or 0) / NS_PER_MS

    def record(self) -> dict[str, Any]:
        """Every field as plain data, as JSON reports have it."""
        return self.row.record()

    def __str__(self) -> str:
        n_syn, n_est = self.get_syn_count(), self.get_est_count()
        success = f"{100 * n_est / n_syn:.2f}%" if n_syn else "-"
        return (
            f"{escape(self.hostname)}: attempts {n_syn}, established {n_est} ({success}, "
            f"{self.get_est_mean_rate():.2f}/s), resets {self.get_rst_count()}, "
            f"connect p95 {self.get_conn_latency_95th():.2f} ms, "
            f"requests {self.get_outgoing_count()}, responses {self.get_incoming_count()}, "
            f"response p95 {self.get_transport_rtt_95th():.2f} ms, "
            f"gaps {self.get_pkt_err_count()}"
        )
