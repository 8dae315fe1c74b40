"""The master: binds, forks, watches and obeys signals. It reads no octet of any client.

One loop of four verbs: wait for something to happen, handle signals, check on children and
certificates, maintain the number of processes. Signal handlers do nothing themselves: the
interpreter writes the signal's number to a socket, and the loop takes it from there.
"""

from __future__ import annotations

import gc
import importlib
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum

from pymaild.core.errors import ConfigError
from pymaild.server import logs, ports, systemd
from pymaild.server.board import set_title
from pymaild.server.certificates import CertificateWatch
from pymaild.server.channel import close_all
from pymaild.server.commands import Commands
from pymaild.server.config import Config, load_config
from pymaild.server.control import Control
from pymaild.server.crew import Crew
from pymaild.server.failures import EXIT_BOOT, EXIT_CONFIG, EXIT_OK, CannotStart
from pymaild.server.loop import Loop
from pymaild.server.roles import ROLES, TLS

__all__ = ["EXIT_BOOT", "EXIT_CONFIG", "Master", "Phase"]

log = logging.getLogger("pymaild.server")

TICK = 1.0  # seconds between two rounds without an event
STANDSTILL = 5.0  # seconds; when a round comes so late, the host slept, and silence is no sign
STOP_GRACE = 10.0  # seconds for the storage step under way when the server stops now
LAST_GRACE = 2.0  # seconds for the tls role to bring the last replies to their clients

#: Settings that are used once, when the server starts.
FIXED = (
    *("user", "group", "tls_user", "run_directory", "spool", "control", "pid_file"),
    "sessions_max",
)


class Phase(StrEnum):
    """What the server as a whole is doing."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINED = "drained"  # on request: takes no connections, and stays
    DRAINING = "draining"  # on its way out, sessions may end by themselves
    STOPPING = "stopping"  # on its way out, now


LEAVING = (Phase.DRAINING, Phase.STOPPING)


class Master:
    """Runs a server of one configuration. ``config.path`` is read again on reload."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.phase = Phase.STARTING
        self.started = time.time()
        self._loop = Loop()
        self._wake, self._signalled = socket.socketpair()
        self._control: Control | None = None
        self._files: list[str] = []  # sockets and files to remove at the end
        self._crew: Crew | None = None
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
            signal.SIGTTIN: self.on_ttin,
            signal.SIGTTOU: self.on_ttou,
            signal.SIGCHLD: self.on_chld,
        }

    @property
    def crew(self) -> Crew:
        """The processes below the master; there is none before all is open."""
        assert self._crew is not None
        return self._crew

    def run(self) -> int:
        """Run the server to its end and return the exit code."""
        try:
            self._boot()
            while self.phase not in LEAVING or self.crew.family.children:
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

    def _cannot(self, why: str, code: int) -> int:
        line = why.replace("\n", "; ")
        print(f"pymaild: cannot start: {line}", file=sys.stderr, flush=True)
        log.error("cannot start: %s", line)
        return code

    # -- the start -------------------------------------------------------------------------

    def _boot(self) -> None:
        set_title("master starting")
        logs.set_up(self.config.log)
        ports.raise_file_limit(self.config.server.sessions_max)
        self._catch_signals()
        for role in ROLES:
            if role is not TLS or role.count(self.config):
                importlib.import_module(role.module)  # before the fork, so that it is shared
        self._open()
        gc.collect()
        gc.freeze()
        self._maintain()

    def _open(self) -> None:
        certificates = CertificateWatch(self.config.tls)
        close_all(certificates.open()[1])
        ports.make_folders(self.config)
        control = ports.open_control(self.config)
        self._files.append(self.config.server.control)
        self._control = Control(control, Commands(self).table(), self._loop.watch)
        self.shared = ports.open_shared(self.config)
        self._files += [self.config.server.auth_socket, self.config.server.keeper_socket]
        self.ports = ports.Ports(self.shared)
        self.ports.open(self.config)
        self._crew = Crew(self.config, self.shared, certificates, self._loop, self._disown)
        self._loop.watch(self.shared.poke, select.EPOLLIN, self._poked)
        self._write_pid()

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

    def _write_pid(self) -> None:
        path = self.config.server.pid_file
        if path:
            with open(path, "w", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")
            self._files.append(path)

    def _disown(self) -> None:
        """Close in a new child what is the master's alone."""
        self._loop.close()
        self._wake.close()
        self._signalled.close()
        if self._control is not None:
            self._control.close()

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
        if now - self._last_round > STANDSTILL:
            self.crew.family.forgive_silence()
        self._last_round = now
        if now - self._last_look < TICK:
            return
        self._last_look = now
        self.crew.family.check_beats(self.config.server.hang_timeout)
        self.crew.check_certificates()
        if self._control is not None:
            self._control.check()

    def _maintain(self) -> None:
        if self.phase in LEAVING:
            self._see_off()
            return
        self.crew.populate(drained=self.phase is Phase.DRAINED)
        if self.phase is Phase.STARTING and self.crew.all_ready():
            self._started()

    def _started(self) -> None:
        self.phase = Phase.RUNNING
        self.crew.starting = False
        set_title(f"master {self.config.path}".rstrip())
        for listener in self.shared.listening():
            log.info("listening: %s at %s", listener.settings.title, listener.address)
        log.info("ready")
        systemd.notify("READY=1", f"MAINPID={os.getpid()}")

    # -- signals ---------------------------------------------------------------------------

    def on_hup(self) -> None:
        """HUP: read the configuration again; a broken one changes nothing."""
        with suppress(ConfigError, CannotStart):
            self.reload()

    def on_term(self) -> None:
        """TERM: let sessions end, for at most drain_timeout, then stop."""
        if self.phase not in LEAVING:
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
            self._take(_with_fixed(load_config(self.config.path), self.config))
        except (ConfigError, CannotStart) as error:
            for line in str(error).splitlines():
                log.error("configuration not reloaded: %s", line)
            raise
        finally:
            systemd.notify("READY=1")

    def _take(self, config: Config) -> None:
        certificates = CertificateWatch(config.tls)
        close_all(certificates.open()[1])
        change = self.ports.change(config)
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
        self.ports.open(self.config)
        self.phase = Phase.RUNNING
        self.crew.welcome()
        log.info("resumed")

    def set_log_level(self, level: str) -> None:
        """Change the log level of all processes. Raises ValueError for an unknown one."""
        logs.set_level(level)
        self.crew.tell({"verb": "log-level", "level": level})

    # -- the end ---------------------------------------------------------------------------

    def _begin_leaving(self, phase: Phase, verb: str, grace: float) -> None:
        self.phase = phase
        set_title(f"master {phase}")
        systemd.notify("STOPPING=1")
        self._deadline = time.monotonic() + grace
        self.shared.remove_listeners()
        self.crew.send_away(verb)

    def _see_off(self) -> None:
        """Wait for sessions first, then for the roles that serve them."""
        now = time.monotonic()
        sessions = self.crew.with_sessions()
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
            self.shared.remove_listeners()
        for path in self._files:
            with suppress(OSError):
                os.unlink(path)
        signal.set_wakeup_fd(-1)


def _with_fixed(new: Config, old: Config) -> Config:
    """Keep the settings that only a start can change, and say so."""
    kept = {name: getattr(old.server, name) for name in FIXED}
    for name, value in kept.items():
        if getattr(new.server, name) != value:
            log.warning("server.%s: the new value counts from the next start on", name)
    return replace(new, server=replace(new.server, **kept))
