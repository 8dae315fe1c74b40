"""What is told of new mail beside its number: items that NOTIFY and searches ask for.

RFC 5465 §5.2 and §7. One FETCH has what all of them ask for, behind the changes of the searches.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING

from pymaild.imap import items
from pymaild.imap.fetch import Fetch
from pymaild.imap.reread import reread

if TYPE_CHECKING:
    from pymaild.imap.session import ImapSession
    from pymaild.mail.mailbox import Mailbox

Texts = tuple[str, ...]


def tell(session: ImapSession, expunge: bool) -> None:
    """Tell what others did to the selected mailbox. Raises Gone and Refused."""
    view = session.current.selected.view
    newest = view.uid(len(view)) if len(view) else 0
    if session.notifier is None:
        session.current.tell(session.write, expunge)
    else:
        session.notifier.tell_selected(session.command, expunge)
    if wanted(session):
        _fetch(session, newest)
        session.added.clear()


def wanted(session: ImapSession) -> bool:
    """Whether anything asks for items of new mail."""
    contexts = session.current.contexts
    told = session.notifier is not None and session.notifier.items
    return bool(told or (contexts is not None and contexts.fetching))


def brought(session: ImapSession, mailbox: Mailbox, uids: Iterable[int]) -> None:
    """Remember what this client itself has put into a mailbox: it is no news to it."""
    if session.selection is not None and mailbox.name == session.record.mailbox:
        session.added.update(uids if wanted(session) else ())
    elif session.notifier is not None:
        session.notifier.own(mailbox.name)


def _fetch(session: ImapSession, newest: int) -> None:
    """FETCH of what is new; what this client itself brought is no news to it."""
    view = session.current.selected.view
    if not len(view) or view.uid(len(view)) <= newest:
        return
    new = view.resolve([(newest + 1, 0)], True)
    others = [seq for seq in new if view.uid(seq) not in session.added]
    for texts, seqs in groupby(others, lambda seq: _asked(session, view.uid(seq))):
        if texts:
            Fetch(session, _plan(session, texts)).run(array("I", seqs))


def _asked(session: ImapSession, uid: int) -> Texts:
    """The items that are asked for of a new message, as clients wrote them."""
    found = [session.notifier.items] if session.notifier is not None else []
    if session.current.contexts is not None:
        found += session.current.contexts.items(uid)
    return tuple(filter(None, found))


def _plan(session: ImapSession, texts: Iterable[str]) -> items.Plan:
    return items.joined(reread(text.encode("latin-1"), session) for text in texts)
