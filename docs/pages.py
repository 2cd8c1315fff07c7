"""Writes what says again what ``trtop --help`` says: the man page and the shells' completions.

    python docs/pages.py            writes docs/trtop.1, completions/trtop, completions/_trtop
    python docs/pages.py --check    says which of them are out of step, and writes nothing

Takes the parser of the command line, gives text. A test keeps the files in step.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from trtop import __version__
from trtop.arguments import DESCRIPTION, make_parser
from trtop.plugins import BUILT_IN, Kind
from trtop_core.view import SORTABLE

ROOT = Path(__file__).parent.parent

FILES = "FILES"
"""Completed by the shell: paths."""

INTERFACES = "INTERFACES"
"""Completed from /sys/class/net."""

MAN_EXTRA = {
    "EXIT STATUS": (
        ("0", "Everything was read."),
        ("1", "Nothing was measured: wrong options, no permission, not a capture."),
        ("2", "Reported, but a part of the input could not be read."),
        ("130", "Interrupted while reading files; what was measured so far is shown."),
    ),
    "ENVIRONMENT": (
        ("NO_COLOR", "If set to anything, no colour (see https://no-color.org)."),
        ("COLUMNS", "The width of a table that goes into a pipe."),
        ("TERM", "dumb: the table is not redrawn in place."),
    ),
}

MAN_EXAMPLES = (
    ("What happened, by destination:", "trtop incident.pcap"),
    ("The slowest first, at the 99th percentile:", "trtop --sort rtt --percentile 99 x.pcapng"),
    ("As packets arrive:", "tcpdump -i eth0 -U -s 128 -w - tcp | trtop -"),
    ("Names that the capture itself shows:", "trtop --names capture,hosts x.pcap"),
    ("One service alone:", "trtop --allow '*.example.com' --names capture x.pcap"),
)


@dataclass(frozen=True)
class Option:
    """One option, or the positional argument.

    Attributes:
        flags: its spellings; none for the positional argument.
        metavar: what its value is called; None: it takes none.
        help: what it does.
        values: what a shell offers for its value.
    """

    flags: tuple[str, ...]
    metavar: str | None
    help: str
    values: tuple[str, ...]


def options_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, list[Option]]]:
    """Groups of options with their titles, those that help hides left out."""
    for group in parser._action_groups:
        shown = [
            Option(
                tuple(action.option_strings),
                None if action.nargs == 0 else str(action.metavar or action.dest),
                (action.help or "").replace("%%", "%"),
                _values(action),
            )
            for action in group._group_actions
            if action.help != argparse.SUPPRESS
        ]
        if shown:
            yield group.title or "", shown


def man_page() -> str:
    """The page in roff, for man(7)."""
    lines = [
        f'.TH TRTOP 1 "" "trtop {__version__}" "User Commands"',
        ".SH NAME",
        r"trtop \- TCP Remote Top: which of the services I call is slow, resetting or refusing me",
        ".SH SYNOPSIS",
        r".B trtop",
        r"[\fIOPTION\fR...] \fIFILE\fR...",
        ".SH DESCRIPTION",
        *map(_roff, DESCRIPTION.strip().splitlines()),
        ".PP",
        _roff("- reads standard input. Every column is explained in the project's README."),
        ".SH OPTIONS",
    ]
    for title, options in options_of(make_parser()):
        lines.append(f".SS {_roff(title[:1].upper() + title[1:])}")
        for option in options:
            lines += [".TP", _man_head(option), _roff(option.help or "")]
    for title, items in MAN_EXTRA.items():
        lines.append(f".SH {title}")
        for name, text in items:
            lines += [".TP", rf"\fB{_roff(name)}\fR", _roff(text)]
    lines.append(".SH EXAMPLES")
    for text, command in MAN_EXAMPLES:
        lines += [".PP", _roff(text), ".PP", ".in +4n", ".nf", _roff(command), ".fi", ".in"]
    lines += [".SH SEE ALSO", r"\fBtcpdump\fR(1), \fBpcap\-filter\fR(7), \fBtshark\fR(1)"]
    return "\n".join(lines) + "\n"


def bash_completion() -> str:
    """The function that bash-completion loads for ``trtop``."""
    everything = [option for _, options in options_of(make_parser()) for option in options]
    flags = [flag for option in everything for flag in option.flags]
    lines = [
        "# bash completion for trtop, written by docs/pages.py",
        "_trtop() {",
        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}",
        "    COMPREPLY=()",
        "    # Words with a colon or an equals sign in them reach us in pieces.",
        "    if [[ $word == = ]]; then word=''",
        "    elif [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi",
        "    case $before in",
    ]
    for option in everything:
        if option.metavar is None or not option.flags:
            continue
        lines.append(f"        {'|'.join(option.flags)})")
        lines += [f"            {command}" for command in _bash_values(option)]
        lines += ["            return", "            ;;"]
    lines += [
        "    esac",
        "    if [[ $word == -?* ]]; then",
        f"        mapfile -t COMPREPLY < <(compgen -W '{' '.join(flags)}' -- \"$word\")",
        "    else",
        "        compopt -o filenames 2>/dev/null",
        '        mapfile -t COMPREPLY < <(compgen -f -- "$word")',
        "    fi",
        "}",
        "complete -F _trtop trtop",
    ]
    return "\n".join(lines) + "\n"


def zsh_completion() -> str:
    """The function that zsh loads for ``trtop``."""
    lines = ["#compdef trtop", "# zsh completion for trtop, written by docs/pages.py", ""]
    lines.append("_arguments -S \\")
    for _, options in options_of(make_parser()):
        for option in options:
            lines += [f"  {spec} \\" for spec in _zsh_specs(option)]
    lines[-1] = lines[-1].removesuffix(" \\")
    return "\n".join(lines) + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "docs/trtop.1": man_page,
    "completions/trtop": bash_completion,
    "completions/_trtop": zsh_completion,
}
"""Files under the project's root, and what writes them."""


def main(argv: list[str]) -> int:
    """Write the files, or say which are out of step."""
    stale = [
        name
        for name, write in PAGES.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != write()
    ]
    if argv == ["--check"]:
        for name in stale:
            sys.stderr.write(f"{name} is out of step: python docs/pages.py\n")
        return 1 if stale else 0
    for name in stale:
        (ROOT / name).write_text(PAGES[name](), encoding="utf-8")
        sys.stdout.write(f"{name}\n")
    return 0


def _values(action: argparse.Action) -> tuple[str, ...]:
    metavar = str(action.metavar or "")
    if metavar == "MODULE":
        return (*BUILT_IN[Kind(action.dest)], FILES)
    if metavar in OFFERED:
        return OFFERED[metavar]
    if "|" in metavar:
        return tuple(metavar.split("|"))
    return ()


OFFERED: dict[str, tuple[str, ...]] = {
    "FILE": (FILES,),
    "PREFIX": (FILES,),
    "IF": (INTERFACES,),
    "COLUMN": SORTABLE,
    "COLUMN=VALUE": ("lat=", "rtt=", "qos=", "rst=", "est=", "synack=", "err="),
    "SOURCE[,SOURCE]": ("capture", "hosts", "dns", "none"),
    "P": ("50", "90", "95", "99", "99.9"),
}
"""What a shell offers, by the name of the value."""


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("-", "\\-")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped


def _man_head(option: Option) -> str:
    value = "" if option.metavar is None else f" \\fI{_roff(option.metavar)}\\fR"
    if not option.flags:
        return value.strip()
    return ", ".join(f"\\fB{_roff(flag)}\\fR{value}" for flag in option.flags)


def _bash_values(option: Option) -> Iterator[str]:
    words = [value for value in option.values if value not in (FILES, INTERFACES)]
    if INTERFACES in option.values:
        yield 'mapfile -t COMPREPLY < <(compgen -W "$(command ls /sys/class/net)" -- "$word")'
        return
    if words:
        yield f"mapfile -t COMPREPLY < <(compgen -W '{' '.join(words)}' -- \"$word\")"
    if FILES in option.values:
        yield "compopt -o filenames 2>/dev/null"
        yield 'mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$word")'


def _zsh_specs(option: Option) -> Iterator[str]:
    text = option.help.partition("(default")[0].strip() or "value"
    text = _zsh_quoted(text)
    if not option.flags:
        yield f"'*:{text}:_files'"
        return
    value = (
        "" if option.metavar is None else f":{_zsh_quoted(option.metavar)}:{_zsh_action(option)}"
    )
    for flag in option.flags:
        mark = "=" if flag.startswith("--") and option.metavar is not None else ""
        yield f"'*{flag}{mark}[{text}]{value}'"


def _zsh_action(option: Option) -> str:
    words = [value for value in option.values if value not in (FILES, INTERFACES)]
    if INTERFACES in option.values:
        return "_net_interfaces"
    if words and FILES in option.values:
        return f'{{_alternative "names\\:name\\:({" ".join(words)})" "files\\:file\\:_files"}}'
    if words:
        return f"({' '.join(words)})"
    return "_files" if FILES in option.values else " "


def _zsh_quoted(text: str) -> str:
    for char in "\\[]:":
        text = text.replace(char, f"\\{char}")
    return text.replace("'", "'\\''")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
