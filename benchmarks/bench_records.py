"""Measures how fast records of connections are written, by format and schema.

    python benchmarks/bench_records.py [CAPTURE]

Reads a capture once (generate.py makes one: --profile churn), then writes its records, some of
them several times, to /dev/null. CPU seconds of this process alone: reading is not in them, nor
what is imported when the first record of a format is written.
"""

from __future__ import annotations

import sys
import time

import numpy as np

import trtop
from trtop.reporters.connection_writer import ConnectionWriter
from trtop.reporters.formats import Format, Schema

N_RECORDS = 300_000

BATCH = 20_000

FORMATS = (Format.NDJSON, Format.CSV, Format.PARQUET, Format.ARROW)


def main(path: str) -> None:
    """Print one line per format and schema."""
    records = np.concatenate(list(trtop.connections(path)))
    records = np.concatenate([records] * (N_RECORDS // len(records) + 1))[:N_RECORDS]
    for kind in FORMATS:
        for schema in Schema:
            with open("/dev/null", "w", encoding="utf-8") as stream:
                warm = ConnectionWriter(stream, kind, schema)
                warm.add(records[:1])
                warm.close()
                began_s = time.process_time()
                writer = ConnectionWriter(stream, kind, schema)
                for at in range(0, len(records), BATCH):
                    writer.add(records[at : at + BATCH])
                writer.close()
                spent_s = time.process_time() - began_s
            print(f"{kind.value:8} {schema.value:6} {len(records) / spent_s:10,.0f} records/s")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "examples/services.pcap")
