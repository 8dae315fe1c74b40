"""DELETE: mailboxes go with all their mail (RFC 9051 §6.3.5)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pymaild.core.errors import Code, NoSuchMailbox, Refused
from pymaild.mail import acl
from pymaild.mail.rights import grantees
from pymaild.mail.tree import INBOX
from pymaild.storage import control

if TYPE_CHECKING:
    from pymaild.mail.account import Account


def delete(account: Account, name: str) -> None:
    """Remove a mailbox and its messages; names below it stay. Raises Refused, OSError."""
    name = account.canonical(name)
    if name == INBOX:
        raise Refused(Code.CANNOT, "INBOX cannot be deleted")
    directory = account.directory(name)
    with account.lock:
        if _is_gone(account, name, directory):
            account.layout.clear()
        else:
            _admit(account, name, directory)
            _take_away(account, name, directory)
        account.special.store(account.special.without([name]))
        account.journal.changed()


def _is_gone(account: Account, name: str, directory: str) -> bool:
    """Say whether a process that died has removed it; one made since is another."""
    begun = account.begun("delete", name)
    there = account.layout.store(directory).exists() if begun else True
    return any(not there or validity != _uidvalidity(directory) for (validity,) in begun)


def _uidvalidity(directory: str) -> int:
    """Return a mailbox's UIDVALIDITY, 0 where it has none yet, -1 where there is no mailbox."""
    try:
        held = control.load(directory)
    except FileNotFoundError:
        return -1
    return held.uidvalidity if held else 0


def _take_away(account: Account, name: str, directory: str) -> None:
    grants = grantees(acl.load(directory) or {})
    if account.intents is not None:
        account.intents.delete(name, _uidvalidity(directory))
    account.layout.remove(directory)
    account.quota.forget(os.path.basename(directory))
    if grants:
        account.note_grants(grants)


def _admit(account: Account, name: str, directory: str) -> None:
    """Raise NoSuchMailbox, also where the user may not know of it, and Refused."""
    try:
        if not account.layout.store(directory).exists():
            raise NoSuchMailbox
        account.guard.admit(directory, "x")
    except NoSuchMailbox:
        below = name + account.separator
        if any(other.startswith(below) for other in account.visible()):
            raise Refused(Code.HASCHILDREN, "There are mailboxes below this name") from None
        raise
