"""See ext/trtop_core/_community_id.pyx."""

import numpy as np
import numpy.typing as npt

def community_ids(
    addrs: npt.NDArray[np.uint8],
    peers: npt.NDArray[np.uint8],
    ports: npt.NDArray[np.uint16],
    peer_ports: npt.NDArray[np.uint16],
    seed: int = 0,
) -> npt.NDArray[np.bytes_]: ...
