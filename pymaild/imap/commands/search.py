"""SEARCH and UID SEARCH."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pymaild.imap import results
from pymaild.imap._arguments import Arguments
from pymaild.imap.responses import numbers
from pymaild.imap.search import Scope, evaluate
from pymaild.imap.search_keys import Reader, charset

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession

_SLICE = 8192  # numbers that are put together before they are written


def search(session: ImapSession, args: Arguments, by_uid: bool) -> None:
    """SEARCH (RFC 3501 §6.4.4), UID SEARCH (§6.4.8), and their RETURN (RFC 4731 §3.1)."""
    args.sp()
    returns = _returns(session, args)
    selection = session.current
    reader = Reader(args, selection, session.settings)
    reader.charset = _charset(args)
    key = reader.program()
    found = evaluate(key, Scope(selection, session.services.board.beat))
    if by_uid:
        found = results.uids(selection.selected.view.uid, found)
    if returns is None:
        _plain(session, found)
    else:
        for piece in results.esearch(results.correlator(session.tag), by_uid, returns, found):
            session.write(piece)


def _returns(session: ImapSession, args: Arguments) -> results.Returns | None:
    """Read RETURN; IMAP4rev2 is always answered by ESEARCH (RFC 9051 §6.4.4)."""
    returns = results.read(args)
    return results.DEFAULT if returns is None and session.modes.rev2 else returns


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
