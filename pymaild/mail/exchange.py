"""REPLACE: one message comes, another goes; both mailboxes are locked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild.core.errors import Code, Refused
from pymaild.index import IN_NEW, Index
from pymaild.mail.batch import Exchanged, noted
from pymaild.mail.placing import Incoming, fill_cache, place
from pymaild.storage import atomic

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox

SYSTEM = 0x1F


def run(source: Mailbox, uid: int, target: Mailbox, draft: Incoming) -> int:
    """Exchange a message for a draft; returns the new UID. Raises Refused and OSError."""
    messages, octets = frees(source, uid, target)
    target.admit(1 - messages, draft[0].size - octets)
    first, second = sorted((source, target), key=lambda box: box.directory)
    with first.changing(), second.changing():
        return Exchange(source, target).run(uid, draft)


def frees(source: Mailbox, uid: int, target: Mailbox) -> tuple[int, int]:
    """Return messages and octets that the account of ``target`` no longer holds when a message
    of ``source`` is replaced by one there.
    """
    if target.root != source.root:
        return 0, 0
    return 1, source.octets([uid]) if source.quota else 0


class Exchange:
    """One REPLACE (RFC 8508 §3.4). The new message is on disk before the old one goes."""

    def __init__(self, source: Mailbox, target: Mailbox) -> None:
        self.source, self.target = source, target

    def run(self, uid: int, draft: Incoming) -> int:
        """Return the new UID. Raises Refused (EXPUNGEISSUED)."""
        row, base, path = self._old(uid)
        index = self.target.index
        new = index.uidnext
        self.target.reserve(index, new + 1)
        mark = draft[0].name
        self.target.intend("new", new, mark)
        with noted(self.target.maildir, mark, Exchanged(self.source.maildir, base)):
            rows = place(self.target, index, new, [draft], mark, [])
            atomic.unlink(path)  # from here on it is done: what fails now is for the next scan
            self._publish(index, row)
        fill_cache(self.target, index, rows)
        return new

    def _old(self, uid: int) -> tuple[int, bytes, str]:
        index = self.source.index
        row = index.row_of_uid(uid)
        if row >= 0:
            _, bits, keywords, _ = index.fields(row)
            base = index.name(row)
            where = (bool(bits & IN_NEW), bits & SYSTEM, keywords)
            path = self.source.maildir.locate(base, *where)
            if path is not None:
                return row, base, path
        raise Refused(Code.EXPUNGEISSUED, "The message is already expunged")

    def _publish(self, target: Index, row: int) -> None:
        self.source.maildir.sync(self.source.maildir.cur, self.source.maildir.new)
        self.source.index.expunge(row)
        if self.source.index is not target:
            self.source.publish(self.source.index)
        self.target.publish(target)
