"""EXPUNGE and UID EXPUNGE."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

from pymaild.imap._arguments import Arguments
from pymaild.imap.limits import Limit
from pymaild.imap.sets import messages
from pymaild.mail.flags import DELETED

if TYPE_CHECKING:
    from pymaild.imap.selection import Selection
    from pymaild.imap.session import ImapSession


def expunge(session: ImapSession, args: Arguments) -> bytes | None:
    """EXPUNGE (RFC 3501 §6.4.3); the loop tells what is gone."""
    args.end()
    session.current.require_writable("e")
    return told(session, "EXPUNGE", remove_deleted(session.current))


def uid_expunge(session: ImapSession, args: Arguments) -> bytes | None:
    """UID EXPUNGE (RFC 4315 §2.1): of the messages named, those marked as deleted."""
    args.sp()
    named = set(messages(session, args, by_uid=True))
    args.end()
    session.current.require_writable("e")
    with Limit(session) as limit:
        removed = remove_deleted(session.current, named, limit)
    return limit.ok("UID EXPUNGE", told(session, "UID EXPUNGE", removed))


def told(session: ImapSession, name: str, removed: bool) -> bytes | None:
    """Tell of the messages removed, and return the text of an OK with the mod-sequence that the
    mailbox has thereby (RFC 7162 §3.2.7); None for the usual one.
    """
    if not removed or not session.modes.qresync:
        return None
    session.tell(expunge=True)
    return b"[HIGHESTMODSEQ %d] %b" % (session.current.modseq, session.say(f"{name} completed"))


def remove_deleted(
    selection: Selection, only: set[int] | None = None, limit: Limit | None = None
) -> bool:
    """Remove the messages marked as deleted, or those of them whose number is in ``only``.

    Returns whether there were any.
    """
    deleted = selection.selected.view.match_flags(DELETED, 0, 0, 0)
    if only is not None:
        deleted = array("I", [seq for seq in deleted if seq in only])
    if limit is not None:
        deleted = limit.cut(deleted)
    if deleted:
        selection.mailbox.expunge(selection.uids(deleted))
    return bool(deleted)
