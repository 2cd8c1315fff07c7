"""A main process for tests that stop or kill one: ``python live_main.py '{"interfaces": ["lo"]}'``.

Drives a feed. Writes a line of JSON when it captures, one for each line on its standard input, and
ends with that input.
"""

from __future__ import annotations

import json
import select
import sys
from typing import Any

from support.feeding import feeding, turn, whole
from trtop_daemon.ipc.feed import CaptureConfig
from trtop_daemon.processes.supervisor import Supervisor
from trtop_daemon.system import privileges


def picture(feed: Supervisor) -> dict[str, Any]:
    snapshot = whole(feed)
    return {
        "pids": [slot.child.pid for slot in feed.slots if slot.child is not None],
        "health": {**snapshot.health.record(), "loss": snapshot.health.loss},
        "syn": snapshot.totals.count("syn"),
        "notices": [notice.text for notice in feed.notices],
    }


def tell(feed: Supervisor) -> None:
    sys.stdout.write(json.dumps(picture(feed)) + "\n")
    sys.stdout.flush()


def main() -> None:
    given = json.loads(sys.argv[1])
    drops = given.pop("drops", False)
    given["interfaces"] = tuple(given.get("interfaces", ("any",)))
    with feeding(CaptureConfig(**given)) as feed:
        if drops:
            privileges.drop_to(privileges.choose_identity(None, {}))
        tell(feed)
        while True:
            turn(feed, 0.02)
            if select.select([sys.stdin], [], [], 0)[0]:
                line = sys.stdin.readline()
                if line == "stop\n":
                    feed.stop()
                if not line:
                    return
                tell(feed)


if __name__ == "__main__":
    main()
