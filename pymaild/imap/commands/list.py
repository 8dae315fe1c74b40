"""LIST, LSUB and NAMESPACE."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

from pymaild._parser import LIST_BEGIN, BadSyntax
from pymaild.imap import grammar, names
from pymaild.imap._arguments import Arguments
from pymaild.imap.patterns import Match, matcher
from pymaild.imap.responses import string

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession
    from pymaild.mail.account import Entry

T = TypeVar("T")

#: Selection options: which entries they let through (RFC 6154 §2).
SELECTIONS: dict[bytes, Callable[[Entry], bool]] = {
    b"SPECIAL-USE": lambda entry: entry.special != "",
}

#: Return options: the attribute they add (RFC 6154 §2; RFC 5258 §3.4 and RFC 3348 for CHILDREN).
#: Special uses and children are told without being asked for: clients look for them there.
RETURNS: dict[bytes, Callable[[Entry], str]] = {
    b"SPECIAL-USE": lambda entry: "",
    b"CHILDREN": lambda entry: "",
    b"SUBSCRIBED": lambda entry: "\\Subscribed" if entry.subscribed else "",
}


def list_mailboxes(session: ImapSession, args: Arguments) -> None:
    """LIST (RFC 3501 §6.3.8), with the options of SPECIAL-USE (RFC 6154 §2)."""
    args.sp()
    extended = args.peek() == LIST_BEGIN
    selections = _options(args, SELECTIONS) if extended else []
    if extended:
        args.sp()
    reference = grammar.mailbox(args)
    args.sp()
    patterns = grammar.patterns(args)
    returns = _returns(args)
    args.end()
    if patterns == [""] and not extended:
        _root(session)
        return
    wanted = _matchers(session, reference, patterns)
    for entry in session.account.entries():
        if any(match(entry.name) for match in wanted) and all(s(entry) for s in selections):
            extra = [attribute for r in returns if (attribute := r(entry))]
            session.write(_line(session, b"LIST", entry.name, [*_attributes(entry), *extra]))


def lsub(session: ImapSession, args: Arguments) -> None:
    """LSUB (RFC 3501 §6.3.9).

    A name above a subscribed one, which "%" finds where it hides the other, is \\Noselect.
    So is a subscribed name without a mailbox: clients show it, and do not try to open it.
    """
    args.sp()
    reference = grammar.mailbox(args)
    args.sp()
    patterns = [names.decode(args.list_mailbox(), args.utf8)]
    args.end()
    match = _matchers(session, reference, patterns)[0]
    account = session.account
    entries = {entry.name: entry for entry in account.entries()}
    above = patterns[0].endswith("%")
    found = _subscribed(account.subscriptions(), match, account.separator if above else "")
    for name in sorted(found, key=lambda name: (name != "INBOX", name)):
        entry = entries.get(name)
        attributes = _attributes(entry) if entry and found[name] else ["\\Noselect"]
        session.write(_line(session, b"LSUB", name, attributes))


def namespace(session: ImapSession, args: Arguments) -> None:
    """NAMESPACE (RFC 2342 §5): one personal namespace."""
    args.end()
    prefix = session.mailbox_name(session.services.mail.prefix)
    separator = string(session.account.separator.encode())
    session.write(b"* NAMESPACE ((%b %b)) NIL NIL\r\n" % (prefix, separator))


def _options(args: Arguments, table: dict[bytes, T]) -> list[T]:
    """Read a list of options, which may be empty."""
    chosen = []
    args.open()
    while args.item():
        option = args.name()
        if option not in table:
            raise BadSyntax("Unknown option")
        chosen.append(table[option])
    return chosen


def _returns(args: Arguments) -> list[Callable[[Entry], str]]:
    if not args.more():
        return []
    args.sp()
    if args.name() != b"RETURN":
        raise BadSyntax("Expected RETURN")
    args.sp()
    return _options(args, RETURNS)


def _matchers(session: ImapSession, reference: str, patterns: list[str]) -> list[Match]:
    """RFC 3501 §6.3.8: here, reference and pattern are simply joined."""
    separator = session.account.separator
    return [matcher(reference + pattern, separator) for pattern in patterns]


def _root(session: ImapSession) -> None:
    """RFC 3501 §6.3.8: an empty pattern asks for the separator and the root's name."""
    session.write(_line(session, b"LIST", "", ["\\Noselect"]))


def _subscribed(subscribed: list[str], match: Match, separator: str) -> dict[str, bool]:
    """Return the names to be told; true for those that are subscribed themselves.

    Names above them are found where there is a ``separator``.
    """
    found: dict[str, bool] = {}
    for name in subscribed:
        if match(name):
            found[name] = True
            continue
        levels = name.split(separator) if separator else [name]
        for depth in range(1, len(levels)):
            above = separator.join(levels[:depth])
            if match(above):
                found.setdefault(above, False)
    return found


def _attributes(entry: Entry) -> list[str]:
    """RFC 3501 §7.2.2, RFC 3348 §3 (children), RFC 6154 §2 (special use)."""
    found = [] if entry.selectable else ["\\Noselect"]
    found.append("\\HasChildren" if entry.children else "\\HasNoChildren")
    return [*found, entry.special] if entry.special else found


def _line(session: ImapSession, label: bytes, name: str, attributes: list[str]) -> bytes:
    return _told(label, name, " ".join(attributes), session.account.separator, session.modes.utf8)


@lru_cache(maxsize=512)
def _told(label: bytes, name: str, attributes: str, separator: str, utf8: bool) -> bytes:
    """The line: clients list the same mailboxes again and again."""
    attribute_octets = attributes.encode("ascii")
    divider, shown = string(separator.encode()), names.encode(name, utf8)
    return b"* %b (%b) %b %b\r\n" % (label, attribute_octets, divider, shown)
