"""Scripts that capture from an interface, told by ``-if``: real connections between two hosts."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.netns import Host, needs_root, two_hosts
from support.scripts import environment, run_python, syns
from support.services import (
    N_CONNECTIONS,
    N_REQUESTS,
    PORT,
    TIMEOUT_S,
    family_of,
    http_service,
    use_http,
    use_refusing,
)

SCRIPT = """
import logging, sys
logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(message)s")
from trtop import *
{body}
main(default_collector, {analyzer}, {reporter})
"""

PLAIN = SCRIPT.format(body="", analyzer="default_analyzer", reporter="default_reporter")

BY_PACKET = SCRIPT.format(
    body="""
class Syns(BaseAnalyser):
    n = 0
    def analyse(self, packet):
        self.n += packet.flags == "S" and packet.remote_port() == 8080
    def finish(self):
        print("syns", self.n)
a = Syns()
default_collector = InterfaceCollector(a, interface, bpf_filter)
""",
    analyzer="a",
    reporter="BaseReporter()",
)

NAMED = SCRIPT.format(
    body="""
class Names(BaseResolver):
    def resolve(self, addr, port):
        return f"service-{port}"
a = OutgoingTCPAnalyzer(default_whitelist, Names())
default_collector = InterfaceCollector(a, interface, bpf_filter)
""",
    analyzer="a",
    reporter="CLICursesOutgoingTCPReporter(a, report_filename_prefix)",
)


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    with two_hosts() as made:
        yield made


def connector(host: Host, n_port: int = PORT):  # type: ignore[no-untyped-def] - a closure
    def connect(address: str) -> socket.socket:
        with host.inside():
            made = socket.socket(family_of(address), socket.SOCK_STREAM)
        made.settimeout(TIMEOUT_S)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            made.connect((address, n_port))
        except BaseException:
            made.close()
            raise
        return made

    return connect


def captured(
    hosts: tuple[Host, Host], folder: Path, script: str, *args: str, is_ended: bool = True
) -> tuple[int, str, str]:
    """What a script says that captures while 23 connections are made to a service."""
    near, far = hosts
    (folder / "simple.py").write_text(script)
    command = [sys.executable, "simple.py", "-if", near.link, "-o", "r", *args]
    with near.inside():
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
    killer = threading.Timer(2 * TIMEOUT_S, process.kill)
    killer.start()
    said = ""
    try:
        assert process.stderr is not None
        for line in process.stderr:
            said += line
            if line.startswith("capturing on"):
                break
        with far.inside():
            service = http_service(far.v4)
            service.__enter__()
        try:
            use_http(far.v4, connector(near))
            use_refusing(far.address(1), connector(near), 7)
        finally:
            service.__exit__(None, None, None)
        if is_ended:
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=TIMEOUT_S)
    finally:
        killer.cancel()
        process.kill()
        process.wait()
    return process.returncode, out, said + err


@needs_root
def test_a_script_captures_from_an_interface_until_it_is_ended(
    hosts: tuple[Host, Host], tmp_path: Path
) -> None:
    status, out, err = captured(hosts, tmp_path, PLAIN)
    assert status == 0, err
    assert err.splitlines()[1:] == ["capturing on near0", "ended by SIGINT", "session finished"]
    assert syns(out) == {hosts[1].v4: N_CONNECTIONS, hosts[1].address(1): 7}
    total = next(line for line in out.splitlines() if line.startswith(" total"))
    assert total.split()[1].startswith(f"{N_CONNECTIONS + 7}(")
    assert re.search(rf"\b{N_REQUESTS}\b", total)


@needs_root
def test_a_filter_leaves_packets_out(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    status, out, err = captured(
        hosts, tmp_path, PLAIN, "-bpf", f"tcp and host {hosts[1].address(1)}"
    )
    assert status == 0, err
    assert syns(out) == {hosts[1].address(1): 7}


@needs_root
def test_an_analyzer_of_ones_own_sees_live_packets(
    hosts: tuple[Host, Host], tmp_path: Path
) -> None:
    status, out, err = captured(hosts, tmp_path, BY_PACKET)
    assert status == 0, err
    assert out == f"syns {N_CONNECTIONS + 7}\n"


@needs_root
def test_a_resolver_names_live_rows(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    status, out, err = captured(hosts, tmp_path, NAMED)
    assert status == 0, err
    assert syns(out) == {f"service-{PORT}": N_CONNECTIONS + 7}


@needs_root
def test_a_live_snapshot_ends_by_itself(hosts: tuple[Host, Host], tmp_path: Path) -> None:
    status, out, err = captured(
        hosts, tmp_path, PLAIN, "-m", "snapshot", "--minutes", "0.15", is_ended=False
    )
    assert status == 0, err
    assert syns(out)[hosts[1].v4] == N_CONNECTIONS


@needs_root
@pytest.mark.parametrize(
    ("args", "said"),
    [(["-if", "nonesuch0"], "nonesuch0"), (["-if", "lo", "-bpf", "tcp and and"], "filter")],
)
def test_what_cannot_be_captured_is_one_line(tmp_path: Path, args: list[str], said: str) -> None:
    done = run_python(tmp_path, ["-m", "trtop", *args, "-o", "r"])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("trtop: ")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
