"""REPLACE: one message comes, another goes; both mailboxes are locked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild.core.errors import Code, Refused
from pymaild.mail.message import Message
from pymaild.mail.placing import Incoming, fill_cache, placing
from pymaild.mail.reserving import reserve
from pymaild.mail.stores import Leaving

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox


def run(source: Mailbox, uid: int, target: Mailbox, draft: Incoming) -> int:
    """Exchange a message for a draft; returns the new UID. Raises Refused and OSError."""
    messages, octets = frees(source, uid, target)
    target.admit(1 - messages, draft[0].size - octets)
    for box in (source, target):
        box.refresh()  # what a move left half done is settled while none of both is held
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
        row = self._old(uid)
        source, target = self.source, self.target
        new = target.index.uidnext
        reserve(target, target.index, new + 1)
        mark = draft[0].name
        target.intend("new", new, mark)
        leaving = Leaving(source.mail, source.mail.traces(source.index, [row]))
        with placing(target, target.index, new, [draft], mark, leaving) as (rows, _):
            # From here on it is done: what fails now is for the next scan.
            source.mail.remove(source.index, [row], source.beat, durable=True)
            self._publish()
        fill_cache(target, target.index, rows)
        return new

    def _old(self, uid: int) -> int:
        index = self.source.index
        row = index.row_of_uid(uid)
        if row < 0 or Message(self.source, index, row).missing():
            raise Refused(Code.EXPUNGEISSUED, "The message is already expunged")
        return row

    def _publish(self) -> None:
        if self.source.index is not self.target.index:
            self.source.publish(self.source.index)
        self.target.publish(self.target.index)
