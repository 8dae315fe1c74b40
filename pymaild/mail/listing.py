"""What LIST sees of an account: every name at one time."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass

from pymaild.mail.tree import INBOX, Names


@dataclass(frozen=True, slots=True)
class Entry:
    """One name. ``special``: its attributes of RFC 6154, spaces between, or "".

    ``exists`` is false for a name that only stands above others, or is only subscribed;
    ``inferiors`` where there can be no names below it.
    """

    name: str
    selectable: bool
    children: bool
    special: str
    subscribed: bool
    exists: bool = True
    inferiors: bool = True


class Listing(list[Entry]):
    """The mailboxes and the names above them, sorted, INBOX first.

    ``missing``: subscribed names that are neither. ``replies`` has room for what was made of
    this listing; an account that has changed is another listing.
    """

    def __init__(self, entries: Iterable[Entry] = (), missing: Iterable[Entry] = ()) -> None:
        super().__init__(entries)
        self.by_name = {entry.name: entry for entry in self}
        self.missing = list(missing)
        self.replies: dict[tuple[bytes, bool], bytes] = {}


def listing(
    existing: set[str],
    names: Names,
    special: Mapping[str, Iterable[str]],
    subscribed: set[str],
    leaves: Container[str] = (),
) -> Listing:
    """Put together what is known of the mailboxes that exist; ``leaves`` have none below."""
    implied = {parent for name in existing for parent in names.parents(name)}
    inner = {names.parents(name)[-1] for name in existing | implied if names.separator in name}
    found = [
        Entry(
            name,
            selectable=name in existing,
            children=name in inner,
            special=" ".join(special.get(name, ())) if name in existing else "",
            subscribed=name in subscribed,
            exists=name in existing,
            inferiors=name not in leaves,
        )
        for name in _sorted(existing | implied)
    ]
    return Listing(found, map(missing, _sorted(subscribed - existing - implied)))


def missing(name: str, subscribed: bool = True) -> Entry:
    """Return the entry of a name with neither a mailbox nor one below it."""
    return Entry(name, False, False, "", subscribed, exists=False)


def _sorted(names: Iterable[str]) -> list[str]:
    return sorted(names, key=lambda name: (name != INBOX, name))
