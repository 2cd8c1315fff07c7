"""``trtop keygen``: a pair of CurveZMQ keys, for a daemon or for a person.

Takes a name, writes two files, says what to do with each. Never overwrites a key.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from trtop.escape import escape
from trtop.runtime.environment import Environment
from trtop_core.argument_parser import UsageError, new_parser
from trtop_core.errors import EXIT_OK, TrtopError
from trtop_daemon.keys import write_key_pair

USAGE = "trtop keygen [-d DIR] NAME"

DESCRIPTION = """\
Makes a pair of keys, so that a daemon can be reached over tcp://: NAME.key is public,
NAME.key_secret is for its owner alone. A daemon needs a pair, and each of its users too.
"""

EPILOG = """\
on the server:    trtop keygen -d /etc/trtop web1
on your machine:  trtop keygen alice
then:             copy alice.key to the server's /etc/trtop/clients/, and web1.key to yours
on the server:    trtopd --listen tcp://192.0.2.7:7117 \\
                      --server-key /etc/trtop/web1.key_secret --authorized-keys /etc/trtop/clients
on your machine:  trtop attach --key alice.key_secret --server-key web1.key tcp://192.0.2.7:7117
"""


def main(argv: Sequence[str], env: Environment) -> int:
    """Run the command.

    Raises:
        TrtopError: wrong options, or the files cannot be written.
    """
    given = make_parser().parse_args(argv)
    if not given.name or given.name.startswith(".") or os.sep in given.name or "\0" in given.name:
        raise UsageError("NAME is a file's name; --dir says where")
    if not os.path.isdir(given.dir):
        raise TrtopError(f"{given.dir}: is no folder")
    public, secret = write_key_pair(given.dir, given.name)
    env.stdout.write(
        f"{escape(public)}: the public key: give it to the other side\n"
        f"{escape(secret)}: the secret key: for this side alone\n"
    )
    return EXIT_OK


def make_parser() -> argparse.ArgumentParser:
    """The parser of the command line; it raises ``UsageError`` where argparse would exit."""
    parser = new_parser("trtop keygen", USAGE, DESCRIPTION, EPILOG)
    parser.add_argument("name", metavar="NAME", help="of the files, without their ending")
    parser.add_argument("-d", "--dir", default=".", metavar="DIR",
                        help="where to (default: here)")  # fmt: skip
    parser.add_argument("-h", "--help", action="help", help="show this help and exit")
    return parser
