"""Snapshots, details and requests ↔ versioned bytes (MessagePack). Knows no socket.

Everything that travels between a daemon and its clients is defined here, once. Any bytes decode to
a value or raise ``WireError``; nothing that arrives is ever executed.
"""

from trtop_core.wire.checks import MAX_CONNECTIONS
from trtop_core.wire.detail import decode_detail, encode_detail
from trtop_core.wire.envelope import (
    MAX_DETAIL_BYTES,
    MAX_REQUEST_BYTES,
    MAX_SNAPSHOT_BYTES,
    VERSION,
)
from trtop_core.wire.errors import WireError, WireVersionError
from trtop_core.wire.messages import (
    MAX_NOTICES,
    Answer,
    Ask,
    AskActivity,
    AskClosed,
    AskDetail,
    AskTrends,
    DetailAnswer,
    Notice,
    Reason,
    Refusal,
    Reply,
    Request,
    Severity,
    TrendsAnswer,
    cut,
    decode_reply,
    decode_request,
    encode_reply,
    encode_request,
)
from trtop_core.wire.snapshot import decode_snapshot, encode_snapshot

__all__ = [
    "MAX_CONNECTIONS",
    "MAX_DETAIL_BYTES",
    "MAX_NOTICES",
    "MAX_REQUEST_BYTES",
    "MAX_SNAPSHOT_BYTES",
    "VERSION",
    "Answer",
    "Ask",
    "AskActivity",
    "AskClosed",
    "AskDetail",
    "AskTrends",
    "DetailAnswer",
    "Notice",
    "Reason",
    "Refusal",
    "Reply",
    "Request",
    "Severity",
    "TrendsAnswer",
    "WireError",
    "WireVersionError",
    "cut",
    "decode_detail",
    "decode_reply",
    "decode_request",
    "decode_snapshot",
    "encode_detail",
    "encode_reply",
    "encode_request",
    "encode_snapshot",
]
