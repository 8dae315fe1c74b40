"""What the master opens before it forks: each process keeps what its role needs."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field

from pymaild.net._journal import Journal
from pymaild.server.listeners import Listener, close_listener, path_of
from pymaild.server.parked import Table
from pymaild.server.scoreboard import Scoreboard

#: What a role may keep (``Role.sockets``).
KEPT = frozenset(
    (
        *("public", "implicit", "private", "auth", "handoff", "to_deflate", "from_deflate"),
        *("key", "keeper", "parking", "journal", "table", "to_index", "from_index"),
    )
)


@dataclass
class Shared:
    """Sockets and memory that several processes use at a time.

    ``public`` are listeners of plain connections, ``implicit`` those of TLS connections,
    ``private`` the one that the tls role connects to. ``handoff`` is a pair over which
    sessions go from workers (first end) to the tls role (second end), ``deflate`` another over
    which clients go from their sessions to the deflate role, ``index`` one over which tasks go
    to the index role. A worker writes to ``poke`` when too few are idle, or there is a task.
    ``key`` is for the auth role's tickets, ``hostname`` for greetings.
    ``keeper`` is where the keeper listens, ``table`` what it knows of parked sessions. ``work``
    counts those that have something to do; ``watches`` is the inotify instance (-1: none) that
    the keeper reads, and through which sessions watch mailboxes. ``auth_path`` and
    ``keeper_path`` lead to the sockets of this server, also while another takes its place.
    ``held``: the server is not open yet, and no process takes clients. ``journal`` is memory
    with a slice for each slot, in which a process says what another one needs to go on with its
    session.
    """

    scoreboard: Scoreboard
    handoff: tuple[socket.socket, socket.socket]
    deflate: tuple[socket.socket, socket.socket]
    index: tuple[socket.socket, socket.socket]
    auth: socket.socket
    auth_path: str
    keeper: socket.socket
    keeper_path: str
    table: Table
    work: int
    watches: int
    journal: int
    poke: int
    key: bytearray
    hostname: str
    public: list[Listener] = field(default_factory=list)
    implicit: list[Listener] = field(default_factory=list)
    private: Listener | None = None
    held: bool = False

    def keep(self, needed: Iterable[str]) -> None:
        """Close in this process all that is not named in ``needed``."""
        for name in KEPT - set(needed):
            getattr(self, f"_drop_{name}")()

    def listening(self) -> list[Listener]:
        """Return every listener that clients know of."""
        return [*self.public, *self.implicit]

    def stop_listening(self) -> None:
        """Close the listeners of workers in this process; their files stay."""
        self._drop_public()
        self._drop_private()

    def remove_listeners(self) -> None:
        """Close all listeners but those systemd gave, and remove their files: master only."""
        for listener in self.listening():
            if not listener.given:
                close_listener(listener)
        if self.private is not None:
            close_listener(self.private)
            self.private = None
        self.public = [listener for listener in self.public if listener.given]
        self.implicit = [listener for listener in self.implicit if listener.given]

    def give_up(self, claimed: list[str]) -> None:
        """Close all listeners; another server has their files, but for what it does not claim."""
        for listener in self.listening() + ([self.private] if self.private else []):
            if path_of(listener) in ("", *claimed):
                listener.sock.close()
            else:
                close_listener(listener)
        self.public, self.implicit, self.private = [], [], None

    def _drop_public(self) -> None:
        for listener in self.public:
            listener.sock.close()
        self.public = []

    def _drop_implicit(self) -> None:
        for listener in self.implicit:
            listener.sock.close()
        self.implicit = []

    def _drop_private(self) -> None:
        if self.private is not None:
            self.private.sock.close()
        self.private = None

    def _drop_auth(self) -> None:
        self.auth.close()

    def _drop_handoff(self) -> None:
        for end in self.handoff:
            end.close()

    def _drop_to_deflate(self) -> None:
        self.deflate[0].close()

    def _drop_from_deflate(self) -> None:
        self.deflate[1].close()

    def _drop_to_index(self) -> None:
        self.index[0].close()

    def _drop_from_index(self) -> None:
        self.index[1].close()

    def has_tasks(self) -> bool:
        """Whether something waits for the index role."""
        poller = select.poll()
        poller.register(self.index[1], select.POLLIN)
        return bool(poller.poll(0))

    def _drop_keeper(self) -> None:
        self.keeper.close()

    def _drop_table(self) -> None:
        """The sessions of others are nothing to a process of one user; it can park its own."""
        self.table.close()
        self.table = Table(1)

    def _drop_parking(self) -> None:
        for fd in (self.work, self.watches):
            if fd >= 0:
                os.close(fd)
        self.work = self.watches = -1

    def _drop_journal(self) -> None:
        if self.journal >= 0:
            os.close(self.journal)
        self.journal = -1

    def slice_of(self, slot: int) -> Journal:
        """Return the journal of this process, which reaches no other from then on."""
        journal = Journal(self.journal, slot)
        self._drop_journal()
        return journal

    def _drop_key(self) -> None:
        self.key[:] = bytes(len(self.key))


def make_poke() -> int:
    """Return a counter that wakes whoever polls it."""
    return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)


def make_work() -> int:
    """Return a counter of which each reader takes one."""
    return os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC | os.EFD_SEMAPHORE)
