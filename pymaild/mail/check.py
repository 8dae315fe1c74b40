"""What an administrator asks of a mailbox: whether it is sound, and the way back to Dovecot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild.mail.guard import guarded
from pymaild.mail.message import Message
from pymaild.storage import takeover

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


@guarded
def export_dovecot(mailbox: Mailbox) -> None:
    """Write dovecot-uidlist and dovecot-keywords, so that Dovecot can take this folder."""
    with mailbox.changing() as index:
        messages = [(entry[1], entry[8]) for entry in index.living()]
        numbers = (index.uidvalidity, index.uidnext)
        takeover.write_dovecot(mailbox.directory, *numbers, index.keyword_names(), messages)
