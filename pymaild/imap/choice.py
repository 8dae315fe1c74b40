"""Choices of mailboxes that NOTIFY and ESEARCH know (RFC 5465 §6, RFC 7377 §2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pymaild.mail.account import Account

#: What names follow, as one-or-more-mailbox (RFC 5465 §8).
NAMED = ("subtree", "subtree-one", "mailboxes")

OTHERS = ("inboxes", "personal", "subscribed", *NAMED)


def covers(account: Account, choice: str, names: Sequence[str], name: str) -> bool:
    """Say whether one of OTHERS, with the names given to it, covers a mailbox."""
    if choice == "mailboxes":
        return name in names
    if choice == "subscribed":
        return name in account.subscriptions()
    if choice in NAMED:
        deep = choice == "subtree"
        return any(_below(account.separator, top, name, deep) for top in names)
    # Mail is delivered to any folder (user+folder), so inboxes are what personal is (§6.3).
    return account.personal(name)


def _below(separator: str, top: str, name: str, deep: bool) -> bool:
    """RFC 7377 §2.2: subtree-one is the mailbox and one level below it."""
    if name == top:
        return True
    start = top + separator
    return name.startswith(start) and (deep or separator not in name[len(start) :])
