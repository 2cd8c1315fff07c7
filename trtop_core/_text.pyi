"""See ext/trtop_core/_text.pyx."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

UNKNOWN: int

def format_rows(
    fragments: Sequence[bytes],
    numbers: npt.NDArray[np.int64],
    texts: Sequence[Sequence[bytes] | None],
    unknown: bytes,
    separator: bytes,
    room: bytearray,
) -> memoryview: ...
