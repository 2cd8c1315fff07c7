"""Captures in a real server that speaks S3."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.equal import assert_equal
from support.host_captures import VIEW, serial, write_hosts

import trtop
from trtop.batch.run import Progress
from trtop_core.errors import TrtopError
from trtop_core.merging.snapshots import merge

pytestmark = [pytest.mark.filterwarnings("ignore"), pytest.mark.xdist_group("clusters")]

BUCKET = "captures"

N_HOSTS = 4


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """What the server's bucket is a copy of; the environment says where the server is."""
    server_module = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    told = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    folder = write_hosts(tmp_path_factory.mktemp("s3") / "day1", N_HOSTS)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in told.items():
            patch.setenv(name, value)
        system = s3fs.S3FileSystem()
        system.mkdir(BUCKET)
        for path in folder.rglob("*.pcap*"):
            system.put_file(str(path), f"{BUCKET}/day1/{path.relative_to(folder)}")
        system.pipe_file(f"{BUCKET}/day2/web-0/torn.pcap", b"no capture")
        yield folder
        s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.mark.parametrize("pattern", ["day1", "day1/*/*.pcap*", "day1/**/eth0.pcap*"])
def test_captures_of_a_bucket_count_as_those_of_a_folder(bucket: Path, pattern: str) -> None:
    result = trtop.analyze_many(f"s3://{BUCKET}/{pattern}")
    assert result.errors == ()
    assert_equal(merge([result.snapshot], VIEW), serial(bucket))


def test_captures_of_a_bucket_are_not_read_again(bucket: Path, tmp_path: Path) -> None:
    kept = []
    for _ in range(2):
        told: list[Progress] = []
        result = trtop.analyze_many(f"s3://{BUCKET}/day1", state=tmp_path, on_progress=told.append)
        assert_equal(merge([result.snapshot], VIEW), serial(bucket))
        kept.append(told[-1].n_kept)
    assert kept == [0, N_HOSTS]


def test_a_bad_object_costs_itself_only_and_is_named(bucket: Path) -> None:
    urls = [f"s3://{BUCKET}/day1", f"s3://{BUCKET}/day2", f"s3://{BUCKET}/day3/gone.pcap"]
    result = trtop.analyze_many(urls)
    assert_equal(merge([result.snapshot], VIEW), serial(bucket))
    first, second = sorted(result.errors)
    assert first.startswith(f"s3://{BUCKET}/day2/web-0/torn.pcap: not a pcap")
    assert second.startswith(f"s3://{BUCKET}/day3/gone.pcap: ")


def test_a_bucket_that_is_not_there_is_one_line(bucket: Path) -> None:
    with pytest.raises(TrtopError, match=r"s3://nobody/\*\.pcap: ") as raised:
        trtop.analyze_many("s3://nobody/*.pcap")
    assert "\n" not in str(raised.value)


def test_the_command_reads_a_bucket(bucket: Path) -> None:
    command = [sys.executable, "-m", "trtop", "batch", "--format", "csv"]
    there = subprocess.run(
        [*command, f"s3://{BUCKET}/day1"],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ,
    )
    here = subprocess.run([*command, bucket], check=False, capture_output=True, text=True)
    assert (there.returncode, there.stderr) == (0, "")
    assert there.stdout == here.stdout
