"""What a client asks NOTIFY for, as data (RFC 5465 §5, §6)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from pymaild.imap.choice import OTHERS, Covers, covering

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession
    from pymaild.mail.account import Account

MESSAGES = frozenset({"MessageNew", "MessageExpunge"})
FLAGS = "FlagChange"
NAMES = "MailboxName"
SUBSCRIPTIONS = "SubscriptionChange"
METADATA = "MailboxMetadataChange"
SERVER_METADATA = "ServerMetadataChange"

#: The events that are supported, by their names in upper case (RFC 5465 §5).
EVENTS = {
    name.upper().encode(): name
    for name in (
        "MessageNew",
        "MessageExpunge",
        FLAGS,
        NAMES,
        SUBSCRIPTIONS,
        METADATA,
        SERVER_METADATA,
    )
}
OF_MESSAGES = MESSAGES | {FLAGS}

SELECTED = ("selected", "selected-delayed")
FILTERS = frozenset({*SELECTED, *OTHERS} - {"subtree-one"})


@dataclass(slots=True)
class Group:
    """One event-group: mailboxes, and what is to be told of them.

    ``fetch``: the items of MessageNew as the client wrote them, "" for none.
    """

    filter: str
    names: list[str] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    fetch: str = ""


Wants = Callable[[str, str], bool]  # an event, the name of a mailbox


@dataclass(slots=True)
class Wishes:
    """All groups of a NOTIFY command; none at all is NOTIFY NONE."""

    groups: list[Group]

    @classmethod
    def load(cls, plain: Iterable[dict[str, Any]]) -> Wishes:
        """Read what :meth:`dump` made for the record."""
        return cls([Group(**group) for group in plain])

    def dump(self) -> list[dict[str, Any]]:
        """Return plain data."""
        return [asdict(group) for group in self.groups]

    @property
    def selected(self) -> Group | None:
        """The group of the selected mailbox, if messages there are to be told of."""
        found = (group for group in self.groups if group.filter in SELECTED and group.events)
        return next(found, None)

    def messages(self, session: ImapSession) -> dict[str, frozenset[str]]:
        """Return the mailboxes whose messages are watched, and the events of each.

        The selected one is among them; its own group decides about it (RFC 5465 §3.1).
        """
        found: dict[str, frozenset[str]] = {}
        there = [entry.name for entry in session.account.entries() if entry.selectable]
        for group, covers in self._tests(session.account):
            events = OF_MESSAGES & set(group.events)
            for name in filter(covers, there) if events else ():
                found[name] = found.get(name, frozenset()) | events
        return found

    def wanting(self, account: Account) -> Wants:
        """Return a test of whether an event is to be told of a mailbox, which may be gone."""
        tests = self._tests(account)
        return lambda event, name: any(event in g.events and covers(name) for g, covers in tests)

    def _tests(self, account: Account) -> list[tuple[Group, Covers]]:
        """Which mailboxes each group is about (RFC 5465 §6.2 to §6.6)."""
        return [
            (group, covering(account, group.filter, group.names))
            for group in self.groups
            if group.filter not in SELECTED
        ]
