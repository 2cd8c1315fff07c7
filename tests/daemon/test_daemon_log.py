"""What the log says of a capture's troubles, and in which form."""

import logging
import os
import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.daemons import TIMEOUT_S, TRTOPD, Daemon, wait_for
from support.netns import needs_root
from support.processes import with_parent

from trtop_core.health import Health
from trtop_core.wire import Notice, Severity
from trtop_daemon.server.event_log import COUNTED, COUNTERS_S, LOSS_SPAN_S, SAME_S, EventLog
from trtop_daemon.system.journal import JournalHandler
from trtop_daemon.system.log import printable

DIED = Notice(5, Severity.ERROR, "capture on eth0 died (signal 9), restarting in 0.5 s")
SOUND = Health(packets=1_000_000, received=1_000_000, kernel_dropped=0)


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.fields: list[dict[str, object]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname.lower()}: {record.getMessage()}")
        self.fields.append(record.__dict__["fields"])


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def events(records: Records) -> Iterator[EventLog]:
    logger = logging.Logger("test")
    logger.addHandler(records)
    return EventLog(logger)


def test_a_name_in_a_notice_forges_no_line(events: EventLog, records: Records) -> None:
    events.look([Notice(1, Severity.ERROR, "a\n<2>b\x1b[2J.pcap: is no capture")], SOUND, 0.0)
    assert records.lines == ["error: a\\n<2>b\\x1b[2J.pcap: is no capture"]


def test_a_notice_is_logged_once_while_it_holds(events: EventLog, records: Records) -> None:
    for now_s in range(100):
        events.look([DIED], SOUND, float(now_s))
    assert records.lines == [f"error: {DIED.text}"]
    assert records.fields == [{"event": "notice", "since_ns": 5}]


def test_a_notice_that_comes_again_with_other_numbers_is_logged_once_in_a_while(
    events: EventLog, records: Records
) -> None:
    def refused(n: int) -> list[Notice]:
        return [Notice(n, Severity.WARNING, f"refused {n:,} messages")]

    for n in range(1, 24):
        events.look(refused(n * 1_000), SOUND, n / 10)
    assert records.lines == ["warning: refused 1,000 messages"]
    events.look(refused(99_999), SOUND, 0.1 + SAME_S)
    assert records.lines[1:] == ["warning: refused 99,999 messages (and 22 alike before)"]
    events.look([DIED], SOUND, 0.2 + SAME_S)
    assert len(records.lines) == 3


def test_loss_above_a_thousandth_is_logged_with_its_numbers_and_no_more_often_than_that(
    events: EventLog, records: Records
) -> None:
    def health(n_received: int, n_dropped: int) -> Health:
        return Health(received=n_received, kernel_dropped=n_dropped, packets=n_received)

    events.look([], health(5_000, 5_000), 0.0)  # what was lost before is not news
    events.look([], health(105_000, 5_100), LOSS_SPAN_S)  # exactly a thousandth is no loss
    assert records.lines == []
    events.look([], health(205_000, 5_201), 2 * LOSS_SPAN_S)
    assert records.lines == [
        "warning: 0.10 % of the packets of the last 10 s were lost: of 100,000 received the kernel "
        "dropped 101, the interface an unknown number; numbers are too low "
        "(see --buffer-size, --snaplen)"
    ]
    assert records.fields[0] == {
        "event": "loss", "received": 100_000, "kernel_dropped": 101, "interface_dropped": None,
        "read_lost": 0,
    }  # fmt: skip
    until_s = 2 * LOSS_SPAN_S + COUNTERS_S
    for now_s in range(21, int(until_s)):
        events.look([], health(205_000 + now_s * 1_000, 5_201 + now_s * 100), float(now_s))
    assert len(records.lines) == 1
    events.look([], health(405_000, 25_201), until_s)
    assert "of 200,000 received the kernel dropped 20,000" in records.lines[1]
    assert "of the last 60 s" in records.lines[1]


@pytest.mark.parametrize("counted", COUNTED, ids=lambda counted: counted.name)
def test_a_counter_that_should_not_rise_is_logged_when_it_does(
    events: EventLog, records: Records, counted: object
) -> None:
    class Later:
        """A health that has every counter, those of later versions included."""

        received = kernel_dropped = interface_dropped = loss = None
        packets = read_lost = 0

    name = counted.name  # type: ignore[attr-defined]
    health = Later()
    events.look([], health, 0.0)  # type: ignore[arg-type]
    setattr(health, name, 23)
    events.look([], health, 1.0)  # type: ignore[arg-type]
    setattr(health, name, 1_046)
    events.look([], health, 1.0 + COUNTERS_S - 0.1)  # type: ignore[arg-type]
    assert len(records.lines) == 1
    assert " 23 " in f" {records.lines[0]}"
    events.look([], health, 1.0 + COUNTERS_S)  # type: ignore[arg-type]
    assert "1,023 " in records.lines[1]
    assert records.fields[1] == {"event": name, name: 1_046, "new": 1_023}


@needs_root
def test_a_death_and_what_it_cost_are_in_the_log(tmp_path: Path) -> None:
    with Daemon(tmp_path, "-i", "lo", command=TRTOPD) as daemon:
        capture = next(pid for pid in with_parent(daemon.pid) if not with_parent(pid))
        os.kill(capture, signal.SIGKILL)
        wait_for(lambda: "capture on lo died (signal 9), restarting in 0.5 s" in daemon.log)
        wait_for(lambda: "died (signal 9); nothing was captured there for" in daemon.log)
        assert daemon.log.count("died") == 2


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "journal"))
        listening.settimeout(TIMEOUT_S)
        yield listening


def parsed(datagram: bytes) -> dict[str, str]:
    """A record in the journal's form, read as it is defined."""
    found = {}
    while datagram:
        line, _, rest = datagram.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            (size,) = struct.unpack_from("<Q", rest)
            value, rest = rest[8 : 8 + size], rest[8 + size + 1 :]
        found[name.decode()] = value.decode()
        datagram = rest
    return found


def test_the_journal_gets_fields(journal: socket.socket, tmp_path: Path) -> None:
    handler = JournalHandler(lambda _: 4, printable, str(tmp_path / "journal"))
    logger = logging.Logger("trtop_daemon.test")
    logger.addHandler(handler)
    logger.warning("%s died", "eth\n0", extra={"fields": {"event": "notice", "name": "a\nb=c"}})
    found = parsed(journal.recv(65_536))
    assert found == {
        "MESSAGE": "eth\\n0 died",  # a name forges neither a line nor a field
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "trtopd",
        "CODE_FUNC": "test_the_journal_gets_fields",
        "LOGGER": "trtop_daemon.test",
        "TRTOP_EVENT": "notice",
        "TRTOP_NAME": "a\nb=c",
    }
    try:
        raise ValueError("an\nodd one")
    except ValueError:
        logger.exception("no answer")
    message = parsed(journal.recv(65_536))["MESSAGE"].splitlines()
    assert (message[0], message[-1]) == ("no answer", "odd one")
    assert message[1].startswith("Traceback")
    handler.close()


def test_a_journal_that_takes_nothing_stops_nothing(
    journal: socket.socket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)
    handler = JournalHandler(lambda _: 4, printable, str(tmp_path / "journal"))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    for _ in range(2_000):  # more than the socket holds
        logger.warning("%s", "x" * 1_000)
    journal.close()
    logger.warning("nobody is there")
    handler.close()
    with pytest.raises(OSError, match="No such file"):
        JournalHandler(lambda _: 4, printable, str(tmp_path / "none"))
