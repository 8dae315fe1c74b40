"""New messages: drafts on disk get their UIDs, their names and their rows, all or none."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from pymaild.core.errors import Refused
from pymaild.index import IN_NEW, Index, Unusable
from pymaild.mail.batch import noted
from pymaild.mail.flags import Flags
from pymaild.mail.message import Message
from pymaild.storage import atomic
from pymaild.storage.maildir import Draft, save_date, unique_mark, unique_name

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox

#: A draft, its flags, and INTERNALDATE in seconds since 1970, None for now.
Incoming = tuple[Draft, Flags, float | None]

#: A message file in its place: base name, whether it is in new/, flags, keywords.
Placed = tuple[bytes, bool, int, int]


def commit(mailbox: Mailbox, drafts: Sequence[Incoming]) -> list[int]:
    """Make drafts messages; returns their UIDs. Raises OSError, and Refused (LIMIT)."""
    with mailbox.changing() as index:
        first = index.uidnext
        mailbox.reserve(index, first + len(drafts))
        mark = drafts[0][0].name if len(drafts) == 1 else unique_mark()
        mailbox.intend("new", first, mark)
        batch = noted(mailbox.maildir, mark) if len(drafts) > 1 else nullcontext()
        with placing(mailbox) as placed:
            with batch:
                rows = place(mailbox, index, first, drafts, mark, placed)
            index.commit()
    fill_cache(mailbox, index, rows)
    return list(range(first, first + len(drafts)))


@contextmanager
def placing(mailbox: Mailbox) -> Iterator[list[Placed]]:
    """Remove the files that are noted here when the change they are for fails."""
    placed: list[Placed] = []
    try:
        yield placed
    except BaseException:
        for entry in placed:
            path = mailbox.maildir.locate(*entry)
            if path is not None:
                atomic.unlink(path)
        raise


def place(
    mailbox: Mailbox,
    index: Index,
    first: int,
    drafts: Sequence[Incoming],
    mark: str,
    placed: list[Placed],
) -> list[int]:
    """Give drafts their names and stage their rows, which are returned.

    One draft alone keeps the name that is its mark.
    """
    now, rows = time.time(), []
    for number, incoming in enumerate(drafts):
        name = unique_name(mark, number) if len(drafts) > 1 else mark
        rows.append(_place_one(mailbox, index, first + number, incoming, name, now, placed))
    maildir = mailbox.maildir
    maildir.sync(*{maildir.new if new else maildir.cur for _, new, *_ in placed})
    return rows


def _place_one(
    mailbox: Mailbox,
    index: Index,
    uid: int,
    incoming: Incoming,
    name: str,
    now: float,
    placed: list[Placed],
) -> int:
    draft, flags, date = incoming
    when = now if date is None else date
    os.utime(draft.path, (now, when))
    new = not flags.system and not flags.keywords
    base = mailbox.maildir.publish(draft, name, uid, flags.system, flags.keywords, new)
    placed.append((base, new, flags.system, flags.keywords))
    bits = flags.system | (IN_NEW if new else 0)
    dates = (int(when), save_date(base, now))
    return index.add(uid, bits, flags.keywords, *dates, draft.size, draft.wire_size, base)


def fill_cache(mailbox: Mailbox, index: Index, rows: Iterable[int]) -> None:
    """Compute what FETCH will ask for while the message is in memory; not needed for OK."""
    for row in rows:
        try:
            Message(mailbox, index, row).entry()
        except (OSError, Refused, Unusable):
            return
