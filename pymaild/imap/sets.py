"""From message sets to messages."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from pymaild._parser import BadSyntax
from pymaild.imap._arguments import Arguments
from pymaild.imap.responses import runs

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession
    from pymaild.index import View

Ranges = list[tuple[int, int]]

#: What a client is told that has sworn off sequence numbers (RFC 9586 §3).
UIDREQUIRED = "[UIDREQUIRED] Sequence numbers are not possible after ENABLE UIDONLY"


class Named(NamedTuple):
    """A sequence-set as it was given: messages of a view, that need not exist."""

    view: View
    ranges: Ranges
    by_uid: bool

    def all(self) -> array[int]:
        """Return the sequence numbers it names, ascending."""
        return self.view.resolve(self.ranges, self.by_uid)

    def among(self, seqs: Sequence[int]) -> array[int]:
        """Return those of ``seqs`` that it names; costs nothing for all the others."""
        return self.view.among(seqs, self.ranges, self.by_uid)


def messages(session: ImapSession, args: Arguments, by_uid: bool) -> array[int]:
    """Read a sequence-set; return the sequence numbers it names, ascending."""
    return named(session, args, by_uid).all()


def named(session: ImapSession, args: Arguments, by_uid: bool) -> Named:
    """Read a sequence-set.

    UIDs that do not exist are passed over (RFC 3501 §6.4.8); sequence numbers that do not
    exist, "*" of an empty mailbox too, are the client's error (§9, seq-number).
    """
    view = session.current.selected.view
    saved = saved_search(session, args)
    if saved is not None:
        return Named(view, saved, True)
    ranges = args.sequence_set()
    if not by_uid and beyond(ranges, len(view)):
        raise BadSyntax("The set names a message that does not exist")
    return Named(view, ranges, by_uid)


def saved_search(session: ImapSession, args: Arguments) -> Ranges | None:
    """Read "$" (RFC 5182 §2.1); return the UIDs it stands for, None where it is not there.

    They are fewer and fewer messages as these are expunged: no UID is used twice.
    """
    if not args.ahead(b"$"):
        return None
    args.word()
    return [(low, high) for low, high in session.record.saved]


def beyond(ranges: Ranges, count: int) -> bool:
    """Whether a set names messages that a mailbox of ``count`` has not (RFC 3501 §9)."""
    return not count or any(low > count or high > count for low, high in ranges)


def uid_ranges(view: View, seqs: Iterable[int]) -> Ranges:
    """Return ranges of UIDs that hold these messages and no others of the view.

    ``seqs`` ascend. Messages to come have higher UIDs, so that the ranges stay true.
    """
    return [(view.uid(low), view.uid(high)) for low, high in runs(seqs)]
