"""The words of a filter that are about names, addresses, ports and verdicts.

Takes a scanner at the beginning of a term, gives its node. A word before a comparison is a column,
and read by ``conditions``.
"""

from __future__ import annotations

import ipaddress
import re

from trtop.filters.conditions import read_condition
from trtop.filters.linear_regex import LinearRegex
from trtop.filters.scanner import QUOTES, WORD, Scanner
from trtop.filters.spelling import VERDICTS, nearest
from trtop.filters.tree import (
    And,
    Everything,
    Inside,
    Node,
    Not,
    Pattern,
    Port,
    Text,
    VerdictIs,
    Whole,
)
from trtop_core.parse import Network

MAX_PORT = 0xFFFF

MAX_PATTERN_CHARS = 200
"""Of a regular expression."""

WILDCARDS = re.compile(r"[*?]|\[[^]]+\]")

_HOST_PORT = re.compile(r"(\[[^\]]*\]|[^:\[\]]+):([0-9]+)")
"""``db-7:443``, ``[2001:db8::7]:443``; an address with colons of its own has none."""

_FIELD = re.compile(r"(name|host|verdict)(:(?!=)|\s*!?=)\s*", re.IGNORECASE)

_PORT = re.compile(r"port\s*(>=|<=|!=|==|>|<|=)\s*", re.IGNORECASE)


def read_term(scanner: Scanner) -> Node:
    """Take one term.

    Raises:
        FilterError: it makes no sense.
    """
    scanner.last_operator = ""
    start = scanner.start()
    if scanner.sees("~"):
        return _pattern(scanner, of_name=False)
    if match := scanner.match(_PORT):
        scanner.at = match.end()
        port = Port(match[1].replace("==", "=").replace("!=", "="), _port(scanner))
        return Not(port) if match[1] == "!=" else port
    if match := scanner.match(_FIELD):
        scanner.at = match.end()
        made = _field(scanner, match[1].lower(), is_part=match[2] == ":")
        return Not(made) if "!" in match[2] else made
    condition = read_condition(scanner)
    if condition is not None:
        return condition
    quoted = scanner.quoted()
    if quoted is not None:
        return Text(quoted.lower())
    word = scanner.word()
    if not word:
        sign = scanner.text[scanner.at]
        scanner.fail(f"{sign!r} wants a column before it, such as rtt>100ms", scanner.at)
    return _keyword(scanner, word, start) or _plain(scanner, word, start)


def _keyword(scanner: Scanner, word: str, start: int) -> Node | None:
    """What a keyword begins; None: the word is none."""
    keyword = word.lower()
    if keyword == "dst" and _next_word(scanner) in ("host", "net", "port"):
        # Rows are destinations: tcpdump's word says nothing more.
        scanner.start()
        start, keyword = scanner.at, scanner.word().lower()
    if keyword == "tcp":
        return Everything()
    if keyword == "port":
        return Port("=", _port(scanner))
    if keyword == "host":
        return _field(scanner, keyword, is_part=False)
    if keyword == "net":
        scanner.start()
        at, text = scanner.at, scanner.word()
        network = _network(text)
        if network is None:
            scanner.fail(
                f"'net' wants a network, such as net 10.0.0.0/8, not {text!r}", at, scanner.at
            )
        return Inside(network)
    if keyword in ("name", "verdict", "dst"):
        such = {"name": "name:db*", "verdict": "verdict:slow", "dst": "dst port 443"}[keyword]
        scanner.fail(
            f"{word!r} wants more, such as {such} (a part of a name: \"{word}\")",
            start, scanner.at,
        )  # fmt: skip
    return None


def _next_word(scanner: Scanner) -> str:
    at = scanner.at
    scanner.start()
    match = scanner.match(WORD)
    scanner.at = at
    return match[0].lower() if match else ""


def _plain(scanner: Scanner, word: str, start: int) -> Node:
    """A word that stands for itself."""
    text = word.lower()
    if re.fullmatch(r":?[0-9]+", text):
        return Port("=", _port_number(scanner, text.removeprefix(":"), start))
    if (match := _HOST_PORT.fullmatch(text)) is not None:
        port = Port("=", _port_number(scanner, match[2], start))
        host = match[1].removeprefix("[").removesuffix("]")
        return And((_host(host), port))
    if "/" in text:
        network = _network(text)
        if network is None:
            scanner.fail(
                f"{word!r} is no network; such as 10.0.0.0/8, 2001:db8::/32", start, scanner.at
            )
        return Inside(network)
    if WILDCARDS.search(text):
        return Whole(text, is_glob=True)
    return Text(text)


def _host(text: str) -> Node:
    """What stands before ``:443``: a whole address, a pattern, or a part of a name."""
    network = _network(text)
    if network is not None:
        return Inside(network) if "/" in text else Whole(_spelled(text), is_glob=False)
    return Whole(text, is_glob=True) if WILDCARDS.search(text) else Text(text)


def _field(scanner: Scanner, field: str, is_part: bool) -> Node:
    """What stands behind ``name:``, ``host``, ``verdict:``."""
    if field == "verdict":
        return Not(_verdict(scanner)) if scanner.take("!") else _verdict(scanner)
    of_name = field == "name"
    scanner.start()
    if scanner.sees("~"):
        return _pattern(scanner, of_name)
    start = scanner.at
    quoted = scanner.quoted()
    text = (scanner.word() if quoted is None else quoted).lower()
    if not text:
        scanner.fail(f"{field!r} wants a {'name' if of_name else 'host'} behind it", start)
    if quoted is None and not of_name and (match := _HOST_PORT.fullmatch(text)) is not None:
        port = Port("=", _port_number(scanner, match[2], start))
        bare = match[1].removeprefix("[").removesuffix("]")
        return And((Whole(bare, WILDCARDS.search(bare) is not None), port))
    is_glob = quoted is None and WILDCARDS.search(text) is not None
    if of_name and is_part and not is_glob:
        return Text(text, of_name=True)
    return Whole(text if is_glob else _spelled(text), is_glob, of_name)


def _spelled(text: str) -> str:
    """An address in its usual form; anything else as it is."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text


def _verdict(scanner: Scanner) -> Node:
    """The beginning of a verdict; words behind it belong to it as long as they go on with one."""
    scanner.start()
    start = scanner.at
    quoted = scanner.quoted()
    text = _phrase(scanner.word() if quoted is None else quoted)
    while quoted is None and text:
        end = scanner.at
        scanner.start()
        longer = f"{text} {_phrase(scanner.word())}"
        if scanner.at == end or not any(word.startswith(longer) for word in VERDICTS):
            scanner.at = end
            break
        text = longer
    if not text or not any(word.startswith(text) for word in VERDICTS):
        what = "'verdict:' wants a word behind it, such as slow server or refused"
        if text:
            near = ", ".join(nearest(text, VERDICTS))
            what = f"no verdict begins with {text!r}; nearest: {near}"
        scanner.fail(what, start, scanner.at)
    return VerdictIs(text)


def _phrase(text: str) -> str:
    """Words of a verdict with single spaces; the dash alone is one of them."""
    lowered = text.lower()
    return lowered if lowered == "-" else " ".join(re.sub(r"[-_]", " ", lowered).split())


def _pattern(scanner: Scanner, of_name: bool) -> Node:
    """A regular expression: up to a blank, or to a bracket that it did not open; or in quotes."""
    start = scanner.at
    scanner.take("~")
    pattern = scanner.quoted() if scanner.text[scanner.at : scanner.at + 1] in QUOTES else None
    if pattern is None:
        pattern = _bare_pattern(scanner)
    try:
        if len(pattern) > MAX_PATTERN_CHARS:
            raise ValueError(f"has more than {MAX_PATTERN_CHARS} characters")
        LinearRegex(pattern)
    except ValueError as error:
        scanner.fail(f"the pattern ~{pattern} {error}", start, scanner.at)
    return Pattern(pattern, of_name)


def _bare_pattern(scanner: Scanner) -> str:
    start, depth, is_class = scanner.at, 0, False
    while scanner.at < len(scanner.text):
        char = scanner.text[scanner.at]
        if char.isspace() or (char == ")" and not depth and not is_class):
            break
        if char == "\\" and not scanner.text[scanner.at + 1 : scanner.at + 2].isspace():
            scanner.at += 1
        elif is_class:
            is_class = char != "]"
        else:
            is_class = char == "["
            depth += {"(": 1, ")": -1}.get(char, 0)
        scanner.at = min(scanner.at + 1, len(scanner.text))
    return scanner.text[start : scanner.at]


def _port(scanner: Scanner) -> int:
    scanner.start()
    start = scanner.at
    return _port_number(scanner, scanner.word(), start)


def _port_number(scanner: Scanner, text: str, start: int) -> int:
    is_number = text.isascii() and text.isdigit() and len(text) <= 5
    if not is_number or not 0 < int(text) <= MAX_PORT:
        what = f"{text!r} is no port" if text else "'port' wants a number behind it"
        scanner.fail(f"{what} (1 to {MAX_PORT:,})", start, scanner.at)
    return int(text)


def _network(text: str) -> Network | None:
    """A network or an address; an IPv4 network may leave out its last bytes: ``10/8``."""
    bare, slash, length = text.partition("/")
    if slash and re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}", bare):
        text = bare + ".0" * (3 - bare.count(".")) + slash + length
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
