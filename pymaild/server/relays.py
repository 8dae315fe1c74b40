"""Processes that move octets between clients and sessions: one loop, nothing in it blocks.

The tls role and the deflate role are two of them. Relayed of their connections has a client's side
and a session's side, and ends when either does.
"""

from __future__ import annotations

import logging
import math
import select
import socket
import time
from collections.abc import Callable
from typing import Protocol

from pymaild.net.relay import IN, OUT, Closed, Gone, Relay
from pymaild.server.board import set_title
from pymaild.server.channel import Message, close_all
from pymaild.server.place import Place
from pymaild.server.scoreboard import State

SLICE = 1.0  # seconds between two signs of life
RETRY = 0.05  # seconds between two tries of a connection that asked for one
_HANGUP = select.EPOLLHUP | select.EPOLLERR


class Home(Protocol):
    """What a connection needs of the process it lives in."""

    write_timeout: float

    def watch(self, relayed: Relayed, sock: socket.socket, events: int) -> None:
        """Call ``relayed.ready`` when one of ``events`` happens on ``sock``; 0: never."""

    def retry(self, relayed: Relayed) -> None:
        """Call ``relayed.ready`` again soon."""


class Relayed:
    """One client's connection."""

    __slots__ = ("_client", "_home", "_relay", "_session", "_step", "deadline")

    def __init__(self, home: Home, client: socket.socket) -> None:
        self._home = home
        self._client = client
        self._session: socket.socket | None = None
        self._relay: Relay | None = None
        self._step: Callable[[int, int], None] | None = None
        self.deadline = math.inf

    @property
    def address(self) -> str:
        """The client's IP address, as far as it is known."""
        return ""

    @property
    def relaying(self) -> bool:
        """Whether a session is at the other side."""
        return self._relay is not None

    def is_client(self, sock: socket.socket) -> bool:
        """Whether ``sock`` is the client's side."""
        return sock is self._client

    def ready(self, client: int = IN | OUT, session: int = 0) -> None:
        """Go on after events of the client's and the session's socket. Raises Closed."""
        (self._step or self._move)(client, session)

    def overdue(self) -> Closed:
        """Say why the connection ends at its deadline."""
        return Closed("takes nothing")

    def close(self) -> None:
        """Close both sides."""
        for sock in (self._client, self._session):
            if sock is not None:
                self._home.watch(self, sock, 0)
                sock.close()

    def _begin(self, relay: Relay) -> None:
        """Relay from now on."""
        self._relay = relay
        self._step = None
        self._move(IN, 0)

    def _move(self, client: int, session: int) -> None:
        assert self._relay is not None
        assert self._session is not None
        self._relay.move(client, session)
        self._home.watch(self, self._client, self._relay.client_events)
        self._home.watch(self, self._session, self._relay.worker_events)
        stalled = self._relay.stalled
        self.deadline = time.monotonic() + self._home.write_timeout if stalled else math.inf


class Relays:
    """All connections of one process; their Home.

    A role gives ``name``, what it listens on, and when; ``arrived`` is called when something
    has come there.
    """

    name = ""

    def __init__(self, place: Place) -> None:
        self.log = logging.getLogger(f"pymaild.{self.name}")
        self.write_timeout: float = place.config.server.write_timeout
        self._place = place
        self._supervisor = place.supervisor
        self._title = -1
        self._all: set[Relayed] = set()
        self._watched: dict[int, tuple[Relayed, int, bool]] = {}
        self._waiting: list[Relayed] = []
        self._listening = False
        self._epoll = select.epoll()
        self._epoll.register(self._supervisor.fileno(), IN)
        self._supervisor.orders |= {"open": self._be_opened, "outlive": self._outlive}

    # -- what a role says ------------------------------------------------------------------

    def sources(self) -> list[int]:
        """Return the descriptors that new connections come from."""
        raise NotImplementedError

    def open(self) -> bool:
        """Whether new connections can be taken now."""
        raise NotImplementedError

    def arrived(self, fd: int) -> None:
        """Take what has come to one of the sources."""
        raise NotImplementedError

    def served(self, relayed: Relayed) -> None:
        """Take note that a connection has a session now, or has ended."""

    # -- what connections ask for ----------------------------------------------------------

    def watch(self, relayed: Relayed, sock: socket.socket, events: int) -> None:
        """See :meth:`Home.watch`."""
        fd = sock.fileno()
        known = self._watched.get(fd)
        if events and known is None:
            self._epoll.register(fd, events)
        elif events and known is not None and known[1] != events:
            self._epoll.modify(fd, events)
        elif not events and known is not None:
            self._epoll.unregister(fd)
            del self._watched[fd]
        if events:
            self._watched[fd] = (relayed, events, relayed.is_client(sock))

    def retry(self, relayed: Relayed) -> None:
        """See :meth:`Home.retry`."""
        self._waiting.append(relayed)

    # -- orders of the master --------------------------------------------------------------

    def _be_opened(self, message: Message, fds: list[int]) -> None:
        """Take connections from now on: see Shared.held."""
        self._supervisor.be_opened(fds)
        self._place.shared.held = False
        self.listen()

    def _outlive(self, message: Message, fds: list[int]) -> None:
        """Go on for the connections that are there, without a master, until they end.

        What has come is taken first: who sent it may be gone.
        """
        close_all(fds)
        poller = select.poll()
        for fd in self.sources() if self._listening else ():
            poller.register(fd, select.POLLIN)
        while ready := poller.poll(0):
            for fd, _ in ready:
                self.arrived(fd)
        self._epoll.unregister(self._supervisor.fileno())
        self._supervisor.alone = True
        self._supervisor.retire()
        self.listen()

    # -- the loop --------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until told to leave; a process that retires stays for its connections."""
        tick = 0.0
        while not self._supervisor.urgent and not (self._supervisor.retiring and not self._all):
            self._supervisor.beat()
            for fd, events in self._epoll.poll(RETRY if self._waiting else SLICE):
                self._event(fd, events)
            waiting, self._waiting = self._waiting, []
            for relayed in waiting:
                self.step(relayed)
            if time.monotonic() - tick >= SLICE:
                tick = time.monotonic()
                self._each_second(tick)
        for relayed in list(self._all):
            self.end(relayed, Closed("the server stops"))

    def ready(self) -> None:
        """Say that this process can do its work, and listen."""
        self._supervisor.ready()
        self._place.shared.scoreboard.set_state(self._place.slot, State.SERVING)
        self.listen()

    def listen(self) -> None:
        """Listen when there is room for more, and not otherwise."""
        free = not self._supervisor.retiring and not self._place.shared.held
        wanted = free and self.open()
        if wanted == self._listening:
            return
        self._listening = wanted
        for fd in self.sources():
            if wanted:
                self._epoll.register(fd, IN | select.EPOLLEXCLUSIVE)
            else:
                self._epoll.unregister(fd)

    def add(self, relayed: Relayed) -> None:
        """Begin to serve a connection."""
        self._all.add(relayed)
        self.step(relayed)

    def step(self, relayed: Relayed, client: int = IN | OUT, session: int = 0) -> None:
        """Let a connection go on after events of its sockets."""
        if relayed not in self._all:
            return  # it ended by an earlier event of the same round
        try:
            relayed.ready(client, session)
            if relayed.relaying:
                self.served(relayed)
        except Closed as closed:
            self.end(relayed, closed)
        except Exception:
            self.log.exception("connection of %s ended by a bug", relayed.address)
            self._place.shared.scoreboard.count(self._place.slot, "bugs")
            self.end(relayed, Closed("bug"))

    def end(self, relayed: Relayed, closed: Closed) -> None:
        """Close a connection; ``closed`` is why."""
        level = logging.DEBUG if relayed.relaying or isinstance(closed, Gone) else logging.INFO
        self.log.log(level, "connection of %s ended: %s", relayed.address or "unix", closed)
        self.served(relayed)
        self._all.discard(relayed)
        relayed.close()

    def _event(self, fd: int, events: int) -> None:
        if fd in self._watched:
            relayed, _, is_client = self._watched[fd]
            if events & _HANGUP:
                events |= IN | OUT
            self.step(relayed, *((events, 0) if is_client else (0, events)))
        elif fd == self._supervisor.fileno():
            self._supervisor.attend()
            self.listen()
        else:
            self.arrived(fd)

    def _each_second(self, now: float) -> None:
        for relayed in [relayed for relayed in self._all if relayed.deadline < now]:
            self.end(relayed, relayed.overdue())
        if self._title != len(self._all):
            self._title = len(self._all)
            set_title(f"{self.name} {self._title} connections")
        self.listen()
