"""A new master takes the place of the old one, of another version perhaps, while both serve.

The old one starts the same command line again, with one end of a channel, and passes the sockets
that clients connect to. The new one reads the configuration and starts its own processes beside
the old ones; these wait. When all are ready it says so, with the paths it needs; the old one
gives them up, has its sessions go over, and leaves. A new one that dies before, or is not ready
in time, changes nothing.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import MutableMapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from pymaild.server import systemd
from pymaild.server.channel import Channel, ChannelClosed, Message
from pymaild.server.control import Later
from pymaild.server.estate import Estate
from pymaild.server.failures import EXIT_BOOT, CannotStart
from pymaild.server.loop import Loop

if TYPE_CHECKING:
    from pymaild.server.master import Master

log = logging.getLogger("pymaild.server")

VARIABLE = "PYMAILD_UPGRADE"  # the number of the descriptor that the old master is behind
LAST_WORDS = 5.0  # seconds from the end of the channel to that of the process
PATIENCE = 10.0  # seconds in which the old master must say all that it has begun to say
COMPLAINT = 16384  # octets of what a new master that failed had to say


def _directory() -> str:
    """Return where this process was started: as the shell wrote it, so that a link stays one."""
    try:
        here = os.getcwd()
        told = os.environ.get("PWD", "")
        return told if told.startswith("/") and os.path.samefile(told, here) else here
    except OSError:
        return "/"


DIRECTORY = _directory()


# -- the old one -----------------------------------------------------------------------------------


@dataclass
class Successor:
    """The new master, as the old one sees it. ``errors`` is memory in the place of its standard
    error, ``asked`` who wants to know how it went."""

    pid: int
    link: Channel
    errors: int
    deadline: float
    asked: list[Later] = field(default_factory=list)

    def complaint(self) -> list[str]:
        """Return the last lines it wrote to its standard error."""
        start = max(os.fstat(self.errors).st_size - COMPLAINT, 0)
        return os.pread(self.errors, COMPLAINT, start).decode(errors="replace").splitlines()


class Upgrade:
    """The old master's part. ``successor`` is there while it is being started, ``done`` says
    that it has taken over."""

    def __init__(self, master: Master, loop: Loop) -> None:
        self._master = master
        self._loop = loop
        self._heir: Channel | None = None
        self.successor: Successor | None = None

    @property
    def done(self) -> bool:
        """Whether another master is the server now."""
        return self._heir is not None

    def begin(self) -> Successor:
        """Start a new master. Raises CannotStart."""
        if os.getpid() == 1:
            raise CannotStart("the first process of a system cannot be replaced")
        systemd.reloading()
        try:
            found = self.successor = self._launch()
        except OSError as error:
            systemd.notify("READY=1")
            raise CannotStart(f"no new master can be started: {error}") from error
        self._loop.watch(found.link.fileno(), select.EPOLLIN, self._hear)
        log.info("upgrade: process %d is to take over", found.pid)
        return found

    def _launch(self) -> Successor:
        ours, theirs = Channel.pair()
        errors = os.memfd_create("upgrade", os.MFD_CLOEXEC)
        # Until the child is another program, no signal may reach it: it would be the master's.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            pid = os.fork()
            if pid == 0:
                _execute(theirs.fileno(), errors)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self._master.crew.family.stranger = pid
        for message, fd in self._master.premises.estate():
            ours.send(message, (fd,))
        ours.send({"verb": "begin", "key": self._master.shared.key.hex()}, (2,))
        timeout = self._master.config.server.upgrade_timeout
        return Successor(pid, ours, errors, time.monotonic() + timeout)

    def check(self, now: float) -> None:
        """Give a new master up that has ended, or takes too long."""
        if self.successor is None:
            return
        if self._master.crew.family.ended >= 0:
            self.cancel("it has ended")
        elif now > self.successor.deadline:
            self.cancel("it was not ready in time")

    def cancel(self, why: str) -> None:
        """End the new master, if there is one, and go on as before."""
        found, self.successor = self.successor, None
        if found is None:
            return
        self._loop.forget(found.link.fileno())
        why += self._end(found.pid)
        said = found.complaint()
        for line in said:
            log.error("upgrade: process %d: %s", found.pid, line)
        log.error("upgrade: process %d does not take over: %s", found.pid, why)
        for later in found.asked:
            later.refuse(": ".join(["no upgrade", why, *said[-1:]]))
        found.link.close()
        os.close(found.errors)
        systemd.notify("READY=1")

    def _end(self, pid: int) -> str:
        """Kill a new master; returns how it had ended before, if it had."""
        family = self._master.crew.family
        status, family.stranger, family.ended = family.ended, 0, -1
        if status >= 0:
            return f" with code {os.waitstatus_to_exitcode(status)}"
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        return ""

    def _hear(self) -> None:
        """Take what the new master says."""
        found = self.successor
        assert found is not None
        try:
            received = found.link.receive()
        except ChannelClosed:
            self._loop.forget(found.link.fileno())
            found.deadline = min(found.deadline, time.monotonic() + LAST_WORDS)
            return
        except ValueError as error:
            self.cancel(str(error))
            return
        if received is not None and received[0]["verb"] == "ready":
            message, fds = received
            self._give_way(found, [str(path) for path in message["files"]], *fds)

    def _give_way(self, found: Successor, claimed: list[str], keeper: int) -> None:
        """Let the new master be the server, and leave when all sessions have."""
        self.successor, self._heir = None, found.link
        self._master.crew.family.stranger = 0
        systemd.notify("READY=1", f"MAINPID={found.pid}")
        found.link.send({"verb": "go"})
        for later in found.asked:
            later.answer({"pid": found.pid})
        os.close(found.errors)
        log.info("upgrade: process %d has taken over", found.pid)
        self._loop.watch(found.link.fileno(), select.EPOLLIN, self._obey)
        self._master.give_way(claimed, lambda: _connected(keeper))

    def _obey(self) -> None:
        """End sessions that are still here, when the new master ends its own."""
        assert self._heir is not None
        orders = {"drain": self._master.on_term, "stop": self._master.on_int}
        try:
            received = self._heir.receive()
        except (ChannelClosed, ValueError):
            self._loop.forget(self._heir.fileno())
            return
        if received is not None and received[0]["verb"] in orders:
            orders[received[0]["verb"]]()

    def close(self) -> None:
        """Close in a new child what is the master's alone."""
        if self.successor is not None:
            self.successor.link.close()
            os.close(self.successor.errors)
        if self._heir is not None:
            self._heir.close()


def _connected(keeper: int) -> socket.socket:
    """Connect to the keeper's socket behind a descriptor (O_PATH). Raises OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.setblocking(False)
        sock.connect(f"/proc/self/fd/{keeper}")
    except OSError:
        sock.close()
        raise
    return sock


def _execute(link: int, errors: int) -> NoReturn:
    """Become the new master; never returns."""
    try:
        signal.set_wakeup_fd(-1)
        os.dup2(errors, 2)
        os.set_inheritable(link, True)
        os.closerange(3, link)
        os.closerange(link + 1, os.sysconf("SC_OPEN_MAX"))
        os.chdir(DIRECTORY)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.environ[VARIABLE] = str(link)
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    except OSError as error:
        os.write(2, f"{sys.executable}: {error}\n".encode())
    finally:
        os._exit(EXIT_BOOT)


# -- the new one -----------------------------------------------------------------------------------


class Predecessor:
    """The old master, as the new one sees it. ``gone``: it is the server no more; ``alive``: it
    still has sessions."""

    def __init__(self, link: Channel) -> None:
        self.estate = Estate()
        self.gone = False
        self.alive = True
        self._link = link
        self._asked = False
        self._errors = -1
        self._inherit()

    @classmethod
    def find(cls, environ: MutableMapping[str, str] = os.environ) -> Predecessor | None:
        """Return the old master, if there is one. Raises CannotStart."""
        fd = environ.pop(VARIABLE, "")
        if not fd:
            return None
        try:
            os.set_inheritable(int(fd), False)
            return cls(Channel(socket.socket(fileno=int(fd))))
        except (ValueError, OSError) as error:
            raise CannotStart(f"{VARIABLE} is for the server itself: {error}") from None

    def _inherit(self) -> None:
        """Take all that the old master passes on before it says "begin"."""
        deadline = time.monotonic() + PATIENCE
        poller = select.poll()
        poller.register(self._link.fileno(), select.POLLIN)
        while self._errors < 0:
            if not poller.poll(max(deadline - time.monotonic(), 0) * 1000):
                raise CannotStart("the old master says nothing")
            try:
                received = self._link.receive()
            except ChannelClosed:
                raise CannotStart("the old master is gone") from None
            if received is not None:
                self._take(*received)

    def _take(self, message: Message, fds: list[int]) -> None:
        self.estate.add(message, fds)
        if message["verb"] == "begin":
            self._errors, self.estate.key = fds[0], bytes.fromhex(message["key"])

    def follow(self, loop: Loop) -> None:
        """Take what it says from now on."""

        def hear() -> None:
            self._hear()
            if not self.alive:
                loop.forget(self._link.fileno())

        loop.watch(self._link.fileno(), select.EPOLLIN, hear)

    def ask(self, paths: list[str], keeper: str) -> None:
        """Say that all is ready; ``paths`` are ours from now on, ``keeper`` leads to ours."""
        if not self._asked:
            self._asked = True
            fd = os.open(keeper, os.O_PATH | os.O_CLOEXEC)
            self._link.send({"verb": "ready", "files": paths}, (fd,))
            os.close(fd)

    def _hear(self) -> None:
        """One that has died is the server no more, either."""
        try:
            received = self._link.receive()
        except (ChannelClosed, ValueError):
            self.gone, self.alive = True, False
            log.info("upgrade: the old master has left")
            return
        self.gone = self.gone or (received is not None and received[0]["verb"] == "go")

    def tell(self, verb: str) -> None:
        """Have it end the sessions that it still has."""
        self._link.send({"verb": verb})

    def take_over(self) -> None:
        """Complain where it did, also of what was to complain of until now."""
        said = os.pread(2, COMPLAINT, 0)
        os.dup2(self._errors, 2)
        os.close(self._errors)
        if said:
            with suppress(OSError):  # nobody listens
                os.write(2, said)

    def close(self) -> None:
        """Close in a new child what is the master's alone."""
        self._link.close()
