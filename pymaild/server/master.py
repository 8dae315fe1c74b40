"""The master: binds, forks, watches and obeys signals. It reads no octet of any client.

One loop of four verbs: wait for something to happen, handle signals, check on children and
certificates, maintain the number of processes. Signal handlers do nothing themselves: the
interpreter writes the signal's number to a socket, and the loop takes it from there.
"""

from __future__ import annotations

import gc
import importlib
import logging
import math
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from pymaild.core.errors import ConfigError
from pymaild.server import logs, systemd
from pymaild.server.board import set_title
from pymaild.server.certificates import CertificateWatch
from pymaild.server.channel import close_all
from pymaild.server.commands import Commands
from pymaild.server.config import Config, load_config, with_fixed
from pymaild.server.crew import Crew
from pymaild.server.estate import Estate
from pymaild.server.failures import EXIT_BOOT, EXIT_CONFIG, EXIT_OK, CannotStart
from pymaild.server.loop import Loop
from pymaild.server.phase import ENDING, LEAVING, Phase
from pymaild.server.ports import BESIDE, raise_file_limit
from pymaild.server.premises import Premises
from pymaild.server.roles import ROLES, TLS
from pymaild.server.shared import Shared
from pymaild.server.upgrade import Predecessor, Successor, Upgrade

__all__ = ["EXIT_BOOT", "EXIT_CONFIG", "Master", "Phase"]

log = logging.getLogger("pymaild.server")

TICK = 1.0  # seconds between two rounds without an event
STANDSTILL = 5.0  # seconds; when a round comes so late, the host slept, and silence is no sign
STOP_GRACE = 10.0  # seconds for the storage step under way when the server stops now
LAST_GRACE = 2.0  # seconds for the tls role to bring the last replies to their clients


class Master:
    """Runs a server of one configuration. ``config.path`` is read again on reload."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.phase = Phase.STARTING
        self.started = time.time()
        self._loop = Loop()
        self._wake, self._signalled = socket.socketpair()
        self.premises = Premises(config)
        self._crew: Crew | None = None
        self._old: Predecessor | None = None  # the master whose place this one takes
        self.upgrade = Upgrade(self, self._loop)
        self._deadline = 0.0  # for sessions, when the server is on its way out
        self._dismissal = 0.0  # for the other roles, after that
        self._last_orders = iter(("retire", "stop"))
        self._last_round = time.monotonic()
        self._last_look = 0.0
        self._signals: dict[int, Callable[[], None]] = {
            signal.SIGHUP: self.on_hup,
            signal.SIGTERM: self.on_term,
            signal.SIGINT: self.on_int,
            signal.SIGQUIT: self.on_int,
            signal.SIGUSR1: self.on_usr1,
            signal.SIGUSR2: self.on_usr2,
            signal.SIGTTIN: self.on_ttin,
            signal.SIGTTOU: self.on_ttou,
            signal.SIGCHLD: self.on_chld,
        }

    @property
    def shared(self) -> Shared:
        """What all processes have of the master; there is nothing before all is open."""
        return self.premises.shared

    @property
    def crew(self) -> Crew:
        """The processes below the master; there is none before all is open."""
        assert self._crew is not None
        return self._crew

    def run(self) -> int:
        """Run the server to its end and return the exit code."""
        try:
            self._boot()
            while self.phase not in LEAVING or self.crew.family.children or self._is_beside:
                self._wait()
                self._handle()
                self._check()
                self._maintain()
        except ConfigError as error:
            return self._cannot(str(error), EXIT_CONFIG)
        except (CannotStart, OSError) as error:
            return self._cannot(str(error), EXIT_BOOT)
        finally:
            self._clean_up()
        log.info("stopped")
        return EXIT_OK

    @property
    def _is_beside(self) -> bool:
        """Whether the master whose place this one takes is still there."""
        return self._old is not None and self._old.alive

    def _cannot(self, why: str, code: int) -> int:
        line = why.replace("\n", "; ")
        print(f"pymaild: cannot start: {line}", file=sys.stderr, flush=True)
        log.error("cannot start: %s", line)
        return code

    # -- the start -------------------------------------------------------------------------

    def _boot(self) -> None:
        set_title("master starting")
        self._old = Predecessor.find()
        logs.set_up(self.config.log)
        raise_file_limit(self.config.server.sessions_max)
        self._catch_signals()
        for role in ROLES:
            if role is not TLS or role.count(self.config):
                importlib.import_module(role.module)  # before the fork, so that it is shared
        self._open()
        gc.collect()
        gc.freeze()
        self._maintain()

    def _open(self) -> None:
        estate, beside = (self._old.estate, BESIDE) if self._old else (Estate(), "")
        certificates = CertificateWatch(self.config.tls)
        close_all(certificates.open()[1])
        self.premises.open(estate, beside, Commands(self).table(), self._loop.watch)
        self._crew = Crew(self.config, self.shared, certificates, self._loop, self._disown)
        self._loop.watch(self.shared.poke, select.EPOLLIN, self._poked)
        if self._old is not None:
            self._old.follow(self._loop)

    def _poked(self) -> None:
        os.eventfd_read(self.shared.poke)

    def _catch_signals(self) -> None:
        self._wake.setblocking(False)
        self._signalled.setblocking(False)
        signal.set_wakeup_fd(self._signalled.fileno(), warn_on_full_buffer=False)
        for number in self._signals:
            signal.signal(number, lambda *_: None)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
        self._loop.watch(self._wake.fileno(), select.EPOLLIN, lambda: None)

    def _disown(self) -> None:
        """Close in a new child what is the master's alone."""
        self._loop.close()
        self._wake.close()
        self._signalled.close()
        self.upgrade.close()
        if self._old is not None:
            self._old.close()
        self.premises.close()

    # -- the four verbs --------------------------------------------------------------------

    def _wait(self) -> None:
        self._loop.wait(TICK)

    def _handle(self) -> None:
        with suppress(BlockingIOError):
            for number in self._wake.recv(4096):
                self._signals[number]()

    def _check(self) -> None:
        now = time.monotonic()
        self.crew.bury()
        self.upgrade.check(now)
        if now - self._last_round > STANDSTILL:
            self.crew.family.forgive_silence()
        self._last_round = now
        if now - self._last_look < TICK:
            return
        self._last_look = now
        self.crew.family.check_beats(self.config.server.hang_timeout)
        self.crew.check_certificates()
        self.premises.control.check()

    def _maintain(self) -> None:
        if self.phase in LEAVING:
            self._see_off()
            return
        self.crew.populate(drained=self.phase is Phase.DRAINED)
        if self.phase is Phase.STARTING and self.crew.all_ready():
            self._started()

    def _started(self) -> None:
        if self._old is not None:
            if not self._old.gone:
                self._old.ask(self.premises.paths(), self.shared.keeper_path)
                return
            self._take_over(self._old)
        self.phase = Phase.RUNNING
        self.crew.starting = False
        set_title(f"master {self.config.path}".rstrip())
        for listener in self.shared.listening():
            log.info("listening: %s at %s", listener.settings.title, listener.address)
        log.info("ready")
        systemd.notify("READY=1", f"MAINPID={os.getpid()}")

    def _take_over(self, old: Predecessor) -> None:
        """Be the server, in the place of another."""
        old.take_over()
        self.crew.tell({"verb": "open"}, (2,))
        self.premises.take_over()

    # -- signals ---------------------------------------------------------------------------

    def on_hup(self) -> None:
        """HUP: read the configuration again; a broken one changes nothing."""
        with suppress(ConfigError, CannotStart):
            self.reload()

    def on_term(self) -> None:
        """TERM: let sessions end, for at most drain_timeout, then stop."""
        if self.phase not in ENDING:
            log.info("draining for at most %g s", self.config.server.drain_timeout)
            self._begin_leaving(Phase.DRAINING, "drain", self.config.server.drain_timeout)

    def on_int(self) -> None:
        """INT, QUIT: stop now; a message being stored is stored or refused first."""
        if self.phase is not Phase.STOPPING:
            log.info("stopping")
            self._begin_leaving(Phase.STOPPING, "stop", STOP_GRACE)

    def on_usr1(self) -> None:
        """USR1: open the log file again."""
        if self.config.log.to != "file":
            return
        try:
            fd = logs.open_log(self.config.log)
        except ConfigError as error:
            log.error("log not opened again: %s", error)
            return
        self.crew.tell({"verb": "log"}, (fd,))
        logs.replace(fd)
        log.info("log opened again")

    def on_usr2(self) -> None:
        """USR2: start the program anew, and leave all to it when it is ready."""
        with suppress(CannotStart):
            self.begin_upgrade()

    def on_ttin(self) -> None:
        """TTIN: keep one worker more."""
        log.info("workers: at least %d", self.crew.more_workers())

    def on_ttou(self) -> None:
        """TTOU: keep one worker fewer; one that is idle leaves."""
        log.info("workers: at least %d", self.crew.fewer_workers())

    def on_chld(self) -> None:
        """CHLD: the next verb, check, buries the dead."""

    # -- what administrators ask for -------------------------------------------------------

    def reload(self) -> None:
        """Take a changed configuration into use, or raise and log why it cannot be."""
        systemd.reloading()
        try:
            self._check_steady()
            self._take(with_fixed(load_config(self.config.path), self.config))
        except (ConfigError, CannotStart) as error:
            for line in str(error).splitlines():
                log.error("configuration not reloaded: %s", line)
            raise
        finally:
            systemd.notify("READY=1")

    def _check_steady(self) -> None:
        if self.phase in LEAVING:
            raise CannotStart(f"the server is {self.phase}")
        if self.upgrade.successor is not None:
            raise CannotStart("an upgrade is under way")

    def begin_upgrade(self) -> Successor:
        """Start a new master, or raise CannotStart and log why it cannot be."""
        try:
            if self.phase is not Phase.RUNNING:
                raise CannotStart(f"the server is {self.phase}")
            self._check_steady()
            if self._is_beside:
                raise CannotStart("the upgrade before this one is not over yet")
            return self.upgrade.begin()
        except CannotStart as error:
            log.error("no upgrade: %s", error)
            raise

    def give_way(self, claimed: list[str], heir: Callable[[], socket.socket]) -> None:
        """Leave once all sessions have gone to another master's keeper; it has ``claimed``."""
        self.phase = Phase.RETIRING
        set_title(f"master {self.phase}")
        self._deadline = math.inf
        self.premises.give_way(claimed)
        self.crew.give_way(heir)

    def _take(self, config: Config) -> None:
        certificates = CertificateWatch(config.tls)
        close_all(certificates.open()[1])
        change = self.premises.ports.change(config)
        try:
            logs.set_up(config.log)
        except ConfigError:
            change.abort()
            raise
        if self.phase is Phase.DRAINED:
            change.abort()  # resume opens them
        else:
            change.commit()
        self.config = config
        self.shared.hostname = config.server.hostname or self.shared.hostname
        self.crew.change(config, certificates)
        log.info("configuration reloaded")

    def drain(self) -> None:
        """Take no more connections and let sessions end, without an end of the server."""
        self._check_steady()
        if self.phase not in (Phase.RUNNING, Phase.DRAINED):
            raise CannotStart(f"the server is {self.phase}")
        self.phase = Phase.DRAINED
        self.shared.remove_listeners()
        self.crew.send_away("drain")
        log.info("drained: no connections are accepted until resumed")

    def resume(self) -> None:
        """Take connections again after :meth:`drain`. Raises CannotStart and ConfigError."""
        if self.phase is not Phase.DRAINED:
            raise CannotStart(f"the server is {self.phase}")
        self.premises.ports.open(self.config)
        self.phase = Phase.RUNNING
        self.crew.welcome()
        log.info("resumed")

    def set_log_level(self, level: str) -> None:
        """Change the log level of all processes. Raises ValueError for an unknown one."""
        logs.set_level(level)
        self.crew.tell({"verb": "log-level", "level": level})

    # -- the end ---------------------------------------------------------------------------

    def _begin_leaving(self, phase: Phase, verb: str, grace: float) -> None:
        self.upgrade.cancel("the server stops")
        if self._old is not None:
            self._old.tell(verb)
        self.phase = phase
        set_title(f"master {phase}")
        systemd.notify("STOPPING=1")
        self._deadline = time.monotonic() + grace
        self.shared.remove_listeners()
        self.crew.send_away(verb)

    def _see_off(self) -> None:
        """Wait for sessions first, then for the roles that serve them."""
        now = time.monotonic()
        sessions = self.crew.let_go() if self.upgrade.done else self.crew.with_sessions()
        if not sessions:
            self._dismiss(now)
        elif now > self._deadline and self.phase is Phase.DRAINING:
            self.on_int()
        elif now > self._deadline:
            log.warning("%d processes did not stop in time", len(sessions))
            self.crew.kill(sessions)

    def _dismiss(self, now: float) -> None:
        if now < self._dismissal:
            return
        self._dismissal = now + LAST_GRACE
        rest = list(self.crew.family.children.values())
        verb = next(self._last_orders, None)
        if verb is None:
            self.crew.kill(rest)
        for child in rest if verb else ():
            child.retiring = True
            child.tell({"verb": verb})

    def _clean_up(self) -> None:
        """Leave nothing behind, however far the start had come."""
        if self._crew is not None:
            self._crew.end()
        self.premises.remove()
        signal.set_wakeup_fd(-1)
