"""``--jobs``: the report is the same at any number of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.builders.savefile import Captured, write_pcap
from support.traffic.generated import Faults, generate

from trtop.cli.main import main
from trtop.runtime import jobs


@pytest.fixture
def capture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(jobs, "MIN_BYTES_SHARED", 1)
    path = tmp_path / "x.pcap"
    packets = generate(5, 60, Faults(0.02, 0.02, 0.02, 0.02))
    path.write_bytes(write_pcap([Captured(p.ts_ns, p.data, p.wire_len) for p in packets]))
    return path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(["--format", "json", "--bins", *arguments])
    return status, *capsys.readouterr()


def test_the_report_is_the_same_at_any_number_of_jobs(
    capture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = printed(capsys, "--jobs", "1", str(capture))
    assert one[0] == 0
    for n_jobs in ("2", "3", "64"):
        assert printed(capsys, "--jobs", n_jobs, str(capture)) == one
    assert printed(capsys, str(capture)) == one


@pytest.mark.parametrize("n_jobs", ["1", "2", "3"])
def test_a_damaged_capture_is_told_alike(
    n_jobs: str, capture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture.write_bytes(capture.read_bytes()[:-7])
    status, out, err = printed(capsys, "--jobs", n_jobs, str(capture))
    assert (status, out, err) == printed(capsys, "--jobs", "1", str(capture))
    assert status == 2
    assert err.count("\n") == 1


def test_no_jobs_at_all_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = printed(capsys, "--jobs", "0", "x.pcap")
    assert (status, out) == (1, "")
    assert "one core at least" in err
