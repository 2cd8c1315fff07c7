"""The completion that fish loads for a program, made of its parsers."""

from __future__ import annotations

from collections.abc import Iterator

from command_lines import FILES, INTERFACES, Option, Program, options_of


def fish_completion(program: Program) -> str:
    """Lines of ``complete``, each with the command that it is for as a condition."""
    commands = [command for command in program.parsers if command]
    lines = [f"# fish completion for {program.name}, written by docs/pages.py"]
    if commands:
        lines += _commands(program, commands)
    for command, parser in program.parsers.items():
        condition = _condition(program, command) if commands else ""
        for _, options in options_of(parser):
            for option in options:
                lines += _option(program.name, condition, option)
    return "\n".join(lines) + "\n"


def _commands(program: Program, commands: list[str]) -> Iterator[str]:
    """The function that tells which command is typed; the commands as first words."""
    words = " ".join(commands)
    yield ""
    yield f"function {_function(program)}"
    yield "    set -l words (commandline -opc)"
    yield f"    set -l command ''; contains -- \"$words[2]\" {words}; and set command $words[2]"
    yield '    test "$command" = "$argv[1]"'
    yield "end"
    yield ""
    yield f"complete -c {program.name} -n 'test (count (commandline -opc)) -eq 1' -a '{words}'"


def _function(program: Program) -> str:
    return f"__fish_{program.name}_command_is"


def _condition(program: Program, command: str) -> str:
    word = command or '""'
    return f" -n '{_function(program)} {word}'"


def _option(name: str, condition: str, option: Option) -> Iterator[str]:
    """An option; its words, files or interfaces. Files are what fish offers by itself."""
    if not option.flags:
        return
    flags = " ".join(_flag(flag) for flag in option.flags)
    text = option.help.partition("(default")[0].strip()
    described = f" -d '{_quoted(text)}'" if text else ""
    value = "" if option.metavar is None else _value(option)
    yield f"complete -c {name}{condition} {flags}{value}{described}"


def _flag(flag: str) -> str:
    """A flag as fish is told of it: long, of one letter, or of several behind one dash."""
    if flag.startswith("--"):
        return f"-l {flag[2:]}"
    return f"-s {flag[1:]}" if len(flag) == 2 else f"-o {flag[1:]}"


def _value(option: Option) -> str:
    words = [value for value in option.values if value not in (FILES, INTERFACES)]
    if INTERFACES in option.values:
        return " -x -a '(command ls /sys/class/net)'"
    offered = f" -a '{' '.join(words)}'" if words else ""
    return f" -{'r' if FILES in option.values else 'x'}{offered}"


def _quoted(text: str) -> str:
    """Text within single quotes."""
    return text.replace("\\", "\\\\").replace("'", "\\'")
