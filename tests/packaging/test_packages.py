"""What is in packaging/ and .github/ is sound, as far as can be told without a forge."""

from __future__ import annotations

import ast
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT

PACKAGING = ROOT / "packaging"

MANIFESTS = sorted((PACKAGING / "kubernetes").glob("*.yaml"))

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

TIMEOUT_S = 120

BUILT = ("build/packages/",)
"""Where packaging/build_packages.py puts what it makes."""


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def needs(program: str) -> str:
    found = shutil.which(program) or shutil.which(program, path=Path(sys.executable).parent)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


def documents(path: Path) -> list[dict[str, object]]:
    yaml = pytest.importorskip("yaml")
    return [document for document in yaml.safe_load_all(path.read_text("utf-8")) if document]


def containers(path: Path) -> list[dict[str, dict[str, object]]]:
    """The containers of trtop in a manifest."""
    pods = [
        document["spec"]["template"]["spec"] for document in documents(path) if "spec" in document
    ]  # type: ignore[index]
    found = [each for pod in pods for each in (*pod.get("initContainers", ()), *pod["containers"])]
    return [each for each in found if each["name"] == "trtopd"]


def test_there_are_manifests_for_a_sidecar_and_for_each_node() -> None:
    assert [path.stem for path in MANIFESTS] == ["daemonset", "sidecar"]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_is_what_kubernetes_takes(path: Path) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    for document in documents(path):
        validate.validate(document, "1.31", strict=True)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_container_has_one_capability_and_is_not_root(path: Path) -> None:
    (container,) = containers(path)
    rights = container["securityContext"]
    assert rights["capabilities"] == {"drop": ["ALL"], "add": ["NET_RAW"]}
    assert rights["runAsNonRoot"] is True
    assert rights["readOnlyRootFilesystem"] is True
    user = re.search(r"--uid (\d+)", (PACKAGING / "Dockerfile").read_text("utf-8"))
    assert user is not None
    assert rights["runAsUser"] == rights["runAsGroup"] == int(user[1])


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_the_options_of_a_container_are_those_of_trtopd(path: Path) -> None:
    (container,) = containers(path)
    options = [arg for arg in container["args"] if arg.startswith("-")]
    said = run(sys.executable, "-m", "trtop_daemon", "--help").stdout
    assert options != []
    assert [option for option in options if option not in said] == []


def test_the_dockerfile_is_sound() -> None:
    done = run(needs("hadolint"), PACKAGING / "Dockerfile")
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_as_somebody_who_is_not_root_with_one_capability() -> None:
    text = (PACKAGING / "Dockerfile").read_text("utf-8")
    assert re.findall(r"^USER (.*)$", text, re.MULTILINE) == ["7117:7117"]
    assert re.findall(r"setcap (\S+)", text) == ["cap_net_raw+ep"]
    # Without root it has no place of its own choice: it must be where clients look.
    assert '"--listen", "ipc:///run/trtop/trtopd.sock"]' in text
    for source in re.findall(r"^COPY (?!--from)(\S+)", text, re.MULTILINE):
        assert (ROOT / source).exists()


def test_what_packages_hold_exists() -> None:
    text = (PACKAGING / "nfpm.yaml").read_text("utf-8")
    sources = re.findall(r"src: (\S+?),", text) + re.findall(r": (packaging/\S+\.sh)", text)
    own = [name for name in sources if not name.startswith((*BUILT, "/"))]
    assert len(own) > 12
    assert [name for name in own if not (ROOT / name).is_file()] == []


def test_the_programs_of_packages_are_the_entry_points() -> None:
    written = (PACKAGING / "build_packages.py").read_text("utf-8")
    (programs,) = re.findall(r"^PROGRAMS = (\{.*\})$", written, re.MULTILINE)
    for name, module in ast.literal_eval(programs).items():
        assert f'{name} = "{module}:main"' in (ROOT / "pyproject.toml").read_text("utf-8")


@pytest.mark.parametrize("path", sorted(PACKAGING.rglob("*.sh")), ids=lambda path: path.stem)
def test_a_script_is_a_sound_one(path: Path) -> None:
    assert run("sh", "-n", path).returncode == 0
    assert path.stat().st_mode & 0o111


def test_the_formula_names_the_archive_that_it_is_made_from(tmp_path: Path) -> None:
    archive = tmp_path / "trtop-1.2.3.tar.gz"
    archive.write_bytes(b"an archive")
    done = run(sys.executable, PACKAGING / "homebrew" / "make.py", archive)
    assert (done.returncode, done.stderr) == (0, "")
    assert f'sha256 "{hashlib.sha256(b"an archive").hexdigest()}"' in done.stdout
    assert "/trtop-1.2.3.tar.gz" in done.stdout
    assert "${" not in done.stdout
    for name in re.findall(r'"((?:docs|completions|examples)/\S+?)"', done.stdout):
        assert (ROOT / name).is_file()


def test_the_formula_is_ruby(tmp_path: Path) -> None:
    ruby = needs("ruby")
    archive = tmp_path / "trtop-1.2.3.tar.gz"
    archive.touch()
    formula = tmp_path / "trtop.rb"
    formula.write_text(run(sys.executable, PACKAGING / "homebrew" / "make.py", archive).stdout)
    assert run(ruby, "-c", formula).stdout == "Syntax OK\n"


def test_a_formula_of_anything_else_is_refused(tmp_path: Path) -> None:
    done = run(sys.executable, PACKAGING / "homebrew" / "make.py", tmp_path / "trtop.zip")
    assert (done.returncode, done.stdout) == (1, "")
    assert "not a source distribution" in done.stderr


def test_the_workflows_are_sound() -> None:
    if not WORKFLOWS:
        pytest.skip("an archive has no workflows")
    done = run(needs("actionlint"), "-oneline", *WORKFLOWS)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_workflows_call_targets_and_files_that_exist() -> None:
    if not WORKFLOWS:
        pytest.skip("an archive has no workflows")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    text = "".join(path.read_text("utf-8") for path in WORKFLOWS)
    targets = re.findall(r"run: make ((?:[a-z-]+ ?)+)", text)
    assert len(targets) == 5
    for target in " ".join(targets).split():
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    for name in re.findall(r"(?:python |env .* )(packaging/\S+\.py|\.ci/\S+)", text):
        assert (ROOT / name).is_file()


def test_workflows_test_each_python_that_wheels_are_built_for() -> None:
    if not WORKFLOWS:
        pytest.skip("an archive has no workflows")
    tested = re.findall(r'"(3\.\d+)"', (ROOT / ".github/workflows/ci.yml").read_text("utf-8"))
    built = re.findall(r"cp3(\d+)-\*", (ROOT / "pyproject.toml").read_text("utf-8"))
    assert sorted(set(tested)) == [f"3.{minor}" for minor in built]
