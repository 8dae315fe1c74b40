"""UIDBATCHES: the mailbox in ranges of UIDs that hold about as many messages each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.core.errors import Code, Refused
from pymaild.imap._arguments import Arguments
from pymaild.index import View

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

FEWEST = 500  # messages of a batch, RFC 10022 §3.1.3.2
_RANGE = re.compile(rb"([1-9][0-9]{0,9}):([1-9][0-9]{0,9})")
_PIECE = 512  # ranges that are written at a time


def uidbatches(session: ImapSession, args: Arguments) -> None:
    """UIDBATCHES (RFC 10022 §3.1): the last messages come first.

    An answer has one range for each 500 messages at most, so that no number of batches is too
    large to be answered.
    """
    args.sp()
    size = args.number()
    first, last = _range(args) if args.more() else (1, 0)
    args.end()
    if size < FEWEST:
        raise Refused(Code.TOOFEW, f"A batch has {FEWEST} messages at least")
    ranges = _batches(session.current.selected.view, size, first, last)
    session.write(b'* UIDBATCHES (TAG "%b")' % session.tag)
    mark = b" "
    while piece := b",".join(islice(ranges, _PIECE)):
        session.write(mark + piece)
        mark = b","
    session.write(b"\r\n")


def _range(args: Arguments) -> tuple[int, int]:
    """Read which batches are asked for (RFC 10022 §3.1.2)."""
    args.sp()
    match = _RANGE.fullmatch(args.word())
    if match is None:
        raise BadSyntax("Expected a range of batches")
    first, last = int(match[1]), int(match[2])
    if first > last:
        raise BadSyntax("[CLIENTBUG] Expected the lower number first")
    return first, last


def _batches(view: View, size: int, first: int, last: int) -> Iterator[bytes]:
    """Yield ranges from high to low. No UID up to the highest one lies between two of them."""
    count = -(-len(view) // size)
    for batch in range(first, min(last or count, count) + 1):
        top = len(view) - (batch - 1) * size
        below = top - size
        low = view.uid(below) + 1 if below > 0 else 1
        yield b"%d:%d" % (view.uid(top), low)
