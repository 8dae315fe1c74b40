"""From message sets to messages."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.imap._arguments import Arguments
from pymaild.imap.responses import runs

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession
    from pymaild.index import View

Ranges = list[tuple[int, int]]


def messages(session: ImapSession, args: Arguments, by_uid: bool) -> array[int]:
    """Read a sequence-set; return the sequence numbers it names, ascending.

    UIDs that do not exist are passed over (RFC 3501 §6.4.8); sequence numbers that do not
    exist, "*" of an empty mailbox too, are the client's error (§9, seq-number).
    """
    view = session.current.selected.view
    saved = saved_search(session, args)
    if saved is not None:
        return view.resolve(saved, True)
    ranges = args.sequence_set()
    if not by_uid and beyond(ranges, len(view)):
        raise BadSyntax("The set names a message that does not exist")
    return view.resolve(ranges, by_uid)


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
