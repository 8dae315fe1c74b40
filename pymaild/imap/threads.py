"""THREAD: the algorithms (RFC 5256 §3). Their forests are written by :class:`Lists`."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator

from pymaild.imap._forest import MOST_NESTED, Forest, Lists, by_date
from pymaild.imap._threads import Threaded

__all__ = ["ALGORITHMS", "MOST_NESTED", "UNLINKED", "Forest", "pieces"]


def ordered_subject(mail: Threaded) -> Forest:
    """ORDEREDSUBJECT: the first message with a base subject, and all others as its children."""
    order = by_date(mail.sent)
    return Forest(mail.firsts(order), len(order), order)


def references(mail: Threaded) -> Forest:
    """REFERENCES: by references, then by base subject."""
    parents, dummies = mail.parents()
    order = by_date(mail.sent)
    total = Forest(parents, len(parents) + dummies, order).merge(mail.subjects, mail.replies)
    return Forest(parents, total, order)


def refs(mail: Threaded) -> Forest:
    """REFS (draft-ietf-morg-inthread): by references alone.

    The thread that a message has come to last, by INTERNALDATE, is the last one.
    """
    parents, dummies = mail.parents()
    forest = Forest(parents, len(parents) + dummies, by_date(mail.sent))
    forest.by_arrival(mail.arrived)
    return forest


ALGORITHMS: dict[bytes, Callable[[Threaded], Forest]] = {
    b"ORDEREDSUBJECT": ordered_subject,
    b"REFERENCES": references,
    b"REFS": refs,
}

#: Those that need no references.
UNLINKED = (b"ORDEREDSUBJECT",)


def pieces(forest: Forest, numbers: array[int]) -> Iterator[bytes]:
    """Yield thread-lists (RFC 5256 §5) in pieces; ``numbers`` are those of the messages."""
    return iter(Lists(forest, numbers).piece, b"")
