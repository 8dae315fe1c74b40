"""INBOX as POP3 sees it: locked, numbered once, unchanged until UPDATE (RFC 1939 §4, §6)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from pymaild.core.errors import Code, Refused
from pymaild.mail.account import Account
from pymaild.mail.flags import SEEN
from pymaild.mail.message import Message
from pymaild.mail.selected import Selected
from pymaild.mime.text import WIDE
from pymaild.pop3.record import Pop3Record, mark, marked

INBOX = "INBOX"

_MOST_RUNS = 100  # of messages that were retrieved and have no \\Seen yet


class Lock(Protocol):
    """The maildrop's lock; a process that dies frees it."""

    def admit(self, delay: float) -> None:
        """Note a login. Raises Refused where the last one was less than ``delay`` seconds ago."""

    def park(self) -> int:
        """Return the descriptor that keeps others out when this process is gone."""

    def release(self) -> None:
        """Let others in."""


class Maildrop:
    """The messages of one session. Everything that lasts is kept in its record."""

    def __init__(self, selected: Selected, lock: Lock, record: Pop3Record) -> None:
        self._selected = selected
        self._lock = lock
        self._record = record
        self._deleted = marked(record.deleted)
        self._seen = marked(record.seen)
        self._taken = marked(record.taken)
        self._sizes: dict[int, int] = {}
        self._octets = selected.mailbox.mail.octets()

    @classmethod
    def open(
        cls, account: Account, record: Pop3Record, read_only: bool, delay: float = 0.0
    ) -> Maildrop:
        """Lock the maildrop and number its messages.

        ``delay``: seconds from one login to the next. Raises Refused, INUSE while another has it,
        LOGIN_DELAY where the last login is too near.
        """
        account.prepare()
        selected = Selected.open(account, INBOX, read_only)
        drop = cls._locked(selected, record)
        try:
            if delay:
                drop._lock.admit(delay)
            selected.changes(expunge=True)  # what the last session removed before it let go
        except BaseException:
            drop.close()  # before the refusal is said (RFC 1939 §4)
            raise
        _, record.uidvalidity, record.snapshot, record.recent = selected.state()
        return drop

    @classmethod
    def resume(
        cls, account: Account, record: Pop3Record, read_only: bool, held: int = -1
    ) -> Maildrop:
        """Open it again with the numbers that the record stands for.

        ``held`` is what :meth:`park` returned, -1 where its process has died.
        """
        selected = Selected.resume(
            account, INBOX, read_only, record.uidvalidity, record.snapshot, record.recent
        )
        if selected is None:
            raise Refused(Code.CORRUPTION, "The maildrop is not what it was")
        return cls._locked(selected, record, held)

    @classmethod
    def _locked(cls, selected: Selected, record: Pop3Record, held: int = -1) -> Maildrop:
        try:
            return cls(selected, selected.mailbox.lock_maildrop(held), record)
        except BaseException:
            selected.close()
            raise

    def close(self) -> None:
        """Free the lock."""
        self._lock.release()
        self._selected.close()

    def park(self) -> int:
        """Close all but the lock; returns the descriptor that keeps it."""
        self._selected.close()
        return self._lock.park()

    def __contains__(self, number: int) -> bool:
        return 1 <= number <= len(self._selected.view) and number not in self._deleted

    def numbers(self) -> Iterator[int]:
        """The messages that are not marked as deleted."""
        every = range(1, len(self._selected.view) + 1)
        return (number for number in every if number not in self._deleted)

    def message(self, number: int) -> Message:
        """The message itself. Raises Refused when another program has removed it."""
        return self._selected.mailbox.message(self._selected.view, number)

    def whole(self, number: int) -> tuple[bytes, int, bool] | None:
        """Return a message as it is sent, its octets, and whether a header in it is not ASCII.

        None for one that is to be read piece by piece.
        """
        found = self._octets.retrieved(self._selected.view, number)
        return (*found[:2], bool(found[2] & WIDE)) if found is not None else None

    def size(self, number: int) -> int:
        """Octets of the message in CRLF form; 0 when it is gone.

        The same for as long as the session lasts, even when the file disappears meanwhile.
        """
        size = self._sizes.get(number)
        if size is None:
            size = self._sizes[number] = self._selected.view.size(number) or self._measure(number)
        return size

    def _measure(self, number: int) -> int:
        try:
            return self.message(number).size
        except Refused as refused:
            if refused.code is Code.EXPUNGEISSUED:
                return 0
            raise

    def uid(self, number: int) -> int:
        """The message's UID."""
        return self._selected.view.uid(number)

    def file_name(self, number: int) -> str:
        """The base name of the message's file; of one that is gone, a name nobody else has."""
        try:
            return self.message(number).name()
        except Refused as refused:
            if refused.code is Code.EXPUNGEISSUED:
                return f"gone-{self.uid(number)}"
            raise

    def delete(self, number: int) -> None:
        """Mark a message; it is removed in UPDATE (RFC 1939 §5, DELE)."""
        self._deleted.add(number)
        mark(self._record.deleted, number)

    def undelete(self) -> None:
        """Take all marks away (RFC 1939 §5, RSET)."""
        self._deleted.clear()
        self._record.deleted.clear()

    def retrieved(self, number: int) -> None:
        """Note that a message has been sent in full.

        One that has \\Seen is noted where it makes a run longer: runs are what the record holds.
        """
        runs = self._record.seen
        if number in self._seen:
            return
        if (runs and runs[-1][1] + 1 == number) or not self._is_seen(number):
            self._seen.add(number)
            mark(runs, number)
        if len(runs) > _MOST_RUNS:
            self.keep_seen()

    def _is_seen(self, number: int) -> bool:
        return bool(self._selected.view.flags(number) & SEEN)

    def take(self, number: int) -> None:
        """Note that a message does not stay behind UPDATE (RFC 2449 §6.7, EXPIRE 0)."""
        if number not in self._taken:
            self._taken.add(number)
            mark(self._record.taken, number)

    def update(self) -> int:
        """Remove what is marked (RFC 1939 §6); returns how many messages that were."""
        uids = [self.uid(number) for number in sorted(self._deleted | self._taken)]
        if uids:
            self._selected.mailbox.expunge(uids)
        return len(uids)

    def keep_seen(self) -> None:
        """Give the messages that were retrieved and stay their \\Seen flag."""
        left = sorted(self._seen - self._deleted)
        numbers = [number for number in left if not self._is_seen(number)]
        self._seen.clear()
        self._record.seen.clear()
        if numbers:
            mailbox = self._selected.mailbox
            mailbox.store(self._selected.view, numbers, "add", mailbox.flags(["\\Seen"]))
