"""Keeps what a pairing gave: a capture, and beside it what was true, in JSON.

With them the comparison can be made again without servers and clients, while the kernels change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.measures import Kind, Truth, truth_of
from lab.pairing import Pairing


@dataclass(frozen=True)
class Record:
    """One pairing as it was recorded.

    Attributes:
        name, client, server, says: of the pairing.
        kind: what it is judged by.
        truth: what was true.
        capture: its packets.
    """

    name: str
    client: str
    server: str
    says: str
    kind: Kind
    truth: Truth
    capture: Path


def keep(pairing: Pairing, truth: Truth, capture: Path) -> Record:
    """Write what was true beside a capture."""
    record = Record(
        pairing.name,
        pairing.client.name,
        pairing.server.name,
        pairing.says,
        pairing.kind,
        truth,
        capture,
    )
    words: dict[str, Any] = {
        "client": record.client,
        "server": record.server,
        "protocol": record.says,
        "round_trip_ns": 2_000 * pairing.link.delay_us,
        "kind": record.kind.value,
        "truth": truth.as_dict(),
    }
    capture.with_suffix(".json").write_text(json.dumps(words, indent=1) + "\n")
    return record


def recall(folder: Path) -> Iterator[Record]:
    """Read the records of a folder, by name."""
    for path in sorted(folder.glob("*.json")):
        capture = path.with_suffix(".pcap")
        if not capture.exists():
            continue
        words = json.loads(path.read_text())
        yield Record(
            path.stem,
            words["client"],
            words["server"],
            words["protocol"],
            Kind(words["kind"]),
            truth_of(words["truth"]),
            capture,
        )
