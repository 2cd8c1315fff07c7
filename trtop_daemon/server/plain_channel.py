"""``PlainChannel``: clients without keys, over Unix sockets and loopback, with bounds on them all.

Takes a listening socket, gives messages, and sends answers, as a ROUTER of ZeroMQ does, in the same
protocol (``zmtp``). Bounded are what a client may send before it is read, what it leaves unread,
the time of a handshake, and how many clients there are. Waits for nobody; its clock is passed in.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from trtop_daemon.server.channel import ChannelError
from trtop_daemon.server.zmtp import Zmtp, ZmtpError, encode

MAX_CLIENTS = 4096
"""Beyond that the one that has been silent for the longest is hung up on."""

MAX_ANSWERS_WAITING = 4
"""Answers kept for a client that does not read; further ones are dropped."""

MAX_WAITING_BYTES = 128 << 20
"""Bytes of all answers that clients have not taken, what is shared counted once; further ones are
dropped until there is room. Each client may ask for another view, and read none of them."""

HANDSHAKE_S = 5.0
"""Who connects and says nothing of the protocol is sent away after this."""

STALLED_S = 30.0
"""Who takes nothing of an answer for so long is sent away: it is stopped, or holds memory."""

RECEIVE_BYTES = 4096
"""Read of a client at once: some dozen questions, then others have their turn."""

SEND_BYTES = 4 << 20
"""Sent to a client at once: the same."""

EVENTS_AT_ONCE = 64

LINGER_S = 1.0
"""How long a last answer may take to leave."""

_ID_BYTES = 8


class _Peer:
    """A client's connection, and what it has not taken yet."""

    def __init__(self, connection: socket.socket, identity: bytes, now_s: float) -> None:
        self.connection = connection
        self.identity = identity
        self.protocol = Zmtp()
        self.since_s = self.moved_s = now_s
        self.is_writing = False
        self.answers: deque[list[bytes]] = deque()
        self._pieces: deque[tuple[memoryview, bool]] = deque()

    @property
    def has_output(self) -> bool:
        return bool(self._pieces or self.protocol.replies)

    def put(self, parts: list[bytes], now_s: float) -> None:
        """An answer, behind those that wait."""
        if not self.has_output:
            self.moved_s = now_s  # it stands still from now on, if it does
        pieces = encode(parts)
        last = len(pieces) - 1
        self._pieces += [(memoryview(piece), i == last) for i, piece in enumerate(pieces)]
        self.answers.append(parts)

    def flush(self, now_s: float) -> int:
        """Send what can be sent; how many answers have left.

        Raises:
            OSError: the client is gone.
        """
        n_bytes, n_answers = SEND_BYTES, 0
        while n_bytes > 0:
            if not self._pieces:  # replies come between answers, not within one
                self._pieces += [(memoryview(reply), False) for reply in self.protocol.replies]
                self.protocol.replies.clear()
                if not self._pieces:
                    break
            piece, is_end = self._pieces.popleft()
            try:
                n_sent = self.connection.send(piece[:n_bytes])
            except BlockingIOError:
                self._pieces.appendleft((piece, is_end))
                break
            self.moved_s = now_s
            n_bytes -= n_sent
            if n_sent < len(piece):
                self._pieces.appendleft((piece[n_sent:], is_end))
            else:
                n_answers += is_end
        return n_answers


class PlainChannel:
    """Listens, and speaks with all who connect.

    Args:
        clock_s: a clock in seconds that never goes back.

    Attributes:
        fileno: readable when there is something to do: call ``receive`` until it gives nothing.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self._clock_s = clock_s
        self._epoll = select.epoll()
        self._listening: socket.socket | None = None
        self._peers: OrderedDict[int, _Peer] = OrderedDict()
        self._by_identity: dict[bytes, _Peer] = {}
        self._messages: deque[list[bytes]] = deque()
        self._held: dict[int, tuple[int, int]] = {}
        self._n_peers = 0
        self.fileno = self._epoll.fileno()

    @property
    def n_clients(self) -> int:
        """How many are connected now."""
        return len(self._peers)

    @property
    def n_waiting_bytes(self) -> int:
        """Bytes of answers that clients have not taken, what is shared counted once."""
        return sum(n_bytes for n_bytes, _ in self._held.values())

    @property
    def has_messages(self) -> bool:
        """Messages wait that no descriptor tells of."""
        return bool(self._messages)

    @property
    def has_output(self) -> bool:
        """Answers wait for whoever calls here to send them on."""
        return bool(self._held)

    def listen(self, listening: socket.socket) -> None:
        """Take clients from this socket from now on; those that are there stay."""
        if self._listening is not None:
            self._epoll.unregister(self._listening)
            self._listening.close()
        self._listening = listening
        self._epoll.register(listening, select.EPOLLIN)

    def receive(self) -> list[bytes]:
        """The next message, behind who it is from; empty: there is none now."""
        if not self._messages:
            self._turn()
        return self._messages.popleft() if self._messages else []

    def send(self, parts: list[bytes]) -> None:
        """Send a message to whom its first part says.

        Raises:
            ChannelError: the client is gone or does not read; the message is dropped.
        """
        peer = self._by_identity.get(parts[0])
        if peer is None:
            raise ChannelError("the client is gone")
        if len(peer.answers) >= MAX_ANSWERS_WAITING:
            raise ChannelError("the client does not read")
        if self.n_waiting_bytes >= MAX_WAITING_BYTES:
            raise ChannelError("clients do not read")
        peer.put(parts[1:], self._clock_s())
        for part in parts[1:]:
            n_bytes, n_holders = self._held.get(id(part), (len(part), 0))
            self._held[id(part)] = n_bytes, n_holders + 1
        self._flush(peer)

    def expire(self) -> None:
        """Send away who does not finish the handshake, or stands still amid an answer."""
        now_s = self._clock_s()
        for peer in list(self._peers.values()):
            is_late = not peer.protocol.is_ready and now_s - peer.since_s > HANDSHAKE_S
            if is_late or (peer.has_output and now_s - peer.moved_s > STALLED_S):
                self._hang_up(peer)

    def close(self) -> None:
        """Hang up; answers that are under way still leave, ``LINGER_S`` at most."""
        if self._listening is not None:
            self._epoll.unregister(self._listening)
            self._listening.close()
            self._listening = None
        end_s = self._clock_s() + LINGER_S
        while any(peer.has_output for peer in self._peers.values()):
            wait_s = end_s - self._clock_s()
            if wait_s <= 0:
                break
            for fd, events in self._epoll.poll(wait_s):
                peer = self._peers[fd]
                if events & select.EPOLLOUT:
                    self._flush(peer)
                elif events & ~select.EPOLLIN:
                    self._hang_up(peer)
                else:  # nothing is taken any more
                    self._epoll.modify(fd, select.EPOLLOUT if peer.is_writing else 0)
        for peer in list(self._peers.values()):
            self._hang_up(peer)
        self._epoll.close()

    def _turn(self) -> None:
        for fd, events in self._epoll.poll(0, EVENTS_AT_ONCE):
            if self._listening is not None and fd == self._listening.fileno():
                self._accept()
            elif (peer := self._peers.get(fd)) is not None:
                self._handle(peer, events)

    def _accept(self) -> None:
        assert self._listening is not None
        for _ in range(EVENTS_AT_ONCE):
            try:
                connection, _ = self._listening.accept()
            except BlockingIOError:
                return
            except OSError:  # no descriptors left
                self._hang_up_on_oldest()
                return
            connection.setblocking(False)
            self._n_peers += 1
            identity = self._n_peers.to_bytes(_ID_BYTES)
            peer = _Peer(connection, identity, self._clock_s())
            self._peers[connection.fileno()] = self._by_identity[identity] = peer
            self._epoll.register(connection, select.EPOLLIN)
            self._flush(peer)
            if len(self._peers) > MAX_CLIENTS:
                self._hang_up_on_oldest()

    def _handle(self, peer: _Peer, events: int) -> None:
        if events & select.EPOLLOUT:
            self._flush(peer)
        if events & ~select.EPOLLOUT and peer.identity in self._by_identity:
            self._read(peer)

    def _read(self, peer: _Peer) -> None:
        try:
            data = peer.connection.recv(RECEIVE_BYTES)
            if not data:
                raise ConnectionResetError
            messages = peer.protocol.feed(data)
        except BlockingIOError:
            return
        except (OSError, ZmtpError):
            self._hang_up(peer)
            return
        self._peers.move_to_end(peer.connection.fileno())
        self._messages.extend([peer.identity, *message] for message in messages)
        if peer.has_output:
            self._flush(peer)

    def _flush(self, peer: _Peer) -> None:
        try:
            for _ in range(peer.flush(self._clock_s())):
                self._let_go(peer.answers.popleft())
        except OSError:
            self._hang_up(peer)
            return
        if peer.has_output != peer.is_writing:
            peer.is_writing = peer.has_output
            wanted = select.EPOLLIN | (select.EPOLLOUT if peer.is_writing else 0)
            self._epoll.modify(peer.connection, wanted)

    def _hang_up(self, peer: _Peer) -> None:
        fd = peer.connection.fileno()
        del self._peers[fd], self._by_identity[peer.identity]
        with contextlib.suppress(OSError):
            self._epoll.unregister(fd)
        peer.connection.close()
        for parts in peer.answers:
            self._let_go(parts)
        peer.answers.clear()

    def _let_go(self, parts: list[bytes]) -> None:
        for part in parts:
            n_bytes, n_holders = self._held.pop(id(part))
            if n_holders > 1:
                self._held[id(part)] = n_bytes, n_holders - 1

    def _hang_up_on_oldest(self) -> None:
        if self._peers:
            self._hang_up(next(iter(self._peers.values())))
