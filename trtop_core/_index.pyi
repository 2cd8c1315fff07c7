"""Types of the kernels that walk the records of a capture (``ext/trtop_core/_index.pyx``)."""

from typing import Any, final

import numpy as np
import numpy.typing as npt

MAX_CAPLEN: int
MAX_BLOCK: int

@final
class PcapLayout:
    def __init__(
        self, is_swapped: bool, ns_per_tick: int, header_len: int, link_type: int
    ) -> None: ...

def walk_pcap(
    layout: PcapLayout,
    data: npt.NDArray[np.uint8],
    start: int,
    index: npt.NDArray[Any],
) -> tuple[int, int, int, int, int]: ...
def walk_pcapng(
    is_swapped: bool,
    interfaces: npt.NDArray[Any],
    data: npt.NDArray[np.uint8],
    start: int,
    index: npt.NDArray[Any],
) -> tuple[int, int, int, int, int]: ...
