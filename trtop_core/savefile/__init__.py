"""Captures as bytes: pieces of a pcap or pcapng stream go in, batches of packets come out.

Takes bytes in any pieces, gives ``PacketBatch`` objects that refer to them, and an error that says
where the stream broke. Never opens a file, waits, or decompresses: that is ``trtop_core.sources``.
"""

from trtop_core.savefile.reader import CaptureReader

__all__ = ["CaptureReader"]
