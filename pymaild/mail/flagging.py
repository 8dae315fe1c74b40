"""Changing flags: STORE, and claiming what is recent. The mail itself says the flags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from pymaild.index import IN_NEW, Index, View
from pymaild.mail import committed
from pymaild.mail.condition import Unchanged
from pymaild.mail.flags import Flags
from pymaild.mail.stores import FULL, SYSTEM

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox


class Store:
    """One STORE (RFC 9051 §6.4.6): ``how`` the flags are combined, what the user may change."""

    def __init__(self, mailbox: Mailbox, how: str, given: Flags) -> None:
        self._mailbox = mailbox
        self._how, self._given = how, given
        self._allowed = mailbox.allowed()

    def run(self, view: View, seqs: Iterable[int], condition: Unchanged | None) -> list[int]:
        """Return the sequence numbers whose message has gone."""
        mailbox = self._mailbox
        with mailbox.changing() as index:
            rows = {seq: index.row_of_uid(view.uid(seq)) for seq in seqs}
            gone = [seq for seq, row in rows.items() if row < 0]
            for seq in gone:
                del rows[seq]
            if condition is not None:
                self._sift(view, index, rows, condition)
            stirred = self._stirred(view, index, rows)
            lost = mailbox.mail.set_flags(index, self._changes(rows.values()), mailbox.beat)
            gone += [seq for seq, row in rows.items() if row in lost]
            if index.staged:
                mailbox.publish(index)
                if not stirred:
                    mailbox.own.add(index.snapshot)
        return gone

    def _sift(self, view: View, index: Index, rows: dict[int, int], condition: Unchanged) -> None:
        mailbox = self._mailbox
        met = committed.met(mailbox, index, rows.values())
        ours = set(met).difference(self._changes(met))
        condition.sift(index, rows, self._how, self._given, ours)
        if mailbox.intents is not None:
            failed = map(view.uid, condition.failed)
            mailbox.intents.flags(mailbox.name, mailbox.uidvalidity, failed)

    def _stirred(self, view: View, index: Index, seqs: Iterable[int]) -> bool:
        """Say whether others changed one of these behind the view: then its flags are news."""
        if index is not view.index:
            return True
        seen, own = view.snapshot, self._mailbox.own
        modseqs = (view.modseq(seq) for seq in seqs if not view.expunged(seq))
        return any(modseq > seen and modseq not in own for modseq in modseqs)

    def _changes(self, rows: Iterable[int]) -> dict[int, tuple[int, int]]:
        """Return which messages get which flags, those left out that have them."""
        given, may = self._given, self._allowed
        flags = (given.system, given.keywords, may.system, may.keywords)
        return self._mailbox.index.combined(rows, self._how, *flags)


def claim(mailbox: Mailbox, uids: Sequence[int]) -> list[int]:
    """Make messages no longer recent; returns the UIDs of those that nobody else has claimed."""
    if not uids:
        return []
    with mailbox.changing() as index:
        recent = dict(_recent(index, uids))
        changes = {row: index.fields(row)[1:3] for row in recent}
        flags = {row: (bits & SYSTEM, keywords) for row, (bits, keywords) in changes.items()}
        try:
            mailbox.mail.set_flags(index, flags, mailbox.beat)
        except OSError as error:  # on a full disk mail can still be read
            if error.errno not in FULL:
                raise
        mailbox.publish(index)
        return [uid for row, uid in recent.items() if not index.fields(row)[1] & IN_NEW]


def _recent(index: Index, uids: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield rows and UIDs of those that are recent."""
    for row, uid in zip(map(index.row_of_uid, uids), uids, strict=True):
        if row >= 0 and index.fields(row)[1] & IN_NEW:
            yield row, uid
