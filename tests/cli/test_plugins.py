import os
import sys
from pathlib import Path

import pytest
from support.scripts import BY_ADDRESS, environment, run_python, syns, write_workload

from trtop.names.base import BaseResolver
from trtop.names.resolvers import ChainResolver, HostsResolver
from trtop.names.whitelist import BothWhitelist, RuleWhitelist
from trtop.options.report_options import parse
from trtop.plugins import BUILT_IN, DUTIES, PartKind, Plugins, make_namer, make_resolver, names_of
from trtop_core.errors import TrtopError

PACKAGE = """
from trtop import BaseCollector, BaseReporter, BaseResolver, BaseWhitelist, TCPDumpFileCollector
from trtop import OutgoingTCPAnalyzer

class Names(BaseResolver):
    def resolve(self, addr, port):
        return "from-a-package"

class Some(BaseWhitelist):
    def allow(self, host, port):
        return port == 22

class Report(BaseReporter):
    def __init__(self, analyzer, prefix):
        self.analyzer, self.prefix = analyzer, prefix
    def start(self):
        self.analyzer.set_observer(self)
    def handle_remote_event(self, remote):
        print(self.prefix, remote.hostname, remote.get_syn_count())

class Twice(BaseCollector):
    def __init__(self, analyzer, filename):
        super().__init__(analyzer)
        self.filename = filename
    def start(self):
        print("collecting", self.filename)
        TCPDumpFileCollector(self.analyzer, self.filename).start()

class Loud(OutgoingTCPAnalyzer):
    def feed(self, batch):
        print("a batch")
        super().feed(batch)
"""

ENTRY_POINTS = """
[trtop.resolvers]
packaged = a_package:Names
[trtop.whitelists]
packaged = a_package:Some
[trtop.reporters]
packaged = a_package:Report
[trtop.collectors]
packaged = a_package:Twice
[trtop.analyzers]
packaged = a_package:Loud
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder in which another package is installed."""
    folder = tmp_path / "site"
    info = folder / "a_package-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "a_package.py").write_text(PACKAGE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: a-package\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return folder


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return write_workload(tmp_path / "x.pcap")


def run(site: Path, folder: Path, *args: str | Path) -> str:
    path = os.pathsep.join([environment()["PYTHONPATH"], str(site)])
    done = run_python(folder, ["-m", "trtop", *args], PYTHONPATH=path)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("option", ["--names", "-tm", "--resolver", "--resolver_module"])
def test_an_installed_resolver_is_found_by_name(
    site: Path, capture: Path, tmp_path: Path, option: str
) -> None:
    assert syns(run(site, tmp_path, capture, option, "packaged")) == {"from-a-package": 35}


def test_an_installed_whitelist_is_found_by_name(site: Path, capture: Path, tmp_path: Path) -> None:
    assert syns(run(site, tmp_path, capture, "-wm", "packaged")) == {"10.9.8.7": 2}


def test_an_installed_reporter_is_found_by_name(site: Path, capture: Path, tmp_path: Path) -> None:
    out = run(site, tmp_path, capture, "-rm", "packaged", "-o", "prefix")
    assert out.splitlines() == [f"prefix {name} {n_syn}" for name, n_syn in BY_ADDRESS.items()]


def test_an_installed_collector_is_found_by_name(site: Path, capture: Path, tmp_path: Path) -> None:
    out = run(site, tmp_path, capture, "-cm", "packaged", "-o", "r")
    assert out.startswith(f"collecting {capture}\n")
    assert syns(out) == BY_ADDRESS


def test_an_installed_analyzer_is_found_by_name(site: Path, capture: Path, tmp_path: Path) -> None:
    out = run(site, tmp_path, capture, "-am", "packaged", "-o", "r")
    assert out.startswith("a batch\n")
    assert syns(out) == BY_ADDRESS


def test_what_is_installed_is_listed_where_a_name_is_wrong(
    site: Path, capture: Path, tmp_path: Path
) -> None:
    path = os.pathsep.join([environment()["PYTHONPATH"], str(site)])
    done = run_python(tmp_path, ["-m", "trtop", capture, "-rm", "another"], PYTHONPATH=path)
    assert done.returncode == 1
    assert done.stderr == (
        "trtop: no reporter another; there are curses, events, packaged, and modules with build()\n"
    )


def test_every_name_that_is_built_in_can_be_had() -> None:
    arguments: dict[PartKind, tuple[object, ...]] = {
        PartKind.ANALYZER: (None, None),
        PartKind.COLLECTOR: (None, "x.pcap"),
        PartKind.RESOLVER: (),
        PartKind.WHITELIST: (),
    }
    with Plugins() as plugins:
        for kind in PartKind:
            assert set(names_of(kind)) >= set(BUILT_IN[kind])
            for name in BUILT_IN[kind]:
                if kind is PartKind.REPORTER:
                    args: tuple[object, ...] = (plugins.make(PartKind.ANALYZER, "outgoing"), None)
                else:
                    args = arguments[kind]
                assert callable(getattr(plugins.make(kind, name, *args), DUTIES[kind]))


def test_a_hosts_file_and_servers_stand_behind_a_colon(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("10.0.0.1 front\n")
    with Plugins() as plugins:
        made = plugins.make(PartKind.RESOLVER, f"hosts:{hosts}")
        assert isinstance(made, HostsResolver)
        assert made.resolve("10.0.0.1", 0) == "front"
        servers = plugins.make(PartKind.RESOLVER, "dns:192.0.2.53,2001:db8::53")
        assert servers._resolver.nameservers == ["192.0.2.53", "2001:db8::53"]


def test_several_sources_of_names_are_a_chain_the_module_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_names_a.py").write_text(
        "from trtop.names.base import BaseResolver\ndef build(): return BaseResolver()\n"
    )
    options = parse(["x.pcap", "--names", "capture,hosts", "--names", "dns:192.0.2.53,192.0.2.54",
                     "-tm", "own_names_a"])  # fmt: skip
    assert options.names == ("capture", "hosts", "dns:192.0.2.53,192.0.2.54")
    with Plugins() as plugins:
        chain = make_resolver(options, plugins)
    assert isinstance(chain, ChainResolver)
    kinds = [type(link).__name__ for link in chain.links()]
    assert kinds == ["BaseResolver", "CaptureResolver", "HostsResolver", "DNSResolver"]
    assert os.getcwd() not in sys.path


def test_without_names_and_rules_nobody_is_asked() -> None:
    with Plugins() as plugins:
        assert make_namer(parse(["x.pcap"]), plugins) is None
        namer = make_namer(parse(["x.pcap", "--allow", ":443", "--deny", "10.0.0.0/8"]), plugins)
        assert namer is not None
        assert isinstance(namer.whitelist, RuleWhitelist)
        both = make_namer(parse(["x.pcap", "--allow", ":443", "-wm", "all"]), plugins)
        assert both is not None
        assert isinstance(both.whitelist, BothWhitelist)


def test_modules_are_cleaned_up_in_reverse_and_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, last in (("own_one", ""), ("own_two", "\n    raise OSError('stuck')")):
        Path(f"{name}.py").write_text(
            "from trtop.names.base import BaseResolver\n"
            "def build(): return BaseResolver()\n"
            f"def clean_up():\n    print('{name}'){last}\n"
        )
    plugins = Plugins()
    for name in ("own_one", "own_two"):
        assert isinstance(plugins.make(PartKind.RESOLVER, name), BaseResolver)
    with pytest.raises(TrtopError, match=r"clean_up\(\) failed: OSError: stuck"):
        plugins.clean_up()
    assert capsys.readouterr().out == "own_two\nown_one\n"
    plugins.clean_up()
    assert capsys.readouterr().out == ""


def test_names_and_rules_work_in_every_format(capture: Path, tmp_path: Path) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 front\n127.0.0.2 front\n")
    args = ["--names", f"hosts:{hosts}", "--deny", ":443"]
    for kind, needle in (
        ("json", '"destination":"front","address":"127.0.0.1","port":null,"name":"front","bytes'),
        ("ndjson", '"destination":"front","address":"127.0.0.1","port":null,"name":"front","by'),
        ("csv", ",front,127.0.0.1,,front,92,"),
        ("table", " front "),
    ):
        done = run_python(tmp_path, ["-m", "trtop", capture, *args, "--format", kind])
        assert (done.returncode, done.stderr) == (0, "")
        assert needle in done.stdout
        assert ("127.0.0.1" in done.stdout) is (kind != "table")


def test_a_resolver_that_raises_is_one_line_of_the_command(capture: Path, tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(
        "from trtop.names.base import BaseResolver\n"
        "class R(BaseResolver):\n"
        "    def resolve(self, addr, port): raise OSError('no way\\nto\\x1b[2J there')\n"
        "def build(): return R()\n"
    )
    done = run_python(tmp_path, ["-m", "trtop", capture, "-tm", "failing"])
    assert (done.returncode, syns(done.stdout)) == (0, BY_ADDRESS)
    assert done.stderr == (
        r"trtop: resolver R: OSError: no way to\x1b[2J there (addresses are shown)" + "\n"
    )
