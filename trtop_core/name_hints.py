"""``NameHints``: the few packets of a batch that may hold a name, the others left untouched.

Takes batches, gives DNS answers and the first bytes of clients (TLS ClientHello, HTTP request) as
bytes. Reads no name itself; forgets a server only when told that it is settled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from trtop_core._name_hints import hint_size, spot
from trtop_core.batch import PacketBatch
from trtop_core.records import NAME_HINT, HintKind

HINTS_SEED_BYTES = 24

N_KNOWN = 1 << 16
"""Settled servers that are remembered; a newcomer takes the place of another. 512 KiB."""

MAX_DNS = 64
"""DNS messages looked at per batch: each costs about 50 µs, so most of a flood is skipped."""

MAX_HELLOS = 512
"""ClientHellos and requests looked at per batch; each costs Python a few µs."""


@dataclass(frozen=True, slots=True)
class Hint:
    """Bytes that may hold a name.

    Attributes:
        kind: what they look like.
        addr: the server's address, 16 bytes, IPv4 mapped; of a DNS message: meaningless.
        port: the server's port; of a DNS message: meaningless.
        payload: the captured bytes behind the UDP or TCP header.
        tag: what ``NameHints.settle`` takes.
    """

    kind: HintKind
    addr: bytes
    port: int
    payload: bytes
    tag: int


class NameHints:
    """Picks packets out of batches.

    Args:
        seed: ``HINTS_SEED_BYTES`` secret random bytes.
        decap: whether to look inside tunnels.

    Attributes:
        n_skipped: packets that may have held a name, beyond what is looked at per batch.

    Raises:
        ValueError: the seed is too short.
    """

    def __init__(self, seed: bytes, decap: bool = True) -> None:
        if len(seed) < HINTS_SEED_BYTES:
            raise ValueError(f"a seed has at least {HINTS_SEED_BYTES} bytes")
        self.n_skipped = 0
        self._seed = np.frombuffer(seed[:HINTS_SEED_BYTES], np.uint64)
        self._decap = decap
        self._known = np.zeros(N_KNOWN, np.uint64)
        self._dns = np.zeros(MAX_DNS, NAME_HINT)
        self._hellos = np.zeros(MAX_HELLOS, NAME_HINT)

    def look(self, batch: PacketBatch) -> list[Hint]:
        """What may hold a name, in the order of the packets, DNS messages first.

        Raises:
            ValueError: a packet of the index lies outside the batch's data.
        """
        found = spot(
            batch.data,
            batch.index,
            self._decap,
            self._known,
            self._seed,
            self._dns,
            self._hellos,
        )
        hints: list[Hint] = []
        for n_found, array in zip(found, (self._dns, self._hellos), strict=True):
            n_kept = min(n_found, len(array))
            self.n_skipped += n_found - n_kept
            hints += [_hint(batch.data, row) for row in array[:n_kept]]
        return hints

    def settle(self, hint: Hint) -> None:
        """Pass over this server from now on, as far as this kind of packet goes."""
        self._known[hint.tag & (N_KNOWN - 1)] = hint.tag


def _hint(data: npt.NDArray[np.uint8], row: np.void) -> Hint:
    start = int(row["offset"])
    return Hint(
        kind=HintKind(int(row["kind"])),
        addr=row["addr"].tobytes(),
        port=int(row["port"]),
        payload=data[start : start + int(row["caplen"])].tobytes(),
        tag=int(row["tag"]),
    )


if hint_size() != NAME_HINT.itemsize:
    raise ImportError("records.NAME_HINT is not as long as its struct")
