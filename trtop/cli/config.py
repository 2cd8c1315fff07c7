"""``trtop config``: where the configuration file is, and what holds, each value with its source."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence

from trtop.escape import escape
from trtop.options.configured import KEYS, readings
from trtop.options.report_arguments import make_parser as report_parser
from trtop.runtime.config_file import read_config
from trtop.runtime.environment import Environment
from trtop_core.argument_parser import new_parser
from trtop_core.errors import EXIT_OK

USAGE = "trtop config"

DESCRIPTION = """\
Says where the configuration file is, and what holds: what the file says, else what is built in.
Options win over it; json, ndjson and csv do not change by it.
"""

EPILOG = """\
an example of the file:
  columns = ["syn", "est", "rtt", "p99(rtt)", "server"]
  sort = "rtt"
  percentile = 99
  high = "lat=50ms,rst=1/5"
  theme = "light"
"""

VALUE_WIDTH = 44


def main(argv: Sequence[str], env: Environment) -> int:
    """Run the command.

    Raises:
        TrtopError: wrong options, or a file that makes no sense.
    """
    make_parser().parse_args(argv)
    file = read_config(env.environ, os.geteuid())
    readings(report_parser(), file.configured)
    env.stdout.write(f"# {escape(file.path) or 'no file'}: {file.state}\n")
    for key in KEYS:
        is_given = key.name in file.configured.values
        value = file.configured.values.get(key.name, key.default)
        text = f"{'' if is_given else '# '}{key.name} = {json.dumps(value)}"
        source = "the file" if is_given else "built in"
        env.stdout.write(f"{text:<{VALUE_WIDTH}} # {source}; {key.help}\n")
    return EXIT_OK


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line; it raises ``UsageError`` where argparse would exit."""
    parser = new_parser("trtop config", USAGE, DESCRIPTION, EPILOG)
    parser.add_argument("-h", "--help", action="help", help="show this help and exit")
    return parser
