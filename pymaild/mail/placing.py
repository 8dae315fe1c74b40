"""New messages: drafts on disk get their UIDs, their names and their rows, all or none."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from pymaild.core.errors import Refused
from pymaild.index import IN_NEW, Index, Unusable
from pymaild.mail.expunging import expunge
from pymaild.mail.flags import Flags
from pymaild.mail.message import Message
from pymaild.mail.reserving import reserve
from pymaild.mail.stores import Arrival, Draft, Leaving, Placed
from pymaild.storage.maildir import unique_mark, unique_name

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox

#: A draft, its flags, and INTERNALDATE in seconds since 1970, None for now.
Incoming = tuple[Draft, Flags, float | None]


def commit(mailbox: Mailbox, drafts: Sequence[Incoming]) -> list[int]:
    """Make drafts messages; returns their UIDs. Raises OSError, and Refused (LIMIT).

    Others may see them before they are on disk, as they see what any other program delivers.
    """
    with mailbox.changing() as index:
        first = index.uidnext
        reserve(mailbox, index, first + len(drafts))
        mark = drafts[0][0].name if len(drafts) == 1 else unique_mark()
        mailbox.intend("new", first, mark)
        with placing(mailbox, index, first, drafts, mark) as (rows, placed):
            index.commit()
    uids = list(range(first, first + len(drafts)))
    with withdrawing(mailbox, uids):
        mailbox.mail.secure(placed)
    fill_cache(mailbox, index, rows)
    return uids


@contextmanager
def withdrawing(mailbox: Mailbox, uids: Sequence[int]) -> Iterator[None]:
    """Remove messages again that a disk cannot keep: who sent them is told so."""
    try:
        yield
    except OSError:
        with suppress(OSError, Refused):
            expunge(mailbox, uids)
        raise


@contextmanager
def placing(
    mailbox: Mailbox,
    index: Index,
    first: int,
    drafts: Sequence[Incoming],
    mark: str,
    leaving: Leaving | None = None,
) -> Iterator[tuple[list[int], list[Placed]]]:
    """Give drafts their places and stage their rows; both are yielded.

    What fails inside takes it back. One draft alone keeps the name that is its mark.
    """
    arrivals = list(_arrivals(first, drafts, mark))
    with mailbox.mail.placing(arrivals, mark, leaving) as placed:
        yield [_stage(index, *both) for both in zip(arrivals, placed, strict=True)], placed


def _arrivals(first: int, drafts: Sequence[Incoming], mark: str) -> Iterator[Arrival]:
    now = time.time()
    for number, (draft, flags, date) in enumerate(drafts):
        name = unique_name(mark, number) if len(drafts) > 1 else mark
        when = now if date is None else date
        yield Arrival(draft, name, first + number, flags.system, flags.keywords, when)


def _stage(index: Index, arrival: Arrival, placed: Placed) -> int:
    bits = arrival.flags | (IN_NEW if placed.new else 0)
    dates = (int(arrival.date), placed.saved)
    sizes = (placed.size, placed.wire_size)
    what = (*dates, *sizes, placed.name)
    return index.add(arrival.uid, bits, arrival.keywords, *what, place=placed.place)


def fill_cache(mailbox: Mailbox, index: Index, rows: Iterable[int]) -> None:
    """Compute what FETCH will ask for while the message is in memory; not needed for OK."""
    for row in rows:
        try:
            Message(mailbox, index, row).entry()
        except (OSError, Refused, Unusable):
            return
