"""Whether a mailbox is sound: index and cache against the mail."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild.mail.guard import guarded
from pymaild.mail.message import Message

if TYPE_CHECKING:
    from pymaild.mail.mailbox import Mailbox


@guarded
def faults(mailbox: Mailbox) -> list[str]:
    """Return what is wrong with index or cache, in sentences; empty when all is well."""
    mailbox.refresh()
    index = mailbox.index
    problems = index.verify()
    for row, uid, *_ in index.living() if not problems else ():
        message = Message(mailbox, index, row)
        if message.damaged():
            problems.append(f"the cache of message {uid} is damaged")
        if message.missing():
            problems.append(f"the file of message {uid} is missing")
    return problems
