"""CREATE: new mailboxes (RFC 9051 §6.3.4), and what a user finds at the first login."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from pymaild.core.errors import Code, NoSuchMailbox, Refused
from pymaild.mail.rights import require
from pymaild.mail.special import Uses, checked
from pymaild.mail.tree import INBOX

if TYPE_CHECKING:
    from pymaild.mail.account import Account


def create(account: Account, name: str, uses: Sequence[str]) -> None:
    """Make a mailbox with these special uses. Raises Refused, OSError."""
    name = account.canonical(name.removesuffix(account.separator))
    if name == INBOX:
        raise Refused(Code.ALREADYEXISTS, "INBOX always exists")
    directory, given = new_directory(account, name), checked(name, uses)
    parent = room_for(account, name)
    with account.lock:
        _admit(account, name, directory)
        special = account.special
        stored = special.assigned(name, given) if given else special.without([name])
        with_special(account, stored, lambda: account.layout.create(directory))
        if parent:
            account.guard.inherit(parent, directory)
        account.journal.changed()


def _admit(account: Account, name: str, directory: str) -> None:
    """Refuse a name that is in use, unless by what a process that died had begun to make."""
    if not account.layout.store(directory).exists():
        account.quota.admit_mailbox()
    elif not account.begun("create", name):
        raise Refused(Code.ALREADYEXISTS, "A mailbox of this name exists")
    if account.intents is not None:
        account.intents.create(name)


def new_directory(account: Account, name: str) -> str:
    """Return the directory that a new name would have. Raises Refused (CANNOT)."""
    try:
        return account.directory(name)
    except NoSuchMailbox as error:
        raise Refused(Code.CANNOT, error.text) from None


def room_for(account: Account, name: str) -> str:
    """Return the directory of the nearest mailbox above a new name, "" where there is none.

    Others than the owner find INBOX above all. Raises Refused (NOPERM) without the right to
    create there (RFC 4314 §4).
    """
    above = filter(account.exists, reversed(account.names.parents(name)))
    nearest = next(above, "" if account.guard.own else INBOX)
    if not nearest:
        return ""
    directory = account.directory(nearest)
    require(account.guard.rights(directory), "k")
    return directory


def with_special(account: Account, stored: Mapping[str, Uses], step: Callable[[], None]) -> None:
    """Take a step that special uses are stored for first, and put back if it fails."""
    before = account.special.stored()
    account.special.store(stored)
    try:
        step()
    except OSError:
        account.special.store(before)
        raise


def first_sight(account: Account) -> list[str]:
    """Make what a user's mail needs, with the account locked; returns what to subscribe to.

    A Maildir of Dovecot or Courier keeps its subscriptions and gets no new folders.
    """
    taken_over = account.subscribed.taken_over()
    if taken_over is not None:
        return taken_over
    for name in account.special.defaults:
        if not account.exists(name):
            account.layout.create(account.directory(name))
    return account.existing()
