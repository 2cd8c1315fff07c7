"""A capture that goes on with another configuration."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network

import pytest
from support.feeding import drive, feeding, whole
from support.netns import Host, needs_root, two_hosts
from test_live_faults import ONLY_SENT, child_pid, send, texts

from trtop_core import EngineConfig, TrtopError
from trtop_core.records import Direction
from trtop_daemon.ipc.feed import CaptureConfig

pytestmark = needs_root


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    with two_hosts() as made:
        yield made


def test_another_filter_holds_from_then_on(hosts: tuple[Host, Host]) -> None:
    near, far = hosts
    before = CaptureConfig((near.link,), capture_filter=ONLY_SENT)
    with near.inside(), feeding(before) as feed:
        pid = child_pid(feed)
        send(far, 101)
        feed.reload(replace(before, capture_filter="tcp dst port 444"))
        drive(feed, lambda: feed.slots[0].has_spoken)
        assert child_pid(feed) != pid
        # What the old process held was taken.
        assert whole(feed).health.packets == 101
        send(far, 103)
        feed.reload(replace(before, capture_filter="tcp dst port 443 or port 9"))
        drive(feed, lambda: feed.slots[0].has_spoken)
        send(far, 107)
        drive(feed, lambda: whole(feed).health.packets >= 101 + 107)
        feed.stop()
        health = whole(feed).health
        assert (health.packets, health.interruptions) == (101 + 107, 0)
        assert not feed.notices


def test_another_interface_is_added_and_the_first_goes_on(hosts: tuple[Host, Host]) -> None:
    near, far = hosts
    before = CaptureConfig((near.link,), capture_filter=ONLY_SENT)
    with near.inside(), feeding(before) as feed:
        pid = child_pid(feed)
        feed.reload(replace(before, interfaces=("lo", near.link)))
        drive(feed, lambda: all(slot.has_spoken for slot in feed.slots))
        assert {slot.assignment.target for slot in feed.slots} == {"lo", near.link}
        assert child_pid(feed) == pid
        send(far, 109)
        drive(feed, lambda: whole(feed).health.packets >= 109)
        feed.reload(replace(before, interfaces=("lo",)))
        assert [slot.assignment.target for slot in feed.slots] == ["lo"]


def test_a_wrong_filter_changes_nothing() -> None:
    before = CaptureConfig(("lo",))
    with feeding(before) as feed:
        pid = child_pid(feed)
        with pytest.raises(TrtopError, match="is wrong"):
            feed.reload(replace(before, capture_filter="tcp prot 7"))
        assert child_pid(feed) == pid


def test_what_only_a_restart_changes_is_said() -> None:
    before = CaptureConfig(("lo",))
    with feeding(before) as feed:
        pid = child_pid(feed)
        feed.reload(replace(before, fanout=2, engine=EngineConfig(direction=Direction.IN)))
        assert texts(feed) == [
            "the new configuration asks for what only a restart can change; the rest holds"
        ]
        assert child_pid(feed) == pid


def test_local_addresses_can_be_given_and_taken_back() -> None:
    before = CaptureConfig(("lo",))
    mine = (ip_network("192.0.2.0/24"),)
    with feeding(before) as feed:
        assert ip_network("127.0.0.0/8") in feed.engines.local
        feed.reload(replace(before, engine=EngineConfig(local=mine)))
        assert feed.engines.local == mine
        feed.reload(before)
        assert ip_network("127.0.0.0/8") in feed.engines.local
        assert os.path.exists(f"/proc/{child_pid(feed)}")
