"""NDJSON: one JSON object per line, for ``jq``, log shippers and time series.

Each report is one line with ``"type": "capture"`` (the document's head: schema, window, health,
totals) followed by one line with ``"type": "destination"`` per row. Every line carries
``clock_ns``, so each stands for itself: ``jq 'select(.type == "destination" and .rst > 0)'``.
"""

from __future__ import annotations

from typing import TextIO

from trtop.reporters.json_document import destination_texts, encode, head_record
from trtop_core.snapshot import Snapshot

CAPTURE = "capture"
DESTINATION = "destination"


class JsonLinesReporter:
    """Writes each snapshot as lines of JSON.

    Args:
        stream: where to.
        with_bins: whether the sketches' bins are in it.
    """

    def __init__(self, stream: TextIO, with_bins: bool = False) -> None:
        self._stream = stream
        self._with_bins = with_bins

    def report(self, snapshot: Snapshot) -> None:
        """Write the line of the capture, then one per destination."""
        head = {"type": CAPTURE, **head_record(snapshot, self._with_bins)}
        self._stream.write(encode(head) + "\n")
        stamp = {"type": DESTINATION, "clock_ns": snapshot.clock_ns}
        for text in destination_texts(snapshot, self._with_bins, stamp, "\n"):
            self._stream.write(text + "\n")
        self._stream.flush()
