"""From message sets to messages."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.imap._arguments import Arguments

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def messages(session: ImapSession, args: Arguments, by_uid: bool) -> array[int]:
    """Read a sequence-set; return the sequence numbers it names, ascending.

    UIDs that do not exist are passed over (RFC 3501 §6.4.8); sequence numbers that do not
    exist, "*" of an empty mailbox too, are the client's error (§9, seq-number).
    """
    ranges = args.sequence_set()
    view = session.current.selected.view
    if not by_uid and beyond(ranges, len(view)):
        raise BadSyntax("The set names a message that does not exist")
    return view.resolve(ranges, by_uid)


def beyond(ranges: list[tuple[int, int]], count: int) -> bool:
    """Whether a set names messages that a mailbox of ``count`` has not (RFC 3501 §9)."""
    return not count or any(low > count or high > count for low, high in ranges)
