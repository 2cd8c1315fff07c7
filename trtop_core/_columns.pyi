"""See ext/trtop_core/_columns.pyx."""

import numpy as np
import numpy.typing as npt

def count_bins(
    page_keys: npt.NDArray[np.uint32],
    pages: npt.NDArray[np.uint64],
    ranks: npt.NDArray[np.int32],
    n_bins: npt.NDArray[np.int64],
    totals: npt.NDArray[np.int64],
) -> None: ...
def gather_bins(
    page_keys: npt.NDArray[np.uint32],
    pages: npt.NDArray[np.uint64],
    order: npt.NDArray[np.int64],
    ranks: npt.NDArray[np.int32],
    at: npt.NDArray[np.int64],
    bins: npt.NDArray[np.uint16],
    counts: npt.NDArray[np.int64],
) -> None: ...
def count_samples(
    pages: npt.NDArray[np.uint64], owners: npt.NDArray[np.int32], n_samples: npt.NDArray[np.int64]
) -> None: ...
def find_ranks(
    pages: npt.NDArray[np.uint64],
    places: npt.NDArray[np.uint16],
    owners: npt.NDArray[np.int32],
    ranks: npt.NDArray[np.int64],
    found: npt.NDArray[np.int64],
) -> None: ...
