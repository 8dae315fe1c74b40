"""Special uses of mailboxes (RFC 6154): which one is for drafts, for sent mail, and so on.

The settings name the mailboxes that have a use from the start. What users change stands in
``pymaild.special`` in their Maildir, one line for each mailbox that was changed. A use belongs to
one mailbox: who gets it takes it from the one before. A line whose mailbox does not exist
counts for nothing, so a line is written before its mailbox is made or renamed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence

from pymaild.core.errors import Code, Refused
from pymaild.mail.settings import MailSettings
from pymaild.mail.tree import INBOX
from pymaild.storage import atomic

NAME = "pymaild.special"

#: The uses that can be given (RFC 6154 §2, RFC 8457 §3), by their names in small letters.
#: \All and \Flagged stand for mail that lies in other mailboxes; there are none of that kind.
USES = {
    use.lower(): use
    for use in ("\\Archive", "\\Drafts", "\\Important", "\\Junk", "\\Sent", "\\Trash")
}

Uses = tuple[str, ...]


class SpecialUses:
    """The special uses of one account."""

    def __init__(self, root: str, settings: MailSettings) -> None:
        self._path = os.path.join(root, NAME)
        self._durable = settings.fsync
        self.defaults = _defaults(settings)

    def now(self) -> dict[str, Uses]:
        """Return the uses of each mailbox that has any."""
        return self._complete(self.stored())

    def _complete(self, stored: Mapping[str, Uses]) -> dict[str, Uses]:
        taken = {use for uses in stored.values() for use in uses}
        found = {
            name: tuple(use for use in uses if use not in taken)
            for name, uses in self.defaults.items()
            if name not in stored
        }
        return {name: uses for name, uses in (found | dict(stored)).items() if uses}

    def stored(self) -> dict[str, Uses]:
        """Return what was changed; an empty tuple takes a default away."""
        try:
            with open(self._path, encoding="utf-8") as file:
                pairs = [line.partition("\t") for line in file.read().split("\n")]
        except (FileNotFoundError, UnicodeDecodeError):
            return {}
        return {name: tuple(uses.split()) for uses, tab, name in pairs if tab}

    def store(self, stored: Mapping[str, Uses]) -> None:
        """Replace what was changed. Raises OSError."""
        if stored == self.stored():
            return
        lines = "".join(f"{' '.join(uses)}\t{name}\n" for name, uses in stored.items())
        atomic.replace(self._path, lines.encode(), self._durable)

    def assigned(self, name: str, uses: Sequence[str]) -> dict[str, Uses]:
        """Return what is to be stored when ``name`` gets these uses and no others.

        A mailbox that loses what the settings gave it has no line of its own: it gets that back
        when the new one goes.
        """
        stored, given = self.stored(), set(uses)
        for other, its in list(stored.items()):
            if given & set(its):
                stored[other] = tuple(use for use in its if use not in given)
                if not stored[other] and given.issuperset(self.defaults.get(other, ())):
                    del stored[other]
        return stored | {name: tuple(dict.fromkeys(uses))}

    def copied(self, moves: Iterable[tuple[str, str]]) -> dict[str, Uses]:
        """Return what is to be stored while mailboxes move, pairs of old and new name."""
        now, stored = self.now(), self.stored()
        for old, new in moves:
            stored.pop(new, None)
            if old in now:
                stored |= {old: now[old], new: now[old]}
        return stored

    def without(self, names: Iterable[str]) -> dict[str, Uses]:
        """Return what is to be stored when mailboxes are gone."""
        gone = set(names)
        return {name: uses for name, uses in self.stored().items() if name not in gone}


def _defaults(settings: MailSettings) -> dict[str, Uses]:
    uses = (
        (settings.drafts, "\\Drafts"),
        (settings.sent, "\\Sent"),
        (settings.junk, "\\Junk"),
        (settings.trash, "\\Trash"),
        (settings.archive, "\\Archive"),
        (settings.important, "\\Important"),
    )
    found: dict[str, Uses] = {}
    for name, use in uses:
        if name:
            found[settings.prefix + name] = (*found.get(settings.prefix + name, ()), use)
    return found


def checked(name: str, uses: Iterable[str]) -> Uses:
    """Return uses as they are written. Raises Refused (USEATTR) for what cannot be given."""
    found = [USES.get(use.lower(), "") for use in uses]
    if "" in found:
        raise Refused(Code.USEATTR, "This special use is not supported")
    if found and name == INBOX:
        raise Refused(Code.USEATTR, "INBOX has its own use")
    return tuple(found)
