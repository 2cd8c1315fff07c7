"""The public names of trtop: each is written here, and nowhere else."""

from trtop._version import __version__ as __version__
from trtop.api import analyze as analyze
from trtop.api import connections as connections
from trtop.api import stream as stream
from trtop.batch.analyze import analyze_many as analyze_many
from trtop.classic.analyzer import BaseAnalyser as BaseAnalyser
from trtop.classic.analyzer import BaseAnalyzer as BaseAnalyzer
from trtop.classic.analyzer import OutgoingTCPAnalyzer as OutgoingTCPAnalyzer
from trtop.classic.collector import BaseCollector as BaseCollector
from trtop.classic.collector import TCPDumpFileCollector as TCPDumpFileCollector
from trtop.classic.interface_collector import InterfaceCollector as InterfaceCollector
from trtop.classic.packet import UnifiedPacket as UnifiedPacket
from trtop.classic.remote_state import TcpRemoteState as TcpRemoteState
from trtop.classic.reporter import BaseReporter as BaseReporter
from trtop.classic.reporter import CLICursesOutgoingTCPReporter as CLICursesOutgoingTCPReporter
from trtop.classic.reporter import CLIEventAppendReporter as CLIEventAppendReporter
from trtop.classic.session import main as main
from trtop.names.base import BaseResolver as BaseResolver
from trtop.names.capture import CaptureResolver as CaptureResolver
from trtop.names.dns import DNSResolver as DNSResolver
from trtop.names.resolvers import ChainResolver as ChainResolver
from trtop.names.resolvers import DefaultDNSResolver as DefaultDNSResolver
from trtop.names.resolvers import HostsResolver as HostsResolver
from trtop.names.resolvers import NoResolver as NoResolver
from trtop.names.whitelist import BaseWhitelist as BaseWhitelist
from trtop.names.whitelist import DefaultWhitelist as DefaultWhitelist
from trtop.names.whitelist import RuleWhitelist as RuleWhitelist
from trtop.names.whitelist import StaticListWhitelist as StaticListWhitelist
from trtop.notebook.result import Result as Result

default_collector: BaseCollector
default_analyzer: BaseAnalyser
default_reporter: BaseReporter
default_whitelist: BaseWhitelist
default_resolver: BaseResolver
dump_input_filename: str | None
report_filename_prefix: str
interface: str | None
bpf_filter: str | None
