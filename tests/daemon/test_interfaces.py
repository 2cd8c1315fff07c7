"""Interfaces and addresses of this machine, as the kernel has them."""

from __future__ import annotations

import ipaddress
import select

from support.netns import needs_root, two_hosts

from trtop_daemon.system import interfaces


def test_loopback_is_always_local() -> None:
    local = interfaces.local_networks()
    assert ipaddress.ip_network("127.0.0.0/8") in local
    assert ipaddress.ip_network("::1/128") in local
    assert ipaddress.ip_network("127.0.0.1/32") not in local


def test_any_comes_first_and_lo_has_its_address() -> None:
    listed = interfaces.list_interfaces()
    assert listed[0].name == "any"
    (lo,) = [interface for interface in listed if interface.name == "lo"]
    assert "127.0.0.1" in lo.addresses
    assert not {"bluetooth-monitor", "nflog", "nfqueue"} & {entry.name for entry in listed}


@needs_root
def test_changes_are_heard_and_seen() -> None:
    with two_hosts() as (near, _), near.inside():
        watch = interfaces.InterfaceWatch()
        assert not watch.has_changed()
        index = interfaces.index_of(near.link)
        assert index
        assert interfaces.is_up(near.link)
        assert ipaddress.ip_network(near.address(3)) in interfaces.local_networks()
        assert ipaddress.ip_network(near.address(3, 6)) in interfaces.local_networks()
        near.ip("addr", "del", f"{near.address(3)}/16", "dev", near.link)
        assert select.select(watch.filenos, [], [], 10)[0]
        assert watch.has_changed()
        assert not watch.has_changed()
        assert ipaddress.ip_network(near.address(3)) not in interfaces.local_networks()
        near.ip("link", "set", near.link, "down")
        assert select.select(watch.filenos, [], [], 10)[0]
        assert not interfaces.is_up(near.link)
        near.ip("link", "del", near.link)
        assert interfaces.index_of(near.link) == 0
        assert not interfaces.is_up(near.link)
        watch.close()
        assert watch.filenos == []
