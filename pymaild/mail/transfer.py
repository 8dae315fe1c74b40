"""COPY and MOVE: messages from one mailbox to another, both locked."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from pymaild.index import IN_NEW, Index
from pymaild.mail import committed
from pymaild.mail.batch import Exchanged, noted
from pymaild.mail.placing import Placed, placing
from pymaild.storage import atomic
from pymaild.storage.maildir import save_date, unique_mark, unique_name

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox

SYSTEM = 0x1F
NO_SECOND_NAME = (errno.EXDEV, errno.EMLINK, errno.EPERM)  # then the octets are copied


def run(source: Mailbox, uids: Sequence[int], target: Mailbox, move: bool) -> list[tuple[int, int]]:
    """Copy or move messages, but for what a process that died has done of it.

    Returns pairs of old and new UID, those of before included. Raises Refused and OSError.
    """
    done = dict(committed.taken(source, target))
    if done:
        uids = [uid for uid in uids if uid not in done] if move else []
    if not uids:
        return list(done.items())
    if not move or target.root != source.root:
        target.admit(len(uids), source.octets(uids) if target.quota else 0)
    first, second = sorted((source, target), key=lambda box: box.directory)
    with first.changing(), second.changing():
        return [*done.items(), *Transfer(source, target, move).run(uids)]


class Transfer:
    """One COPY or MOVE, both mailboxes locked.

    A file's new name says which message it was: :func:`pymaild.mail.committed.taken`.
    """

    def __init__(self, source: Mailbox, target: Mailbox, move: bool) -> None:
        self.source, self.target, self.move = source, target, move
        self.allowed = target.allowed()
        self.cached: list[tuple[int, bytes | None, int]] = []
        self._mark = unique_mark()

    def run(self, uids: Sequence[int]) -> list[tuple[int, int]]:
        target = self.target.index
        rows = [row for row in map(self.source.index.row_of_uid, uids) if row >= 0]
        self.target.reserve(target, target.uidnext + len(rows))
        mapping = self._keyword_map(rows)
        self.target.intend("taken", target.uidnext, self._mark)
        with placing(self.target) as placed:
            with self._batch(len(rows)):
                pairs = self._take_all(rows, mapping, [] if self.move else placed)
            self.target.publish(target)
        self._finish(target)
        return pairs

    def _batch(self, count: int) -> AbstractContextManager[None]:
        """Copies are made all or none; of a move, what is done stays done."""
        if self.move or count < 2:
            return nullcontext()
        return noted(self.target.maildir, self._mark)

    def _take_all(
        self, rows: Sequence[int], mapping: dict[int, int], placed: list[Placed]
    ) -> list[tuple[int, int]]:
        """Bring the files over; those to remove should the rest fail are noted in ``placed``."""
        pairs, uid = [], self.target.index.uidnext
        for done, row in enumerate(rows):
            self.source.beat(done, len(rows))
            if self._take(row, uid, mapping, placed):
                pairs.append((self.source.index.fields(row)[0], uid))
                uid += 1
        self.target.maildir.sync(self.target.maildir.cur)
        return pairs

    def _take(self, row: int, uid: int, mapping: dict[int, int], placed: list[Placed]) -> bool:
        index = self.source.index
        old, bits, keywords, _ = index.fields(row)
        base, system = index.name(row), bits & SYSTEM
        path = self.source.maildir.locate(base, bool(bits & IN_NEW), system, keywords)
        if path is None:
            return False
        stat = os.stat(path)
        words = _translate(keywords, mapping)
        system &= self.allowed.system
        named = self._adopt(path, base, unique_name(self._mark, old), uid, system, words)
        placed.append((named, False, system, words))
        wire = index.wire_size(row)
        place = self.target.index.add(
            uid,
            system,
            words,
            int(stat.st_mtime),
            save_date(named, time.time()),
            stat.st_size,
            wire,
            named,
        )
        self.cached.append((place, index.cached(row), wire))
        if self.move:
            index.expunge(row)
        return True

    def _adopt(self, path: str, base: bytes, name: str, uid: int, system: int, words: int) -> bytes:
        maildir = self.target.maildir
        try:
            return maildir.adopt(path, base, name, uid, system, words, self.move)
        except OSError as error:
            if error.errno not in NO_SECOND_NAME:
                raise
        with open(path, "rb") as file:
            draft = maildir.write(iter(lambda: file.read(1 << 18), b""), name)
        os.utime(draft.path, ns=(os.stat(path).st_atime_ns, os.stat(path).st_mtime_ns))
        if not self.move:
            return maildir.publish(draft, name, uid, system, words, False)
        with noted(maildir, name, Exchanged(self.source.maildir, base)):
            named = maildir.publish(draft, name, uid, system, words, False)
            atomic.unlink(path)
        return named

    def _keyword_map(self, rows: Sequence[int]) -> dict[int, int]:
        """Bits of the source's keywords in use, to bits of the target's."""
        used = 0
        for row in rows:
            used |= self.source.index.fields(row)[2]
        names = self.source.keyword_names()
        mapping = {}
        for bit, name in enumerate(names):
            if used >> bit & 1 and self.allowed.keywords:
                mapping[bit] = self.target.flags([name], self.target.may_create_keywords()).keywords
        return mapping

    def _finish(self, target: Index) -> None:
        if self.move:
            self.source.maildir.sync(self.source.maildir.cur)
        self.source.publish(self.source.index)
        for place, entry, wire in self.cached:
            if entry is not None:
                target.set_cached(place, entry, wire)


def _translate(keywords: int, mapping: dict[int, int]) -> int:
    words = 0
    for bit, target in mapping.items():
        if keywords >> bit & 1:
            words |= target
    return words
