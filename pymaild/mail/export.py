"""The way back to Dovecot: its files are written from what the indexes know."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild.mail.guard import guarded, refusing
from pymaild.storage import takeover

if TYPE_CHECKING:
    from pymaild.mail.account import Account
    from pymaild.mail.mailbox import Mailbox


@refusing
def export_dovecot(account: Account) -> list[str]:
    """Write every mailbox's files of Dovecot; returns the names written."""
    names = account.existing()
    for name in names:
        with account.open(name) as mailbox:
            _export_mailbox(mailbox)
    plain = (name.removeprefix(account.prefix) for name in account.subscriptions())
    subscribed = (name.replace(account.separator, "/") for name in plain)
    takeover.write_dovecot_subscriptions(account.root, subscribed)
    return names


@guarded
def _export_mailbox(mailbox: Mailbox) -> None:
    """Write dovecot-uidlist and dovecot-keywords, so that Dovecot can take this folder."""
    with mailbox.changing() as index:
        messages = [(entry[1], entry[8]) for entry in index.living()]
        numbers = (index.uidvalidity, index.uidnext)
        takeover.write_dovecot(mailbox.directory, *numbers, index.keyword_names(), messages)
