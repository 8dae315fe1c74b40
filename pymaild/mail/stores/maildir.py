"""The mail of a mailbox in a Maildir: each message is a file, and its name tells the rest."""

from __future__ import annotations

import errno
import mmap
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

from pymaild.index import IN_NEW, Index
from pymaild.mail._octets import MaildirOctets
from pymaild.mail.batch import noted
from pymaild.mail.stores import (
    KINDS,
    SYSTEM,
    Arrival,
    Beat,
    Leaving,
    Octets,
    Order,
    Placed,
    Store,
    Taken,
)
from pymaild.mail.stores.carrying import carrying
from pymaild.mail.stores.maildir_scan import Scan
from pymaild.storage import atomic, takeover
from pymaild.storage._names import without_uid
from pymaild.storage.maildir import Draft, Maildir, member, save_date, unique_name

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox

MANY = 32  # messages whose names may follow the index: a client waits for fewer without noticing
READ_WHOLE = 1 << 18  # octets up to which a file is read; larger ones are mapped
_UNLOCKED = nullcontext()
NO_SECOND_NAME = (errno.EXDEV, errno.EMLINK, errno.EPERM)  # then the octets are copied

#: A message file in its place: base name, whether it is in new/, flags, keywords.
_File = tuple[bytes, bool, int, int]


class MaildirStore:
    """A Maildir; index, control file and lock lie in it."""

    def __init__(self, directory: str, durable: bool) -> None:
        self.directory = directory
        self.address = ["maildir", directory]
        self.maildir = Maildir(directory, durable)
        self.paths = self.maildir.paths
        self.exists = self.maildir.exists
        self.stamp = self.maildir.stamp
        self.write = self.maildir.write
        self.sweep = self.maildir.sweep

    def held(self) -> AbstractContextManager[None]:
        """A Maildir has no locks."""
        return _UNLOCKED

    def mark(self, since: int) -> tuple[int, int, int]:
        """Our own changes move the mtimes; another's just behind them would not be seen."""
        return *self.stamp(), time.time_ns()

    def adopted(self) -> takeover.Adopted | None:
        """Return what Dovecot, Courier or isync left here."""
        return takeover.adopt(self.directory)

    def scan(self, box: Mailbox, index: Index, adopted: takeover.Adopted | None) -> None:
        """Compare the directories with the index."""
        Scan(self.maildir, box, index, adopted).run()

    # -- one message ---------------------------------------------------------------------------

    def read(self, index: Index, row: int) -> Octets | None:
        """Read or map a message's file."""
        bits, keywords = index.named(row)
        fd = self.maildir.open(index.name(row), bool(bits & IN_NEW), bits & SYSTEM, keywords)
        if fd is None:
            return None
        size = os.fstat(fd).st_size
        if size > READ_WHOLE:
            return memoryview(mmap.mmap(fd, size, prot=mmap.PROT_READ)), fd
        try:
            return memoryview(os.read(fd, size)), -1
        finally:
            os.close(fd)

    def octets(self) -> MaildirOctets:
        """Return what reads files of messages into one place."""
        new, cur = map(os.fsencode, (self.maildir.new, self.maildir.cur))
        return MaildirOctets(self, new, cur)

    def known_as(self, index: Index, row: int) -> str:
        """Return the file's base name without our UID."""
        return os.fsdecode(without_uid(index.name(row)))

    def set_flags(
        self, index: Index, changes: Mapping[int, tuple[int, int]], beat: Beat
    ) -> set[int]:
        """Rename the files of messages, and move those in new/ to cur/; of many, later."""
        if len(changes) >= MANY:
            index.fall_behind(list(changes))
            for row, change in changes.items():
                index.change(row, *change)
            return set()
        gone = set()
        for row, (flags, keywords) in changes.items():
            beat(0, 0)
            if self._rename(index, row, flags, keywords):
                index.change(row, flags, keywords)
            else:
                gone.add(row)
        return gone

    def follow(self, index: Index, beat: Beat) -> None:
        """Rename the files whose names say older flags; who dies in between has done some."""
        for row in index.stragglers():
            beat(0, 0)
            _, bits, keywords, _ = index.fields(row)
            if bits & IN_NEW:  # its change has not come about
                index.set_place(row, 0)
            else:
                self._rename(index, row, bits & SYSTEM, keywords)
        index.caught_up()

    def _rename(self, index: Index, row: int, flags: int, keywords: int) -> bool:
        """Have a file's name say these flags; false when it is gone."""
        file = _file(index, row)
        path = self.maildir.locate(*file)
        if path is None:
            return False
        self.maildir.set_flags(path, file[0], flags, keywords)
        index.set_place(row, 0)
        return True

    def remove(self, index: Index, rows: Sequence[int], beat: Beat, durable: bool = False) -> None:
        """Unlink the files of messages."""
        for row in rows:
            beat(0, 0)
            self._unlink(_file(index, row))
            index.expunge(row)
        if durable:
            self.maildir.sync(self.maildir.cur, self.maildir.new)

    def _unlink(self, file: _File) -> None:
        path = self.maildir.locate(*file)
        if path is not None:
            atomic.unlink(path)

    def traces(self, index: Index, rows: Sequence[int]) -> list[str]:
        """Return the base names of files."""
        return [os.fsdecode(index.name(row)) for row in rows]

    def departed(self, traces: Sequence[str]) -> list[bool]:
        """Look for files, whatever flags they have by now."""
        if not self.exists():
            return [True] * len(traces)
        return [self.maildir.locate(os.fsencode(base), False, 0, 0) is None for base in traces]

    # -- messages that come --------------------------------------------------------------------

    @contextmanager
    def placing(
        self, arrivals: Sequence[Arrival], mark: str, leaving: Leaving | None = None
    ) -> Iterator[list[Placed]]:
        """Rename drafts into new/ or cur/. A file that comes alone needs no note.

        Others are on disk before their note goes, or what they come in exchange for.
        """
        if leaving is not None:
            numbers = [member(arrival.name.encode(), mark) for arrival in arrivals]
            with noted(self.maildir, mark, leaving, numbers):
                placed = self._place(arrivals, [])
                self._sync(placed)
                yield placed
            return
        with self._withdrawing() as files:
            with noted(self.maildir, mark) if len(arrivals) > 1 else nullcontext():
                placed = self._place(arrivals, files)
                if len(arrivals) > 1:
                    self._sync(placed)
            yield placed

    def secure(self, placed: Sequence[Placed] | None = None) -> None:
        """Sync the directory of a file that came alone, and that which it was moved to since."""
        if placed is None:
            self.maildir.sync(self.maildir.new, self.maildir.cur)
        elif len(placed) == 1:
            self._sync(placed)
            if placed[0].new and not self.maildir.in_new(placed[0].name):
                self.maildir.sync(self.maildir.cur)

    def _sync(self, placed: Sequence[Placed]) -> None:
        maildir = self.maildir
        maildir.sync(*{maildir.new if entry.new else maildir.cur for entry in placed})

    def _place(self, arrivals: Sequence[Arrival], files: list[_File]) -> list[Placed]:
        now, maildir = time.time(), self.maildir
        placed = []
        for draft, name, uid, flags, keywords, date in arrivals:
            assert isinstance(draft, Draft)
            os.utime(draft.path, (now, date))
            new = not flags and not keywords
            base = maildir.publish(draft, name, uid, flags, keywords, new)
            files.append((base, new, flags, keywords))
            sizes = (draft.size, draft.wire_size)
            placed.append(Placed(base, new, save_date(base, now), *sizes))
        return placed

    @contextmanager
    def _withdrawing(self) -> Iterator[list[_File]]:
        """Remove the files that are noted here when the change they are for fails."""
        files: list[_File] = []
        try:
            yield files
        except BaseException:
            for file in files:
                self._unlink(file)
            raise

    # -- messages of another mailbox -----------------------------------------------------------

    @contextmanager
    def receiving(
        self,
        source: Store,
        index: Index,
        orders: Sequence[Order],
        mark: str,
        first: int,
        move: bool,
        beat: Beat,
    ) -> Iterator[list[Taken]]:
        """Take files of another Maildir by one rename each, or give them second names.

        A file's new name says which message it was: :func:`pymaild.mail.committed.taken`.
        """
        if not isinstance(source, MaildirStore):
            with carrying(self, source, index, orders, mark, first, move, beat) as taken:
                yield taken
            return
        alone = move or len(orders) < 2  # of a move, what is done stays done
        with self._withdrawing() as files:
            with nullcontext() if alone else noted(self.maildir, mark):
                taken = []
                for done, order in enumerate(orders):
                    beat(done, len(orders))
                    one = self._take(source, index, order, mark, first + len(taken), move)
                    if one is not None:
                        taken.append(one)
                        if not move:
                            files.append((one.name, False, order.flags, order.keywords))
                self.maildir.sync(self.maildir.cur)
            yield taken
        if move:
            source.maildir.sync(source.maildir.cur)

    def _take(
        self, source: MaildirStore, index: Index, order: Order, mark: str, uid: int, move: bool
    ) -> Taken | None:
        file = _file(index, order.row)
        path = source.maildir.locate(*file)
        if path is None:
            return None
        stat = os.stat(path)
        name = unique_name(mark, order.uid)
        named = self._adopt(source, path, file[0], name, uid, order, move)
        if move:
            index.expunge(order.row)
        saved = save_date(named, time.time())
        sizes = (stat.st_size, index.wire_size(order.row))
        return Taken(order, uid, named, int(stat.st_mtime), saved, *sizes)

    def _adopt(
        self,
        source: MaildirStore,
        path: str,
        base: bytes,
        name: str,
        uid: int,
        order: Order,
        move: bool,
    ) -> bytes:
        maildir, flags = self.maildir, (order.flags, order.keywords)
        try:
            return maildir.adopt(path, base, name, uid, *flags, move)
        except OSError as error:
            if error.errno not in NO_SECOND_NAME:
                raise
        with open(path, "rb") as file:
            draft = maildir.write(iter(lambda: file.read(1 << 18), b""), name)
        os.utime(draft.path, ns=(os.stat(path).st_atime_ns, os.stat(path).st_mtime_ns))
        if not move:
            return maildir.publish(draft, name, uid, *flags, False)
        with noted(maildir, name, Leaving(source, [os.fsdecode(base)])):
            named = maildir.publish(draft, name, uid, *flags, False)
            maildir.sync(maildir.cur)  # another file system: its changes have an order of their own
            atomic.unlink(path)
        return named


def _file(index: Index, row: int) -> _File:
    bits, keywords = index.named(row)
    return index.name(row), bool(bits & IN_NEW), bits & SYSTEM, keywords


KINDS["maildir"] = lambda address, durable: MaildirStore(address[0], durable)
