"""What each verdict means, for the definitions at the end of a page."""

from __future__ import annotations

from trtop_core.verdicts.causes import Cause

MEANINGS = {
    Cause.CAPTURE: "the capture missed packets: the numbers of the row are lower bounds",
    Cause.REFUSED: "attempts are answered by a reset: nothing listens there, or a firewall answers",
    Cause.NO_ANSWER: "attempts are not answered: host down, or a route or firewall that drops",
    Cause.RESET: "the server cuts connections",
    Cause.TLS_FAILS: "TLS handshakes end in an alert or a close",
    Cause.SILENT: "requests are accepted and not answered",
    Cause.SLOW_CONNECT: "connecting takes long, or SYNs are answered only when sent again",
    Cause.LOSS: "packets are lost on the way",
    Cause.SLOW_SERVER: "the service takes the time, not the network",
    Cause.STALLS: "a reader cannot keep up: windows close, or streams pause",
    Cause.FAR: "the path takes the time: distance, not a slow service",
    Cause.NO_REUSE: "connections carry one request each, and connecting takes much of the time",
    Cause.MIXED: "both sides talk at once: request times cannot be told",
    Cause.WAITING: "nothing was answered yet, or a request waits longer than is usual here",
    Cause.OK: "none of these",
    Cause.NOTHING: "nothing happened",
}
"""By verdict, a few words."""
