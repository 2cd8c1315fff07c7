"""Writes what says again what ``trtop --help`` says: the man page and the shells' completions.

    python docs/pages.py            writes docs/trtop.1, completions/trtop, completions/_trtop,
                                    completions/trtop.fish, docs/columns.md, docs/metrics.md
    python docs/pages.py --check    says which of them are out of step, and writes nothing

Takes the parsers of the command lines, gives text. A test keeps the files in step.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from command_lines import FILES, INTERFACES, Option, Program, options_of
from exported import metrics_page
from fields import columns_page
from fish import fish_completion

from trtop import __version__
from trtop.cli import batch, config, explain, keygen, live, mcp
from trtop.options import attach_options, report_arguments
from trtop.options.commands import COMMANDS, listing
from trtop_daemon.config import arguments

ROOT = Path(__file__).parent.parent

MAN_EXTRA = {
    "EXIT STATUS": (
        ("0", "Everything was read."),
        (
            "1",
            "Nothing was measured: wrong options, no permission, not a capture; "
            "with --fail-on, no packet was seen.",
        ),
        ("2", "Reported, but a part of the input could not be read."),
        ("3", "There are rows that --fail-on asks for; they are named on stderr."),
        ("4", "trtop attach --once: the daemon answered, and nothing is captured there now."),
        ("130", "Interrupted while reading files; what was measured so far is shown."),
    ),
    "ENVIRONMENT": (
        ("NO_COLOR", "If set to anything, no colour (see https://no-color.org)."),
        ("XDG_CONFIG_HOME", "The folder of trtop/config.toml instead of ~/.config."),
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
    ("Rows that are slow or reset:", "trtop --filter 'verdict:slow or rst>5%' x.pcap"),
    ("A check for CI:", "trtop --format csv --fail-on 'refused>1% or rtt>500ms' x.pcap"),
)


def programs() -> dict[str, Program]:
    """All programs, by name."""
    commands = {
        "live": live.make_parser(),
        "attach": attach_options.make_parser(),
        "explain": explain.make_parser(),
        "batch": batch.make_parser(),
        "config": config.make_parser(),
        "mcp": mcp.make_parser(),
        "keygen": keygen.make_parser(),
    }
    usages = {name: _synopsis(parser, f"trtop {name}") for name, parser in commands.items()}
    daemon = arguments.make_parser()
    return {
        "trtop": Program(
            "trtop",
            1,
            "TCP Remote Top: which of the services I call is slow, resetting or refusing me",
            {"": "[OPTION...] FILE...", **usages},
            {"": report_arguments.make_parser(), **commands},
        ),
        "trtopd": Program(
            "trtopd",
            8,
            "captures and measures TCP connections for the clients of trtop",
            {"": _synopsis(daemon, "trtopd")},
            {"": daemon},
        ),
    }


def man_page(program: Program) -> str:
    """The page in roff, for man(7)."""
    name, parsers = program.name, program.parsers
    lines = [
        f'.TH {name.upper()} {program.section} "" "trtop {__version__}" "User Commands"',
        ".SH NAME",
        rf"{name} \- {_roff(program.summary)}",
        ".SH SYNOPSIS",
    ]
    for command, synopsis in program.synopsis.items():
        shown = [_roff(synopsis)] if synopsis else []
        lines += [f".B {name} {command}".rstrip(), *shown, ".br"]
    lines.append(".SH DESCRIPTION")
    description = (parsers[""].description or "").strip()
    before, listed, after = description.partition(listing())
    lines += map(_roff, before.strip().splitlines())
    if listed:
        lines += [".PP", *_man_commands(), ".PP", *map(_roff, after.strip().splitlines())]
    if name == "trtop":
        lines += [".PP", _roff("- reads standard input. The README explains every column.")]
    lines.append(".SH OPTIONS")
    lines += _man_options(parsers[""], ".SS")
    for command, parser in parsers.items():
        if command:
            lines.append(f".SH COMMAND {command.upper()}")
            lines += map(_roff, (parser.description or "").strip().splitlines())
            lines += _man_options(parser, ".SS")
    if name == "trtop":
        lines += _man_extra()
    elif parsers[""].epilog:
        lines += [".SH NOTES", ".nf", *map(_roff, parsers[""].epilog.strip().splitlines()), ".fi"]
    others = {"trtop": r"\fBtrtopd\fR(8)", "trtopd": r"\fBtrtop\fR(1)"}[name]
    lines += [
        ".SH SEE ALSO",
        rf"{others}, \fBtcpdump\fR(1), \fBpcap\-filter\fR(7), \fBtshark\fR(1)",
    ]
    return "\n".join(lines) + "\n"


def bash_completion(program: Program) -> str:
    """The function that bash-completion loads for a program."""
    commands = [command for command in program.parsers if command]
    lines = [
        f"# bash completion for {program.name}, written by docs/pages.py",
        f"{program.function}() {{",
        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}",
        "    COMPREPLY=()",
        "    # Words with an equals sign in them reach us in pieces.",
        "    if [[ $word == = ]]; then word=''",
        "    elif [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi",
        "    local command=''",
        "    ((COMP_CWORD > 1)) && command=${COMP_WORDS[1]}",
        "    case $command in",
    ]
    for command in [*commands, ""]:
        lines.append(f"        {command or '*'})")
        lines += _bash_branch(program.parsers[command], "" if command else " ".join(commands))
        lines.append("            ;;")
    lines += ["    esac", "}", f"complete -F {program.function} {program.name}"]
    return "\n".join(lines) + "\n"


def zsh_completion(program: Program) -> str:
    """The function that zsh loads for a program."""
    lines = [
        f"#compdef {program.name}",
        f"# zsh completion for {program.name}, written by docs/pages.py",
    ]
    commands = [command for command in program.parsers if command]
    if commands:
        lines += ["", "case ${words[2]} in"]
        for command in commands:
            lines += [f"  {command})", "    shift words; (( CURRENT-- ))"]
            lines += [f"    {line}" for line in _zsh_arguments(program.parsers[command], [])]
            lines += ["    return", "    ;;"]
        lines.append("esac")
    lines += ["", *_zsh_arguments(program.parsers[""], commands)]
    return "\n".join(lines) + "\n"


_WRITERS: dict[str, Callable[[Program], str]] = {
    "docs/{name}.{section}": man_page,
    "completions/{name}": bash_completion,
    "completions/_{name}": zsh_completion,
    "completions/{name}.fish": fish_completion,
}


def pages() -> dict[str, str]:
    """Files under the project's root, and what is to stand in them."""
    pages = {
        path.format(name=program.name, section=program.section): write(program)
        for program in programs().values()
        for path, write in _WRITERS.items()
    }
    return {**pages, "docs/columns.md": columns_page(), "docs/metrics.md": metrics_page()}


def main(argv: list[str]) -> int:
    """Write the files, or say which are out of step."""
    wanted = pages()
    stale = [
        name
        for name, text in wanted.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text(encoding="utf-8") != text
    ]
    if argv == ["--check"]:
        for name in stale:
            sys.stderr.write(f"{name} is out of step: python docs/pages.py\n")
        return 1 if stale else 0
    for name in stale:
        (ROOT / name).write_text(wanted[name], encoding="utf-8")
        sys.stdout.write(f"{name}\n")
    return 0


def _synopsis(parser: argparse.ArgumentParser, prog: str) -> str:
    """What follows a program's name in its usage, on one line."""
    usage = parser.usage or parser.format_usage().removeprefix("usage: ")
    return " ".join(usage.replace("%(prog)s", prog).split()).removeprefix(prog).strip()


def _man_options(parser: argparse.ArgumentParser, heading: str) -> Iterator[str]:
    for title, options in options_of(parser):
        yield f"{heading} {_roff(title[:1].upper() + title[1:])}"
        for option in options:
            yield from (".TP", _man_head(option), _roff(option.help))


def _man_extra() -> Iterator[str]:
    for title, items in MAN_EXTRA.items():
        yield f".SH {title}"
        for name, text in items:
            yield from (".TP", rf"\fB{_roff(name)}\fR", _roff(text))
    yield ".SH EXAMPLES"
    for text, command in MAN_EXAMPLES:
        yield from (".PP", _roff(text), ".PP", ".in +4n", ".nf", _roff(command), ".fi", ".in")


def _man_commands() -> Iterator[str]:
    """The table of commands: each with what it does, and an example on a line of its own."""
    for command in COMMANDS:
        called = f"trtop {command.name or 'FILE...'}"
        yield from (".TP", rf"\fB{_roff(called)}\fR", f"{_roff(command.summary)}:", ".br")
        yield _roff(command.example)


def _bash_branch(parser: argparse.ArgumentParser, commands: str) -> Iterator[str]:
    """What is offered behind one command; ``commands`` are offered as the first word."""
    everything = [option for _, options in options_of(parser) for option in options]
    flags = [flag for option in everything for flag in option.flags]
    yield "            case $before in"
    for option in everything:
        if option.metavar is None or not option.flags:
            continue
        yield f"                {'|'.join(option.flags)})"
        yield from (f"                    {command}" for command in _bash_values(option))
        yield from ("                    return", "                    ;;")
    yield "            esac"
    yield "            if [[ $word == -?* ]]; then"
    yield f"                mapfile -t COMPREPLY < <(compgen -W '{' '.join(flags)}' -- \"$word\")"
    yield "            else"
    yield "                compopt -o filenames 2>/dev/null"
    yield '                mapfile -t COMPREPLY < <(compgen -f -- "$word")'
    if commands:
        yield '                ((COMP_CWORD == 1)) && mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY \\'
        yield f"                    < <(compgen -W '{commands}' -- \"$word\")"
    yield "            fi"


def _zsh_arguments(parser: argparse.ArgumentParser, commands: list[str]) -> list[str]:
    specs = [
        spec
        for _, options in options_of(parser)
        for option in options
        for spec in _zsh_specs(option)
    ]
    if commands:
        words = " ".join(commands)
        action = _zsh_words_or_files("commands", "command", words)
        specs.append(f"'1:capture or command:{action}'")
    return ["_arguments -S \\", *(f"  {spec} \\" for spec in specs[:-1]), f"  {specs[-1]}"]


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
        return _zsh_words_or_files("names", "name", " ".join(words))
    if words:
        return f"({' '.join(words)})"
    return "_files" if FILES in option.values else " "


def _zsh_words_or_files(tag: str, what: str, words: str) -> str:
    return f'{{_alternative "{tag}\\:{what}\\:({words})" "files\\:file\\:_files"}}'


def _zsh_quoted(text: str) -> str:
    for char in "\\[]:":
        text = text.replace(char, f"\\{char}")
    return text.replace("'", "'\\''")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
