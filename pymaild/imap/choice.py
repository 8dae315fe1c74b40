"""Choices of mailboxes that NOTIFY and ESEARCH know (RFC 5465 §6, RFC 7377 §2.2)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pymaild.mail.account import Account

#: What names follow, as one-or-more-mailbox (RFC 5465 §8).
NAMED = ("subtree", "subtree-one", "mailboxes")

OTHERS = ("inboxes", "personal", "subscribed", *NAMED)


Covers = Callable[[str], bool]


def covering(account: Account, choice: str, names: Iterable[str]) -> Covers:
    """Return a test of whether one of OTHERS, with the names given to it, covers a mailbox.

    However many names are given, it looks at no more of them than the mailbox has levels.
    """
    if choice == "subscribed":
        return frozenset(account.subscriptions()).__contains__
    if choice == "mailboxes":
        return frozenset(names).__contains__
    if choice in NAMED:
        return partial(_below, account.separator, frozenset(names), choice == "subtree")
    # Mail is delivered to any folder (user+folder), so inboxes are what personal is (§6.3).
    return account.personal


def _below(separator: str, tops: frozenset[str], deep: bool, name: str) -> bool:
    """RFC 7377 §2.2: subtree-one is the mailbox and one level below it."""
    levels = name.split(separator)
    first = 1 if deep else max(len(levels) - 1, 1)
    return any(separator.join(levels[:end]) in tops for end in range(first, len(levels) + 1))
