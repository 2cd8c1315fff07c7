"""Small charts made of characters: bars of equal width, one character each. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

BLOCKS = "▁▂▃▄▅▆▇█"
BLOCKS_ASCII = "_.-:=+*#"

GAP = " "

UNKNOWN, UNKNOWN_ASCII = "·", "."


def bars(values: Sequence[float | None], ascii_only: bool = False) -> str:
    """One bar per value, the tallest for the greatest; nothing for 0, a dot for what is unknown.

    A value above 0 is never drawn as nothing.
    """
    blocks = BLOCKS_ASCII if ascii_only else BLOCKS
    known = [value for value in values if value is not None]
    top = max(known, default=0)
    unknown = UNKNOWN_ASCII if ascii_only else UNKNOWN
    text = []
    for value in values:
        if value is None:
            text.append(unknown)
        elif value <= 0 or top <= 0:
            text.append(GAP)
        else:
            height = int(np.ceil(value / top * len(blocks)))
            text.append(blocks[min(len(blocks), max(1, height)) - 1])
    return "".join(text)


def with_waits(text: str, n_waiting: int, ascii_only: bool = False) -> str:
    """Bars of errors whose last ones have a dot where none is known yet, for something waits.

    What waits is no error until it ends, and may become one: nothing drawn would say that all was
    well.
    """
    start = max(0, len(text) - n_waiting)
    return text[:start] + text[start:].replace(GAP, UNKNOWN_ASCII if ascii_only else UNKNOWN)


def histogram(
    bins: npt.NDArray[np.uint16], counts: npt.NDArray[np.int64], width: int
) -> list[float | None]:
    """Samples by value, from the least to the greatest bin in use, on a logarithmic scale.

    Args:
        bins: shape (n,), ascending bin numbers.
        counts: shape (n,), samples in each.
        width: bars at most; one bin has one bar at least.
    """
    if not len(bins) or width < 1:
        return []
    first, last = int(bins[0]), int(bins[-1])
    n_bars = min(width, last - first + 1)
    at = (bins.astype(np.int64) - first) * n_bars // (last - first + 1)
    return list(np.bincount(at, weights=counts, minlength=n_bars).tolist())
