"""EXPUNGE: messages are removed for good (RFC 9051 §6.4.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox


def expunge(mailbox: Mailbox, uids: Iterable[int]) -> None:
    """Remove messages, then rows; UIDs that are gone already are no error. Raises OSError."""
    with mailbox.changing() as index:
        rows = [row for row in map(index.row_of_uid, uids) if row >= 0]
        mailbox.mail.remove(index, rows, mailbox.beat)
        mailbox.publish(index)
