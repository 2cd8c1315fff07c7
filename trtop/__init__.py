"""trtop: TCP Remote Top. One row per remote destination, from the packets themselves.

What a user touches: the ``trtop`` command and its reporters, the classes of the classic API, and
``analyze`` and ``stream`` for notebooks. Takes snapshots of ``trtop_core`` and shows them; never
decodes, counts or merges anything itself.

Names are imported when they are used. The command line is read when ``main``, a ``default_*`` or
another of its values is used, not by ``from trtop import *``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from trtop._version import __version__

if TYPE_CHECKING:
    from trtop.api import Result, analyze, stream
    from trtop.classic.analyzer import BaseAnalyser, BaseAnalyzer, OutgoingTCPAnalyzer
    from trtop.classic.collector import BaseCollector, TCPDumpFileCollector
    from trtop.classic.interface_collector import InterfaceCollector
    from trtop.classic.packet import UnifiedPacket
    from trtop.classic.remote_state import TcpRemoteState
    from trtop.classic.reporter import (
        BaseReporter,
        CLICursesOutgoingTCPReporter,
        CLIEventAppendReporter,
    )
    from trtop.classic.session import main
    from trtop.names.base import BaseResolver
    from trtop.names.capture import CaptureResolver
    from trtop.names.dns import DNSResolver
    from trtop.names.resolvers import (
        ChainResolver,
        DefaultDNSResolver,
        HostsResolver,
        NoResolver,
    )
    from trtop.names.whitelist import (
        BaseWhitelist,
        DefaultWhitelist,
        RuleWhitelist,
        StaticListWhitelist,
    )

    default_collector: BaseCollector
    default_analyzer: BaseAnalyser
    default_reporter: BaseReporter
    default_whitelist: BaseWhitelist
    default_resolver: BaseResolver
    dump_input_filename: str | None
    report_filename_prefix: str
    interface: str | None
    bpf_filter: str | None

_HOMES = {
    "BaseAnalyser": "trtop.classic.analyzer",
    "BaseAnalyzer": "trtop.classic.analyzer",
    "BaseCollector": "trtop.classic.collector",
    "BaseReporter": "trtop.classic.reporter",
    "BaseResolver": "trtop.names.base",
    "BaseWhitelist": "trtop.names.whitelist",
    "CLICursesOutgoingTCPReporter": "trtop.classic.reporter",
    "CLIEventAppendReporter": "trtop.classic.reporter",
    "CaptureResolver": "trtop.names.capture",
    "ChainResolver": "trtop.names.resolvers",
    "DNSResolver": "trtop.names.dns",
    "DefaultDNSResolver": "trtop.names.resolvers",
    "DefaultWhitelist": "trtop.names.whitelist",
    "HostsResolver": "trtop.names.resolvers",
    "InterfaceCollector": "trtop.classic.interface_collector",
    "NoResolver": "trtop.names.resolvers",
    "OutgoingTCPAnalyzer": "trtop.classic.analyzer",
    "Result": "trtop.api",
    "RuleWhitelist": "trtop.names.whitelist",
    "StaticListWhitelist": "trtop.names.whitelist",
    "TCPDumpFileCollector": "trtop.classic.collector",
    "TcpRemoteState": "trtop.classic.remote_state",
    "UnifiedPacket": "trtop.classic.packet",
    "analyze": "trtop.api",
    "main": "trtop.classic.session",
    "stream": "trtop.api",
}
"""Where each name lives."""

_OF_THE_COMMAND_LINE = {
    "bpf_filter": "bpf_filter",
    "default_analyzer": "analyzer",
    "default_collector": "collector",
    "default_reporter": "reporter",
    "default_resolver": "resolver",
    "default_whitelist": "whitelist",
    "dump_input_filename": "dump_input_filename",
    "interface": "interface",
    "report_filename_prefix": "report_filename_prefix",
}
"""Names that stand for a part of the session, made when it is first looked at."""

__all__ = [
    "BaseAnalyser",
    "BaseAnalyzer",
    "BaseCollector",
    "BaseReporter",
    "BaseResolver",
    "BaseWhitelist",
    "CLICursesOutgoingTCPReporter",
    "CLIEventAppendReporter",
    "CaptureResolver",
    "ChainResolver",
    "DNSResolver",
    "DefaultDNSResolver",
    "DefaultWhitelist",
    "HostsResolver",
    "InterfaceCollector",
    "NoResolver",
    "OutgoingTCPAnalyzer",
    "Result",
    "RuleWhitelist",
    "StaticListWhitelist",
    "TCPDumpFileCollector",
    "TcpRemoteState",
    "UnifiedPacket",
    "__version__",
    "analyze",
    "bpf_filter",
    "default_analyzer",
    "default_collector",
    "default_reporter",
    "default_resolver",
    "default_whitelist",
    "dump_input_filename",
    "interface",
    "main",
    "report_filename_prefix",
    "stream",
]


def __getattr__(name: str) -> Any:
    """A name when it is first used."""
    if name in _HOMES:
        value = getattr(importlib.import_module(_HOMES[name]), name)
    elif name in _OF_THE_COMMAND_LINE:
        from lazy_object_proxy import Proxy  # noqa: PLC0415 - only scripts need it

        attribute = _OF_THE_COMMAND_LINE[name]
        value = Proxy(lambda: getattr(_session(), attribute))
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _session() -> Any:
    from trtop.classic.session import session  # noqa: PLC0415 - reads the command line

    return session()
