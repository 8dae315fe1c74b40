"""Locks on an mbox file as its neighbours take them: fcntl, flock and dotlock.

The kinds are tried in the order of the settings, none of them waiting: whoever cannot have all of
them lets go of those he has before he tries again, so that no order of others makes a deadlock.
fcntl locks are taken on the open file (F_OFD_SETLK): they conflict with the locks of processes
that other programs take, and this process may close other descriptors of the file.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pymaild.core.errors import Code, Refused
from pymaild.storage.locks import FIRST_WAIT, LONGEST_WAIT

TOUCHED = 30.0  # seconds after which a dotlock that is in use is touched again
_LONGEST_NOTE = 256  # octets of a dotlock that are read
_FLOCK = "hhqqi4x"  # struct flock: type, whence, start, length, pid


@dataclass(frozen=True, slots=True)
class LockRules:
    """Which locks are taken in which order, and how long they are waited for, in seconds.

    "dotlock-try" is a dotlock where the directory allows one. ``stale``: a dotlock that nobody
    has touched for so long is nobody's.
    """

    read: Sequence[str] = ("fcntl",)
    write: Sequence[str] = ("fcntl", "dotlock-try")
    timeout: float = 30.0
    stale: float = 300.0


def _fcntl(fd: int, kind: int) -> bool:
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, kind, os.SEEK_SET, 0, 0, 0))
    except (BlockingIOError, PermissionError):
        return False
    return True


def _flock(fd: int, how: int) -> bool:
    try:
        fcntl.flock(fd, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class MboxLock:
    """The locks of one open file. ``path`` is the file itself, no link to it."""

    def __init__(self, fd: int, path: str, rules: LockRules, write: bool) -> None:
        self._fd, self._write, self._rules = fd, write, rules
        self._dotlock = Dotlock(path, rules.stale)
        take: dict[str, tuple[Callable[[], bool], Callable[[], object]]] = {
            "fcntl": (
                lambda: _fcntl(fd, fcntl.F_WRLCK if write else fcntl.F_RDLCK),
                lambda: _fcntl(fd, fcntl.F_UNLCK),
            ),
            "flock": (
                lambda: _flock(fd, fcntl.LOCK_EX if write else fcntl.LOCK_SH),
                lambda: _flock(fd, fcntl.LOCK_UN),
            ),
            "dotlock": (self._dotlock.take, self._dotlock.release),
            "dotlock-try": (self._dotlock.take_where_possible, self._dotlock.release),
        }
        self._kinds = [take[name] for name in (rules.write if write else rules.read)]

    def acquire(self) -> None:
        """Take all of them. Raises Refused when others keep them, OSError."""
        deadline = time.monotonic() + self._rules.timeout
        wait = FIRST_WAIT
        while not self.try_once():
            if time.monotonic() > deadline:
                path = self._dotlock.path
                raise Refused(Code.INUSE, "The mailbox is in use, try again later", path)
            time.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    def try_once(self) -> bool:
        """Take all of them if they are free at once, or none. Raises OSError."""
        taken: list[Callable[[], object]] = []
        done = False
        try:
            for take, release in self._kinds:
                if not take():
                    return False
                taken.append(release)
            done = True
        finally:
            if not done:
                for release in reversed(taken):
                    release()
        return True

    def touch(self) -> None:
        """Show those who look at the dotlock's age that it is in use."""
        self._dotlock.touch()

    def release(self) -> None:
        """Let go of all of them, the last one first."""
        for _, release in reversed(self._kinds):
            release()


class Dotlock:
    """``path``.lock, made by link(2) so that it is there whole or not at all."""

    def __init__(self, path: str, stale: float) -> None:
        self.path = f"{path}.lock"
        self._mailbox = path
        self._stale = stale
        self._held: tuple[int, int] | None = None
        self._touched = 0.0

    def take(self) -> bool:
        """Make it; false when it is there and somebody's. Raises OSError."""
        if self._link():
            return True
        stale = self._stale_one()
        return stale is not None and self._break(stale) and self._link()

    def take_where_possible(self) -> bool:
        """Make it, or go without where the directory is not ours to write to."""
        try:
            return self.take()
        except PermissionError:
            return True

    def _link(self) -> bool:
        temporary = f"{self.path}.{socket.gethostname()}.{os.getpid()}.{time.time_ns()}"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        try:
            os.write(fd, b"%d\n" % os.getpid())
            with suppress(FileExistsError):
                os.link(temporary, self.path)
            found = os.fstat(fd)
        finally:
            os.close(fd)
            os.unlink(temporary)
        if found.st_nlink != 2:
            return False
        self._held, self._touched = (found.st_dev, found.st_ino), time.monotonic()
        return True

    def _stale_one(self) -> tuple[int, int] | None:
        """Return which file is there, if its owner is dead: (device, inode).

        He is where his process is not on this host, or the host has started since; where the file
        tells no process of this host, when neither it nor the mailbox has changed for long.
        """
        try:
            found = os.stat(self.path)
            with open(self.path, "rb") as file:
                note = file.read(_LONGEST_NOTE)
        except FileNotFoundError:
            return None
        except PermissionError:
            note = b""
        return (found.st_dev, found.st_ino) if self._is_stale(found.st_mtime, note) else None

    def _is_stale(self, made: float, note: bytes) -> bool:
        if made < time.time() - time.clock_gettime(time.CLOCK_BOOTTIME):
            return True
        pid, _, host = note.strip().partition(b":")
        ours = not host or host.decode("utf-8", "replace") == socket.gethostname()
        if ours and pid.isdigit() and 1 < int(pid) < 1 << 31:
            return not _alive(int(pid))
        return time.time() - max(made, os.stat(self._mailbox).st_mtime) > self._stale

    def _break(self, stale: tuple[int, int]) -> bool:
        """Remove a stale one; false where another has made a new one meanwhile."""
        aside = f"{self.path}.{socket.gethostname()}.{os.getpid()}.{time.time_ns()}.stale"
        try:
            os.rename(self.path, aside)
        except FileNotFoundError:
            return True
        mistaken = _identity(aside) != stale
        if mistaken:
            with suppress(FileExistsError):
                os.link(aside, self.path)
        os.unlink(aside)
        return not mistaken

    def touch(self) -> None:
        """Touch it where that is due."""
        now = time.monotonic()
        if self._held is not None and now - self._touched > TOUCHED:
            self._touched = now
            if _identity(self.path) == self._held:
                os.utime(self.path)

    def release(self) -> None:
        """Remove it, unless another has taken it for stale and made his own."""
        if self._held is not None and _identity(self.path) == self._held:
            os.unlink(self.path)
        self._held = None


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
