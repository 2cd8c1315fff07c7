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

if TYPE_CHECKING:
    from trtop.analyzer import BaseAnalyser, BaseAnalyzer, OutgoingTCPAnalyzer
    from trtop.classic import main
    from trtop.collector import BaseCollector, TCPDumpFileCollector
    from trtop.interface_collector import InterfaceCollector
    from trtop.notebook import Result, analyze, stream
    from trtop.packet import UnifiedPacket
    from trtop.reporter import BaseReporter, CLICursesOutgoingTCPReporter, CLIEventAppendReporter
    from trtop.resolver import (
        BaseResolver,
        CaptureResolver,
        ChainResolver,
        DefaultDNSResolver,
        DNSResolver,
        HostsResolver,
        NoResolver,
    )
    from trtop.state import TcpRemoteState
    from trtop.whitelisting import (
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

__version__ = "0.1.0"

_HOMES = {
    "BaseAnalyser": "trtop.analyzer",
    "BaseAnalyzer": "trtop.analyzer",
    "BaseCollector": "trtop.collector",
    "BaseReporter": "trtop.reporter",
    "BaseResolver": "trtop.resolver",
    "BaseWhitelist": "trtop.whitelisting",
    "CLICursesOutgoingTCPReporter": "trtop.reporter",
    "CLIEventAppendReporter": "trtop.reporter",
    "CaptureResolver": "trtop.resolver",
    "ChainResolver": "trtop.resolver",
    "DNSResolver": "trtop.resolver",
    "DefaultDNSResolver": "trtop.resolver",
    "DefaultWhitelist": "trtop.whitelisting",
    "HostsResolver": "trtop.resolver",
    "InterfaceCollector": "trtop.interface_collector",
    "NoResolver": "trtop.resolver",
    "OutgoingTCPAnalyzer": "trtop.analyzer",
    "Result": "trtop.notebook",
    "RuleWhitelist": "trtop.whitelisting",
    "StaticListWhitelist": "trtop.whitelisting",
    "TCPDumpFileCollector": "trtop.collector",
    "TcpRemoteState": "trtop.state",
    "UnifiedPacket": "trtop.packet",
    "analyze": "trtop.notebook",
    "main": "trtop.classic",
    "stream": "trtop.notebook",
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
    from trtop.classic import session  # noqa: PLC0415 - reads the command line

    return session()
