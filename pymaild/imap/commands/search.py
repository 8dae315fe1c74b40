"""SEARCH and UID SEARCH."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.imap._arguments import Arguments
from pymaild.imap.responses import numbers, sequence_set
from pymaild.imap.search import Scope, evaluate
from pymaild.imap.search_keys import Reader, charset

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

#: Return options of ESEARCH (RFC 4731 §3.1): what they tell of one result or more.
RESULTS: dict[bytes, Callable[[Sequence[int]], bytes]] = {
    b"MIN": lambda found: b" MIN %d" % found[0],
    b"MAX": lambda found: b" MAX %d" % found[-1],
    b"ALL": lambda found: b" ALL " + sequence_set(found),
    b"COUNT": lambda found: b"",
}

_SLICE = 8192  # numbers that are put together before they are written


def search(session: ImapSession, args: Arguments, by_uid: bool) -> None:
    """SEARCH (RFC 3501 §6.4.4), UID SEARCH (§6.4.8), and their RETURN (RFC 4731 §3.1)."""
    args.sp()
    options = _return_options(args)
    selection = session.current
    reader = Reader(args, selection, session.settings)
    reader.charset = _charset(args)
    key = reader.program()
    found = evaluate(key, Scope(selection, session.services.board.beat))
    if by_uid:
        found = selection.uids(found)
    if options is None:
        _plain(session, found)
    else:
        _extended(session, found, options, by_uid)


def _return_options(args: Arguments) -> list[bytes] | None:
    """Read RETURN (...), if it is there; an empty list asks for ALL."""
    if not args.ahead(b"RETURN"):
        return None
    args.name()
    args.sp()
    options = []
    args.open()
    while args.item():
        options.append(args.name())
    if any(option not in RESULTS for option in options):
        raise BadSyntax("Unknown return option")
    args.sp()
    return options or [b"ALL"]


def _charset(args: Arguments) -> str:
    """Read CHARSET and its name, if it is there; returns the codec or ""."""
    if not args.ahead(b"CHARSET"):
        return ""
    args.name()
    args.sp()
    name = args.astring()
    args.sp()
    return charset(name)


def _plain(session: ImapSession, found: Sequence[int]) -> None:
    """RFC 3501 §7.2.5: told even when nothing is found."""
    session.write(b"* SEARCH")
    for start in range(0, len(found), _SLICE):
        session.write(numbers(found[start : start + _SLICE]))
    session.write(b"\r\n")


def _extended(
    session: ImapSession, found: Sequence[int], options: list[bytes], by_uid: bool
) -> None:
    """RFC 4731 §3.1: without results only COUNT is told."""
    line = b'* ESEARCH (TAG "%b")' % session.tag
    if by_uid:
        line += b" UID"
    for option in dict.fromkeys(options):
        if found:
            line += RESULTS[option](found)
        if option == b"COUNT":
            line += b" COUNT %d" % len(found)
    session.write(line + b"\r\n")
