"""SEARCH and UID SEARCH."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild.imap import contexts, results
from pymaild.imap._arguments import Arguments
from pymaild.imap.answer import Answer, saving
from pymaild.imap.facts import Facts
from pymaild.imap.limits import Limit
from pymaild.imap.search import Scope, evaluate
from pymaild.imap.search_keys import Reader

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def search(session: ImapSession, args: Arguments, by_uid: bool) -> bytes | None:
    """SEARCH (RFC 3501 §6.4.4), UID SEARCH (§6.4.8), and their RETURN (RFC 4731 §3.1)."""
    args.sp()
    returns = results.read(args)
    session.changed = session.changed or returns is not None  # what is kept is in the record
    contexts.check_tag(session, returns)
    with saving(session, returns):
        text = args.rest()
        reader = Reader.of(session, args)
        reader.facts = Facts() if returns is not None and returns.update else None
        reader.charset_given()
        key = reader.program()
        scope = Scope(session.current, session.progress.beat)
        with Limit(session) as limit:
            ends = returns.ends if returns is not None else None
            found = evaluate(limit.search(key, scope), scope, ends)
            Answer(session, b"SEARCH", by_uid, returns, reader.modseq).tell(found)
    if returns is not None and reader.facts is not None:
        origin = contexts.Origin(text, by_uid, fetch=returns.fetch)
        contexts.begin(session, origin, reader.facts, found)
    return limit.ok("SEARCH")


def cancel_update(session: ImapSession, args: Arguments) -> None:
    """CANCELUPDATE (RFC 5267 §4.3.5). A search that is not updated needs no more be done to."""
    tags: list[bytes] = []
    while args.more() or not tags:
        args.sp()
        tags.append(args.astring())
    args.end()
    running = session.current.contexts
    if running is not None:
        running.cancel(tags)
