"""EXPUNGE: messages are removed for good (RFC 9051 §6.4.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pymaild.index import IN_NEW, Index
from pymaild.mail.sync import SYSTEM
from pymaild.storage import atomic

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox


def expunge(mailbox: Mailbox, uids: Iterable[int]) -> None:
    """Remove files, then rows; UIDs that are gone already are no error. Raises OSError."""
    with mailbox.changing() as index:
        for uid in uids:
            mailbox.beat(0, 0)
            row = index.row_of_uid(uid)
            if row >= 0:
                _unlink(mailbox, index, row)
                index.expunge(row)
        mailbox.publish(index)


def _unlink(mailbox: Mailbox, index: Index, row: int) -> None:
    _, bits, keywords, _ = index.fields(row)
    where = (bool(bits & IN_NEW), bits & SYSTEM, keywords)
    path = mailbox.maildir.locate(index.name(row), *where)
    if path is not None:
        atomic.unlink(path)
