"""THREAD and UID THREAD."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from pymaild._parser import BadSyntax
from pymaild.imap import threads
from pymaild.imap._arguments import Arguments
from pymaild.imap._threads import Threaded
from pymaild.imap.limits import Limit
from pymaild.imap.search import Scope, evaluate
from pymaild.imap.search_keys import Reader
from pymaild.imap.sort import Keys

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession


def thread(session: ImapSession, args: Arguments, by_uid: bool) -> None:
    """THREAD and UID THREAD (RFC 5256 §3)."""
    args.sp()
    name = args.name()
    if name not in threads.ALGORITHMS:
        raise BadSyntax("Unknown threading algorithm")
    args.sp()
    reader = Reader.of(session, args)
    reader.charset_first()
    key = reader.program()
    if reader.modseq:
        session.aware()
    scope = Scope(session.current, session.progress.beat)
    Limit(session).whole(key, scope)
    seqs = evaluate(key, scope)
    forest = threads.ALGORITHMS[name](_read(Keys(scope, reader.comparator), seqs, name))
    session.write(b"* THREAD")
    if seqs:
        session.write(b" ")
        numbers = scope.view.uids(seqs) if by_uid else seqs
        for piece in threads.pieces(forest, numbers):
            session.write(piece)
    session.write(b"\r\n")


def _read(keys: Keys, seqs: array[int], name: bytes) -> Threaded:
    scope, folds = keys.scope, keys.comparator.folds
    linked = name not in threads.UNLINKED
    return Threaded(scope.view, seqs, keys.sort, keys.thread, scope.beat, folds, linked)
