"""Who writes what is saved, where that is possible, and where messages stand."""

from __future__ import annotations

import os
import pwd
from dataclasses import replace
from pathlib import Path

import pytest
from support.builders.screen import DrivenScreen
from support.builders.snapshot import incident

from trtop.tui.effects import Context
from trtop.tui.frame import Size
from trtop.tui.save import prefix_of, save
from trtop.tui.saving_place import FILE_NAME, Proposal, proposal, refusal
from trtop.tui.update import update
from trtop_daemon.system.socket_file import acting_as


def test_where_files_can_be_written_nothing_is_proposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert proposal("") == Proposal()
    assert proposal("nobody") == Proposal(
        "", f"files are written by the user nobody, in {tmp_path}"
    )


@pytest.mark.parametrize("writes_as", ["", "nobody"])
def test_a_folder_that_can_be_written_is_proposed_where_this_one_cannot(
    writes_as: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut, opened = tmp_path / "shut", tmp_path / "open"
    shut.mkdir()
    opened.mkdir()
    monkeypatch.chdir(shut)
    monkeypatch.setenv("TMPDIR", str(opened))
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: path != str(shut) and access(path, mode))
    text, note = proposal(writes_as)
    assert text == f"{opened}/{FILE_NAME}"
    assert note.endswith(f"{opened} can be written")
    assert str(shut) in note
    assert (writes_as in note) or not writes_as
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert proposal(writes_as).text == ""
    assert refusal("/x/y.trtop", "nobody") == (
        "/x/y.trtop: the user nobody, as whom this screen runs, may not write there"
    )


def test_a_place_that_only_the_sandbox_shuts_is_said_to_be_shut_by_it(tmp_path: Path) -> None:
    said = refusal(f"{tmp_path}/x.trtop.part", "")
    assert said.startswith(f"{tmp_path}/x.trtop.part: trtop confines itself: it writes where it")
    assert said.endswith("(--no-sandbox: anywhere)")


def test_s_asks_with_what_is_proposed_and_says_who_writes() -> None:
    stage = DrivenScreen(size=Size(100, 24))
    proposed = Proposal("/tmp/trtop-saved", "files are written by the user nobody")
    context = Context(stage.model, proposed=proposed)
    stage.state = update(stage.state, "s", context).state
    lines = stage.text().splitlines()
    assert lines[-1].endswith("save as (.trtop .json .html): /tmp/trtop-saved")
    assert "files are written by the user nobody" in lines[-3] + lines[-4]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
def test_who_may_not_write_is_told_so(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)

    scene, nobody = DrivenScreen().scene, pwd.getpwnam("nobody")
    with acting_as(nobody.pw_uid, nobody.pw_gid):
        with pytest.raises(PermissionError) as refused:
            save(str(tmp_path / "out"), scene, incident(), None, None)
        said = refusal(refused.value.filename, "nobody")
    assert said.startswith(f"{tmp_path}/out.trtop.part: the user nobody, as whom this screen runs,")


@pytest.mark.parametrize("mode", ["", "e"])
def test_a_message_stands_above_the_keys(mode: str) -> None:
    stage = DrivenScreen(size=Size(80, 24)).press("down", *mode)
    stage.state = replace(stage.state, message="saved out.trtop, .json and .html")
    *above, last = stage.text().splitlines()
    assert "saved out.trtop" in "\n".join(above[-4:])
    assert "q Quit" in last
    assert stage.frame().keys
    small = replace(stage, size=Size(60, 8))
    assert "saved out.trtop" in small.text().splitlines()[-1]


def test_the_home_is_meant_by_a_tilde(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/ada")
    assert prefix_of("~/outage") == "/home/ada/outage"
    assert prefix_of("~/outage.json") == "/home/ada/outage"
    assert prefix_of("out~age") == "out~age"
