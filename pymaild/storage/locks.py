"""Locks that a dead owner releases: flock on a small file beside the mail."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress

from pymaild.core.errors import Code, NoSuchMailbox, Refused
from pymaild.storage.retry import delays, patiently

FIRST_WAIT = 0.00005  # seconds; most locks are held for less than a millisecond
LONGEST_WAIT = 0.05
PATIENCE = 4  # who has waited for long looks less often: after a part of that time
_LONGEST_NOTE = 20  # octets
_MAILDROP_WAIT = 0.25  # seconds; the keeper lets go of a lock a moment after the client has gone


class FileLock:
    """An exclusive lock on ``path``, taken again and again by one process; nests."""

    def __init__(self, path: str, timeout: float) -> None:
        self.path = path
        self.timeout = timeout
        self._fd = -1
        self._depth = 0

    def __enter__(self) -> FileLock:
        if not self.acquire(self.timeout):
            raise Refused(Code.INUSE, "The mailbox is in use, try again later", self.path)
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def acquire(self, timeout: float) -> bool:
        """Take the lock, waiting ``timeout`` seconds at most; false when it stays taken."""
        began = time.monotonic()
        while self._depth == 0 and not self._try():
            waited = time.monotonic() - began
            if waited > timeout:
                return False
            time.sleep(min(max(waited / PATIENCE, FIRST_WAIT), LONGEST_WAIT))
        self._depth += 1
        return True

    def release(self) -> None:
        """Let go of the lock, once for each time it was taken."""
        self._depth -= 1
        if self._depth == 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _try(self) -> bool:
        """Take the lock if it is free, and make sure it is the file at ``path`` that is held."""
        if self._fd < 0:
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                self._fd = patiently(os.open, self.path, flags, 0o600)
            except FileNotFoundError:
                raise NoSuchMailbox("The mailbox has been deleted") from None
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if self._in_place():
            return True
        self.close()
        return False

    def _in_place(self) -> bool:
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        held = os.fstat(self._fd)
        return (there.st_ino, there.st_dev) == (held.st_ino, held.st_dev)

    def unlock(self) -> None:
        """Let go of the lock, however often it was taken."""
        if self._fd >= 0:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        self._depth = 0

    def try_once(self) -> bool:
        """Take the lock if it is free at once; it stays until :meth:`close`."""
        if self._depth == 0 and not self._try() and not self._try():
            return False
        self._depth += 1
        return True

    def read(self) -> bytes:
        """Return a note that was written under the lock."""
        return os.pread(self._fd, _LONGEST_NOTE, 0).strip()

    def write(self, note: bytes) -> None:
        """Write a note for those who will have the lock. Raises OSError."""
        os.pwrite(self._fd, note.ljust(_LONGEST_NOTE), 0)

    def adopt(self, fd: int) -> None:
        """Go on with a descriptor that has the lock already."""
        self.close()
        self._fd = fd

    def detach(self) -> int:
        """Return the descriptor, which keeps the lock, and forget it."""
        fd, self._fd, self._depth = self._fd, -1, 0
        return fd

    def close(self) -> None:
        """Let go of lock and file."""
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._depth = -1, 0

    def __del__(self) -> None:
        self.close()


def let_go(fd: int, unlock: bool) -> None:
    """Close a descriptor with which a lock has waited; ``unlock`` where nobody goes on with it."""
    if fd >= 0:
        if unlock:
            fcntl.flock(fd, fcntl.LOCK_UN)
        os.close(fd)


class Maildrop:
    """POP3's lock on a mailbox; a session that dies lets go of it.

    ``held`` is the descriptor with which the lock waited while its session had no process: the
    lock is that of the open file, so it stays locked as long as anybody has it open. The caller
    closes it.
    """

    def __init__(self, path: str, held: int = -1) -> None:
        self._lock = FileLock(path, 0.0)
        if held >= 0:
            self._lock.adopt(os.dup(held))
        if not self._lock.try_once() and not self._wait():
            self._lock.close()
            raise Refused(Code.INUSE, "The maildrop is in use by another session", path)

    def _wait(self) -> bool:
        """Wait a little for who is about to let go."""
        for delay in delays(_MAILDROP_WAIT):
            time.sleep(delay)
            if self._lock.try_once():
                return True
        return False

    def admit(self, delay: float) -> None:
        """Note a login in the lock's file, the only place that all processes see.

        Raises Refused where the last one was less than ``delay`` seconds ago (RFC 2449 §6.5).
        A disk that fails, full perhaps, keeps nobody out.
        """
        now, last = time.time(), b""
        with suppress(OSError):
            last = self._lock.read()
        if last.isdigit() and 0 <= now - int(last) < delay:
            raise Refused(Code.LOGIN_DELAY, "The last login was too short a time ago")
        with suppress(OSError):
            self._lock.write(b"%d" % now)

    def park(self) -> int:
        """Return the descriptor that keeps the lock without this process."""
        return self._lock.detach()

    def release(self) -> None:
        """Let go of the maildrop, also where other processes have the file open."""
        self._lock.unlock()
        self._lock.close()
