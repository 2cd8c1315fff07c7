"""The scripts of the classic manual, each run as a process, with their imports put in."""

import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from fcntl import ioctl
from pathlib import Path

import pyte
import pytest
from support.builders.savefile import write_pcap
from support.scripts import (
    BY_ADDRESS,
    TIMEOUT_S,
    environment,
    run_python,
    run_script,
    syns,
    workload,
    write_workload,
)

LOGGING = """
import tempfile
import logging
logfile = tempfile.mktemp(".log", "trtop-")
print("Logging in {0}".format(str(logfile)))
logging.basicConfig(filename=logfile, level=logging.INFO,
                    format="%(asctime)s - %(name)s - %(levelname)s - %(message)s")
"""

SIMPLE = (
    LOGGING
    + """
from trtop import *
main(default_collector, default_analyzer, default_reporter)
"""
)

REVERSE_NAMES = (
    """
import socket
from trtop import *

class SimpleResolver(BaseResolver):

    def __init__(self):
        BaseResolver.__init__(self)

    def resolve(self, addr, port):
        name, alias, addresslist = socket.gethostbyaddr(addr)
        return name
"""
    + LOGGING
    + """
custom_analyzer = OutgoingTCPAnalyzer(default_whitelist, SimpleResolver())
custom_collector = TCPDumpFileCollector(custom_analyzer, dump_input_filename)
custom_reporter = CLICursesOutgoingTCPReporter(custom_analyzer, report_filename_prefix)
main(custom_collector, custom_analyzer, custom_reporter)
"""
)

OWN_NAMES = (
    LOGGING
    + """
import string
from trtop.resolver import BaseResolver
from trtop.analyzer import OutgoingTCPAnalyzer
from trtop.whitelisting import DefaultWhitelist
from trtop.reporter import CLICursesOutgoingTCPReporter

class SimpleResolver(BaseResolver):

    def __init__(self):
        BaseResolver.__init__(self)

    def resolve(self, addr, port):
        names = [c for c in string.ascii_uppercase]
        return names[hash(addr) % len(names)] + '_' + str(hash(addr))

from trtop import *
custom_analyzer = OutgoingTCPAnalyzer(DefaultWhitelist(), SimpleResolver())
custom_collector = TCPDumpFileCollector(custom_analyzer, dump_input_filename)
custom_reporter = CLICursesOutgoingTCPReporter(custom_analyzer, report_filename_prefix)

main(custom_collector, custom_analyzer, custom_reporter)
"""
)

OWN_WHITELIST = """
from trtop import *

class SimpleWhitelist(BaseWhitelist):

    def __init__(self):
        BaseWhitelist.__init__(self)

    def allow(self, host, port):
        return host in ['127.0.0.2', '10.9.8.7']

custom_analyzer = OutgoingTCPAnalyzer(SimpleWhitelist(), default_resolver)
custom_collector = TCPDumpFileCollector(custom_analyzer, dump_input_filename)
custom_reporter = CLICursesOutgoingTCPReporter(custom_analyzer, report_filename_prefix)
main(custom_collector, custom_analyzer, custom_reporter)
"""


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    return write_workload(tmp_path / "sample.pcap")


def test_the_simplest_script_shows_the_capture(tmp_path: Path, capture: Path) -> None:
    done = run_script(tmp_path, SIMPLE, "-i", capture, "-o", "report")
    assert (done.returncode, done.stderr) == (0, "")
    assert syns(done.stdout) == BY_ADDRESS
    log = Path(done.stdout.splitlines()[0].removeprefix("Logging in "))
    assert "trtop.classic.session - INFO" in log.read_text()
    log.unlink()


def test_the_reports_take_the_prefix_or_the_time(tmp_path: Path, capture: Path) -> None:
    run_script(tmp_path, SIMPLE, "--input", capture, "--out", "report")
    assert syns((tmp_path / "report.trtop").read_text()) == BY_ADDRESS
    record = json.loads((tmp_path / "report.json").read_text())
    assert {row["destination"]: row["syn"] for row in record["destinations"]} == BY_ADDRESS
    run_script(tmp_path, SIMPLE, "-i", capture)
    stamped = [path.stem for path in tmp_path.glob("*.trtop") if path.stem.isdigit()]
    assert len(stamped) == 1
    assert int(stamped[0]) > 1_700_000_000


def test_the_script_with_reverse_names_runs(tmp_path: Path, capture: Path) -> None:
    done = run_script(tmp_path, REVERSE_NAMES, "-i", capture, "-o", "report")
    assert done.returncode == 0
    shown = syns(done.stdout)
    assert shown["localhost"] >= 26
    assert sum(shown.values()) == 35
    assert "Traceback" not in done.stderr


def test_the_script_with_names_of_its_own_runs(tmp_path: Path, capture: Path) -> None:
    done = run_script(tmp_path, OWN_NAMES, "-i", capture, "-o", "report")
    assert (done.returncode, done.stderr) == (0, "")
    shown = syns(done.stdout)
    assert sorted(shown.values()) == [2, 7, 26]
    assert all(name[0].isupper() and name[1] == "_" for name in shown)


def test_the_script_with_a_whitelist_runs(tmp_path: Path, capture: Path) -> None:
    done = run_script(tmp_path, OWN_WHITELIST, "-i", capture, "-o", "report")
    assert (done.returncode, done.stderr) == (0, "")
    assert syns(done.stdout) == {"127.0.0.2": 7, "10.9.8.7": 2}
    assert " total" in done.stdout
    total = next(line for line in done.stdout.splitlines() if line.startswith(" total"))
    assert total.split()[1].startswith("9(")


# Importing.


def test_importing_reads_no_command_line_and_little_else(tmp_path: Path) -> None:
    script = (
        "import sys, trtop\n"
        "assert 'numpy' not in sys.modules, 'numpy'\n"
        "assert 'argparse' not in sys.modules, 'argparse'\n"
        "from trtop import *\n"
        "assert BaseResolver and OutgoingTCPAnalyzer and UnifiedPacket\n"
        "print('imported')\n"
    )
    done = run_script(tmp_path, script, "--no-such-option", "and", "more")
    assert (done.stdout, done.stderr) == ("imported\n", "")


@pytest.mark.parametrize(
    "use",
    [
        "default_collector.start",
        "default_analyzer.feed",
        "default_reporter.start",
        "default_whitelist.allow('10.0.0.1', 1)",
        "default_resolver.resolve('10.0.0.1', 1)",
        "str(dump_input_filename)",
        "str(report_filename_prefix)",
        "bool(interface)",
        "bool(bpf_filter)",
        "main(None, None, None)",
    ],
)
def test_using_a_part_reads_the_command_line(tmp_path: Path, use: str) -> None:
    script = f"from trtop import *\nprint('imported')\n{use}\nprint('used')\n"
    done = run_script(tmp_path, script, "--no-such-option")
    assert done.returncode == 1
    assert done.stdout == "imported\n"
    assert done.stderr.startswith("trtop: unrecognized arguments: --no-such-option")
    assert done.stderr.count("\n") == 1


def test_values_of_the_command_line_behave_as_what_they_stand_for(tmp_path: Path) -> None:
    script = (
        "import os\n"
        "from trtop import *\n"
        "assert isinstance(default_analyzer, OutgoingTCPAnalyzer)\n"
        "assert isinstance(default_collector, TCPDumpFileCollector)\n"
        "assert isinstance(default_reporter, CLICursesOutgoingTCPReporter)\n"
        "assert isinstance(default_resolver, DefaultDNSResolver)\n"
        "assert isinstance(default_whitelist, DefaultWhitelist)\n"
        "assert default_collector.analyzer is default_reporter.analyzer\n"
        "assert dump_input_filename == 'x y.pcap' and os.path.basename(dump_input_filename)\n"
        "assert f'{report_filename_prefix}.trtop' == 'out.trtop'\n"
        "assert not interface and bpf_filter == 'tcp port 80'\n"
        "print('all')\n"
    )
    done = run_script(tmp_path, script, "-i", "x y.pcap", "-o", "out", "-bpf", "tcp port 80")
    assert (done.stdout, done.stderr) == ("all\n", "")


def test_every_name_of_all_is_there_and_the_modules_have_their_classic_names(
    tmp_path: Path,
) -> None:
    script = (
        "import trtop\n"
        "for name in trtop.__all__: getattr(trtop, name)\n"
        "import types\n"
        "assert not any(type(vars(trtop)[name]) is types.ModuleType for name in trtop.__all__)\n"
        "from trtop.packet import UnifiedPacket\n"
        "from trtop.state import TcpRemoteState\n"
        "from trtop.collector import BaseCollector\n"
        "from trtop.analyzer import BaseAnalyser\n"
        "from trtop.reporter import BaseReporter, CLIEventAppendReporter\n"
        "from trtop.resolver import NoResolver, DefaultDNSResolver, DNSResolver, ChainResolver\n"
        "from trtop.whitelisting import StaticListWhitelist\n"
        "from trtop.tcpdump.offlinecollector import TCPDumpFileCollector\n"
        "print(dir(trtop) == sorted(trtop.__all__))\n"
    )
    done = run_script(tmp_path, script)
    assert (done.stdout, done.stderr) == ("True\n", "")


# Modules on the command line, of a script and of the trtop command.

PARTS = {
    "my_names": """
from trtop.resolver import BaseResolver
class R(BaseResolver):
    def resolve(self, addr, port):
        return f"name-{port}"
def build():
    return R()
def clean_up():
    print("names cleaned")
""",
    "my_list": """
from trtop.whitelisting import StaticListWhitelist
def build():
    return StaticListWhitelist(["127.0.0.1"])
""",
    "my_reporter": """
from trtop.reporter import BaseReporter
class R(BaseReporter):
    def start(self): print("reporter started")
    def stop(self): print("reporter stopped")
    def handle_remote_event(self, remote):
        print("event", remote.hostname, remote.get_syn_count(), remote.get_est_count())
def build():
    return R()
def clean_up():
    print("reporter cleaned")
""",
    "my_analyzer": """
from trtop.analyzer import BaseAnalyser
class A(BaseAnalyser):
    def __init__(self):
        self.n_packets = self.n_bytes = 0
    def analyse(self, packet):
        self.n_packets += 1
        self.n_bytes += packet.length
    def finish(self):
        print("finished")
def build():
    global made
    made = A()
    return made
def clean_up():
    print(f"{made.n_packets} packets, {made.n_bytes} bytes")
""",
    "my_collector": """
from trtop import default_analyzer
from trtop.collector import BaseCollector, TCPDumpFileCollector
class C(BaseCollector):
    def start(self):
        print("collector started")
        TCPDumpFileCollector(default_analyzer, "sample.pcap").start()
def build():
    return C(default_analyzer)
""",
}


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    for name, text in PARTS.items():
        (tmp_path / f"{name}.py").write_text(text)
    return tmp_path


def commands(folder: Path, *args: str) -> list[subprocess.CompletedProcess[str]]:
    """A script, and the trtop command, told the same."""
    return [
        run_script(folder, SIMPLE.replace(LOGGING, ""), *args),
        run_python(folder, ["-m", "trtop", *args]),
    ]


def test_a_resolver_module_names_rows_and_is_cleaned_up(parts: Path, capture: Path) -> None:
    for done in commands(parts, "-i", "sample.pcap", "-tm", "my_names", "-o", "r"):
        assert (done.returncode, done.stderr) == (0, "")
        assert syns(done.stdout) == {"name-80": 23, "name-443": 10, "name-22": 2}
        assert done.stdout.count("names cleaned") == 1


def test_a_whitelist_module_leaves_rows_out(parts: Path, capture: Path) -> None:
    for done in commands(parts, "-i", "sample.pcap", "-wm", "my_list", "-o", "r"):
        assert (done.returncode, done.stderr) == (0, "")
        assert syns(done.stdout) == {"127.0.0.1": 26}


def test_a_reporter_module_is_started_told_stopped_and_cleaned_up(
    parts: Path, capture: Path
) -> None:
    for done in commands(parts, "-i", "sample.pcap", "-rm", "my_reporter"):
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.splitlines() == [
            "reporter started",
            "event 127.0.0.1 26 26",
            "event 127.0.0.2 7 7",
            "event 10.9.8.7 2 2",
            "reporter stopped",
            "reporter cleaned",
        ]


def test_an_analyzer_module_sees_every_packet(parts: Path, capture: Path) -> None:
    for done in commands(parts, "-i", "sample.pcap", "-am", "my_analyzer"):
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"finished\n{35 * 8} packets, {35 * 8} bytes\n"


def test_a_collector_module_brings_packets_of_its_own(parts: Path, capture: Path) -> None:
    for done in commands(parts, "-cm", "my_collector", "-o", "r"):
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith("collector started\n")
        assert syns(done.stdout) == BY_ADDRESS


def test_a_module_may_be_a_file(parts: Path, capture: Path) -> None:
    for done in commands(parts, "-i", "sample.pcap", "-tm", "./my_names.py", "-o", "r"):
        assert (done.returncode, done.stderr) == (0, "")
        assert syns(done.stdout)["name-80"] == 23


def test_events_are_printed_by_a_reporter_of_that_name(parts: Path, capture: Path) -> None:
    for done in commands(parts, "-i", "sample.pcap", "-rm", "events"):
        assert (done.returncode, done.stderr) == (0, "")
        lines = done.stdout.splitlines()
        assert len(lines) == 3
        assert lines[0].startswith("127.0.0.1: attempts 26, established 26 (100.00%")
        assert "responses 26, response p95 40.00 ms" in lines[0]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["-tm", "no_such_module"], "no resolver no_such_module; there are"),
        (["-tm", "broken"], "resolver broken: ZeroDivisionError: division by zero"),
        (["-tm", "hollow"], "resolver hollow: has no build()"),
        (["-tm", "wrong"], "resolver wrong: a dict has no resolve()"),
        (["-tm", "./none.py"], "none.py: no such file"),
        (["--names", "nobody"], "no resolver nobody; there are capture, dns, hosts, none"),
        (["--names", "capture:x"], "resolver capture takes nothing behind a colon"),
        (["--names", "hosts:/none"], "/none: No such file or directory"),
        (["--names", "dns:nonsense"], "no name server"),
        (["--allow", "10.0.0.0/99"], "'10.0.0.0/99' is no rule"),
        (["-m", "sometimes"], "'sometimes' is none of: continuous | snapshot"),
        (["-m", "snapshot", "--minutes", "-1"], "'-1' is no number of minutes"),
        (["--minutes", "1"], "--minutes goes with --mode snapshot"),
        (["-r", "x"], "no option -r (to read a capture: trtop FILE)"),
        (["-b", "x"], "no option -b"),
        (["-if", "eth0"], "either --interface or files, not both"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(
    parts: Path, capture: Path, args: list[str], said: str
) -> None:
    (parts / "broken.py").write_text("def build(): return 1 / 0")
    (parts / "hollow.py").write_text("")
    (parts / "wrong.py").write_text("def build(): return {}")
    for done in commands(parts, "-i", "sample.pcap", *args):
        assert said in done.stderr
        assert (done.returncode, done.stderr.count("\n"), done.stdout) == (1, 1, "")


def test_an_input_that_is_called_like_an_option_is_an_input(tmp_path: Path, capture: Path) -> None:
    (tmp_path / "f").write_bytes(capture.read_bytes())
    for args in (["-i", "f"], ["--", "f"], ["--input=f"], ["-i", "./f", "-o", "bpf"]):
        done = run_python(tmp_path, ["-m", "trtop", *args])
        assert (done.returncode, syns(done.stdout)) == (0, BY_ADDRESS)


@pytest.mark.parametrize("script", [SIMPLE, OWN_WHITELIST], ids=["simple", "whitelist"])
def test_nothing_to_read_is_one_line(tmp_path: Path, script: str) -> None:
    done = run_script(tmp_path, script.replace(LOGGING, ""))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("trtop: no capture given")
    assert done.stderr.count("\n") == 1


def test_what_is_no_capture_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a capture at all, but long enough to be one")
    done = run_script(tmp_path, SIMPLE.replace(LOGGING, ""), "-i", "text", "-o", "r")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "r.trtop").exists()


def test_a_damaged_capture_is_reported_as_far_as_it_goes(tmp_path: Path, capture: Path) -> None:
    cut = tmp_path / "cut.pcap"
    cut.write_bytes(capture.read_bytes()[:-30])
    done = run_script(tmp_path, SIMPLE.replace(LOGGING, ""), "-i", cut, "-o", "r")
    assert done.returncode == 2
    assert syns(done.stdout) == BY_ADDRESS
    assert "after packet 279" in done.stderr
    assert done.stderr.count("\n") == 1


def test_options_of_today_work_in_a_classic_script(tmp_path: Path, capture: Path) -> None:
    script = OWN_NAMES.replace(LOGGING, "")
    done = run_script(
        tmp_path, script, "-i", capture, "-o", "r", "--local", "10.0.0.0/8", "--sort", "name",
        "--reverse", "--width", "60",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    names = list(syns(done.stdout))
    assert names == sorted(names, key=str.casefold, reverse=True)
    assert max(len(line) for line in done.stdout.splitlines()) <= 60
    done = run_script(tmp_path, script, "-i", capture, "-o", "r", "--local", "192.168.0.0/16")
    assert "no connections" in done.stdout


def test_the_folder_of_the_reports_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    done = run_script(tmp_path, SIMPLE.replace(LOGGING, ""), "-i", "-", "-o", "none/report")
    assert done.returncode == 1
    assert done.stderr == "trtop: --out none/report: none is no folder that can be written to\n"


# Time and signals.


def start(folder: Path, script: str, *args: str) -> subprocess.Popen[bytes]:
    (folder / "simple.py").write_text(script)
    return subprocess.Popen(
        [sys.executable, "simple.py", *args],
        cwd=folder,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_running_capture_with_its_report(tmp_path: Path, number: int) -> None:
    script = (
        SIMPLE.replace(LOGGING, "")
        .replace("default_reporter)", "R())")
        .replace(
            "main(",
            "class R(CLIEventAppendReporter):\n"
            "    def start(self): default_analyzer.set_observer(self)\n"
            "    def stop(self): print('stopped', flush=True)\n"
            "main(",
        )
    )
    process = start(tmp_path, script, "-i", "-")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(write_pcap(workload()))
    process.stdin.flush()
    first = process.stdout.readline()
    assert first.startswith(b"127.0.0.1: attempts 26")
    process.send_signal(number)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, err) == (0, b"")
    assert out.endswith(b"stopped\n")


def test_a_second_signal_ends_a_report_that_waits(tmp_path: Path) -> None:
    script = (
        "import threading\n"
        "from trtop import *\n"
        "class Slow(BaseCollector):\n"
        "    def start(self):\n"
        "        print('started', flush=True)\n"
        "        threading.Event().wait()\n"
        "    def stop(self):\n"
        "        print('asked to stop', flush=True)\n"
        "main(Slow(default_analyzer), default_analyzer, BaseReporter())\n"
    )
    process = start(tmp_path, script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"started\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, out, err) == (0, b"asked to stop\n", b"")


def test_a_snapshot_ends_by_itself_after_its_minutes(tmp_path: Path) -> None:
    process = start(
        tmp_path, SIMPLE.replace(LOGGING, ""), "-i", "-", "-o", "r", "-m", "snapshot",
        "--minutes", "0.02",
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(write_pcap(workload()))
    process.stdin.flush()
    out = process.stdout.read()  # until it ends: standard input stays open
    assert process.wait(TIMEOUT_S) == 0
    assert syns(out.decode()) == BY_ADDRESS
    process.communicate(timeout=TIMEOUT_S)


def test_a_snapshot_of_a_file_ends_with_the_file(tmp_path: Path, capture: Path) -> None:
    done = run_script(
        tmp_path, SIMPLE.replace(LOGGING, ""), "-i", capture, "-m", "snapshot", "-o", "r"
    )
    assert (done.returncode, syns(done.stdout)) == (0, BY_ADDRESS)
    done = run_python(tmp_path, ["-m", "trtop", capture, "-m", "continuous", "-o", "r"])
    assert (done.returncode, syns(done.stdout)) == (0, BY_ADDRESS)


def on_terminal(
    folder: Path, script: str, *args: str, until: str, keys: bytes
) -> tuple[int, str, str]:
    """Keys are pressed when a text is seen on a terminal of 100 columns.

    Returns:
        Exit status; the screen as it was when the text was seen; all that was written.
    """
    (folder / "simple.py").write_text(script)
    pid, controller = pty.fork()
    if pid == 0:
        os.chdir(folder)
        command = [sys.executable, "simple.py", *args]
        os.execvpe(command[0], command, environment(TERM="xterm"))
    ioctl(controller, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    killer = threading.Timer(TIMEOUT_S, os.kill, (pid, signal.SIGKILL))
    killer.start()
    screen = pyte.Screen(100, 30)
    stream = pyte.ByteStream(screen)
    seen, shown = bytearray(), ""
    try:
        while piece := os.read(controller, 65536):
            seen += piece
            stream.feed(piece)
            if not shown and until in "\n".join(screen.display):
                shown = "\n".join(screen.display)
                os.write(controller, keys)
    except OSError:  # the other end is closed
        pass
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    killer.cancel()
    os.close(controller)
    return status, shown, seen.decode()


LEFT = "\x1b[?1049l"
"""What gives the shell its screen back."""


def printed(seen: str) -> str:
    """What was written after the screen was left, without colours."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\x1b[>=]|\r", "", seen.rpartition(LEFT)[2])


def test_on_a_terminal_the_screen_stays_until_the_user_quits(tmp_path: Path, capture: Path) -> None:
    status, shown, seen = on_terminal(
        tmp_path, SIMPLE.replace(LOGGING, ""), "-i", str(capture), "-o", "r",
        until="10.9.8.7", keys=b"q",
    )  # fmt: skip
    assert status == 0
    assert "TCP Remote TOP" in shown
    assert "sample.pcap" in shown
    assert "127.0.0.1" in shown
    assert syns(printed(seen)) == BY_ADDRESS
    assert syns((tmp_path / "r.trtop").read_text()) == BY_ADDRESS


def test_the_screen_shows_what_a_resolver_and_a_whitelist_of_ones_own_say(
    tmp_path: Path, capture: Path
) -> None:
    script = (
        "from trtop import *\n"
        "class Ports(BaseResolver):\n"
        "    def resolve(self, addr, port): return f'port-{port}'\n"
        "class Loopback(BaseWhitelist):\n"
        "    def allow(self, host, port): return host.startswith('127.')\n"
        "a = OutgoingTCPAnalyzer(Loopback(), Ports())\n"
        "main(TCPDumpFileCollector(a, dump_input_filename), a,\n"
        "     CLICursesOutgoingTCPReporter(a, report_filename_prefix))\n"
    )
    status, shown, seen = on_terminal(
        tmp_path, script, "-i", str(capture), "-o", "r", until="port-443", keys=b"q"
    )
    assert status == 0
    assert "port-80" in shown
    assert "port-22" not in shown
    assert "127.0.0.1" not in shown
    assert syns(printed(seen)) == {"port-80": 23, "port-443": 10}


def test_a_snapshot_on_a_terminal_ends_by_itself(tmp_path: Path, capture: Path) -> None:
    status, shown, seen = on_terminal(
        tmp_path, SIMPLE.replace(LOGGING, ""), "-i", str(capture), "-o", "r", "-m", "snapshot",
        "--minutes", "0.02", until="10.9.8.7", keys=b"",
    )  # fmt: skip
    assert (status, "TCP Remote TOP" in shown) == (0, True)
    assert syns(printed(seen)) == BY_ADDRESS


def test_ctrl_c_ends_the_screen_with_the_report(tmp_path: Path, capture: Path) -> None:
    status, _, seen = on_terminal(
        tmp_path, SIMPLE.replace(LOGGING, ""), "-i", str(capture), "-o", "r",
        until="10.9.8.7", keys=b"\x03",
    )  # fmt: skip
    assert status == 0
    assert syns(printed(seen)) == BY_ADDRESS


def test_the_terminal_is_given_back_when_a_part_fails(tmp_path: Path, capture: Path) -> None:
    script = (
        "from trtop import *\n"
        "import time\n"
        "class Failing(TCPDumpFileCollector):\n"
        "    def start(self):\n"
        "        super().start()\n"
        "        time.sleep(1)\n"
        "        raise RuntimeError('what a pity')\n"
        "main(Failing(default_analyzer, dump_input_filename), default_analyzer, default_reporter)\n"
    )
    status, shown, seen = on_terminal(
        tmp_path, script, "-i", str(capture), "-o", "r", until="10.9.8.7", keys=b""
    )
    assert status == 1
    assert shown
    assert seen.index(LEFT) < seen.index("what a pity")
    assert " total" not in printed(seen)


def test_what_is_no_capture_opens_no_screen(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a capture at all, but long enough to be one")
    status, _, seen = on_terminal(
        tmp_path, SIMPLE.replace(LOGGING, ""), "-i", "text", "-o", "r", until="never", keys=b""
    )
    assert status == 1
    assert seen.startswith("trtop: text: ")
    assert LEFT not in seen


def test_a_hostile_name_does_nothing_to_the_terminal(tmp_path: Path, capture: Path) -> None:
    script = OWN_NAMES.replace(LOGGING, "").replace(
        "return names[", "return 'evil\\x1b]0;owned\\x07\\x1b[2J\\r\\n' or names["
    )
    status, _, seen = on_terminal(
        tmp_path, script, "-i", str(capture), "-o", "r", until="evil", keys=b"q"
    )
    assert status == 0
    assert "\x1b]0" not in seen
    assert "\x07" not in seen
    assert r"evil\x1b]0;owned" in seen
    done = run_script(tmp_path, script, "-i", capture, "-rm", "events", "-o", "r")
    assert "\x1b" not in done.stdout
