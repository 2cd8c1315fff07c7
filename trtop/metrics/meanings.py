"""What each field means, in a few words: for the help, the column chooser and the drill-down.

Data only. Names and meanings are those of the metric definitions.
"""

from __future__ import annotations

CONNECTIONS: dict[str, str] = {
    "syn": "connection attempts, and attempts per second",
    "syn_retrans": "further SYNs of the same attempt",
    "synack": "attempts that were answered",
    "synack_retrans": "further SYN/ACKs of the same attempt",
    "est": "attempts whose handshake completed",
    "est_rate": "handshakes per second",
    "rst": "connections reset before any FIN",
    "rst_out": "of these, reset by the client",
    "rst_in": "of these, reset by the server",
    "refused": "reset instead of answered",
    "rst_after_fin": "reset after a FIN",
    "fin_out": "connections closed first by the client",
    "fin_in": "connections closed first by the server",
    "midstream": "connections first seen without their SYN",
    "timeouts": "attempts without an answer for 20 s",
    "pending": "attempts that wait for an answer now",
    "active": "connections open now",
}

TRANSPORT: dict[str, str] = {
    "requests": "runs of the client's data",
    "responses": "runs of the server's data that follow them",
    "banners": "servers that spoke first",
    "tls_turns": "turns of TLS handshakes, which are no requests",
    "slow_by_loss": "answered requests that had been retransmitted",
    "bytes_out": "payload bytes of the client",
    "bytes_in": "payload bytes of the server",
    "retrans_out": "segments that the client sent again",
    "retrans_in": "segments that the server sent again",
    "keepalives": "probes of idle connections",
    "out_of_order": "segments that arrived late, filling a hole",
    "zero_window_out": "segments in which the client's window is 0",
    "zero_window_in": "segments in which the server's window is 0",
    "streams": "responses of 1 MiB and more",
    "stream_bytes": "bytes of streams, and bytes per second",
    "stream_ns": "time that streams took",
    "stalls": "pauses above 1 s in streams",
}

PCAP: dict[str, str] = {
    "capture_gaps": "acknowledged data that the capture never held",
    "gap_bytes": "bytes in those gaps",
    "acked_bytes": "bytes acknowledged in both directions",
    "completeness": "acknowledged bytes that the capture held",
    "one_sided": "connections of which one direction was never seen",
}

LATENCIES: dict[str, str] = {
    "connect_latency": "first SYN to the client's ACK",
    "syn_rtt": "SYN to SYN/ACK",
    "response_time": "end of the request to the first byte of the response",
    "response_duration": "end of the request to the last byte of the response",
    "tls_latency": "duration of TLS handshakes",
    "net_rtt": "round trip of a segment",
    "server_time": "response time less the least round trip",
    "reuse": "responses per connection",
}

MEANINGS: dict[str, str] = {**CONNECTIONS, **TRANSPORT, **PCAP, **LATENCIES}
"""Of every field of a row."""
