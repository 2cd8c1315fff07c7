"""Observe which system calls each kind of process makes, and write ``syscalls.py`` of the daemon.

Runs a command under strace, in which nothing is confined: strace answers for the kernel where a
process asks for that, and what the process calls afterwards is what it needs. A kind of process is
recognised by the name that it gives itself, or by its command line.

    python lint/syscalls.py -- .venv/bin/pytest -n0 tests/live tests/daemon
    python lint/syscalls.py --fresh -- …       forget what earlier runs observed

Numbers come from the kernel's headers (Debian: linux-libc-dev), those of arm64 from the generic
table, which it uses.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from trtop_daemon.system import sandbox  # noqa: E402 - by its path, as the script runs alone
from trtop_daemon.system.syscalls import OBSERVED, Kind  # noqa: E402 - likewise

TARGET = ROOT / "trtop_daemon" / "system" / "syscalls.py"

X86_HEADER = Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")
GENERIC_HEADER = Path("/usr/include/asm-generic/unistd.h")

NOT_NEEDED: dict[Kind, frozenset[str]] = {
    # Observed, and done without: each is refused (EPERM), and the caller goes on.
    Kind.CAPTURE: frozenset(),
    Kind.LAUNCHER: frozenset(),
    Kind.MAIN: frozenset(),
    Kind.SCREEN: frozenset(),
    Kind.FILE: frozenset(),
    Kind.EXPORTER: frozenset(),
}

CALL = re.compile(r"^(\d+) +(?:[\d:.]+ )?(?:<\.\.\. )?([a-z_0-9]+)(\(| resumed)(.*)$")

INJECTED = ("seccomp", "landlock_restrict_self")

TEMPLATE = '''"""System calls: their numbers, and what each kind of process was seen to call.

Written by ``lint/syscalls.py``; not to be changed by hand.
"""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """A kind of process, by what it does."""

    CAPTURE = "capture"
    LAUNCHER = "launcher"
    MAIN = "main"
    SCREEN = "screen"
    FILE = "file"
    EXPORTER = "exporter"


LAST_NUMBER = {last}
"""Of the kernel\'s headers that these tables were made from; greater ones are unknown to us."""

# fmt: off
NUMBERS: dict[str, tuple[int | None, int | None]] = {{
{numbers}}}
"""Of a name on x86-64 and on arm64; None where there is no such call."""

OBSERVED: dict[Kind, frozenset[str]] = {{
{observed}}}
"""What was called once a process had confined itself."""
# fmt: on
'''


def main() -> None:
    """Observe a command, and write what was observed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("command", nargs="*")
    given = parser.parse_args()
    observed = {
        kind: frozenset[str]() if given.fresh else OBSERVED.get(kind, frozenset()) for kind in Kind
    }
    if given.command:
        found = observe(given.command)
        for kind in Kind:
            new = sorted(found[kind] - observed[kind])
            print(f"{kind.value}: {len(found[kind])} calls, new: {' '.join(new) or 'none'}")
            observed[kind] |= found[kind]
    observed = {kind: names - NOT_NEEDED[kind] for kind, names in observed.items()}
    TARGET.write_text(text_of(observed))


def observe(command: list[str]) -> dict[Kind, set[str]]:
    """The calls of each kind of process while a command runs."""
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace"
        inject = [f"--inject={name}:retval=0" for name in INJECTED]
        subprocess.run(
            ["strace", "-f", "-qq", "-s", "256", "-o", trace, *inject, *command], check=False
        )
        return read(trace.read_text(errors="replace").splitlines())


def read(lines: list[str]) -> dict[Kind, set[str]]:
    """The calls of each kind in a trace: those after a process asked to be confined."""
    found: dict[Kind, set[str]] = defaultdict(set)
    process_of: dict[str, str] = {}
    kind_of: dict[str, Kind] = {}
    named: dict[str, Kind] = {}
    cloning: dict[str, str] = {}
    for line in lines:
        match = CALL.match(line)
        if match is None:
            continue
        thread, name, is_resumed, rest = match.groups()
        process = process_of.setdefault(thread, thread)
        if name == "execve" and is_resumed == "(":
            kind_of.pop(process, None)
            named[process] = kind_by_command(rest)
        elif name == "prctl" and "PR_SET_NAME" in rest:
            for kind, title in ((Kind.CAPTURE, "trtop-capture"), (Kind.LAUNCHER, "trtop-launcher")):
                if title in rest:
                    named[process] = kind
        if name in ("clone", "clone3", "fork", "vfork"):
            rest = cloning.pop(thread, "") + rest
            made = re.search(r"= (\d+)$", rest)
            if made is None:
                cloning[thread] = rest
                continue
            child = made.group(1)
            if "CLONE_THREAD" in rest:
                process_of[child] = process
            elif child not in named:  # else it runs another program already (vfork)
                named[child] = named.get(process, Kind.FILE)
                if process in kind_of:
                    kind_of[child] = kind_of[process]
        is_marker = name == "seccomp" and is_resumed != "("
        if process in kind_of and "PR_SET_NAME" not in rest and not is_marker:
            found[kind_of[process]].add(name)
        if name == "seccomp" and "SECCOMP_SET_MODE_FILTER" in rest:
            kind_of[process] = named.get(process, Kind.FILE)
    return found


def kind_by_command(rest: str) -> Kind:
    """What a process is by its command line."""
    if "trtop.export.process" in rest:
        return Kind.EXPORTER
    if re.search(r'trtop_daemon"|/trtopd"|file_feed\.py"', rest):
        return Kind.MAIN
    return Kind.SCREEN if re.search(r'"(attach|live)"', rest) else Kind.FILE


def text_of(observed: dict[Kind, frozenset[str]]) -> str:
    """The module."""
    x86 = header(X86_HEADER.read_text())
    generic = header(GENERIC_HEADER.read_text())
    sets = (
        sandbox.ALWAYS,
        sandbox.DEADLY,
        sandbox.INTERNET,
        sandbox.SHOWING,
        sandbox.SERVING,
        sandbox.FORKING,
    )
    wanted = set().union(*sets).union(*sandbox.EQUIVALENT, *observed.values())
    wanted |= {"clone", "clone3", "ioctl", "prctl", "socket", "socketpair", "kill", "tgkill"}
    numbers = ""
    for name in sorted(wanted):
        arm64 = generic.get(name)
        if x86.get(name) is None and arm64 is None:
            print(f"no number of {name}")
            continue
        numbers += f'    "{name}": ({x86.get(name)}, {arm64}),\n'
    last = max(*x86.values(), *(n for name, n in generic.items() if name != "syscalls"))
    body = ""
    for kind in Kind:
        body += f"    Kind.{kind.name}: frozenset({{\n"
        line = "       "
        for name in sorted(observed[kind]):
            if len(line) + len(name) > 95:
                body, line = body + line + "\n", "       "
            line += f' "{name}",'
        body += (line + "\n" if line.strip() else "") + "    }),\n"
    return TEMPLATE.format(last=last, numbers=numbers, observed=body)


def header(text: str) -> dict[str, int]:
    """Numbers by name, of a header of the kernel; of two for one name the first, of 64 bits."""
    wide = dict(re.findall(r"^#define __NR3264_(\w+)\s+(\d+)", text, re.MULTILINE))
    found = {
        name: int(number)
        for name, number in re.findall(r"^#define __NR_(\w+)\s+(\d+)", text, re.MULTILINE)
    }
    for name, other in re.findall(r"^#define __NR_(\w+)\s+__NR3264_(\w+)", text, re.MULTILINE):
        if other in wide:
            found.setdefault(name, int(wide[other]))
    return found


if __name__ == "__main__":
    main()
