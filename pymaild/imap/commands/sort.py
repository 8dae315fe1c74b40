"""SORT and UID SORT."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymaild.imap import contexts, results
from pymaild.imap._arguments import Arguments
from pymaild.imap.answer import Answer, saving
from pymaild.imap.facts import Facts
from pymaild.imap.limits import Limit
from pymaild.imap.search import Scope, evaluate
from pymaild.imap.search_keys import Reader
from pymaild.imap.sort import Keys, OfCriteria, read_sort

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def sort(session: ImapSession, args: Arguments, by_uid: bool) -> None:
    """SORT (RFC 5256 §3), UID SORT, and their RETURN (RFC 5267 §3)."""
    args.sp()
    returns = results.read(args)
    session.changed = session.changed or returns is not None  # what is kept is in the record
    contexts.check_tag(session, returns)
    with saving(session, returns):
        text = args.rest()
        reader = Reader.of(session, args)
        reader.facts = Facts() if returns is not None and returns.update else None
        criteria, key = read_sort(reader)
        scope = Scope(session.current, session.progress.beat)
        Limit(session).whole(key, scope)
        order = OfCriteria(Keys(scope, reader.comparator), criteria)
        found = order.sorted(evaluate(key, scope))
        Answer(session, b"SORT", by_uid, returns, reader.modseq).tell(found)
    if returns is not None and reader.facts is not None:
        origin = contexts.Origin(text, by_uid, sort=True, fetch=returns.fetch)
        contexts.begin(session, origin, reader.facts, found)
