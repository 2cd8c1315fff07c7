"""A slow, plain-Python reading of trtop's metric definitions.

Takes the packets of a capture and gives, per destination, the counters and exact latency samples
that the definitions ask for. It exists to prove the fast kernels right: it shares no code with
them, never trades clearness for speed, and is used by tests only.
"""

from .flows import Twin
from .packets.decode import Segment, Undecoded, Verdict, decode, link_type_error
from .packets.reader import Packet, read_capture

__all__ = [
    "Packet",
    "Segment",
    "Twin",
    "Undecoded",
    "Verdict",
    "decode",
    "link_type_error",
    "read_capture",
]
