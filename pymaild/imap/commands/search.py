"""SEARCH and UID SEARCH."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild.imap import results
from pymaild.imap._arguments import Arguments
from pymaild.imap.answer import Answer, saving
from pymaild.imap.search import Scope, evaluate
from pymaild.imap.search_keys import Reader, charset

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def search(session: ImapSession, args: Arguments, by_uid: bool) -> None:
    """SEARCH (RFC 3501 §6.4.4), UID SEARCH (§6.4.8), and their RETURN (RFC 4731 §3.1)."""
    args.sp()
    returns = results.read(args)
    with saving(session, returns):
        reader = Reader.of(session, args)
        reader.charset = _charset(args) or reader.charset
        key = reader.program()
        found = evaluate(key, Scope(session.current, session.services.board.beat))
        Answer(session, b"SEARCH", by_uid, returns, reader.modseq).tell(found)


def _charset(args: Arguments) -> str:
    """Read CHARSET and its name, if it is there; returns the codec or ""."""
    if not args.ahead(b"CHARSET"):
        return ""
    args.name()
    args.sp()
    name = args.astring()
    args.sp()
    return charset(name)
