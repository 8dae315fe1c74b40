"""Changing flags: STORE, and taking messages out of new/. The files' names say the flags."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pymaild.index import IN_NEW, Index, View
from pymaild.mail import committed
from pymaild.mail.condition import Unchanged
from pymaild.mail.flags import Flags
from pymaild.mail.sync import FULL, SYSTEM

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
            gone += [seq for seq, row in rows.items() if not self._set(index, row)]
            if index.staged:
                mailbox.publish(index)
                if not stirred:
                    mailbox.own.add(index.snapshot)
        return gone

    def _sift(self, view: View, index: Index, rows: dict[int, int], condition: Unchanged) -> None:
        mailbox = self._mailbox
        ours = [row for row in committed.met(mailbox, index, rows.values()) if self._is_set(row)]
        condition.sift(index, rows, self._how, self._given, ours)
        if mailbox.intents is not None:
            failed = map(view.uid, condition.failed)
            mailbox.intents.flags(mailbox.name, mailbox.uidvalidity, failed)

    def _is_set(self, row: int) -> bool:
        old, new = self._flags(row)
        return old == new

    def _flags(self, row: int) -> tuple[Flags, Flags]:
        """Return a message's flags as they are, and as they are to be."""
        _, bits, keywords, _ = self._mailbox.index.fields(row)
        old = Flags(bits & SYSTEM, keywords)
        return old, old.combined(self._how, self._given).limited(old, self._allowed)

    def _stirred(self, view: View, index: Index, seqs: Iterable[int]) -> bool:
        """Say whether others changed one of these behind the view: then its flags are news."""
        if index is not view.index:
            return True
        seen, own = view.snapshot, self._mailbox.own
        modseqs = (view.modseq(seq) for seq in seqs if not view.expunged(seq))
        return any(modseq > seen and modseq not in own for modseq in modseqs)

    def _set(self, index: Index, row: int) -> bool:
        """Rename one message's file and stage the change; false when the file is gone."""
        self._mailbox.beat(0, 0)
        old, new = self._flags(row)
        return new == old or _rename(self._mailbox, index, row, new)


def _rename(mailbox: Mailbox, index: Index, row: int, flags: Flags) -> bool:
    """Give a message's file its place in cur/ with these flags; false when it is gone."""
    _, bits, keywords, _ = index.fields(row)
    base = index.name(row)
    path = mailbox.maildir.locate(base, bool(bits & IN_NEW), bits & SYSTEM, keywords)
    if path is None:
        return False
    mailbox.maildir.set_flags(path, base, flags.system, flags.keywords)
    index.change(row, flags.system, flags.keywords)
    return True


def claim(mailbox: Mailbox, uids: Sequence[int]) -> list[int]:
    """Move messages from new/ to cur/; returns the UIDs of those that nobody else has moved."""
    claimed: list[int] = []
    if not uids:
        return claimed
    with mailbox.changing() as index:
        try:
            claimed.extend(uid for uid in uids if _claim(mailbox, index, index.row_of_uid(uid)))
        except OSError as error:  # without room in cur/ mail can still be read
            if error.errno not in FULL:
                raise
        mailbox.publish(index)
    return claimed


def _claim(mailbox: Mailbox, index: Index, row: int) -> bool:
    _, bits, keywords, _ = index.fields(row) if row >= 0 else (0, 0, 0, 0)
    if not bits & IN_NEW:
        return False
    return _rename(mailbox, index, row, Flags(bits & SYSTEM, keywords))
