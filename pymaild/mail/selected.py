"""What a session has selected: a mailbox, a view of it, and which messages are recent."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pymaild.core.errors import NoSuchMailbox, Refused
from pymaild.index import IN_NEW, Gap, Unusable, View
from pymaild.mail.mailbox import Mailbox
from pymaild.mail.rights import WRITING
from pymaild.storage._watch import Watch
from pymaild.storage.retry import passes

if TYPE_CHECKING:
    from pymaild.index._view import Moved
    from pymaild.mail.account import Account


@dataclass(slots=True)
class Changes:
    """What a session must tell its client (RFC 9051 §7.4, §7.5.1).

    ``expunged``: sequence numbers in the order to be told, each valid at its turn;
    ``vanished``: their UIDs, ascending; ``changed``: (sequence number, mod-sequence) of all whose
    flags changed, by this session too;
    ``exists`` and ``recent``: new counts, None where they stay; ``flags``: sequence numbers
    after all that, whose flags others changed; ``keywords``: FLAGS must be told again;
    ``gone``: the mailbox was deleted or renumbered, only BYE is left.
    """

    expunged: list[int] = field(default_factory=list)
    exists: int | None = None
    recent: int | None = None
    flags: list[int] = field(default_factory=list)
    keywords: bool = False
    gone: bool = False
    vanished: list[int] = field(default_factory=list)
    changed: list[tuple[int, int]] = field(default_factory=list)


_NOTHING = Changes()


class Selected:
    """A selected mailbox. Its whole state is :meth:`state`; the rest is made from that."""

    def __init__(self, mailbox: Mailbox, view: View, read_only: bool) -> None:
        self.mailbox = mailbox
        self.view = view
        self.read_only = read_only
        self._recent: list[list[int]] = []
        self.told = False  # there can be no changes yet: it has just been looked at
        self.keywords = mailbox.index.keyword_count  # how many of them the client knows

    @classmethod
    def open(cls, account: Account, name: str, read_only: bool) -> Selected:
        """Select a mailbox as it is now; read-write claims its recent messages.

        Who may change nothing there gets it read-only (RFC 4314 §5.2).
        """
        mailbox = account.open(name, "r")
        try:
            mailbox.refresh()
            read_only = read_only or not mailbox.held & WRITING
            selected = cls(mailbox, mailbox.view(), read_only)
            selected.told = not selected._claim()
        except BaseException:
            mailbox.close()
            raise
        return selected

    @classmethod
    def resume(
        cls,
        account: Account,
        name: str,
        read_only: bool,
        uidvalidity: int,
        snapshot: int,
        recent: list[list[int]],
    ) -> Selected | None:
        """Take up a view where another process left it; None when it cannot be had again.

        Raises Refused where it may be had in a moment.
        """
        try:
            mailbox = account.open(name, "r")
        except Refused as error:
            if passes(error):
                raise
            return None
        view = View.of(mailbox.index, snapshot) if mailbox.uidvalidity == uidvalidity else None
        if view is None:
            mailbox.close()
            return None
        selected = cls(mailbox, view, read_only)
        selected._recent = [list(span) for span in recent]
        return selected

    def close(self) -> None:
        """Release the mailbox."""
        self.mailbox.close()

    def state(self) -> tuple[str, int, int, list[list[int]]]:
        """Return (name, UIDVALIDITY, snapshot, ranges of recent UIDs) for the record."""
        return self.mailbox.name, self.mailbox.uidvalidity, self.view.snapshot, self._recent

    def watch(self) -> Watch:
        """Return a watch on the mailbox for IDLE; the caller closes it."""
        return Watch(*self.mailbox.paths())

    # -- recent --------------------------------------------------------------------------------

    @property
    def recent(self) -> int:
        """How many messages of the view are \\Recent to this session."""
        return len(self.recent_seqs())

    def recent_seqs(self) -> array[int]:
        """Return the messages that are \\Recent to this session, ascending."""
        if not self.read_only:
            return self.view.resolve([(low, high) for low, high in self._recent], True)
        if not self.mailbox.index.counts()[2]:
            return array("I")
        return self.view.match_flags(IN_NEW, 0, 0, 0)

    def is_recent(self, seq: int) -> bool:
        """Say whether a message is \\Recent to this session (RFC 3501 §2.3.2)."""
        if self.read_only:
            return self.view.in_new(seq)
        if not self._recent:
            return False
        uid = self.view.uid(seq)
        return any(low <= uid <= high for low, high in self._recent)

    def _claim(self) -> bool:
        """Take recent messages; says whether there were any."""
        claimed = [] if self.read_only else sorted(self.mailbox.claim_recent(self.view))
        for uid in claimed:
            if self._recent and self._recent[-1][1] == uid - 1:
                self._recent[-1][1] = uid
            else:
                self._recent.append([uid, uid])
        return bool(claimed)

    # -- changes -------------------------------------------------------------------------------

    def changes(self, expunge: bool) -> Changes:
        """Move the view on and say what the client must be told.

        Without ``expunge`` no EXPUNGE is told and no sequence number changes (RFC 3501 §7.4.1).
        """
        try:
            self.mailbox.refresh()
            moved = self._advance(expunge)
        except NoSuchMailbox:
            return Changes(gone=True)
        if moved is None:
            return Changes(keywords=True) if self._new_keywords() else _NOTHING
        gone, vanished, exists, flags = moved
        own = self.mailbox.own
        told = Changes(gone, exists, vanished=vanished, changed=flags)
        told.flags = [seq for seq, modseq in flags if modseq not in own]
        own.difference_update([modseq for modseq in own if modseq <= self.view.snapshot])
        if exists is not None:
            self._claim()
            told.recent = self.recent
        told.keywords = self._new_keywords()
        return told

    def _advance(self, expunge: bool) -> Moved | None:
        index = self.mailbox.index
        if index is self.view.index:
            try:
                return self.view.advance(expunge)
            except Gap:
                return self._succeed(expunge)
            except Unusable:
                self.mailbox.rebuild()
        return self._succeed(expunge)

    def _succeed(self, expunge: bool) -> Moved | None:
        """The index was compacted or rebuilt, or its log has a gap: compare old view and new."""
        found = self.view.successor(self.mailbox.index)
        if found is None:
            raise NoSuchMailbox("The mailbox has been renumbered")
        view, moved = found
        if moved[0] and not expunge:
            return None
        self.view = view
        return moved

    def _new_keywords(self) -> bool:
        count = self.mailbox.index.keyword_count
        changed = count != self.keywords
        self.keywords = count
        return changed
