"""What LIST tells: which names, and the line of each (RFC 3501 §6.3.8, RFC 9051 §6.3.9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pymaild.imap.patterns import Match
from pymaild.imap.responses import string
from pymaild.mail.listing import Entry, Listing, missing

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

#: Selection options that choose names (RFC 5258 §3.1, RFC 6154 §2).
CRITERIA: dict[bytes, Callable[[Entry], bool]] = {
    b"SUBSCRIBED": lambda entry: entry.subscribed,
    b"SPECIAL-USE": lambda entry: entry.special != "",
}


@dataclass(frozen=True, slots=True)
class Found:
    """A name to be told. ``below``: a name below it meets the criteria, it is told of that."""

    entry: Entry
    below: bool = False
    chosen: bool = True  # it meets the criteria itself


@dataclass(slots=True)
class Choice:
    """Which names are told: patterns, criteria, and those above names that meet them."""

    match: Match
    criteria: list[bytes] = field(default_factory=list)
    recursive: bool = False

    def names(self, tree: Listing, separator: str) -> Iterator[Found]:
        """Yield what is chosen, each name once (RFC 5258 §3.3)."""
        if not self.criteria:
            yield from (Found(entry) for entry in tree if self.match(entry.name))
            return
        chosen = {entry.name: entry for entry in self._candidates(tree) if self._meets(entry)}
        if not self.recursive:
            yield from (Found(entry) for entry in chosen.values() if self.match(entry.name))
            return
        above, told = self._above(chosen, separator)
        for name in sorted(chosen.keys() | told, key=lambda name: (name != "INBOX", name)):
            if self.match(name):
                entry = chosen.get(name) or tree.by_name.get(name) or missing(name, False)
                yield Found(entry, name in above, name in chosen)

    def _meets(self, entry: Entry) -> bool:
        return all(CRITERIA[name](entry) for name in self.criteria)

    def _candidates(self, tree: Listing) -> Iterable[Entry]:
        return [*tree, *tree.missing] if b"SUBSCRIBED" in self.criteria else tree

    def _above(self, chosen: Iterable[str], separator: str) -> tuple[set[str], set[str]]:
        """Return the names above chosen ones, and those above one that no pattern matches.

        What a client is told anyway need not be told of a second time (RFC 5258 §3.5).
        """
        above: set[str] = set()
        told: set[str] = set()
        for name in chosen:
            levels = name.split(separator)
            parents = [separator.join(levels[:depth]) for depth in range(1, len(levels))]
            above.update(parents)
            if not self.match(name):
                told.update(parents)
        return above, told


def attributes(entry: Entry, extended: bool = False, subscribed: bool = False) -> list[bytes]:
    """RFC 3501 §7.2.2, RFC 3348 §3 (children), RFC 6154 §2 (special use).

    Special uses and children are told without being asked for: clients look for them there.
    A client that asked in the extended syntax knows \\NonExistent (RFC 5258 §3), which says
    \\Noselect too; grammar has room for one of them.
    """
    if not entry.name:
        return [b"\\Noselect"]  # the root of all names
    found = []
    if not entry.selectable:
        found.append(b"\\NonExistent" if extended and not entry.exists else b"\\Noselect")
    found.append(b"\\HasChildren" if entry.children else b"\\HasNoChildren")
    if not entry.inferiors:
        found.append(b"\\Noinferiors")
    if entry.special:
        found += entry.special.encode("ascii").split()
    if subscribed and entry.subscribed:
        found.append(b"\\Subscribed")
    return found


def line(
    session: ImapSession,
    name: str,
    told: Iterable[bytes],
    more: bytes = b"",
    label: bytes = b"LIST",
) -> bytes:
    """One response: LIST, LSUB or XLIST; ``more`` is extended data, with its space."""
    divider = string(session.account.separator.encode())
    shown = session.mailbox_name(name)
    return b"* %b (%b) %b %b%b\r\n" % (label, b" ".join(told), divider, shown, more)


def childinfo(criteria: Iterable[bytes]) -> bytes:
    """CHILDINFO (RFC 5258 §3.5): what some name below this one meets."""
    return b' ("CHILDINFO" (%b))' % b" ".join([b'"%b"' % name for name in criteria])


def mailbox_line(
    session: ImapSession, tree: Listing, name: str, old: str = "", gone: bool = False
) -> bytes:
    """LIST of one mailbox, untagged and unasked, with its name from before where it has one.

    RFC 9051 §6.3.9.7: OLDNAME tells a client that it, or another, used another name. For a
    mailbox that is ``gone`` nothing but that is said.
    """
    entry = tree.by_name.get(name)
    told = [b"\\NonExistent"] if gone or entry is None else attributes(entry, True, True)
    more = b' ("OLDNAME" (%b))' % session.mailbox_name(old) if old and old != name else b""
    return line(session, name, told, more)


def correct(session: ImapSession, name: str, old: str = "", gone: bool = False) -> None:
    """Tell the name of a mailbox for which the client wrote another one.

    RFC 9051 §6.3.9.7. ``old``: the name it had before RENAME.
    """
    account = session.account
    name = name.removesuffix(account.separator)
    canonical = account.canonical(name)
    if session.modes.rev2 and (name != canonical or old != account.canonical(old)):
        session.write(mailbox_line(session, account.entries(), canonical, old or name, gone))
