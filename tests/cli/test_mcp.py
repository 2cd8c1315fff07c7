"""The tools of ``trtop mcp``, asked by the official client over pipes."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from support.builders.savefile import write_pcap
from support.traffic.busy import busy

import trtop
from trtop.cli import mcp as command
from trtop.runtime.environment import Environment
from trtop_core.errors import TrtopError

mcp = pytest.importorskip("mcp")

TIMEOUT_S = 60


@pytest.fixture
def root(tmp_path: Path) -> Path:
    made = tmp_path / "captures"
    made.mkdir()
    (made / "busy.pcap").write_bytes(write_pcap(busy(9, 40)))
    (made / "text.pcap").write_text("no capture at all, only text\n" * 9)
    (tmp_path / "secret.pcap").write_bytes(write_pcap(busy(9, 5)))
    (made / "link.pcap").symlink_to(tmp_path / "secret.pcap")
    os.mkfifo(made / "pipe.pcap")
    return made


def asked(root: Path, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
    """The results of some calls of one session."""

    async def run() -> list[Any]:
        server = mcp.StdioServerParameters(
            command=sys.executable, args=["-m", "trtop", "mcp", str(root)], env=dict(os.environ)
        )
        async with mcp.Client(server) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert names == {"analyze", "explain", "connections"}
            return [await client.call_tool(name, arguments) for name, arguments in calls]

    return asyncio.run(asyncio.wait_for(run(), TIMEOUT_S))


def test_tools_say_what_the_library_says(root: Path) -> None:
    path = str(root / "busy.pcap")
    analyzed, explained, connected, one = asked(
        root,
        ("analyze", {"path": "busy.pcap", "limit": 2}),
        ("explain", {"path": path, "destination": "198.51.100.7"}),
        ("connections", {"path": path, "limit": 5}),
        ("connections", {"path": path, "server": "198.51.100.8", "limit": 1000}),
    )
    expected = trtop.analyze(path, sort="verdict").snapshot
    answer = analyzed.structured_content
    assert answer["capture"]["n_destinations"] == 3
    assert [row["syn"] for row in answer["destinations"]] == [
        row["syn"] for row in (r.record() for r in expected.limited(2).rows())
    ]
    assert "198.51.100.7" in explained.content[0].text
    assert connected.structured_content["n_connections"] == 120
    durations = [row["duration_ns"] for row in connected.structured_content["connections"]]
    assert len(durations) == 5
    assert durations == sorted(durations, reverse=True)
    rows = one.structured_content["connections"]
    assert len(rows) == one.structured_content["n_connections"] > 0
    assert {row["server_address"] for row in rows} == {"198.51.100.8"}


@pytest.mark.parametrize(
    "path",
    [
        "../secret.pcap",
        "link.pcap",
        "pipe.pcap",
        ".",
        "/etc/passwd",
        "/proc/self/mem",
        "nowhere.pcap",
        "a\0b",
    ],
)
def test_nothing_outside_the_roots_is_read(root: Path, path: str) -> None:
    (result,) = asked(root, ("analyze", {"path": path}))
    assert result.is_error
    assert "no such capture below the folders" in result.content[0].text


def test_what_is_no_capture_or_no_filter_is_told(root: Path) -> None:
    bad, wrong, nobody = asked(
        root,
        ("connections", {"path": "text.pcap"}),
        ("analyze", {"path": "busy.pcap", "filter": "rst >"}),
        ("explain", {"path": "busy.pcap", "destination": "192.0.2.99"}),
    )
    assert bad.is_error
    assert wrong.is_error
    assert nobody.is_error
    assert "no destination 192.0.2.99" in nobody.content[0].text


def test_a_missing_library_is_one_line(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp.server", None)
    monkeypatch.delitem(sys.modules, "trtop.cli.mcp_server", raising=False)
    is_pipe: Callable[[], bool] = lambda: False  # noqa: E731
    env = Environment()
    monkeypatch.setattr(env.stdout, "isatty", is_pipe, raising=False)
    with pytest.raises(TrtopError, match=r"pip install 'trtop\[mcp\]'"):
        command.main([str(root)], env)


def test_a_root_that_is_no_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrtopError, match="is no folder"):
        command.main([str(tmp_path / "nothing")], Environment())
