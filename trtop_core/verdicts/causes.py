"""Causes: what can be wrong with a row, each by a word, and where it begins.

Names and numbers alone: which cause holds for a row, ``rules`` says.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from trtop_core.health import SUSPECT_COMPLETENESS, SUSPECT_LOSS
from trtop_core.records import NS_PER_MS, NS_PER_S, Wait

ENOUGH_CASES = 3
"""A share rests on at least so many cases, or on all that there are."""

ENOUGH_SAMPLES = 10
"""A percentile that is judged rests on at least so many samples."""

ANSWER_TIMEOUT_NS = 20 * NS_PER_S
"""An attempt that waits for so long counts in ``timeouts``; it waits on if it is sent again."""


class Cause(IntEnum):
    """What is wrong with a row; of several that hold, the first here is its verdict."""

    CAPTURE = 0
    REFUSED = 1
    NO_ANSWER = 2
    RESET = 3
    TLS_FAILS = 4
    SILENT = 5
    SLOW_CONNECT = 6
    LOSS = 7
    SLOW_SERVER = 8
    STALLS = 9
    FAR = 10
    NO_REUSE = 11
    MIXED = 12
    WAITING = 13
    OK = 14
    NOTHING = 15


_QUIET_WORDS = {Cause.WAITING: "waiting", Cause.OK: "ok", Cause.NOTHING: "-"}

WORDS = tuple(_QUIET_WORDS.get(cause, cause.name.replace("_", " ")) for cause in Cause)
"""The word of each cause, by its number; in capitals what is a fault."""

FAULTS = frozenset(Cause) - _QUIET_WORDS.keys()
"""Causes that say that something is wrong."""

WAITED_FOR = {
    Cause.NO_ANSWER: (Wait.ATTEMPT,),
    Cause.SILENT: (Wait.REQUEST,),
    Cause.WAITING: tuple(Wait),
}
"""What waits where a cause is about waiting."""


class Limits(NamedTuple):
    """Where each cause begins; shares are 0 … 1, times ns.

    Attributes:
        completeness: CAPTURE below this share of acknowledged bytes held.
        loss: CAPTURE above this share of packets lost by the capture.
        refused: REFUSED from this share of attempts.
        no_answer: NO ANSWER from this share of attempts timed out, or waiting with their SYN
            sent again.
        reset: RESET from this share of connections.
        tls_failed: TLS FAILS from this share of connections with a ClientHello.
        unanswered: SILENT from this share of requests.
        connect_retrans: SLOW CONNECT from so many SYNs and SYN/ACKs sent again per attempt …
        connect_ns: … or from this p95 of ``connect_latency``, if it is far beyond the path.
        retrans: LOSS from this share of the segments of one direction.
        server_ns: SLOW SERVER from this p95 of ``server_time``, if it is far beyond the path.
        beyond_path: how many round trips (p50 of ``path_rtt``) are far beyond the path.
        stalls: STALLS from so many pauses per stream …
        zero_window: … or from this share of connections whose window was closed.
        far_ns: FAR from this p50 of ``path_rtt`` …
        far_share: … if it is this share of p50 of ``response_time``.
        reuse_closed: NO REUSE from so many closed connections …
        connecting: … if connecting takes this share of the time spent.
        mixed: MIXED from this share of connections.
        cases: how many a share rests on at least, or on all that there are.
        samples: how many a percentile that is judged rests on at least.
        wait_ns: waiting where a request waits for so long …
        beyond_usual: … and so many times as long as p95 of ``response_time``.
        off: causes that are not looked for.
    """

    completeness: float = SUSPECT_COMPLETENESS
    loss: float = SUSPECT_LOSS
    refused: float = 0.10
    no_answer: float = 0.10
    reset: float = 0.05
    tls_failed: float = 0.05
    unanswered: float = 0.02
    connect_retrans: float = 0.03
    connect_ns: int = 200 * NS_PER_MS
    retrans: float = 0.02
    server_ns: int = 100 * NS_PER_MS
    beyond_path: float = 3.0
    stalls: float = 0.10
    zero_window: float = 0.05
    far_ns: int = 100 * NS_PER_MS
    far_share: float = 0.5
    reuse_closed: int = 20
    connecting: float = 0.30
    mixed: float = 0.5
    cases: int = ENOUGH_CASES
    samples: int = ENOUGH_SAMPLES
    wait_ns: int = NS_PER_S
    beyond_usual: float = 3.0
    off: frozenset[Cause] = frozenset()


DEFAULT_LIMITS = Limits()
