"""ESEARCH: many mailboxes at once (RFC 7377)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.core.errors import Code, Refused
from pymaild.imap import contexts, results
from pymaild.imap._arguments import Arguments
from pymaild.imap.answer import Answer, saving
from pymaild.imap.facts import Facts
from pymaild.imap.reread import reread
from pymaild.imap.search import Scope, evaluate
from pymaild.imap.search_keys import Reader
from pymaild.imap.selection import Selection
from pymaild.imap.sources import Sources
from pymaild.mail.selected import Selected

if TYPE_CHECKING:
    from pymaild.imap.results import Returns
    from pymaild.imap.session import ImapSession

_PASSED_OVER = (Code.NONEXISTENT, Code.NOPERM)  # RFC 7377 §2.2


def esearch(session: ImapSession, args: Arguments) -> None:
    """ESEARCH (RFC 7377 §2). The program is read once to check it, and then for each mailbox."""
    args.sp()
    sources = Sources.read(args)
    returns = results.read(args) or results.DEFAULT
    _check(session, sources, returns)
    with saving(session, returns):
        text = args.rest()
        reader = Reader.elsewhere(session, args)
        reader.charset_given()
        reader.program()
        names = sources.mailboxes(session)
        if len(names) > session.settings.searched_mailboxes:
            raise Refused(Code.LIMIT, "Too many mailboxes to search at once")
        for name in names:
            _search(session, name, text, returns)
    if returns.update and session.record.mailbox not in names:
        contexts.refuse(session, session.tag, "The selected mailbox is not searched")


def _check(session: ImapSession, sources: Sources, returns: Returns) -> None:
    """RFC 7377 §2.2. Raises BadSyntax."""
    if session.selection is None and (sources.selected or returns.update):
        raise BadSyntax("No mailbox is selected")
    if returns.save and sources.others:
        raise BadSyntax("SAVE is possible for the selected mailbox only")
    if returns.update:
        contexts.check_tag(session, returns)


def _search(session: ImapSession, name: str, text: bytes, returns: Returns) -> None:
    """Search one mailbox; pass over one that is not there or may not be read."""
    if session.selection is not None and name == session.record.mailbox:
        _search_selected(session, text, returns)
        return
    try:
        with _opened(session, name) as selection:
            args = reread(text, session)
            _find(session, selection, Reader.elsewhere(session, args, selection), returns)
    except Refused as refused:
        if refused.code not in _PASSED_OVER:
            raise


@contextmanager
def _opened(session: ImapSession, name: str) -> Iterator[Selection]:
    """Open a mailbox as EXAMINE does, for the time of a search."""
    selected = Selected.open(session.account, name, read_only=True)
    try:
        yield Selection(selected, session.modes, session.say)
    finally:
        selected.close()


def _search_selected(session: ImapSession, text: bytes, returns: Returns) -> None:
    reader = Reader.of(session, reread(text, session))
    reader.strict = False  # RFC 7377 §2
    reader.facts = Facts() if returns.update else None
    found = _find(session, session.current, reader, returns)
    if reader.facts is not None:
        origin = contexts.Origin(text, by_uid=True, named=True, fetch=returns.fetch)
        contexts.begin(session, origin, reader.facts, found)


def _find(
    session: ImapSession, selection: Selection, reader: Reader, returns: Returns
) -> Sequence[int]:
    """Find and tell: nothing where nothing is found (RFC 7377 §2.1)."""
    reader.charset_given()
    key = reader.program()
    found = evaluate(key, Scope(selection, session.progress.beat), returns.ends)
    answer = Answer(session, b"SEARCH", True, returns, reader.modseq)
    answer.keep(returns, found)
    if found:
        named = contexts.correlator(session, selection, session.tag)
        answer.extended(returns, selection.selected.view, found, named)
    return found
