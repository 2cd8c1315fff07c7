"""A server in this process, with a socket, and clients for it."""

from __future__ import annotations

from dataclasses import replace

import zmq

from support.builders.snapshot import incident
from support.daemons import TIMEOUT_S, Peer
from trtop_core import Engine, EngineConfig, Snapshot, View
from trtop_core.detail import Detail, DetailView
from trtop_core.records import GroupBy
from trtop_daemon.server.channel import RouterChannel
from trtop_daemon.server.server import Announcement, Server


class Desk:
    """A server in this process, with a socket, and a client for it."""

    def __init__(self, interval_s: float = 10) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.router = self.context.socket(zmq.ROUTER)
        self.router.linger = 0
        self.router.bind("inproc://desk")
        self.channel = RouterChannel(self.router)
        self.asked: list[View] = []
        self.details: list[DetailView] = []
        self.engine = Engine(EngineConfig(group_by=GroupBy.ADDR_PORT), bytes(16))
        self.sockets: list[zmq.Socket[bytes]] = []
        self.server = Server(self.give, self.answer, interval_s)
        self.announcement = Announcement("web-3")

    def give(self, view: View) -> Snapshot:
        self.asked.append(view)
        if view.sort == "rst":
            raise ValueError("not that")
        if view.sort == "syn_retrans":
            raise ZeroDivisionError
        return replace(incident(), view=view)

    def answer(self, view: DetailView) -> Detail:
        self.details.append(view)
        if view.port == 1:
            raise ValueError("not that")
        return self.engine.detail(view)

    def client(self) -> Peer:
        dealer = self.context.socket(zmq.DEALER)
        dealer.linger = 0
        dealer.rcvtimeo = int(TIMEOUT_S * 1000)
        dealer.connect("inproc://desk")
        self.sockets.append(dealer)
        return Peer(dealer)

    def turn(self, now_s: float = 0.0) -> None:
        assert self.router.poll(TIMEOUT_S * 1000)
        self.server.take(self.channel, now_s)

    def close(self) -> None:
        self.context.destroy(linger=0)
