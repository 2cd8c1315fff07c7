"""``trtop mcp``: captures for assistants that speak the Model Context Protocol, over stdio.

Takes folders; answers questions about captures inside them, and touches nothing else. The library
``mcp`` is an extra: where it is missing, one line says so.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from trtop.runtime.environment import Environment
from trtop_core.argument_parser import UsageError, new_parser
from trtop_core.errors import EXIT_OK, TrtopError

USAGE = "trtop mcp ROOT..."

DESCRIPTION = """\
Serves the Model Context Protocol on standard input and output: tools that analyze captures below
the folders ROOT, explain what is wrong, and list connections. Reads only; needs trtop[mcp].
"""

EPILOG = """\
examples:
  trtop mcp /var/captures
  claude mcp add trtop -- trtop mcp /var/captures
"""

MISSING = "trtop mcp needs the library of that name: pip install 'trtop[mcp]'"


def main(argv: Sequence[str], env: Environment) -> int:
    """Run the command.

    Raises:
        TrtopError: wrong options, or the library is not there.
    """
    given = make_parser().parse_args(argv)
    for root in given.roots:
        if not os.path.isdir(root):
            raise TrtopError(f"{root}: is no folder")
    if env.stdout.isatty():
        raise UsageError("trtop mcp is started by a program, which speaks to it over pipes")
    try:
        from trtop.cli.mcp_server import make_server  # noqa: PLC0415 - needs an extra
    except ImportError:
        raise TrtopError(MISSING) from None
    make_server(given.roots).run("stdio")
    return EXIT_OK


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line; it raises ``UsageError`` where argparse would exit."""
    parser = new_parser("trtop mcp", USAGE, DESCRIPTION, EPILOG)
    parser.add_argument("roots", nargs="+", metavar="ROOT", help="folders of captures")
    parser.add_argument("-h", "--help", action="help", help="show this help and exit")
    return parser
