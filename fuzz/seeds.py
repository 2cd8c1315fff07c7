"""Inputs that fuzzing starts from: files of every format, captures boiled down to short packets.

Takes paths of captures; gives inputs of ``fuzz_capture.run_one``, whose first byte is its choice of
pieces and engine. Captures that cannot be read give their own bytes only.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from trtop_core.errors import TrtopError
from trtop_core.sources import open_capture

MAX_INPUT_BYTES = 1 << 13
"""An input that runs in some milliseconds on a sanitizer build."""

CUT_PACKET_BYTES = 110
"""What is kept of a packet, so that an input holds many: its headers and a TLS record's."""

MAX_CUTS = 4
"""Pieces of one capture, each an input."""

PCAP_MAGIC_NS = 0xA1B23C4D


def read_seeds(paths: list[Path]) -> list[bytes]:
    """Inputs made of files, or of the files in folders."""
    files: list[Path] = []
    for path in paths:
        files += sorted(p for p in path.iterdir() if p.is_file()) if path.is_dir() else [path]
    contents: list[bytes] = []
    for file in files:
        contents.append(file.read_bytes()[: MAX_INPUT_BYTES // 2])
        contents += _boiled_down(file)
    return [bytes([number % 256]) + content for number, content in enumerate(contents)]


def _boiled_down(path: Path) -> Iterator[bytes]:
    """The start of a capture as pcap files of short packets, one after the other."""
    out, link_type, n_files = b"", None, 0
    try:
        with open_capture(path) as source:
            for batch in source:
                for ts_ns, offset, caplen, wire_len, kind in batch.index.tolist():
                    data = batch.data[offset : offset + min(caplen, CUT_PACKET_BYTES)].tobytes()
                    if out and (kind != link_type or len(out) + len(data) > MAX_INPUT_BYTES // 2):
                        yield out
                        out, n_files = b"", n_files + 1
                        if n_files == MAX_CUTS:
                            return
                    if not out:
                        link_type = kind
                        out = struct.pack("<IHHiIII", PCAP_MAGIC_NS, 2, 4, 0, 0, 262_144, kind)
                    second, ns = divmod(max(0, ts_ns), 10**9)
                    out += struct.pack("<IIII", second & 0xFFFFFFFF, ns, len(data), wire_len)
                    out += data
    except (TrtopError, OSError):
        pass
    if out:
        yield out
