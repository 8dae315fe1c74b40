"""LIST, LSUB, XLIST and NAMESPACE."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pymaild._parser import LIST_BEGIN, BadSyntax
from pymaild.core.errors import Refused, StorageFailure
from pymaild.core.quirks import Quirks
from pymaild.core.texts import CATALOGUES
from pymaild.imap import grammar
from pymaild.imap._arguments import Arguments
from pymaild.imap.commands.acl import rights_of
from pymaild.imap.commands.metadata import read_entries, response
from pymaild.imap.commands.status import answer, planned, read_items
from pymaild.imap.listing import CRITERIA, Choice, Found, attributes, childinfo, line
from pymaild.imap.patterns import Match, union
from pymaild.imap.responses import string
from pymaild.mail.listing import Entry, Listing

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

log = logging.getLogger("pymaild.imap")

#: Selection options that are no criterion: no mailbox here is a remote one (RFC 5258 §3.1).
_REMOTE, _RECURSIVE = b"REMOTE", b"RECURSIVEMATCH"
SELECTIONS = {*CRITERIA, _REMOTE, _RECURSIVE}

#: What XLIST calls a mailbox of that use; it names INBOX too.
_XLIST = {b"\\Junk": b"\\Spam"}

_KEPT_REPLIES = 8  # of one listing
_LARGEST_KEPT = 1 << 20  # octets


@dataclass(slots=True)
class Request:
    """The arguments of LIST. ``returns``: each return option with what it asks for."""

    reference: str = ""
    patterns: list[str] = field(default_factory=list)
    selections: dict[bytes, None] = field(default_factory=dict)
    returns: dict[bytes, Any] = field(default_factory=dict)
    extended: bool = False


def list_mailboxes(session: ImapSession, args: Arguments) -> None:
    """LIST (RFC 3501 §6.3.8, RFC 9051 §6.3.9), with its extended syntax (RFC 5258 §3).

    Clients list the same names again and again: replies are kept with the listing they tell.
    """
    tree = session.account.entries()
    key = (args.rest(), session.modes.utf8)
    if key in tree.replies:
        args.finish()
        session.write(tree.replies[key])
        return
    request = _read(args)
    found = _names(session, request, tree)
    if EXTRAS.keys() & request.returns.keys():
        _tell_more(session, request, found)
        return
    told = b"".join([_line(session, request, one) for one in found])
    if len(tree.replies) < _KEPT_REPLIES and len(told) <= _LARGEST_KEPT:
        tree.replies[key] = told
    session.write(told)


def _read(args: Arguments) -> Request:
    args.sp()
    request = Request()
    if args.peek() == LIST_BEGIN:
        request.extended = True
        request.selections = _selections(args)
        args.sp()
    request.reference = grammar.mailbox(args)
    args.sp()
    request.extended |= args.peek() == LIST_BEGIN
    request.patterns = grammar.patterns(args)
    if args.more():
        request.extended = True
        request.returns = _returns(args)
    args.end()
    return request


def _selections(args: Arguments) -> dict[bytes, None]:
    chosen: dict[bytes, None] = {}
    args.open()
    while args.item():
        option = args.name()
        if option not in SELECTIONS:
            raise BadSyntax("Unknown selection option")
        chosen[option] = None
    if _RECURSIVE in chosen and not chosen.keys() & CRITERIA.keys():
        raise BadSyntax("RECURSIVEMATCH needs another selection option")
    return chosen


def _returns(args: Arguments) -> dict[bytes, Any]:
    chosen: dict[bytes, Any] = {}
    args.sp()
    if args.name() != b"RETURN":
        raise BadSyntax("Expected RETURN")
    args.sp()
    args.open()
    while args.item():
        option = args.name()
        if option not in RETURNS:
            raise BadSyntax("Unknown return option")
        chosen[option] = RETURNS[option](args)
    return chosen


def _nothing(args: Arguments) -> None:
    """The argument of an option that has none."""


def _status_items(args: Arguments) -> dict[bytes, None]:
    args.sp()
    return read_items(args)


def _entries(args: Arguments) -> dict[str, str]:
    args.sp()
    return read_entries(args)


#: Return options and how the argument of each is read.
RETURNS: dict[bytes, Callable[[Arguments], Any]] = {
    b"SUBSCRIBED": _nothing,  # RFC 5258 §3.2
    b"CHILDREN": _nothing,  # RFC 5258 §4
    b"SPECIAL-USE": _nothing,  # RFC 6154 §2
    b"STATUS": _status_items,  # RFC 5819 §2
    b"METADATA": _entries,  # RFC 9590 §3
    b"MYRIGHTS": _nothing,  # RFC 8440 §3
}


def _names(session: ImapSession, request: Request, tree: Listing) -> Iterator[Found]:
    """Yield what is told; an empty pattern of the plain syntax asks for the root."""
    if request.patterns == [""] and not request.extended:
        return iter([Found(_ROOT)])
    patterns = [pattern for pattern in request.patterns if pattern]  # RFC 5258 §3
    match = _match(session, request.reference, patterns)
    choice = Choice(match, _criteria(request), _RECURSIVE in request.selections)
    return choice.names(tree, session.account.separator)


def _criteria(request: Request) -> list[bytes]:
    return [name for name in CRITERIA if name in request.selections]


def _line(session: ImapSession, request: Request, found: Found) -> bytes:
    subscribed = b"SUBSCRIBED" in request.returns or b"SUBSCRIBED" in request.selections
    told = attributes(found.entry, request.extended, subscribed)
    more = childinfo(_criteria(request)) if found.below else b""
    return line(session, found.entry.name, told, more)


#: RFC 3501 §6.3.8: the name "" is that of the root.
_ROOT = Entry("", selectable=False, children=True, special="", subscribed=False)


# -- replies behind LIST -------------------------------------------------------------------------


def _tell_more(session: ImapSession, request: Request, names: Iterator[Found]) -> None:
    """Write each LIST with the replies of its mailbox directly behind it."""
    for found in names:
        session.services.board.beat()
        found, more = _more(session, request, found)
        session.write(_line(session, request, found) + b"".join(more))


def _more(session: ImapSession, request: Request, found: Found) -> tuple[Found, list[bytes]]:
    """Return what else is told of a mailbox; one that STATUS may not see is \\Noselect.

    Nothing is told of a name that is there for those below it alone (RFC 5819 §3). A reply that
    the storage fails to give is left out (RFC 5819 §2, RFC 9590 §3).
    """
    more: list[bytes] = []
    if not (found.chosen and found.entry.exists):
        return found, more
    for option in [name for name in EXTRAS if name in request.returns]:
        try:
            more.append(EXTRAS[option](session, found.entry, request.returns[option]))
        except StorageFailure as failure:
            log.error("session=%s LIST: %s", session.record.id, failure.detail)
        except Refused:
            if option == b"STATUS":
                found = replace(found, entry=replace(found.entry, selectable=False))
    return found, more


def _status(session: ImapSession, entry: Entry, items: dict[bytes, None]) -> bytes:
    """STATUS (RFC 5819 §2)."""
    if not entry.selectable:
        return b""
    return answer(session, planned(entry.name, items, session.modes.utf8))


def _metadata(session: ImapSession, entry: Entry, wanted: dict[str, str]) -> bytes:
    """METADATA (RFC 9590 §3)."""
    held = session.account.annotations(entry.name).all()
    told = {asked: held.get(name) for name, asked in wanted.items()}
    return response(session, entry.name, told)


def _myrights(session: ImapSession, entry: Entry, asked: None) -> bytes:
    """MYRIGHTS (RFC 8440 §3)."""
    return rights_of(session, entry.name)


#: Return options that are answered by replies of their own, in the order of these.
EXTRAS: dict[bytes, Callable[[ImapSession, Entry, Any], bytes]] = {
    b"STATUS": _status,
    b"METADATA": _metadata,
    b"MYRIGHTS": _myrights,
}


# -- older forms ---------------------------------------------------------------------------------


def lsub(session: ImapSession, args: Arguments) -> None:
    """LSUB (RFC 3501 §6.3.9).

    A name above a subscribed one, which "%" finds where it hides the other, is \\Noselect.
    So is a subscribed name without a mailbox: clients show it, and do not try to open it.
    """
    reference, pattern = _one_pattern(args)
    match = _match(session, reference, [pattern])
    tree, separator = session.account.entries(), session.account.separator
    subscribed = [entry.name for entry in [*tree, *tree.missing] if entry.subscribed]
    found = _subscribed(subscribed, match, separator if pattern.endswith("%") else "")
    for name in sorted(found, key=lambda name: (name != "INBOX", name)):
        entry = tree.by_name.get(name)
        told = [b"\\Noselect"]
        if found[name]:
            told = _of_subscribed(entry, session.quirks)
        session.write(line(session, name, told, label=b"LSUB"))


def _of_subscribed(entry: Entry | None, quirks: Quirks) -> list[bytes]:
    """What LSUB tells of a name that is subscribed."""
    told = attributes(entry) if entry is not None else [b"\\Noselect"]
    uses = entry.special.encode("ascii").split() if entry is not None else []
    left_out = [] if quirks.lsub_special_use else uses
    left_out += [] if quirks.lsub_noselect else [b"\\Noselect"]
    return [attribute for attribute in told if attribute not in left_out]


def xlist(session: ImapSession, args: Arguments) -> None:
    """XLIST: what Gmail had before RFC 6154, and some clients still ask for."""
    if not session.quirks.xlist:
        raise BadSyntax("Unknown command")
    reference, pattern = _one_pattern(args)
    request = Request(reference, [pattern])
    for found in _names(session, request, session.account.entries()):
        told = [_XLIST.get(use, use) for use in attributes(found.entry)]
        if found.entry.name == "INBOX":
            told.append(b"\\Inbox")
        session.write(line(session, found.entry.name, told, label=b"XLIST"))


def _one_pattern(args: Arguments) -> tuple[str, str]:
    """Read a reference and a pattern."""
    args.sp()
    reference = grammar.mailbox(args)
    args.sp()
    pattern = grammar.name(args, args.list_mailbox())
    args.end()
    return reference, pattern


def namespace(session: ImapSession, args: Arguments) -> None:
    """NAMESPACE (RFC 2342 §5): one's own mailboxes, those of other users, and shared ones."""
    args.end()
    tell_namespaces(session)


def tell_namespaces(session: ImapSession) -> None:
    """NAMESPACE, with what prefixes are called in the client's language (RFC 5255 §3.4)."""
    account = session.account
    separator = string(account.separator.encode())
    catalogue = CATALOGUES.get(session.record.language)

    def translation(prefix: str) -> bytes:
        name = catalogue.names.get(prefix.removesuffix(account.separator)) if catalogue else None
        if name is None:
            return b""
        return b' "TRANSLATION" (%b)' % session.mailbox_name(name + account.separator)

    def told(prefix: str) -> bytes:
        return b"((%b %b%b))" % (session.mailbox_name(prefix), separator, translation(prefix))

    others, shared = (p and told(p) for p in (account.others_prefix, account.shared_prefix))
    kinds = (told(account.prefix), others or b"NIL", shared or b"NIL")
    session.write(b"* NAMESPACE %b %b %b\r\n" % kinds)


def _match(session: ImapSession, reference: str, patterns: list[str]) -> Match:
    """RFC 3501 §6.3.8: here, reference and pattern are simply joined. Raises Refused."""
    return union((reference + pattern for pattern in patterns), session.account.separator)


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
