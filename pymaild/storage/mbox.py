"""One mbox file, served in place: its messages, what is appended, changed and removed.

Other programs read and write it at any time, under locks (``mboxlocks``). It is never replaced by
another file: who waits for a lock of it would write to the old one, and its directory need not be
ours to write to. What a process dies in is ended by who locks the file next (``mboxjournal``). The
locks and the order of writes hold on local file systems; NFS is not among them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from pymaild.storage import atomic
from pymaild.storage._mbox import Message, NotMbox, Scanner, message_at
from pymaild.storage._mboxtext import Served, Stored
from pymaild.storage.maildir import STALE_TMP, LineEnds, unique_name
from pymaild.storage.mboxappend import DRAFT, Addition, Append, Draft
from pymaild.storage.mboxedit import Edit, holes
from pymaild.storage.mboxfields import Numbering, State
from pymaild.storage.mboxjournal import APPEND, Journal, Work
from pymaild.storage.mboxlocks import LockRules, MboxLock
from pymaild.storage.mboxrewrite import Moves, Rewrite
from pymaild.storage.retry import patiently

__all__ = ["Addition", "Draft", "Edit", "Mbox", "Message", "Moves", "NotMbox", "Numbering", "State"]


@dataclass(slots=True)
class _Open:
    """The file while it is locked. ``before``: how it was found."""

    fd: int
    path: str
    lock: MboxLock
    write: bool
    before: os.stat_result


class Mbox:
    """The mbox at ``path``, which may be a link to it. ``directory`` is where its journal lies."""

    def __init__(
        self, path: str, directory: str, rules: LockRules | None = None, durable: bool = True
    ) -> None:
        self.path = path
        self.directory = directory
        self.durable = durable
        self._rules = rules or LockRules()
        self._journal = Journal(directory, durable)
        self._open: _Open | None = None

    def exists(self) -> bool:
        """Say whether there is such a file."""
        return os.path.isfile(self.path)

    def create(self) -> None:
        """Make an empty one, and the directories above it. Raises OSError: FileExistsError."""
        parent = os.path.dirname(os.path.realpath(self.path))
        os.makedirs(parent, mode=0o700, exist_ok=True)
        atomic.write_new(os.path.realpath(self.path), [], self.durable)
        if self.durable:
            atomic.sync_directory(parent)

    def stamp(self) -> tuple[int, int]:
        """Return (mtime in nanoseconds, octets). Raises FileNotFoundError."""
        found = os.stat(self.path)
        return found.st_mtime_ns, found.st_size

    def unfinished(self) -> bool:
        """Say whether somebody changes it now, or has died of that: it is to be locked then."""
        return self._journal.pending() is not None

    @contextmanager
    def reading(self) -> Iterator[int]:
        """Lock against writers; yields a descriptor of the file, for as long as it is locked.

        Within it, and within :meth:`writing`, all below may be called. Raises Refused: INUSE,
        OSError.
        """
        if self._open is not None:
            yield self._open.fd
            return
        while not self._lock(write=False) or self._journal.pending() is not None:
            self._unlock()
            with self.writing():
                pass
        try:
            yield self.fd
        finally:
            self._unlock()

    @contextmanager
    def writing(self) -> Iterator[int]:
        """Lock against all others, and end what a dead process left; yields a descriptor."""
        if self._open is not None:
            if not self._open.write:
                raise RuntimeError("a reader of an mbox does not become its writer")
            yield self._open.fd
            return
        self._lock(write=True)
        try:
            self._recover()
            yield self.fd
        finally:
            self._unlock()

    @property
    def fd(self) -> int:
        """A descriptor of the file while it is locked."""
        if self._open is None:
            raise RuntimeError("the mbox is not locked")
        return self._open.fd

    def _lock(self, write: bool) -> bool:
        """Open and lock the file that is at the path then."""
        while True:
            path = os.path.realpath(self.path)
            fd = _open(path, os.O_RDWR if write else os.O_RDONLY)
            try:
                lock = MboxLock(fd, path, self._rules, write)
                lock.acquire()
                found = os.fstat(fd)
                if _in_place(path, found):
                    self._journal.close()  # who ended another's work may have made a new one
                    self._open = _Open(fd, path, lock, write, found)
                    return True
                lock.release()
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)

    def _unlock(self) -> None:
        if self._open is None:
            return
        held, self._open = self._open, None
        try:
            held.lock.release()
        finally:
            os.close(held.fd)

    def size(self) -> int:
        """Return the file's octets."""
        return os.fstat(self.fd).st_size

    def scan(self, offset: int = 0) -> Iterator[Message]:
        """Yield the messages from an offset on, where one begins or the file ends.

        Raises NotMbox, OSError.
        """
        return Scanner(self.fd, offset)

    def message(self, offset: int, whole: bool = True) -> Message:
        """Return the message whose From_ line is at ``offset``, 0 for the first.

        Where not ``whole`` is asked for, its body is not looked at, and ``end``, ``next`` and the
        sizes are not told. Raises NotMbox, OSError.
        """
        return message_at(self.fd, offset, whole)

    def served(self, message: Message) -> Iterator[bytes]:
        """Yield a message's octets as clients are told them, in bounded pieces."""
        return Served(self.fd, message)

    def write(self, pieces: Iterable[bytes], name: str = "") -> Draft:
        """Write a message beside the journal, as it will be stored. Raises OSError.

        The mbox is not touched, and need not be locked.
        """
        path = os.path.join(self.directory, f"{name or unique_name()}{DRAFT}")
        stored = Stored(LineEnds().convert(pieces))
        atomic.write_new(path, stored, durable=False)
        return Draft(path, stored.size, stored.wire_size, stored.header_size)

    def sweep(self, now: float) -> None:
        """Remove drafts that nobody has appended for long."""
        for entry in os.scandir(self.directory):
            with suppress(FileNotFoundError):
                if entry.name.endswith(DRAFT) and now - entry.stat().st_mtime > STALE_TMP:
                    atomic.unlink(entry.path)

    def append(self, additions: Sequence[Addition], numbering: Numbering) -> list[Message]:
        """Append messages durably, all of them or none; returns where they are.

        ``numbering`` is that of the mailbox with them. The drafts are removed. Raises OSError.
        """
        end = self.size()
        writer = self._writer()
        Append(writer.fd, writer.path, self._journal, self.durable).run(additions, numbering)
        for addition in additions:
            addition.draft.discard()
        return list(self.scan(end))

    def rewrite(self, edits: Iterable[Edit], numbering: Numbering | None) -> Moves:
        """Remove messages and replace the internal fields of others, in one pass.

        ``edits`` come in the order of the file. The first message that stays tells ``numbering``,
        if there is one. Where no message grows beyond its room and none is removed, nothing
        moves. Returns where messages are now. Raises NotMbox, OSError.
        """
        writer = self._writer()
        unread = writer.before.st_atime_ns < writer.before.st_mtime_ns
        moves = self._rewriter().run(holes(writer.fd, edits, numbering))
        if moves.ends:
            self._keep_notice(writer, unread)
        return moves

    def seen(self) -> None:
        """Note that the user has seen what is in it: his shell announces no new mail then."""
        found = os.fstat(self.fd)
        with suppress(PermissionError):
            os.utime(self.fd, ns=(max(found.st_atime_ns, found.st_mtime_ns), found.st_mtime_ns))

    def _writer(self) -> _Open:
        if self._open is None or not self._open.write:
            raise RuntimeError("the mbox is not locked for writing")
        return self._open

    def _keep_notice(self, writer: _Open, unread: bool) -> None:
        """Keep atime before mtime where it was so: shells tell new mail by that."""
        now = os.fstat(writer.fd).st_mtime_ns
        with suppress(PermissionError):
            os.utime(writer.fd, ns=(writer.before.st_atime_ns if unread else now, now))

    def settle(self) -> None:
        """End what has failed half way since the file was locked, too. Raises OSError."""
        self._recover()

    def _recover(self) -> None:
        """End what a dead process left."""
        writer = self._writer()
        while (work := self._journal.pending()) is not None:
            found = os.fstat(writer.fd)
            if not work.fits(found) or not self._finish(writer, work):
                self._journal.set_aside()

    def _finish(self, writer: _Open, work: Work) -> bool:
        rewrite = self._rewriter()
        if work.kind != APPEND:
            return rewrite.finish(work)
        Append(writer.fd, writer.path, self._journal, self.durable).take_back(work, rewrite)
        return True

    def _rewriter(self) -> Rewrite:
        held = self._writer()
        return Rewrite(held.fd, held.path, self._journal, self.durable, held.lock.touch)


def _open(path: str, flags: int) -> int:
    """Open a file; reading it does not look to others as if its user had read his mail."""
    try:
        return patiently(os.open, path, flags | os.O_CLOEXEC | os.O_NOATIME)
    except PermissionError:
        return patiently(os.open, path, flags | os.O_CLOEXEC)


def _in_place(path: str, found: os.stat_result) -> bool:
    try:
        there = os.stat(path)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino)
