"""Columns of records of connections, each worked out when a schema first asks for it.

Takes records of the kernel (``trtop_core.connection_records``), gives arrays and texts. Knows no
schema.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop.reporters.record_columns import picked
from trtop_core._community_id import community_ids
from trtop_core._connection import PROTOCOL_BITS, STATE_BITS
from trtop_core._text import UNKNOWN
from trtop_core.connection_records import (
    COUNTER_PLACES,
    OVER,
    SAMPLE_PLACES,
    Ended,
    ended,
    words_of,
)
from trtop_core.metrics import COUNTERS, GAUGES, SKETCHES
from trtop_core.records import SKETCH_STATS, TS_LIMIT_NS
from trtop_core.sketch import SketchColumn
from trtop_core.table import address_name
from trtop_core.verdicts.causes import WORDS, Cause
from trtop_core.verdicts.evidence import Evidence
from trtop_core.verdicts.rules import causes_of

Numbers = npt.NDArray[np.int64]
Tokens = list[bytes]

MAX_ADDRESSES = 1 << 16
"""Texts of addresses that are kept, about 150 bytes each."""


class _Addresses(dict[bytes, bytes]):
    """What addresses are called, each worked out once in a while."""

    def __missing__(self, addr: bytes) -> bytes:
        if len(self) >= MAX_ADDRESSES:
            self.clear()
        name = self[addr] = address_name(addr).encode()
        return name


ADDRESSES = _Addresses()


class Connections:
    """Columns of some records, each worked out when a schema first asks for it.

    Args:
        records: shape (n,), dtype ``CONNECTION_RECORD``.
    """

    def __init__(self, records: npt.NDArray[Any]) -> None:
        self.records = records
        # Column after column at once: a field of records of 750 bytes is far from its neighbour's.
        self._columns = np.ascontiguousarray(words_of(np.ascontiguousarray(records)).T)

    def __getitem__(self, counter: str) -> Numbers:
        """A counter, shape (n,)."""
        numbers: Numbers = self._columns[COUNTER_PLACES[counter]].view(np.int64)
        return numbers

    def packets(self, way: str) -> Numbers:
        """Segments of the client (``out``) or the server (``in``)."""
        return self[f"packets_{way}"]

    def samples(self, name: str) -> dict[str, Numbers]:
        """How many samples of a distribution there are, their sum and the largest."""
        places = SAMPLE_PLACES[name].items()
        return {part: self._columns[place].view(np.int64) for part, place in places}

    def port(self, end: str) -> Numbers:
        """The port of ``client`` or ``server``."""
        numbers: Numbers = self.records[f"{end}_port"].astype(np.int64)
        return numbers

    def address(self, end: str) -> Tokens:
        """The address of ``client`` or ``server``."""
        raw = np.ascontiguousarray(self.records[f"{end}_addr"]).view("V16").reshape(-1)
        return list(map(ADDRESSES.__getitem__, raw.tolist()))

    @cached_property
    def first_ns(self) -> Numbers:
        """Capture time of the first segment, ``UNKNOWN`` where that measures nothing."""
        began = self.records["began_ns"]
        return np.where(began < -TS_LIMIT_NS, UNKNOWN, began)

    @cached_property
    def last_ns(self) -> Numbers:
        """Capture time at the last segment."""
        numbers: Numbers = self.records["last_ns"].astype(np.int64)
        return numbers

    @cached_property
    def duration_ns(self) -> Numbers:
        """From the first to the last segment."""
        spans = np.maximum(self.last_ns - self.records["began_ns"], 0)
        return np.where(self.first_ns == UNKNOWN, UNKNOWN, spans)

    @cached_property
    def ended(self) -> npt.NDArray[np.int8]:
        """Numbers of ``Ended``."""
        return ended(self.records, STATE_BITS)

    @cached_property
    def states(self) -> Tokens:
        """Where each stood, as a word."""
        words = [end.name.lower().encode() for end in Ended]
        return picked(words, self.ended)

    @cached_property
    def waiting(self) -> Numbers:
        """Requests that wait for their answer where the record was made; 0 of what is over."""
        is_left_out = np.isin(self.ended, OVER) | (self.ended == Ended.EVICTED)
        is_left_out |= (self["one_sided"] > 0) | (self["multiplexed_unfollowed"] > 0)
        answered = self["responses"] + self["unanswered"]
        return np.where(is_left_out, 0, np.maximum(self["requests"] - answered, 0))

    @cached_property
    def verdicts(self) -> Tokens:
        """The verdict that each one's counters alone would give a row; latencies are not judged.

        Of one in which nothing is wrong, and whose SYN or request waits, that it waits.
        """
        empty = SketchColumn(
            np.zeros(len(self.records), SKETCH_STATS),
            np.zeros(len(self.records) + 1, np.int64),
            np.zeros(0, np.uint16),
            np.zeros(0, np.int64),
        )
        counters = {name: self[name] for name in COUNTERS}
        counters |= dict.fromkeys(GAUGES, np.zeros(len(self.records), np.int64))
        evidence = Evidence(counters, dict.fromkeys(SKETCHES, empty), None)
        words = [word.encode() for word in WORDS]
        causes = causes_of(evidence)
        waits = (self.waiting > 0) | (self.ended == Ended.PENDING)
        causes[waits & np.isin(causes, (Cause.OK, Cause.NOTHING))] = Cause.WAITING
        return picked(words, causes)

    @cached_property
    def community_ids(self) -> Tokens:
        """Community ID v1, seed 0."""
        client, server = (
            np.ascontiguousarray(self.records[f"{end}_addr"]) for end in ("client", "server")
        )
        ports = self.records["client_port"], self.records["server_port"]
        made: Tokens = community_ids(client, server, *ports).tolist()
        return made

    def carries(self, protocol: str) -> npt.NDArray[np.bool_]:
        """Whether each was seen to carry a protocol of ``PROTOCOL_BITS``."""
        marked: npt.NDArray[np.bool_] = (self.records["protocol"] & PROTOCOL_BITS[protocol]) != 0
        return marked
