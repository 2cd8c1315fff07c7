"""Records of rows as text, column by column: the way to write 100,000 of them.

Takes a table, gives its rows as text of one shape: it is written once, and numbers are put into it
by ``trtop_core._text``. What the shape is, a subclass of ``Fields`` says; which fields a record has
and in which order, ``trtop_core.snapshot.Row.record``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from trtop_core._text import UNKNOWN, format_rows
from trtop_core.metrics import COUNTERS, DERIVED, GAUGES, METRIC_OF, SKETCHES, derived, known
from trtop_core.sketch import SketchColumn
from trtop_core.snapshot import DETAIL_PERCENTILES, percentile_key
from trtop_core.table import RowOrigin, Table
from trtop_core.verdicts.because import judge
from trtop_core.verdicts.evidence import Evidence, suspect_rows

Literal = float | bool | str | None
"""What a record holds besides whole numbers."""


class Fields:
    """Rows of one shape: what stands between their values, and the values by column.

    Args:
        n_rows: how many there are.
        opening: what stands before each.
        unknown: what is written where a number is unknown.
    """

    def __init__(self, n_rows: int, opening: str, unknown: str) -> None:
        self._no_numbers = np.zeros(n_rows, np.int64)
        self._unknown = unknown.encode()
        self._fragments: list[bytes] = []
        self._pending = opening
        self._numbers: list[npt.NDArray[np.int64]] = []
        self._texts: list[list[bytes] | None] = []

    def open_group(self, name: str) -> None:
        """The fields that follow are those of one distribution."""
        raise NotImplementedError

    def close_group(self) -> None:
        """That was its last."""
        raise NotImplementedError

    def literal(self, value: Literal) -> str:
        """A value as it is written."""
        raise NotImplementedError

    def before(self, name: str) -> str:
        """What stands between the value before and that of this field."""
        raise NotImplementedError

    def add_numbers(self, name: str, numbers: npt.NDArray[np.int64]) -> None:
        """A field of whole numbers, shape (n_rows,), ``UNKNOWN`` among them."""
        self._add(name, numbers, None)

    def add_literals(self, name: str, values: Sequence[Literal]) -> None:
        """A field of anything else, one value per row."""
        texts: dict[Literal, bytes] = {}
        for value in values:
            if value not in texts:
                texts[value] = self.literal(value).encode()
        self._add(name, self._no_numbers, [texts[value] for value in values])

    def add_flags(self, name: str, flags: npt.NDArray[np.bool_]) -> None:
        """A field of true and false, shape (n_rows,)."""
        words = [self.literal(flag).encode() for flag in (False, True)]
        self._add(name, self._no_numbers, picked(words, flags.astype(np.intp)))

    def add_tokens(self, name: str, tokens: list[bytes]) -> None:
        """A field of ASCII that no format has to quote or escape, one text per row."""
        mark = self.quote()
        self._add(name, self._no_numbers, tokens, mark)
        self._pending = mark

    def add_constant(self, name: str, value: Literal) -> None:
        """A field that is the same in every row."""
        self._pending += self.before(name) + self.literal(value)

    def add_seconds(self, name: str, times_ns: npt.NDArray[np.int64]) -> None:
        """A field of seconds with six digits, shape (n_rows,), in ns; ``UNKNOWN`` among them."""
        texts = [
            self._unknown if time_ns == UNKNOWN else b"%d.%06d" % divmod(time_ns // 1000, 10**6)
            for time_ns in times_ns.tolist()
        ]
        self._add(name, self._no_numbers, texts)

    def quote(self) -> str:
        """What stands before and behind a text that needs no more."""
        raise NotImplementedError

    def text(self, closing: str, separator: str) -> str:
        """The rows.

        Args:
            closing: what stands behind each.
            separator: what stands between two.
        """
        return str(self.ascii(closing, separator, bytearray()), "utf-8")

    def ascii(self, closing: str, separator: str, room: bytearray) -> memoryview:
        """The rows as they are written, as ``text`` gives them.

        Args:
            closing: as for ``text``.
            separator: as for ``text``.
            room: where they are written to, which grows; used again once the result is gone.
        """
        fragments = [*self._fragments, (self._pending + closing).encode()]
        numbers = np.stack(self._numbers)
        between = separator.encode()
        return format_rows(fragments, numbers, self._texts, self._unknown, between, room)

    def _add(
        self,
        name: str,
        numbers: npt.NDArray[np.int64],
        texts: list[bytes] | None,
        mark: str = "",
    ) -> None:
        self._fragments.append((self._pending + self.before(name) + mark).encode())
        self._pending = ""
        self._numbers.append(numbers)
        self._texts.append(texts)


def picked(words: Sequence[bytes], places: npt.NDArray[np.integer[Any]]) -> list[bytes]:
    """One of some words per row, by its place; shape (n_rows,)."""
    found: list[bytes] = np.array(words, object)[places].tolist()
    return found


def add_identity(fields: Fields, table: Table) -> None:
    """Whose numbers they are."""
    fields.add_literals("destination", table.row_names())
    origins = table.row_origins()
    for i, name in enumerate(RowOrigin._fields):
        values = [origin[i] for origin in origins]
        if name == "port":
            ports = [UNKNOWN if port is None else port for port in values]
            fields.add_numbers(name, np.array(ports, np.int64))
        else:
            fields.add_literals(name, values)
    if table.hosts is not None:
        fields.add_literals("host", table.hosts.tolist())


def add_records(fields: Fields, table: Table, span_ns: int, loss: float | None) -> None:
    """The records of a table's rows, as ``Row.record`` defines them without bins.

    Args:
        fields: where to.
        table: the rows.
        span_ns: capture time that the counters cover.
        loss: share of packets that the capture lost; None where unknown.
    """
    add_identity(fields, table)
    for name in COUNTERS + GAUGES:
        fields.add_numbers(name, table.counters[name].astype(np.int64))
    for name in DERIVED:
        fields.add_literals(name, known(derived(name, table.counters, span_ns)))
    evidence = Evidence(
        table.counters, table.sketches, loss, waits_ns=table.waits_ns, ports=table.ports
    )
    quantiles = {name: evidence.percentiles(name, DETAIL_PERCENTILES) for name in SKETCHES}
    fields.add_literals("suspect", suspect_rows(evidence).tolist())
    words, sentences = judge(evidence)
    fields.add_literals("verdict", words)
    fields.add_literals("because", sentences)
    for name in SKETCHES:
        fields.open_group(name)
        _add_sketch(fields, name, table.sketches[name], quantiles[name])
        fields.close_group()


def _add_sketch(
    fields: Fields, name: str, column: SketchColumn, quantiles: Sequence[npt.NDArray[np.int64]]
) -> None:
    """The fields of ``Row.sketch_record``.

    Args:
        fields: where to.
        name: of the distribution.
        column: its rows.
        quantiles: of these, one array for each of ``DETAIL_PERCENTILES``.
    """
    unit = METRIC_OF[name].unit.suffix
    count = column.stats["count"].astype(np.int64)
    fields.add_numbers("count", count)
    if column.stats["sum_hi"].any() or (column.stats["sum_lo"] >> 63).any():
        fields.add_literals(f"sum{unit}", column.sums())
    else:
        fields.add_numbers(f"sum{unit}", column.stats["sum_lo"].astype(np.int64))
    for key in ("min", "max"):
        fields.add_numbers(f"{key}{unit}", np.where(count > 0, column.stats[key], UNKNOWN))
    for percentile, values in zip(DETAIL_PERCENTILES, quantiles, strict=True):
        fields.add_numbers(
            f"{percentile_key(percentile)}{unit}", np.where(values < 0, UNKNOWN, values)
        )
