"""The master's children: forked, watched, replaced, buried."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from pymaild.server import place
from pymaild.server.channel import Channel, Message
from pymaild.server.config import Config
from pymaild.server.failures import EXIT_BUG
from pymaild.server.place import Parcel, Place
from pymaild.server.roles import Keep, Role
from pymaild.server.scoreboard import COUNTERS, Scoreboard, State
from pymaild.server.shared import Shared
from pymaild.server.supervisor import Supervisor

log = logging.getLogger("pymaild.server")

FIRST_DELAY = 0.25  # seconds before a crashed process is replaced, doubled with each crash
LONGEST_DELAY = 60.0
STABLE = 60.0  # seconds without a crash after which all is forgiven
PARDONED = 8  # crashes, without such a time between, of a role that all sessions wait for
PROVEN = 1.0  # seconds after which a process did not die of its start
ABORT_GRACE = 2.0  # seconds from SIGABRT to SIGKILL
_TRACE = 65536  # octets of a traceback that are logged


@dataclass(eq=False)
class Child:
    """One process, as the master knows it."""

    pid: int  # 0 until it is forked
    role: Role
    slot: int
    channel: Channel
    crash_fd: int  # memory where it leaves a traceback when it is killed
    generation: int
    born: float = field(default_factory=time.monotonic)
    started: float = field(default_factory=time.time)
    ready: bool = False
    retiring: bool = False
    aborted: float = 0.0  # when it got SIGABRT
    parcel: Parcel | None = None  # what it was made for

    def abandon(self) -> None:
        """Close what leads to it."""
        self.channel.close()
        os.close(self.crash_fd)

    def tell(self, message: Message, fds: tuple[int, ...] = ()) -> None:
        """Send an order. A process whose channel is full has not read it for long: it hangs."""
        if not self.channel.send(message, fds):
            log.warning("process %d does not take orders", self.pid)

    def retire(self) -> None:
        """Let it finish what it does and leave."""
        self.retiring = True
        self.tell({"verb": "retire"})


class Wish(NamedTuple):
    """A process that there shall be."""

    role: Role
    generation: int
    parcel: Parcel | None = None


class Birth(NamedTuple):
    """A process that is about to be forked, and its end of the channel."""

    child: Child
    end: Channel


@dataclass
class Backoff:
    """The delay before a role's crashed processes are replaced: none for ``pardoned`` crashes."""

    pardoned: int = 0
    crashes: int = 0
    delay: float = 0.0
    last: float = 0.0
    not_before: float = 0.0

    def crashed(self, now: float) -> float:
        """Note a crash; returns the delay in seconds."""
        if now - self.last > STABLE + self.delay:
            self.served()
        self.crashes += 1
        self.last = now
        if self.crashes > self.pardoned:
            self.delay = min(max(self.delay * 2, FIRST_DELAY), LONGEST_DELAY)
        self.not_before = now + self.delay
        return self.delay

    def served(self) -> float:
        """Note that one died that had done its work; returns the delay, none."""
        self.crashes = 0
        self.delay = self.not_before = 0.0
        return self.delay


class Family:
    """All children.

    ``disown`` closes in a new child what belongs to the master alone; ``forget`` is called in
    the master before the channel of a dead child is closed.
    """

    def __init__(
        self, shared: Shared, disown: Callable[[], None], forget: Callable[[Child], None]
    ) -> None:
        self.shared = shared
        self.children: dict[int, Child] = {}
        self.buried = dict.fromkeys((*COUNTERS, "crashes"), 0)
        self._disown = disown
        self._forget = forget
        self._backoffs: dict[str, Backoff] = {}
        self.stranger = 0  # a process that is reaped here without being one of the children,
        self.ended = -1  # and how it has ended, as waitpid(2) says it

    @property
    def scoreboard(self) -> Scoreboard:
        """What the processes are doing."""
        return self.shared.scoreboard

    def of(self, role: Role, generation: int | None = None) -> list[Child]:
        """Return the role's processes; with a generation, those of it that do not leave."""
        return [
            child
            for child in self.children.values()
            if child.role is role
            and (generation is None or (child.generation == generation and not child.retiring))
        ]

    def may_start(self, role: Role) -> bool:
        """Whether the role's delay after a crash is over."""
        return time.monotonic() >= self._backoff(role).not_before

    def spawn(self, wishes: Iterable[Wish], config: Config) -> list[Child]:
        """Fork processes, as many as there is room for. Raises OSError where not one can be.

        All in one go, with as little between two forks as can be: of a page that is written
        there each process has its own.
        """
        births: list[Birth] = []
        # Until a child has set its signals up, none may reach it: it would be the master's.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            births.extend(filter(None, map(self._provide, wishes)))
            for birth in births:
                birth.child.pid = os.fork()
                if not birth.child.pid:
                    self._become(birth, births, config)
        except OSError:
            if not any(birth.child.pid for birth in births):
                raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            children = [birth.child for birth in births if self._has_begun(birth)]
        return children

    def _provide(self, wish: Wish) -> Birth | None:
        """Get what a process needs before it is forked; None where there is no room for it."""
        slot = self.scoreboard.allot()
        if slot is None:
            log.error("no room for another %s process", wish.role.name)
            return None
        try:
            ours, theirs = Channel.pair()
            crash_fd = os.memfd_create(f"crash-{slot}", os.MFD_CLOEXEC)
        except OSError:
            self.scoreboard.release(slot)
            raise
        child = Child(0, wish.role, slot, ours, crash_fd, wish.generation, parcel=wish.parcel)
        return Birth(child, theirs)

    def _has_begun(self, birth: Birth) -> bool:
        """Know a process from now on; false where it could not be forked."""
        birth.end.close()
        child = birth.child
        if child.pid:
            self.children[child.pid] = child
        else:
            self.scoreboard.release(child.slot)
            child.abandon()
        return bool(child.pid)

    def _become(self, birth: Birth, births: list[Birth], config: Config) -> None:
        """Continue as the new process; never returns."""
        code = EXIT_BUG
        try:
            for child in self.children.values():
                child.abandon()
            for other in births:
                if other is not birth:
                    other.child.abandon()
                    other.end.close()
            child = birth.child
            child.channel.close()
            self._disown()
            supervisor = Supervisor(birth.end, self.scoreboard, child.slot)
            it = Place(child.role, config, self.shared, child.slot, supervisor, birth.child.parcel)
            code = place.enter(it, child.crash_fd)
        finally:
            os._exit(code)

    def reap(self) -> Iterator[tuple[Child, int]]:
        """Bury the dead; yields each with its exit code (negative: the signal)."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self.children.pop(pid, None)
            if pid == self.stranger:
                self.ended = status
            if child is not None:
                yield child, self._bury(child, os.waitstatus_to_exitcode(status))

    def _bury(self, child: Child, code: int) -> int:
        facts = self.scoreboard.text(child.slot) or {}
        for name, amount in self.scoreboard.release(child.slot).items():
            self.buried[name] += amount
        if code and not (child.retiring and code == -signal.SIGKILL):
            self._crashed(child, code, facts)
        self._close(child)
        return code

    def _close(self, child: Child) -> None:
        self._forget(child)
        child.abandon()

    def disown(self, child: Child) -> None:
        """Know a process no more: it goes on without us."""
        del self.children[child.pid]
        self._close(child)

    def _crashed(self, child: Child, code: int, facts: dict[str, object]) -> None:
        self.buried["crashes"] += 1
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        delay = self._delay(child, bool(facts))
        log.error(
            "%s process %d died: %s; protocol=%s user=%s mailbox=%s state=%s; next in %.2f s",
            child.role.name,
            child.pid,
            how,
            *(facts.get(name, "") for name in ("protocol", "user", "mailbox", "state")),
            delay,
        )
        for line in os.pread(child.crash_fd, _TRACE, 0).decode(errors="replace").splitlines():
            log.error("process %d: %s", child.pid, line)

    def _delay(self, child: Child, had_session: bool) -> float:
        """Return how long to wait before it is replaced: only what cannot start has to wait.

        What a session does to workers is bounded: a command that kills two is not run again.
        """
        now, backoff = time.monotonic(), self._backoff(child.role)
        if child.ready and (had_session or now - child.born > PROVEN):
            return backoff.served()
        return backoff.crashed(now)

    def not_started(self, role: Role, error: OSError) -> None:
        """Note that fork failed; the next try has to wait."""
        delay = self._backoff(role).crashed(time.monotonic())
        log.error("no %s process can be started: %s; next try in %.2f s", role.name, error, delay)

    def _backoff(self, role: Role) -> Backoff:
        pardoned = 0 if role.keep is Keep.LOAD else PARDONED
        return self._backoffs.setdefault(role.name, Backoff(pardoned))

    def totals(self) -> dict[str, int]:
        """Return all counters since the start of the server."""
        living = self.scoreboard.totals()
        return {name: amount + living.get(name, 0) for name, amount in self.buried.items()}

    def state(self, child: Child) -> State:
        """Return what a child is doing."""
        return State(self.scoreboard.states[child.slot])

    def check_beats(self, timeout: float) -> None:
        """End processes that have shown no sign of life for ``timeout`` seconds."""
        now = time.monotonic()
        for child in self.children.values():
            silence = now - self.scoreboard.beats[child.slot]
            if child.aborted:
                if now - child.aborted > ABORT_GRACE:
                    kill(child.pid, signal.SIGKILL)
            elif silence > timeout:
                log.error("%s process %d hangs for %.0f s", child.role.name, child.pid, silence)
                child.aborted = now
                kill(child.pid, signal.SIGABRT)

    def forgive_silence(self) -> None:
        """Begin to count silence anew: the master itself, or the whole host, stood still."""
        for child in self.children.values():
            self.scoreboard.beat(child.slot)


def kill(pid: int, number: signal.Signals) -> None:
    """Send a signal to a child; one that has just died needs none."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
