"""The processes below the master as a whole: how many of each role, and what they say."""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace

from pymaild.server import handover
from pymaild.server.certificates import CertificateWatch
from pymaild.server.channel import ChannelClosed, Message, close_all
from pymaild.server.config import Config
from pymaild.server.failures import CannotStart
from pymaild.server.family import Child, Family, Wish, kill
from pymaild.server.loop import Loop
from pymaild.server.place import Parcel
from pymaild.server.population import Population
from pymaild.server.roles import DEFLATE, INDEX, KEEPER, ROLES, TLS, USER, VAULT, WORKER, Keep, Role
from pymaild.server.scoreboard import State
from pymaild.server.shared import Shared
from pymaild.server.supervisor import STOPPING
from pymaild.server.turns import Turns

log = logging.getLogger("pymaild.server")


AT_ONCE = 64  # messages of one process before the others get their turn


class Crew:
    """Keeps the processes of every role as the configuration and the load want them.

    ``starting``: the server is being started, and a process that fails ends the start.
    """

    def __init__(
        self,
        config: Config,
        shared: Shared,
        certificates: CertificateWatch,
        loop: Loop,
        disown: Callable[[], None],
    ) -> None:
        self.starting = True
        self.population = Population.of(config.server)
        self._turns = Turns()
        self.family = Family(shared, self._disown, self._forget)
        self._disown_rest = disown
        self._config = config
        self._shared = shared
        self._certificates = certificates
        self._loop = loop
        self._generations = dict.fromkeys((role.name for role in ROLES), 0)
        self._farewell = ""  # what sessions are told: "drain" or "stop" once they shall end
        self._full = False
        self._heir: Callable[[], socket.socket] | None = None
        self._moved = False  # all sessions have gone over to it
        self._messages: dict[str, Callable[[Child, Message, list[int]], None]] = {
            "ready": self._ready,
            "failed": self._failed,
            "user": self._user,
            "drain-me": self._drain_me,
            "index": self._index,
            "move": lambda child, message, fds: self._move(),
        }

    # -- how many --------------------------------------------------------------------------

    def populate(self, drained: bool) -> None:
        """Start and retire processes until there are as many as there should be."""
        roles = [role for role in ROLES if not (drained and role.takes_clients)]
        self._spawn([role for role in roles for _ in range(self._missing(role))])

    def _missing(self, role: Role) -> int:
        """Return how many processes a role lacks; one that has too many lets one go."""
        if role.keep is Keep.LOAD:
            return self._missing_by_load(role)
        if role.keep is Keep.ONE:
            return role.count(self._config) - len(self.family.of(role))
        if role.keep is Keep.TASKS:
            return self._missing_by_tasks(role)
        return role.count(self._config) - len(self._current(role))

    def _missing_by_load(self, role: Role) -> int:
        workers = self._current(role)
        states = [self.family.state(child) for child in workers]
        idle = sum(state in (State.IDLE, State.STARTING) for state in states)
        total = len(self.family.of(role))
        change = self.population.change(time.monotonic(), len(workers), idle, total)
        if self.population.full and not self._full:
            log.warning("all %d workers are busy; connections have to wait", total)
        self._full = self._shared.scoreboard.full = self.population.full
        if change < 0:
            self._retire_idle_worker()
        return change

    def _missing_by_tasks(self, role: Role) -> int:
        there = sum(child.parcel is None for child in self._current(role))
        return role.count(self._config) - there if self._shared.has_tasks() else 0

    def more_workers(self) -> int:
        """Keep one worker more; returns how many at least."""
        self.population.more()
        return self.population.least

    def fewer_workers(self) -> int:
        """Keep one worker fewer, now; returns how many at least."""
        before = self.population.least
        self.population.fewer()
        if self.population.least < before:
            self._retire_idle_worker()
        return self.population.least

    def _retire_idle_worker(self) -> None:
        for child in reversed(self._current(WORKER)):
            if self.family.state(child) is State.IDLE:
                child.retire()
                return

    def change(self, config: Config, certificates: CertificateWatch) -> None:
        """Obey a new configuration: old processes finish when new ones are ready."""
        for role in ROLES:
            self._generations[role.name] += role.changed(self._config, config)
        self._config = config
        self._certificates = certificates
        self.population = Population.of(config.server)
        for role in (TLS, DEFLATE, INDEX):
            if role is INDEX or not role.count(config):
                self._retire_older(role)

    # -- who is there ----------------------------------------------------------------------

    def _current(self, role: Role) -> list[Child]:
        """Return the role's processes that run the present configuration and stay."""
        return self.family.of(role, self._generations[role.name])

    def all_ready(self) -> bool:
        """Whether every process has said that it can work."""
        return all(child.ready for child in self.family.children.values())

    def with_sessions(self) -> list[Child]:
        """Return the processes that serve clients' sessions."""
        return self.family.of(WORKER) + self.family.of(USER)

    # -- orders ----------------------------------------------------------------------------

    def tell(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Send all processes an order."""
        for child in self.family.children.values():
            child.tell(message, fds)

    def send_away(self, verb: str) -> None:
        """Let sessions end as ``verb`` says; the tls role stays for its connections."""
        self._farewell = verb
        for child in self.with_sessions():
            child.retiring = True
            child.tell({"verb": verb})
        for child in self.family.of(TLS):
            child.retire()
        self.tell_keeper({"verb": "leave", "text": STOPPING})

    def give_way(self, heir: Callable[[], socket.socket]) -> None:
        """Let sessions go over to another master's keeper; ``heir`` connects to that.

        The processes of that master take new connections.
        """
        self._heir = heir
        self._move()
        for child in self.with_sessions():
            child.retire()
        for child in self.family.of(TLS):
            child.tell({"verb": "cede"})

    def _move(self) -> None:
        """Show the keeper where its sessions are to go; it asks again where they do not get."""
        if self._heir is None:
            return
        try:
            with self._heir() as sock:
                self.tell_keeper({"verb": "move"}, (sock.fileno(),))
        except OSError as error:
            log.error("the other master's keeper is not reached: %s", error)

    def let_go(self) -> list[Child]:
        """Let sessions and connections go, as far as that is done; returns who still has some."""
        moving = not self._moved and not self._farewell
        if moving:
            self._spawn(role for role in (KEEPER, VAULT) if not self.family.of(role))
        sessions = self.with_sessions()
        if sessions:
            return sessions
        for child in self.family.of(TLS) + self.family.of(DEFLATE):
            child.tell({"verb": "outlive"})
            self.family.disown(child)
        if not moving:
            return []
        for child in self.family.of(KEEPER):
            if child.ready and not child.retiring:
                child.retire()
        return self.family.of(KEEPER) + self.family.of(VAULT)

    def tell_keeper(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Send the keeper an order."""
        for child in self.family.of(KEEPER):
            child.tell(message, fds)

    def welcome(self) -> None:
        """Take back :meth:`send_away` for sessions that are still to come."""
        self._farewell = ""
        self.tell_keeper({"verb": "leave", "text": ""})

    def kill(self, children: list[Child]) -> None:
        """End processes at once."""
        for child in children:
            child.retiring = True
            kill(child.pid, signal.SIGKILL)

    def end(self) -> None:
        """Leave none behind."""
        self.kill(list(self.family.children.values()))
        for child in self.family.children.values():
            with suppress(ChildProcessError):
                os.waitpid(child.pid, 0)

    # -- beginning and end of a process ----------------------------------------------------

    def _spawn(self, roles: Iterable[Role], parcel: Parcel | None = None) -> None:
        wishes = [
            Wish(role, self._generations[role.name], parcel)
            for role in roles
            if role.keep is Keep.NONE or self.family.may_start(role)
        ]
        try:
            children = self.family.spawn(wishes, self._config)
        except OSError as error:
            if self.starting:
                raise
            self.family.not_started(wishes[0].role, error)
            return
        for child in children:
            self._introduce(child)
        if any(child.role in (KEEPER, VAULT) for child in children):
            self._pair()

    def _introduce(self, child: Child) -> None:
        fd = child.channel.fileno()
        self._loop.watch(fd, select.EPOLLIN, lambda: self._hear(child))
        if child.role is TLS:
            self._give_certificates(child)
        if child.role is USER and self._farewell:
            child.tell({"verb": self._farewell})

    def _pair(self) -> None:
        """Connect keeper and vault, anew when one of them is."""
        children = self.family.of(KEEPER) + self.family.of(VAULT)
        if len(children) < 2:
            return
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        for child, end in zip(children, ends, strict=True):
            child.tell({"verb": "vault"}, (end.fileno(),))
            end.close()

    def _disown(self) -> None:
        """Close in a new child what is the master's alone."""
        self._turns.close()
        self._disown_rest()

    def _forget(self, child: Child) -> None:
        self._loop.forget(child.channel.fileno())

    def bury(self) -> None:
        """Take leave of processes that have ended. Raises CannotStart during the start."""
        for child, code in self.family.reap():
            if child.role is KEEPER and self._heir is not None and not code:
                self._moved = True
            if self.starting:
                raise CannotStart(f"{child.role.name} process ended with {code}, see the log")
        self._take_turns()

    # -- what processes say ----------------------------------------------------------------

    def _hear(self, child: Child) -> None:
        """Take messages of one child, and leave time for the others. Its end is SIGCHLD's."""
        try:
            for _ in range(AT_ONCE):
                received = child.channel.receive()
                if received is None:
                    return
                self._obey(child, *received)
        except ChannelClosed:
            self._forget(child)
        except ValueError as error:
            log.error("process %d sent what is no message: %s", child.pid, error)

    def _obey(self, child: Child, message: Message, fds: list[int]) -> None:
        try:
            action = self._messages.get(message["verb"])
            if action is not None:
                action(child, message, fds)
        finally:
            close_all(fds)

    def _ready(self, child: Child, message: Message, fds: list[int]) -> None:
        child.ready = True
        if child.role is KEEPER:
            self._move()
            for other in self.with_sessions():
                other.tell({"verb": "keeper"})
        if child.generation == self._generations[child.role.name]:
            self._retire_older(child.role)

    def _retire_older(self, role: Role) -> None:
        for child in self.family.of(role):
            if child.generation < self._generations[role.name] and not child.retiring:
                child.retire()

    def _failed(self, child: Child, message: Message, fds: list[int]) -> None:
        if self.starting:
            raise CannotStart(str(message.get("why")))

    def _drain_me(self, child: Child, message: Message, fds: list[int]) -> None:
        """A child got SIGTERM: it leaves, and is replaced."""
        child.retiring = True
        child.tell({"verb": "drain" if child.role in (WORKER, USER) else "retire"})

    def _user(self, child: Child, message: Message, fds: list[int]) -> None:
        """A worker has a session of a system user: only the auth role's ticket counts."""
        try:
            if child.role is not WORKER:
                raise ValueError("only workers meet users who have logged in")
            parcel = handover.examined(message, fds, bytes(self._shared.key))
            if self._has_room():
                self._spawn([USER], parcel)
            elif parcel.passport:
                self._turns.add(parcel)
            else:
                raise ValueError("too many processes of system users")
        except (ValueError, OSError) as error:
            log.error("a session of process %d is not taken over: %s", child.pid, error)

    def _has_room(self) -> bool:
        """Whether there may be another process of a system user."""
        return len(self.family.of(USER)) < self._config.server.user_processes

    def _take_turns(self) -> None:
        """Make processes for those that have waited for one."""
        while self._turns and self._has_room():
            parcel = self._turns.next()
            self._spawn([USER], parcel)
            os.close(parcel.fd)

    def _index(self, child: Child, message: Message, fds: list[int]) -> None:
        """A session of a system user has a task, which only a process of that user may do."""
        if child.role is not USER or child.parcel is None:
            return
        busy = {each.parcel.uid: each for each in self._current(INDEX) if each.parcel is not None}
        if child.parcel.uid in busy:
            busy[child.parcel.uid].tell(message)
        elif len(busy) < self._config.server.index_processes:
            self._spawn([INDEX], replace(child.parcel, fd=-1, task=str(message.get("task"))))

    # -- certificates ----------------------------------------------------------------------

    def check_certificates(self) -> None:
        """Hand changed certificate files to the tls role."""
        if not self._certificates.changed():
            return
        log.info("certificate files have changed")
        for child in self._current(TLS):
            self._give_certificates(child)

    def _give_certificates(self, child: Child) -> None:
        try:
            message, fds = self._certificates.open()
        except CannotStart as error:
            log.error("%s", error)
            return
        child.tell(message, tuple(fds))
        close_all(fds)
