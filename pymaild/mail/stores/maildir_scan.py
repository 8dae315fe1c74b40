"""What others did to a Maildir: deliveries, renames and removals, and what a crash has left.

One procedure, :class:`Scan`, finds all of it; the mailbox is locked.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pymaild.index import IN_NEW, Index
from pymaild.mail import batch
from pymaild.mail.reserving import reserve, reserved
from pymaild.mail.stores import FULL, NEVER, SETTLED
from pymaild.storage import maildir as maildir_file
from pymaild.storage._names import parse, without_uid
from pymaild.storage.maildir import Maildir
from pymaild.storage.takeover import Adopted

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox

_log = logging.getLogger("pymaild.mail")


@dataclass(slots=True)
class _File:
    """One message file that the index does not know yet."""

    path: str
    base: bytes
    uid: int
    flags: int
    keywords: int
    new: bool


@dataclass(slots=True)
class _Picture:
    """What a scan found: rows that are there, and files that no row stands for."""

    seen: set[int] = field(default_factory=set)
    strangers: list[_File] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Scan:
    """One comparison. ``adopted``: UIDs known from elsewhere."""

    maildir: Maildir
    box: Mailbox
    index: Index
    adopted: Adopted | None

    def run(self) -> None:
        """Make the index say what the Maildir says."""
        batch.settle(self.maildir)
        before, started = self.maildir.stamp(), time.time_ns()
        picture = self._compare()
        missing = self._missing(picture)
        self.box.publish(self.index)
        try:
            renamed = self._take_in(picture.strangers)
            self.box.publish(self.index)
            self.index.found()
        except OSError as error:
            if self.adopted is not None or error.errno not in FULL:
                raise
            # What is known already can be read and removed; the rest waits for the next scan.
            self.index.forget()
            renamed, before = False, NEVER
            _log.error("mail in %s is not taken in: %s", self.box.directory, error)
        for row in missing:
            self.index.expunge(row)
        self.box.publish(self.index)
        if renamed:
            self.index.stamp = (*self.maildir.stamp(), time.time_ns())
        else:
            settled = started - max(before) > SETTLED
            self.index.stamp = (*before, 0 if settled else started)

    def _compare(self) -> _Picture:
        """Stage the flags that changed outside, and collect files without a row."""
        index, picture = self.index, _Picture()
        for new, name in self.maildir.listing():
            base, uid, flags, keywords = parse(name)
            row = index.row_of_uid(uid) if uid else -1
            if row < 0 or row in picture.seen or index.name(row) != base:
                directory = self.maildir.new if new else self.maildir.cur
                path = f"{directory}/{os.fsdecode(name)}"
                picture.strangers.append(_File(path, base, uid, flags, keywords, new))
                continue
            picture.seen.add(row)
            now = flags | (IN_NEW if new else 0), keywords
            if index.named(row) != now:
                index.change(row, *self._renamed(row, *now))
        return picture

    def _renamed(self, row: int, flags: int, keywords: int) -> tuple[int, int]:
        """Return a message's flags where its name was changed by others, to these.

        What they have not changed stays as it is, though a name may have to follow yet.
        """
        _, bits, words, _ = self.index.fields(row)
        old_bits, old_words = self.index.named(row)
        self.index.rename(row, flags, keywords)
        changed, changed_words = old_bits ^ flags, old_words ^ keywords
        return (
            bits & ~changed | flags & changed,
            words & ~changed_words | keywords & changed_words,
        )

    def _missing(self, picture: _Picture) -> list[int]:
        """Rows without a file.

        One renamed while the directory was read shows up nowhere: only what a second reading
        does not find either is gone.
        """
        if self.index.counts()[0] == len(picture.seen):
            return []
        lost = [row for row, *_ in self.index.living() if row not in picture.seen]
        there = {parse(name)[0] for _, name in self.maildir.listing()} if lost else set()
        return [row for row in lost if self.index.name(row) not in there]

    def _take_in(self, files: list[_File]) -> bool:
        """Give each new file its UID, in its name and in the index; true when some were renamed."""
        if not files:
            return False
        files.sort(key=lambda file: maildir_file.arrival(file.base))
        held = reserved(self.box, self.index)
        trusted = self._trusted(files, held.reserved_uid)
        assigned = {id(file): uid for uid, file in trusted.items()}
        uid = max([self.index.uidnext, *(known + 1 for known in trusted)])
        for file in files:
            if id(file) not in assigned:
                assigned[id(file)] = uid
                uid += 1
        reserve(self.box, self.index, uid)
        return self._stage(sorted(files, key=lambda file: assigned[id(file)]), assigned)

    def _trusted(self, files: Iterable[_File], reserved: int) -> dict[int, _File]:
        """UIDs that stand: told by another server's list, or by a name that this mailbox gave.

        The older file has the UID that two of them claim: ``files`` are in their order of arrival.
        A name's UID counts when the index has not come that far (a crash before the index was
        told), has lost its last rows, or is being rebuilt; any other file with a UID came from
        another folder.
        """
        floor = 1 if self.adopted and self.adopted.named else self.index.found_from
        found: dict[int, _File] = {}
        for file in files:
            uid = _listed(self.adopted, file) if self.adopted else 0
            if not uid and floor <= file.uid < reserved:
                uid = file.uid
            if uid and uid not in found:
                found[uid] = file
        return found

    def _stage(self, files: list[_File], assigned: dict[int, int]) -> bool:
        renamed = False
        for done, file in enumerate(files):
            self.box.beat(done, len(files))
            uid = assigned[id(file)]
            try:
                stat = os.stat(file.path)
                keywords = file.keywords | _assigned_keywords(self.adopted, file.base)
                base = file.base
                if file.uid != uid or keywords != file.keywords:
                    base = self._rename(file, uid, keywords)
                    renamed = True
            except FileNotFoundError:
                continue  # moved or removed by another since it was listed: the next scan sees it
            flags = file.flags | (IN_NEW if file.new else 0)
            times = (int(stat.st_mtime), maildir_file.save_date(base, stat.st_ctime))
            sizes = (stat.st_size, maildir_file.wire_size(base))
            self.index.add(uid, flags, keywords, *times, *sizes, base)
        return renamed

    def _rename(self, file: _File, uid: int, keywords: int) -> bytes:
        """Put the UID, and keywords that stood elsewhere, into a file's name."""
        base, path = self.maildir.name_with_uid(file.path, file.base, uid)
        if keywords != file.keywords:
            self.maildir.set_flags(path, base, file.flags, keywords)
            file.new = False
        return base


def _listed(adopted: Adopted, file: _File) -> int:
    """The UID another server's list gives this file, also when we have renamed it already."""
    uid = adopted.uids.get(file.base, 0)
    if not uid and file.uid and adopted.uids.get(without_uid(file.base), 0) == file.uid:
        return file.uid
    return uid


def _assigned_keywords(adopted: Adopted | None, base: bytes) -> int:
    if adopted is None or not adopted.assigned:
        return 0
    words = adopted.assigned.get(base) or adopted.assigned.get(without_uid(base), [])
    places = (adopted.keywords.index(name) for name in words if name in adopted.keywords)
    return sum(1 << place for place in set(places))
