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
    """``path``.lock, made by link(2) so that it is there whole or not at all.

    Files are told apart while they are open: the inode of one that is closed may be used again.
    """

    def __init__(self, path: str, stale: float) -> None:
        self.path = f"{path}.lock"
        self._mailbox = path
        self._stale = stale
        self._fd = -1
        self._touched = 0.0

    def __del__(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def take(self) -> bool:
        """Make it; false when it is there and somebody's. Raises OSError."""
        return self._link() or (self._break_stale() and self._link())

    def take_where_possible(self) -> bool:
        """Make it, or go without where the directory is not ours to write to."""
        try:
            return self.take()
        except PermissionError:
            return True

    def _link(self) -> bool:
        temporary = self._aside()
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o444)
        try:
            os.write(fd, b"%d\n" % os.getpid())
            with suppress(FileExistsError):
                os.link(temporary, self.path)
            if os.fstat(fd).st_nlink == 2:
                self._fd, fd = fd, -1
                self._touched = time.monotonic()
        finally:
            os.unlink(temporary)
            if fd >= 0:
                os.close(fd)
        return self._fd >= 0

    def _aside(self) -> str:
        return f"{self.path}.{socket.gethostname()}.{os.getpid()}.{time.time_ns()}"

    def _break_stale(self) -> bool:
        """Remove one whose owner is dead; false where it is not so, or another was quicker."""
        try:
            fd = os.open(self.path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            return self._is_stale(fd) and self._break(fd)
        finally:
            os.close(fd)

    def _is_stale(self, fd: int) -> bool:
        """Say whether its owner is dead.

        He is where his process is not on this host, or the host has started since; where the file
        tells no process of this host, when neither it nor the mailbox has changed for long.
        """
        made = os.fstat(fd).st_mtime
        if made < time.time() - time.clock_gettime(time.CLOCK_BOOTTIME):
            return True
        pid, _, host = _note(fd).partition(b":")
        ours = not host or host.decode("utf-8", "replace") == socket.gethostname()
        if ours and pid.isdigit() and 1 < int(pid) < 1 << 31:
            return not _alive(int(pid))
        return time.time() - max(made, os.stat(self._mailbox).st_mtime) > self._stale

    def _break(self, fd: int) -> bool:
        """Remove the one that is open; another that has taken its place is put back."""
        aside = self._aside()
        try:
            os.rename(self.path, aside)
        except FileNotFoundError:
            return True
        right = _is_at(aside, fd)
        if not right:
            with suppress(FileExistsError):
                os.link(aside, self.path)
        os.unlink(aside)
        return right

    def touch(self) -> None:
        """Touch it where that is due."""
        if self._fd >= 0 and time.monotonic() - self._touched > TOUCHED:
            self._touched = time.monotonic()
            os.utime(self._fd)

    def release(self) -> None:
        """Remove it, unless another has taken it for stale and made his own."""
        if self._fd < 0:
            return
        fd, self._fd = self._fd, -1
        try:
            if _is_at(self.path, fd):
                os.unlink(self.path)
        finally:
            os.close(fd)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _note(fd: int) -> bytes:
    """Return what a dotlock says of its owner, where we may read it."""
    with suppress(OSError), open(f"/proc/self/fd/{fd}", "rb") as file:
        return file.read(_LONGEST_NOTE).strip()
    return b""


def _is_at(path: str, fd: int) -> bool:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(fd))
