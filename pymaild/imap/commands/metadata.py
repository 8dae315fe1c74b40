"""GETMETADATA and SETMETADATA (RFC 5464 §4)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from pymaild._parser import LIST_BEGIN, BadSyntax
from pymaild.core.errors import Code, NoSuchMailbox, Refused
from pymaild.imap import grammar
from pymaild.imap._arguments import Arguments
from pymaild.imap.filters import NAME, Filters, filter_in
from pymaild.imap.responses import nstring, string
from pymaild.imap.search_keys import Reader
from pymaild.mail.metadata import PRIVATE, SHARED, Entries

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

#: DEPTH: how many levels below an entry are told (RFC 5464 §4.2.2).
_DEPTHS = {b"0": 0, b"1": 1, b"INFINITY": 1 << 30}
_NUMBER = re.compile(rb"[0-9]{1,10}")
_LARGEST = 0xFFFFFFFF

_NO_NAME = re.compile(r"[^ -~]|[*%]|//|/$")
_ATOM = re.compile(rb"[A-Za-z0-9/_.,:;$!#&+=@^`|~<>?'-]+")


def getmetadata(session: ImapSession, args: Arguments) -> bytes | None:
    """GETMETADATA (RFC 5464 §4.2). "" as a mailbox's name stands for the server.

    Examples there have the options behind the name, the grammar in front: both are read.
    """
    args.sp()
    options: dict[bytes, int] = {}
    if args.peek() == LIST_BEGIN:
        options = _options(_words(args))
        args.sp()
    name = grammar.mailbox(args)
    args.sp()
    asked = _asked(args)
    if not asked[0].startswith(b"/") and not options:
        options = _options(asked)
        args.sp()
        asked = _asked(args)
    args.end()
    wanted = {entry.lower(): entry for entry in map(_name, asked)}
    found = _found(session.account.annotations(name).all(), wanted, options.get(b"DEPTH", 0))
    return _tell(session, name, found, options.get(b"MAXSIZE", _LARGEST))


def setmetadata(session: ImapSession, args: Arguments) -> None:
    """SETMETADATA (RFC 5464 §4.3): all entries are set, or none."""
    args.sp()
    name = grammar.mailbox(args)
    args.sp()
    args.open()
    changes: dict[str, bytes | None] = {}
    while args.item():
        entry = _whole(_name(args.astring()).lower())
        args.sp()
        changes[entry] = args.value()
    args.end()
    if not name:
        _check_filters(session, changes)
    if not changes:
        raise BadSyntax("Expected an entry and its value")
    session.account.annotations(name).change(changes)
    if name:
        _count(session, name)


def _count(session: ImapSession, name: str) -> None:
    """The mod-sequence of the mailbox grows (RFC 7162 §3.2), where it holds messages."""
    with suppress(NoSuchMailbox), session.account.open(name) as mailbox:
        mailbox.touch()


def _check_filters(session: ImapSession, changes: Mapping[str, bytes | None]) -> None:
    """RFC 5466 §3.2: the value of a filter must be a whole search. Raises Refused."""
    for entry, value in changes.items():
        name = filter_in(entry)
        if name is not None and value is not None:
            _check_filter(session, name, value)


def _check_filter(session: ImapSession, name: str, value: bytes) -> None:
    """Refuse a filter that is not a whole search (RFC 5466 §3.2)."""
    filters = Filters(session)
    try:
        value.decode()
        reader = Reader.elsewhere(session, filters.arguments(value.decode("latin-1")))
        reader.charset = "utf-8"
        reader.program()
        if not NAME.fullmatch(name):
            raise BadSyntax("This cannot be the name of a filter")
    except (BadSyntax, UnicodeDecodeError) as error:
        reason = str(error) if isinstance(error, BadSyntax) else "A filter must be UTF-8"
        raise Refused(Code.CANNOT, f"This is no filter: {reason}") from None


def read_entries(args: Arguments) -> dict[str, str]:
    """entries (RFC 5464 §5): the names in small letters, each with the name asked for."""
    return {entry.lower(): entry for entry in map(_name, _asked(args))}


def response(session: ImapSession, name: str, found: Mapping[str, bytes | None]) -> bytes:
    """METADATA with values (RFC 5464 §4.4.1)."""
    pairs = [b"%b %b" % (_shown(entry), _value(value)) for entry, value in found.items()]
    return b"* METADATA %b (%b)\r\n" % (session.mailbox_name(name), b" ".join(pairs))


def _tell(
    session: ImapSession, name: str, found: Mapping[str, bytes | None], largest: int
) -> bytes | None:
    """Write what is not too large; returns the OK that says what is (RFC 5464 §4.2.1)."""
    long = [len(value) for value in found.values() if value is not None and len(value) > largest]
    fitting = {entry: v for entry, v in found.items() if v is None or len(v) <= largest}
    if fitting:
        session.write(response(session, name, fitting))
    told = session.say("GETMETADATA completed")
    return b"[METADATA LONGENTRIES %d] %b" % (max(long), told) if long else None


def _found(entries: Entries, wanted: Mapping[str, str], depth: int) -> dict[str, bytes | None]:
    """Return the values asked for; without DEPTH, None for an entry that has none."""
    if not depth:
        return {asked: entries.get(entry) for entry, asked in wanted.items()}
    return {
        asked + name[len(entry) :]: value
        for entry, asked in wanted.items()
        for name, value in entries.items()
        if name == entry
        or (name.startswith(entry + "/") and name.count("/") - entry.count("/") <= depth)
    }


def _asked(args: Arguments) -> list[bytes]:
    return _words(args) if args.peek() == LIST_BEGIN else [args.astring()]


def _words(args: Arguments) -> list[bytes]:
    found = []
    args.open()
    while args.item():
        found.append(args.astring())
    if not found:
        raise BadSyntax("Expected at least one word")
    return found


def _options(words: list[bytes]) -> dict[bytes, int]:
    """MAXSIZE and DEPTH, each with its value."""
    found: dict[bytes, int] = {}
    for name, value in _pairs(words):
        if name == b"DEPTH" and value.upper() in _DEPTHS:
            found[name] = _DEPTHS[value.upper()]
        elif name == b"MAXSIZE" and _NUMBER.fullmatch(value) and int(value) <= _LARGEST:
            found[name] = int(value)
        else:
            raise BadSyntax("Unknown option of GETMETADATA")
    return found


def _pairs(words: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    if len(words) % 2:
        raise BadSyntax("Expected an option and its value")
    for name, value in zip(words[::2], words[1::2], strict=True):
        yield name.upper(), value


def _name(wire: bytes) -> str:
    """Return the name of an entry, checked (RFC 5464 §3.2)."""
    name = wire.decode("latin-1")
    scope = "/".join(name.lower().split("/")[:2])
    if scope not in (SHARED, PRIVATE) or _NO_NAME.search(name):
        raise BadSyntax("This is not the name of an annotation")
    return name


def _whole(name: str) -> str:
    """Check that a name is more than the beginning of one."""
    parts = name.split("/")
    if len(parts) < (5 if parts[2:3] == ["vendor"] else 3):
        raise BadSyntax("This is not the whole name of an annotation")
    return name


def _shown(entry: str) -> bytes:
    wire = entry.encode("ascii")
    return wire if _ATOM.fullmatch(wire) else string(wire)


def _value(value: bytes | None) -> bytes:
    """value (RFC 5464 §5): a literal8 where there is NUL."""
    if value is not None and b"\0" in value:
        return b"~{%d}\r\n%b" % (len(value), value)
    return nstring(value)
